"""What stands in the hole before the network looks at it."""

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class SmoothFill(nn.Module):
    r"""Continues the colours around a hole smoothly into it; no weights, nothing to train.

    It solves Laplace's equation in the hole, with the known pixels as boundary, on a pyramid:

    .. math::
        \Delta u = 0 \text{ in the hole}, \qquad u = x \text{ elsewhere}

    Going down, a coarse pixel is the mean of the known pixels below it; it is known where one of them is. Going up,
    holes get the coarser solution, enlarged, and then some Jacobi iterations: each pixel becomes the mean of its four
    neighbours. The result is exact in flat regions and close to exact in linear gradients.

    Zeros in a hole are an arbitrary colour, from which a network first has to learn to get away; smooth colours are
    what is likely there.

    Args:
        levels: Halvings of the pyramid. Holes wider than ``2**levels`` pixels are filled less smoothly.
        iterations: Jacobi iterations at each level.

    Raises:
        ValueError: ``levels`` or ``iterations`` is below 1.
    """

    def __init__(self, levels: int = 8, iterations: int = 3) -> None:
        super().__init__()
        if levels < 1 or iterations < 1:
            raise ValueError(
                f'SmoothFill takes levels and iterations from 1 up, got levels={levels}, iterations={iterations}.'
            )
        self.levels = levels
        self.iterations = iterations

    @torch.no_grad()
    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Fill.

        Args:
            image: (N, C, H, W); what it holds in the hole is not looked at.
            mask: 1 in the hole, (N, 1, H, W).

        Returns:
            (N, C, H, W). Known pixels are those of ``image``. An image that is hole everywhere is returned as zeros.
        """
        known = (mask < 0.5).to(image.dtype)
        images, shares = [image.contiguous() * known], [known]
        for _ in range(self.levels):
            share = F.avg_pool2d(shares[-1], 2, ceil_mode=True, count_include_pad=False)
            mean = F.avg_pool2d(images[-1], 2, ceil_mode=True, count_include_pad=False) / share.clamp(min=0.25)
            images.append(mean)
            shares.append((share > 0).to(image.dtype))
        filled = images[-1]
        for level, share in zip(images[-2::-1], shares[-2::-1], strict=True):
            filled = F.interpolate(filled, size=level.shape[-2:], mode='bilinear', align_corners=False)
            is_known = share > 0
            filled = torch.where(is_known, level, filled)
            for _ in range(self.iterations):
                filled = torch.where(is_known, level, mean_of_neighbours(filled))
        return filled


def mean_of_neighbours(image: Tensor) -> Tensor:
    """Mean of the four neighbours of each pixel of (N, C, H, W); at the border the pixel stands for those beyond."""
    padded = F.pad(image, (1, 1, 1, 1), mode='replicate')
    across = padded[..., 1:-1, 2:] + padded[..., 1:-1, :-2]
    down = padded[..., 2:, 1:-1] + padded[..., :-2, 1:-1]
    return (across + down) * 0.25
