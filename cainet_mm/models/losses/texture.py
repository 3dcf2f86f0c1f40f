"""Perceptual and style loss on one VGG-16."""

import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor

from .vgg import FeatureLoss, gram_matrix, shared_vgg


@MODELS.register_module()
class TextureLoss(FeatureLoss):
    r"""Perceptual and style loss, Eq. (10) and (11), from one pass through VGG-16.

    .. math::
        \mathcal{L}_{per} = \frac{1}{N} \sum_i \overline{|\Phi^i(Y) - \Phi^i(\hat Y)|}, \qquad
        \mathcal{L}_{style} = \frac{1}{N} \sum_i \frac{1}{C_i C_i} \|G^i(Y) - G^i(\hat Y)\|_1, \qquad
        G^i = \frac{\Phi^i (\Phi^i)^T}{C_i h_i w_i}

    over the three features after pool-1, pool-2 and pool-3. The mean over a feature (the bar) and the division of the
    Gram matrix by C h w are choices of ours, which the printed formulas leave open. VGG-16 is shared by both terms, by
    all scales and by all losses that name the same weights; it is no submodule of the loss, so it is in no optimiser
    and in no checkpoint. The target's features carry no gradient.

    Args:
        vgg: Weights of VGG-16: ``'torchvision://vgg16'``, a local file, a URL, or ``None`` for random weights, which
            are of use in tests only.
        perceptual_weight: Weight of the perceptual term.
        style_weight: Weight of the style term.
        as_pair: Whether the two terms come as a pair, as MMagic's inpaintors take them from ``loss_composed_percep``,
            and not by their names.

    Raises:
        ValueError: The weights cannot be had, or are not those of a VGG-16.
    """

    def __init__(
        self,
        vgg: str | None = 'torchvision://vgg16',
        perceptual_weight: float = 0.1,
        style_weight: float = 240.0,
        as_pair: bool = False,
    ) -> None:
        super().__init__(shared_vgg(vgg))
        self.perceptual_weight = perceptual_weight
        self.style_weight = style_weight
        self.as_pair = as_pair

    def forward(self, output: Tensor, target: Tensor) -> dict[str, Tensor] | tuple[Tensor, Tensor]:
        """Compute ``perceptual`` and ``style``, or the pair of them, of RGB images, about [-1, 1], (N, 3, H, W).

        ``ValueError`` where they are smaller than 8 pixels, too small for three poolings.
        """
        if min(output.shape[-2:]) < 8:
            raise ValueError(
                f'TextureLoss needs images of at least 8x8 pixels for three poolings, got {tuple(output.shape[-2:])}. '
                'Take the scale out of the texture scales, or train on larger images.'
            )
        output_features, target_features = self.compare(output, target)
        perceptual = style = output.new_zeros(())
        for ours, true in zip(output_features, target_features, strict=True):
            perceptual = perceptual + F.l1_loss(ours, true)
            style = style + F.l1_loss(gram_matrix(ours), gram_matrix(true))
        count = len(target_features)
        perceptual, style = self.perceptual_weight / count * perceptual, self.style_weight / count * style
        return (perceptual, style) if self.as_pair else dict(perceptual=perceptual, style=style)
