"""What LaMa trains with beside distances between images."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class LogisticGANLoss(nn.Module):
    r"""The non-saturating adversarial loss, on demand with the mask as the target of fakes.

    .. math::
        \text{true: } \zeta(-D), \qquad \text{fake: } \zeta(D)
        \text{ or, with a mask M, } M \zeta(D) + (1 - M)\, \zeta(-D), \qquad \zeta(x) = \log(1 + e^x)

    and the mean over all scores. The call has the form of MMagic's ``GANLoss``.

    Args:
        loss_weight: Weight of the generator's term; the critic's is 1.
    """

    # as MMagic's has one; a critic is judged by the scale of its scores if it is that of a WGAN
    gan_type = 'logistic'

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, input: Tensor, target_is_real: bool, is_disc: bool = False, mask: Tensor | None = None) -> Tensor:
        """Compute the loss of scores, (N, ...), or, with a mask, (N, 1, h, w).

        ``is_disc`` is for the critic's loss. The mask is 1 where a fake is one, (N, 1, H, W); a score is in the hole
        where any of its pixels is. ``ValueError`` for a mask beside one score for an image.
        """
        if mask is not None and input.ndim != 4:
            raise ValueError(
                'A mask as the target of fakes needs a map of scores, (N, 1, h, w), as a PatchCritic gives; got '
                f'{tuple(input.shape)}. Take another critic.'
            )
        if target_is_real or mask is None:
            loss = F.softplus(-input if target_is_real else input)
        else:
            hole = F.adaptive_max_pool2d(mask.to(input.dtype), input.shape[-2:])
            loss = hole * F.softplus(input) + (1 - hole) * F.softplus(-input)
        return loss.mean() * (1 if is_disc else self.loss_weight)


@MODELS.register_module()
class FeatureMatchingLoss(nn.Module):
    r"""Distance between features of a critic, the mean over its layers.

    .. math:: \frac{1}{L} \sum_l \overline{(\Phi^l(\hat Y) - \Phi^l(Y))^2}

    Args:
        loss_weight: Weight of the loss.
    """

    def __init__(self, loss_weight: float = 100.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, features: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """Compare the features of the generator's image with those of the true one, of any shapes."""
        distances = [F.mse_loss(ours, true) for ours, true in zip(features, targets, strict=True)]
        return self.loss_weight * torch.stack(distances).mean()
