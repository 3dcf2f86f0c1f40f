"""DFNet written down a second time, as plain functions of weights under their published names."""

import torch
import torch.nn.functional as F
from torch import Tensor

KERNELS = (7, 5, 5, 3, 3, 3, 3, 3)
WIDTHS = (64, 128, 256, 512, 512, 512, 512, 512)


def norm(weights: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    """Batch norm with the running statistics."""
    mean, var, gain, shift = (
        weights[f'{name}.{key}'][None, :, None, None] for key in ('running_mean', 'running_var', 'weight', 'bias')
    )
    return (x - mean) / (var + 1e-5).sqrt() * gain + shift


def conv(weights: dict[str, Tensor], name: str, x: Tensor, padding: int = 0) -> Tensor:
    """A convolution of stride 1."""
    return F.conv2d(x, weights[f'{name}.weight'], weights[f'{name}.bias'], padding=padding)


def leaky(x: Tensor) -> Tensor:
    """LeakyReLU(0.2)."""
    return torch.where(x > 0, x, 0.2 * x)


def dfnet(weights: dict[str, Tensor], masked_image: Tensor, known: Tensor, stages: int, scales: int) -> list[Tensor]:
    """Inpaint images in [0, 1], 0 in the hole, with masks that are 1 where known; finest first."""
    skips = [torch.cat((masked_image, known), 1)]
    for stage in range(stages):
        weight = weights[f'en_{stage}.encode.0.conv.1.weight']
        before = (weight.shape[-1] - 2) // 2
        padded = F.pad(skips[-1], (before, before + 1, before, before + 1))
        feature = F.conv2d(padded, weight, weights[f'en_{stage}.encode.0.conv.1.bias'], stride=2)
        if stage:
            feature = norm(weights, f'en_{stage}.encode.1', feature).clamp(min=0)
        skips.append(feature)
    feature, outputs = skips.pop(), []
    for layer in reversed(range(stages)):
        feature = feature.repeat_interleave(2, 2).repeat_interleave(2, 3)
        feature = conv(weights, f'de_{layer}.decode.0.conv', torch.cat((feature, skips[layer]), 1), padding=1)
        feature = leaky(norm(weights, f'de_{layer}.decode.1', feature))
        if layer < scales:
            raw = conv(weights, f'fuse_{layer}.map2img.0.conv', feature).sigmoid()
            small = F.interpolate(masked_image, feature.shape[-2:], mode='bilinear', align_corners=False)
            alpha = conv(weights, f'fuse_{layer}.blend.blend.0.conv', torch.cat((small, raw), 1))
            alpha = leaky(norm(weights, f'fuse_{layer}.blend.blend.1', alpha))
            alpha = conv(weights, f'fuse_{layer}.blend.blend.3.conv', alpha, padding=1)
            alpha = leaky(norm(weights, f'fuse_{layer}.blend.blend.4', alpha))
            alpha = conv(weights, f'fuse_{layer}.blend.blend.6.conv', alpha).sigmoid()
            outputs.insert(0, alpha * raw + (1 - alpha) * small)
    return outputs


def published_shapes(kernels: tuple[int, ...], widths: tuple[int, ...], scales: int, hidden: int = 32) -> dict:
    """The published names and shapes."""
    shapes = {}

    def add_conv(name: str, out: int, into: int, kernel: int) -> None:
        shapes.update({f'{name}.weight': (out, into, kernel, kernel), f'{name}.bias': (out,)})

    def add_norm(name: str, width: int) -> None:
        shapes.update({f'{name}.{key}': (width,) for key in ('weight', 'bias', 'running_mean', 'running_var')})
        shapes[f'{name}.num_batches_tracked'] = ()

    skips = (4, *widths)
    for stage, (kernel, width) in enumerate(zip(kernels, widths, strict=True)):
        add_conv(f'en_{stage}.encode.0.conv.1', width, skips[stage], kernel)
        if stage:
            add_norm(f'en_{stage}.encode.1', width)
        add_conv(f'de_{stage}.decode.0.conv', skips[stage], skips[stage] + width, 3)
        add_norm(f'de_{stage}.decode.1', skips[stage])
    for scale in range(scales):
        add_conv(f'fuse_{scale}.map2img.0.conv', 3, skips[scale], 1)
        blend = f'fuse_{scale}.blend.blend'
        add_conv(f'{blend}.0.conv', hidden, 6, 1)
        add_norm(f'{blend}.1', hidden)
        add_conv(f'{blend}.3.conv', 3, hidden, 3)
        add_norm(f'{blend}.4', 3)
        add_conv(f'{blend}.6.conv', 3, 3, 1)
    return shapes


def random_weights(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, Tensor]:
    """Weights of these shapes, of sizes that keep the signal alive."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in shapes.items():
        if name.endswith('num_batches_tracked'):
            weights[name] = torch.tensor(7)
        elif name.endswith('running_var'):
            weights[name] = 0.5 + torch.rand(shape, generator=generator)
        else:
            fan_in = torch.Size(shape[1:]).numel() if len(shape) > 1 else 4
            weights[name] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
    return weights
