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
            filled = self.relax(filled, level, is_known)
        return filled

    def relax(self, filled: Tensor, level: Tensor, is_known: Tensor) -> Tensor:
        """Improve the solution at one level of the pyramid.

        Args:
            filled: The solution so far, (N, C, h, w).
            level: The image at this level.
            is_known: Where that is known, (N, 1, h, w).
        """
        for _ in range(self.iterations):
            filled = torch.where(is_known, level, mean_of_neighbours(filled))
        return filled


@MODELS.register_module()
class EdgeFill(SmoothFill):
    r"""Continues colours and the edges between them into a hole: edge-enhancing diffusion; no weights.

    As :class:`SmoothFill`, but colours flow along edges rather than across them:

    .. math::
        \operatorname{div}(D \nabla u) = 0 \text{ in the hole}, \qquad
        D = v_\parallel v_\parallel^T + \frac{1}{\sqrt{1 + \mu / \lambda^2}}\, v_\perp v_\perp^T

    with :math:`\mu` the larger eigenvalue of the structure tensor of the blurred image (summed over channels, blurred
    once more), :math:`v_\perp` its eigenvector, across the edge, and :math:`v_\parallel` the one along it. Weickert
    (*Anisotropic Diffusion in Image Processing*, 1998); for inpainting, Galić et al. (*Journal of Mathematical Imaging
    and Vision*, 2008). Explicit steps on the pyramid of :class:`SmoothFill`. It takes some twenty times as long.

    Args:
        levels: As of :class:`SmoothFill`.
        iterations: Steps at each level.
        contrast: :math:`\lambda`, the slope of an edge, per pixel, for images in [-1, 1].

    Raises:
        ValueError: ``levels`` or ``iterations`` is below 1, or ``contrast`` is not positive.
    """

    # a step that the explicit scheme stands, and after how many steps the directions are measured anew
    STEP, RENEWED = 0.2, 5

    def __init__(self, levels: int = 8, iterations: int = 20, contrast: float = 0.02) -> None:
        super().__init__(levels, iterations)
        if contrast <= 0:
            raise ValueError(f'EdgeFill takes a contrast above 0, got {contrast}.')
        self.contrast = contrast

    def relax(self, filled: Tensor, level: Tensor, is_known: Tensor) -> Tensor:
        """Improve the solution at one level; see :meth:`SmoothFill.relax`."""
        for index in range(self.iterations):
            if index % self.RENEWED == 0:
                tensor = self.diffusion_tensor(filled)
            filled = torch.where(is_known, level, filled + self.STEP * flow(filled, tensor))
        return filled

    def diffusion_tensor(self, image: Tensor) -> Tensor:
        """D of an image: its entries xx, xy and yy as the channels of (N, 3, h, w)."""
        padded = pad(blur(image))
        dx = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
        dy = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
        structure = torch.stack(((dx * dx).sum(1), (dx * dy).sum(1), (dy * dy).sum(1)), dim=1)
        xx, xy, yy = blur(structure).unbind(1)
        spread = ((xx - yy).square() + 4 * xy.square()).sqrt()
        across = (1 + (xx + yy + spread) / 2 / self.contrast**2).rsqrt()
        # D = (1 + g) / 2 + (g - 1) / 2 * [[cos, sin], [sin, -cos]] of twice the angle of the gradient
        share = (across - 1) / 2 / spread.clamp(min=torch.finfo(image.dtype).tiny)
        middle, turned = (1 + across) / 2, share * (xx - yy)
        return torch.stack((middle + turned, 2 * share * xy, middle - turned), dim=1)


def flow(image: Tensor, tensor: Tensor) -> Tensor:
    """div(D grad u) of (N, C, h, w) by central differences, with D as of :meth:`EdgeFill.diffusion_tensor`."""
    u, (xx, xy, yy) = pad(image), pad(tensor).split(1, dim=1)
    here = slice(1, -1)
    left, right, up, down = slice(None, -2), slice(2, None), slice(None, -2), slice(2, None)
    across = (xx[..., here, right] + xx[..., here, here]) * (u[..., here, right] - image)
    across = across - (xx[..., here, left] + xx[..., here, here]) * (image - u[..., here, left])
    along = (yy[..., down, here] + yy[..., here, here]) * (u[..., down, here] - image)
    along = along - (yy[..., up, here] + yy[..., here, here]) * (image - u[..., up, here])
    mixed = xy[..., here, right] * (u[..., down, right] - u[..., up, right])
    mixed = mixed - xy[..., here, left] * (u[..., down, left] - u[..., up, left])
    mixed = mixed + xy[..., down, here] * (u[..., down, right] - u[..., down, left])
    mixed = mixed - xy[..., up, here] * (u[..., up, right] - u[..., up, left])
    return (across + along) / 2 + mixed / 4


def pad(image: Tensor) -> Tensor:
    """Repeat the border of (N, C, h, w) by a pixel."""
    return F.pad(image, (1, 1, 1, 1), mode='replicate')


def blur(image: Tensor) -> Tensor:
    """Blur (N, C, h, w) with a binomial window of 5x5 pixels, of variance 1."""
    for _ in range(2):
        padded = pad(image)
        rows = padded[..., :-2, :] + 2 * padded[..., 1:-1, :] + padded[..., 2:, :]
        image = (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 16
    return image


def mean_of_neighbours(image: Tensor) -> Tensor:
    """Mean of the four neighbours of each pixel of (N, C, H, W); at the border the pixel stands for those beyond."""
    padded = pad(image)
    across = padded[..., 1:-1, 2:] + padded[..., 1:-1, :-2]
    down = padded[..., 2:, 1:-1] + padded[..., :-2, 1:-1]
    return (across + down) * 0.25
