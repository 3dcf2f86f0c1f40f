"""Penalties on a critic's gradient."""

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class SampleGradientPenalty(nn.Module):
    r"""Gradient penalty of WGAN-GP with one norm per sample, the last term of Eq. (13).

    .. math::
        \lambda\, \mathbb{E}_{Y'} (\|\nabla_{Y'} D(Y')\|_2 - 1)^2, \qquad
        Y' = t Y + (1 - t) \hat Y, \; t \sim U(0, 1) \text{ per sample}

    The exponent is WGAN-GP's; the one printed in Eq. (13) is taken for a slip. The norm is over all pixels and channels
    of a sample; D(Y') of a critic that returns several scores for an image, such as a map of them, is their mean, as in
    the loss. The call has the form of MMagic's ``GradientPenaltyLoss``, so that one can stand in the other's place;
    that one takes a norm at every pixel.

    Args:
        loss_weight: :math:`\lambda`.
    """

    def __init__(self, loss_weight: float = 10.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, critic: nn.Module, real: Tensor, fake: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the penalty, in float32 or above whatever the surrounding autocast is.

        Args:
            critic: D; scores (N, C, H, W) as (N, ...), a sample's score not depending on the other samples.
            real: True images, (N, C, H, W).
            fake: Images of the generator, (N, C, H, W). No gradient flows into them.
            mask: Handed over by MMagic's inpaintors; Eq. (13) looks at the whole image.
        """
        dtype = torch.promote_types(real.dtype, torch.float32)
        real, fake = real.detach().to(dtype), fake.detach().to(dtype)
        share = torch.rand(len(real), 1, 1, 1, device=real.device, dtype=dtype)
        between = torch.lerp(fake, real, share).requires_grad_()
        with torch.autocast(between.device.type, enabled=False):
            scores = critic(between)
            scores = scores.reshape(len(scores), -1).mean(dim=1)
            (gradient,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
        norms = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
        return self.loss_weight * (norms - 1).square().mean()


@MODELS.register_module()
class R1Penalty(nn.Module):
    r"""Gradient penalty on true images (Mescheder et al., ICML 2018).

    .. math:: \lambda\, \mathbb{E}_{Y} \|\nabla_{Y} D(Y)\|_2^2

    The norm is over all pixels and channels of a sample; D(Y) of a critic that returns several scores for an image is
    their sum, as in LaMa. The call has the form of :class:`SampleGradientPenalty`.

    Args:
        loss_weight: :math:`\lambda`.
    """

    # a critic is judged by how far its slopes are from 1 unless they should be elsewhere
    wanted_slope = 0

    def __init__(self, loss_weight: float = 0.001) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, critic: nn.Module, real: Tensor, fake: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the penalty, in float32 or above whatever the autocast; ``fake`` and ``mask`` are not looked at."""
        real = real.detach().to(torch.promote_types(real.dtype, torch.float32)).requires_grad_()
        with torch.autocast(real.device.type, enabled=False):
            (gradient,) = torch.autograd.grad(critic(real).sum(), real, create_graph=True)
        return self.loss_weight * gradient.square().flatten(1).sum(dim=1).mean()
