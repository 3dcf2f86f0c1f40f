"""MI-GAN written down a second time, as plain functions of weights under their published names."""

import torch
import torch.nn.functional as F
from torch import Tensor


def activate(x: Tensor) -> Tensor:
    """LeakyReLU(0.2) times the root of 2, clamped to 256."""
    return (torch.where(x > 0, x, 0.2 * x) * 2**0.5).clamp(-256, 256)


def depthwise(weights: dict[str, Tensor], name: str, x: Tensor, **options) -> Tensor:
    """A convolution of each channel by itself."""
    return F.conv2d(x, weights[f'{name}.weight'], weights.get(f'{name}.bias'), groups=x.shape[1], **options)


def upsample(weights: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    """Nearest pixels, the odd ones emptied, and a filter."""
    doubled = x.repeat_interleave(2, 2).repeat_interleave(2, 3) * weights[f'{name}.filter_const']
    return depthwise(weights, f'{name}.filter', F.pad(doubled, (2, 1, 2, 1)))


def separable(weights: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    """Depthwise and pointwise convolution, with what the names say is between and behind them."""
    x = activate(depthwise(weights, f'{name}.conv1', x, padding=1))
    if f'{name}.downsample.filter.weight' in weights:
        x = depthwise(weights, f'{name}.downsample.filter', x, stride=2, padding=1)
    x = F.conv2d(x, weights[f'{name}.conv2.weight'])
    if f'{name}.upsample.filter.weight' in weights:
        x = upsample(weights, f'{name}.upsample', x)
    if f'{name}.noise_strength' in weights:
        x = x + weights[f'{name}.noise_const'] * weights[f'{name}.noise_strength']
    return activate(x)


def migan(weights: dict[str, Tensor], image: Tensor, known: Tensor) -> Tensor:
    """Inpaint images in [-1, 1] with masks that are 1 where known."""
    side = image.shape[-1]
    name = f'encoder.b{side}.fromrgb'
    x = activate(
        F.conv2d(torch.cat((known - 0.5, image * known), 1), weights[f'{name}.weight'], weights[f'{name}.bias'])
    )
    skips = {}
    while side >= 4:
        skips[side] = separable(weights, f'encoder.b{side}.conv1', x)
        x = separable(weights, f'encoder.b{side}.conv2', skips[side])
        side //= 2
    picture = 0
    for side in sorted(skips):
        name = f'synthesis.b{side}'
        x = separable(weights, f'{name}.conv2', separable(weights, f'{name}.conv1', x) + skips[side])
        if side > 4:
            picture = upsample(weights, f'{name}.upsample', picture)
        picture = picture + F.conv2d(x, weights[f'{name}.torgb.weight'], weights[f'{name}.torgb.bias'])
    return picture


def published_shapes(size: int = 256, channels: int = 32768, widest: int = 512) -> dict[str, tuple[int, ...]]:
    """The published names and shapes."""
    shapes, side = {}, size
    width = {size >> level: min(channels // (size >> level), widest) for level in range(size.bit_length() - 2)}

    def add(name: str, before: int, after: int, down: bool = False, up: bool = False, noise: int | None = None) -> None:
        shapes[f'{name}.conv1.weight'], shapes[f'{name}.conv1.bias'] = (before, 1, 3, 3), (before,)
        shapes[f'{name}.conv2.weight'] = (after, before, 1, 1)
        if down:
            shapes[f'{name}.downsample.filter.weight'] = (before, 1, 4, 4)
        if up:
            shapes[f'{name}.upsample.filter_const'] = (1, 1, noise, noise)
            shapes[f'{name}.upsample.filter.weight'] = (after, 1, 4, 4)
        if noise:
            shapes[f'{name}.noise_const'], shapes[f'{name}.noise_strength'] = (noise, noise), ()

    shapes[f'encoder.b{size}.fromrgb.weight'] = (width[size], 4, 1, 1)
    shapes[f'encoder.b{size}.fromrgb.bias'] = (width[size],)
    while side >= 4:
        add(f'encoder.b{side}.conv1', width[side], width[side])
        add(f'encoder.b{side}.conv2', width[side], width[max(side // 2, 4)], down=side > 4)
        name, first = f'synthesis.b{side}', side == 4
        add(f'{name}.conv1', width[max(side // 2, 4)], width[side], up=not first, noise=None if first else side)
        add(f'{name}.conv2', width[side], width[side], noise=None if first else side)
        shapes[f'{name}.torgb.weight'], shapes[f'{name}.torgb.bias'] = (3, width[side], 1, 1), (3,)
        if not first:
            shapes[f'{name}.upsample.filter_const'] = (1, 1, side, side)
            shapes[f'{name}.upsample.filter.weight'] = (3, 1, 4, 4)
        side //= 2
    return shapes
