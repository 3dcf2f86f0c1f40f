"""The images and masks of a step at the scales of the decoder's outputs."""

from collections.abc import Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor


class Level(NamedTuple):
    """What an output of one scale is compared with."""

    target: Tensor  # the true image, (N, 3, h, w), in [-1, 1]
    mask: Tensor  # 1 in the hole, (N, 1, h, w)


def downscale(image: Tensor, size: Sequence[int], mode: str = 'area') -> Tensor:
    """Resize (N, C, H, W) to ``size`` = (h, w); returned as it is where it has that size already.

    Args:
        image: The image.
        size: Height and width.
        mode: ``'area'``, the mean over each target pixel, or ``'bilinear'``, which looks at four pixels alone and so
            takes noise along to the coarse scales.

    Raises:
        ValueError: Another mode.
    """
    if mode not in ('bilinear', 'area'):
        raise ValueError(f"The down-scaling mode is 'bilinear' or 'area', got {mode!r}.")
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    return F.interpolate(image, size=tuple(size), mode=mode, align_corners=False if mode == 'bilinear' else None)


def build_pyramid(target: Tensor, mask: Tensor, sizes: Sequence[Sequence[int]], mode: str = 'area') -> list[Level]:
    """Bring the true image and the mask to every scale, once per step.

    A pixel of a coarse mask is hole where any pixel that it covers is.

    Args:
        target: (N, 3, H, W).
        mask: (N, 1, H, W), 1 in the hole.
        sizes: Height and width of each scale.
        mode: How the image is down-scaled, see :func:`downscale`.
    """
    return [Level(downscale(target, size, mode), F.adaptive_max_pool2d(mask, tuple(size))) for size in sizes]
