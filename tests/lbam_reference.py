"""LBAM written down a second time, as plain functions of weights under their published names."""

import torch
import torch.nn.functional as F
from torch import Tensor

RANGES = dict(a=(1.01, 6), mu=(0.1, 3), sigma1=(0.5, 2), sigma2=(0.5, 2))


def gaussian(x: Tensor, a: float, mu: float, sigma1: float, sigma2: float) -> Tensor:
    """g_A at the values x."""
    left = a * torch.exp(-sigma1 * (x - mu) ** 2)
    right = 1 + (a - 1) * torch.exp(-sigma2 * (x - mu) ** 2)
    return left * (x < mu) + right * (x >= mu)


def attend(weights: dict[str, Tensor], conv: str, activation: str, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The attention from a mask, and the next mask."""
    convolved = F.conv2d(mask, weights[f'{conv}.weight'], stride=2, padding=1)
    numbers = {name: weights[f'{activation}.{name}'].clamp(*limits) for name, limits in RANGES.items()}
    return gaussian(convolved, **numbers), convolved.clamp(min=0) ** 0.8


def lbam(weights: dict[str, Tensor], masked_image: Tensor, known: Tensor, stages: int) -> Tensor:
    """Inpaint images in [0, 1], 0 in the hole, with masks that are 1 where known."""
    features, mask = torch.cat((masked_image, known), 1), torch.cat([known] * 3, 1)
    skips, from_known, from_hole = [], [], []
    for stage in range(1, stages + 1):
        skip = F.conv2d(features, weights[f'ec{stage}.conv.conv.weight'], stride=2, padding=1)
        attention, mask = attend(weights, f'ec{stage}.conv.maskConv', f'ec{stage}.conv.activationFuncG_A', mask)
        weighted = skip * attention
        features = torch.where(weighted > 0, weighted, 0.2 * weighted)
        skips.append(skip)
        from_known.append(attention)
    mask = torch.cat([1 - known] * 3, 1)
    for stage in range(1, stages):
        name = f'reverseConv{stage}'
        attention, mask = attend(weights, f'{name}.reverseMaskConv', f'{name}.activationFuncG_A', mask)
        from_hole.append(attention)
    for stage in range(1, stages):
        level = stages - 1 - stage
        upsampled = F.conv_transpose2d(features, weights[f'dc{stage}.conv.weight'], stride=2, padding=1)
        joined = torch.cat((skips[level], upsampled), 1) * torch.cat((from_known[level], from_hole[level]), 1)
        features = torch.where(joined > 0, joined, 0.2 * joined)
    image = F.conv_transpose2d(features, weights[f'dc{stages}.weight'], stride=2, padding=1)
    return (image.tanh() + 1) / 2


def published_shapes(widths: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """The published names and shapes, for widths of the encoder's stages."""
    shapes, stages = {}, len(widths)
    numbers = ('a', 'mu', 'sigma1', 'sigma2')
    for index, width in enumerate(widths):
        before = widths[index - 1] if index else None
        shapes[f'ec{index + 1}.conv.conv.weight'] = (width, before or 4, 4, 4)
        shapes[f'ec{index + 1}.conv.maskConv.weight'] = (width, before or 3, 4, 4)
        shapes.update({f'ec{index + 1}.conv.activationFuncG_A.{name}': () for name in numbers})
        if index < stages - 1:
            shapes[f'reverseConv{index + 1}.reverseMaskConv.weight'] = (width, before or 3, 4, 4)
            shapes.update({f'reverseConv{index + 1}.activationFuncG_A.{name}': () for name in numbers})
    for stage in range(1, stages):
        deeper = widths[-1] if stage == 1 else 2 * widths[stages - stage]
        shapes[f'dc{stage}.conv.weight'] = (deeper, widths[stages - 1 - stage], 4, 4)
    shapes[f'dc{stages}.weight'] = (2 * widths[0], 3, 4, 4)
    return shapes


def random_weights(widths: tuple[int, ...], seed: int = 0) -> dict[str, Tensor]:
    """Published weights that no layer lets vanish, some of the activations' numbers out of their ranges."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in published_shapes(widths).items():
        value = torch.rand(shape, generator=generator, dtype=torch.float64)
        if shape:
            fan_in = shape[0] * 4 if name.startswith('dc') else shape[1] * 16
            weights[name] = (value - 0.5) * (12 / fan_in) ** 0.5
        else:
            low, high = RANGES[name.rsplit('.', 1)[1]]
            weights[name] = low + (1.2 * value - 0.1) * (high - low)
    return weights
