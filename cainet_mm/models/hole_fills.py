"""What stands in the hole before the network looks at it."""

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from .execution import is_eager_on_cpu


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
        """Fill images, (N, C, H, W), where the mask, (N, 1, H, W), is 1; what they hold there is not looked at.

        Known pixels stay as they are; an image that is hole everywhere is returned as zeros.
        """
        known = (mask < 0.5).to(image.dtype)
        images, shares = [image.contiguous() * known], [known]
        for _ in range(self.levels):
            share = F.avg_pool2d(shares[-1], 2, ceil_mode=True, count_include_pad=False)
            mean = F.avg_pool2d(images[-1], 2, ceil_mode=True, count_include_pad=False) / share.clamp(min=0.25)
            images.append(mean)
            shares.append((share > 0).to(image.dtype))
        filled = images[-1]
        for index in reversed(range(self.levels)):
            level, is_known = images[index], shares[index] > 0
            filled = F.interpolate(filled, size=level.shape[-2:], mode='bilinear', align_corners=False)
            filled = torch.where(is_known, level, filled)
            filled = self.relax(filled, level, is_known, index)
        return filled

    def relax(self, filled: Tensor, level: Tensor, is_known: Tensor, index: int) -> Tensor:
        """Improve the solution, (N, C, h, w), at a level of the pyramid, from 0, full size; known in (N, 1, h, w)."""
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
    and Vision*, 2008).

    D is measured once at each level of the pyramid. Explicit steps :math:`S` of size 1/4 are then extrapolated, so that
    n of them reach as far as :math:`n^2` plain ones do (Hafner et al., *FSI Schemes*, 2016):

    .. math::
        u_{k+1} = \alpha_k S(u_k) + (1 - \alpha_k)\, u_{k-1}, \qquad \alpha_k = \frac{4k + 2}{2k + 3}, \quad
        \alpha_0 = 1

    Args:
        levels: As of :class:`SmoothFill`.
        iterations: Steps at each level.
        contrast: :math:`\lambda`, the slope of an edge, per pixel, for images in [-1, 1].
        edge_levels: How many of the finest levels follow edges; the coarser ones are those of :class:`SmoothFill`.

    Raises:
        ValueError: ``levels``, ``iterations`` or ``edge_levels`` is below 1, or ``contrast`` is not positive.
    """

    STEP = 0.25
    # how far from a pixel what its step depends on lies: two blurs of 2, differences of 1, the neighbours' D
    REACH = 6

    def __init__(self, levels: int = 8, iterations: int = 20, contrast: float = 0.015, edge_levels: int = 5) -> None:
        super().__init__(levels, iterations)
        if contrast <= 0 or edge_levels < 1:
            raise ValueError(
                f'EdgeFill takes a contrast above 0 and edge_levels from 1 up, got {contrast} and {edge_levels}.'
            )
        self.contrast = contrast
        self.edge_levels = edge_levels

    def relax(self, filled: Tensor, level: Tensor, is_known: Tensor, index: int) -> Tensor:
        """Improve the solution at one level; see :meth:`SmoothFill.relax`. Known pixels get no step."""
        if index >= self.edge_levels:
            return super().relax(filled, level, is_known, index)
        place = surroundings_of(~is_known, self.REACH)
        if place is None:
            return self.follow_edges(filled, is_known)
        result = filled.clone()
        result[place] = self.follow_edges(filled[place], is_known[place])
        return result

    def follow_edges(self, filled: Tensor, is_known: Tensor) -> Tensor:
        """Take the steps of a level."""
        weights = (self.STEP * stencil(self.diffusion_tensor(filled))).masked_fill(is_known, 0)
        stays = 1 - weights.sum(dim=1, keepdim=True)
        previous = filled
        for k in range(self.iterations):
            stepped = mix_of_neighbours(filled, weights, stays)
            alpha = (4 * k + 2) / (2 * k + 3) if k else 1
            previous, filled = filled, torch.lerp(previous, stepped, alpha)
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


def surroundings_of(unknown: Tensor, reach: int) -> tuple | None:
    """The box around what is true in any of (N, 1, h, w), ``reach`` pixels wider, as an index of such tensors.

    None where it is not looked for: on a GPU, which the CPU would wait for, and where a graph is recorded.
    """
    if not is_eager_on_cpu(unknown):
        return None
    any_image = unknown.flatten(0, 1).any(0)
    spans = []
    for axis in (1, 0):
        found = any_image.any(axis).nonzero().flatten().tolist() or [0]
        spans.append(slice(max(0, found[0] - reach), found[-1] + 1 + reach))
    return (..., *spans)


def stencil(tensor: Tensor) -> Tensor:
    """div(D grad u) by central differences, as weights of the differences to the eight neighbours of a pixel.

    From D, its entries xx, xy and yy, (N, 3, h, w), to (N, 8, h, w), in the order of :data:`NEIGHBOURS`.
    """
    xx, xy, yy = tensor.split(1, dim=1)
    padded_xx, padded_xy, padded_yy = pad(tensor).split(1, dim=1)
    sides = [(padded_xx[..., 1:-1, columns] + xx) / 2 for columns in (AFTER, BEFORE)]
    ends = [(padded_yy[..., rows, 1:-1] + yy) / 2 for rows in (AFTER, BEFORE)]
    right, left = (padded_xy[..., 1:-1, columns] / 4 for columns in (AFTER, BEFORE))
    below, above = (padded_xy[..., rows, 1:-1] / 4 for rows in (AFTER, BEFORE))
    return torch.cat((*sides, *ends, right + below, left + above, -right - above, -left - below), dim=1)


BEFORE, HERE, AFTER = slice(None, -2), slice(1, -1), slice(2, None)
# rows and columns of a padded image: right, left, below, above, then the four corners
NEIGHBOURS = (
    *((HERE, AFTER), (HERE, BEFORE), (AFTER, HERE), (BEFORE, HERE)),
    *((AFTER, AFTER), (BEFORE, BEFORE), (BEFORE, AFTER), (AFTER, BEFORE)),
)


def mix_of_neighbours(image: Tensor, weights: Tensor, stays: Tensor) -> Tensor:
    """``stays`` (N, 1, h, w) of each pixel of (N, C, h, w), and ``weights`` (N, 8, h, w) of its neighbours."""
    padded, mixed = pad(image), image * stays
    for (rows, columns), weight in zip(NEIGHBOURS, weights.split(1, dim=1), strict=True):
        mixed = torch.addcmul(mixed, weight, padded[..., rows, columns])
    return mixed


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
