"""Perceptual and style loss on one VGG-16."""

from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn
from torchvision.models import vgg16

# index of the layer after pool-1, pool-2 and pool-3 in torchvision's vgg16().features
POOL_ENDS = (5, 10, 17)


class FrozenVGG16(nn.Module):
    """VGG-16 up to its third pooling layer, in eval mode and without gradients of its own.

    Args:
        weights: ``'torchvision://vgg16'``, a local file, a URL, or ``None`` for random weights, which are of use in
            tests only.

    Raises:
        ValueError: The weights cannot be had, or are not those of a VGG-16.
    """

    def __init__(self, weights: str | None) -> None:
        super().__init__()
        features = vgg16(weights=None).features[: POOL_ENDS[-1]]
        if weights is not None:
            features.load_state_dict(read_vgg16_features(weights, features))
        starts = (0, *POOL_ENDS[:-1])
        self.blocks = nn.ModuleList(features[start:end] for start, end in zip(starts, POOL_ENDS, strict=True))
        self.register_buffer('mean', torch.tensor((0.485, 0.456, 0.406)).view(1, 3, 1, 1))
        self.register_buffer('std', torch.tensor((0.229, 0.224, 0.225)).view(1, 3, 1, 1))
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> list[Tensor]:
        """Turn RGB images in [-1, 1], (N, 3, H, W), into the features after pool-1, pool-2 and pool-3."""
        feature = ((images + 1) / 2 - self.mean) / self.std
        features = []
        for block in self.blocks:
            feature = block(feature)
            features.append(feature)
        return features


def read_vgg16_features(source: str, features: nn.Module) -> dict[str, Tensor]:
    """Read the convolution weights of a VGG-16 checkpoint.

    Args:
        source: Where the checkpoint is.
        features: The module that they are for.

    Raises:
        ValueError: The checkpoint cannot be had, or is not that of a VGG-16.
    """
    advice = (
        "Set vgg to the path of torchvision's vgg16-397923af.pth, or put that file where "
        "torch.hub.get_dir() + '/checkpoints' says, or take the texture loss out of the config."
    )
    try:
        checkpoint = CheckpointLoader.load_checkpoint(source, map_location='cpu')
    except Exception as error:  # the back ends raise what they like: URLError, OSError, RuntimeError, UnpicklingError
        raise ValueError(f'The weights of VGG-16 cannot be read from {source!r} ({error}). {advice}') from error
    checkpoint = checkpoint.get('state_dict', checkpoint) if isinstance(checkpoint, dict) else {}
    weights = {key.removeprefix('features.'): value for key, value in checkpoint.items()}
    wanted = features.state_dict()
    wrong = [key for key in wanted if key not in weights or weights[key].shape != wanted[key].shape]
    if wrong:
        raise ValueError(
            f'{source!r} is no checkpoint of a VGG-16: features.{wrong[0]} is missing or of another shape. {advice}'
        )
    return {key: weights[key] for key in wanted}


shared_vgg16 = lru_cache(maxsize=None)(FrozenVGG16)


@MODELS.register_module()
class TextureLoss(nn.Module):
    r"""Perceptual and style loss, Eq. (10) and (11), from one pass through VGG-16.

    .. math::
        \mathcal{L}_{per} = \frac{1}{N} \sum_i \overline{|\Phi^i(Y) - \Phi^i(\hat Y)|}, \qquad
        \mathcal{L}_{style} = \frac{1}{N} \sum_i \frac{1}{C_i C_i} \|G^i(Y) - G^i(\hat Y)\|_1, \qquad
        G^i = \frac{\Phi^i (\Phi^i)^T}{C_i h_i w_i}

    over the three features after pool-1, pool-2 and pool-3 (the bar is the mean over a feature). VGG-16 is shared by
    both terms, by all scales and by all losses that name the same weights; it is no submodule of the loss, so it is
    in no optimiser and in no checkpoint. The target's features carry no gradient.

    Args:
        vgg: Weights of VGG-16: ``'torchvision://vgg16'``, a local file, a URL, or ``None`` for random weights, which
            are of use in tests only.
        perceptual_weight: Weight of the perceptual term.
        style_weight: Weight of the style term.

    Raises:
        ValueError: The weights cannot be had, or are not those of a VGG-16.
    """

    def __init__(
        self, vgg: str | None = 'torchvision://vgg16', perceptual_weight: float = 0.1, style_weight: float = 240.0
    ) -> None:
        super().__init__()
        self.perceptual_weight = perceptual_weight
        self.style_weight = style_weight
        # in a tuple, torch does not see it as a submodule
        self._network = (shared_vgg16(vgg),)

    def _apply(self, fn: Callable[[Tensor], Tensor], *args, **kwargs) -> 'TextureLoss':
        """Take VGG-16 along when the loss is moved to a device or dtype."""
        self._network[0]._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)

    def forward(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Compute both terms.

        Args:
            output: The generator's RGB image, about [-1, 1], (N, 3, H, W).
            target: The true image, same shape.

        Returns:
            ``perceptual`` and ``style``.

        Raises:
            ValueError: The images are smaller than 8 pixels, too small for three poolings.
        """
        if min(output.shape[-2:]) < 8:
            raise ValueError(
                f'TextureLoss needs images of at least 8x8 pixels for three poolings, got {tuple(output.shape[-2:])}. '
                'Take the scale out of the texture scales, or train on larger images.'
            )
        network = self._network[0]
        with torch.no_grad():
            target_features = network(target)
        output_features = network(output)
        perceptual = style = 0
        for ours, true in zip(output_features, target_features, strict=True):
            perceptual = perceptual + F.l1_loss(ours, true)
            style = style + F.l1_loss(gram_matrix(ours), gram_matrix(true))
        count = len(target_features)
        return dict(
            perceptual=self.perceptual_weight / count * perceptual,
            style=self.style_weight / count * style,
        )


def gram_matrix(feature: Tensor) -> Tensor:
    """Gram matrix F F^T / (C h w) of (N, C, h, w), as (N, C, C), in float32 or above whatever the autocast is."""
    with torch.autocast(feature.device.type, enabled=False):
        rows = feature.to(torch.promote_types(feature.dtype, torch.float32)).flatten(2)
        return rows @ rows.transpose(1, 2) / rows[0].numel()
