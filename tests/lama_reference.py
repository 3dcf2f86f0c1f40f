"""LaMa written down a second time, as plain functions of weights under their published names."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def norm(weights: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    """Batch norm with the running statistics."""
    mean, var, gain, shift = (
        weights[f'{name}.{key}'][None, :, None, None] for key in ('running_mean', 'running_var', 'weight', 'bias')
    )
    return (x - mean) / (var + 1e-5).sqrt() * gain + shift


def fourier_unit(weights: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    """The spectrum's real and imaginary parts as neighbouring channels, convolved, and back, by NumPy."""
    batch, channels, height, width = x.shape
    spectrum = np.fft.rfftn(x.numpy(), axes=(2, 3)) / np.sqrt(height * width)
    parts = np.empty((batch, 2 * channels, *spectrum.shape[2:]))
    parts[:, 0::2], parts[:, 1::2] = spectrum.real, spectrum.imag
    mixed = F.conv2d(torch.from_numpy(parts), weights[f'{name}.conv_layer.weight'])
    mixed = norm(weights, f'{name}.bn', mixed).clamp(min=0).numpy()
    image = np.fft.irfftn(mixed[:, 0::2] + 1j * mixed[:, 1::2], s=(height, width), axes=(2, 3))
    return torch.from_numpy(image * np.sqrt(height * width))


def spectral(weights: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    """1x1 convolution, norm, ReLU; the Fourier unit beside it; 1x1 convolution of the sum."""
    x = F.conv2d(x, weights[f'{name}.conv1.0.weight'])
    x = norm(weights, f'{name}.conv1.1', x).clamp(min=0)
    return F.conv2d(x + fourier_unit(weights, f'{name}.fu', x), weights[f'{name}.conv2.weight'])


def reflect_conv(weight: Tensor, x: Tensor, stride: int = 1, bias: Tensor | None = None) -> Tensor:
    """A convolution of an image that is reflected at its borders."""
    reach = weight.shape[-1] // 2
    return F.conv2d(F.pad(x, [reach] * 4, mode='reflect'), weight, bias, stride=stride)


def ffc(weights: dict[str, Tensor], name: str, local: Tensor, distant: Tensor | None, stride: int = 1) -> tuple:
    """The local and the global branch, each with norm and ReLU; ``None`` for one without channels."""

    def convolve(part: str, x: Tensor | None) -> Tensor | float:
        key = f'{name}.ffc.{part}.weight'
        return reflect_conv(weights[key], x, stride) if key in weights else 0

    local_out = convolve('convl2l', local) + convolve('convg2l', distant)
    global_out = convolve('convl2g', local)
    if f'{name}.ffc.convg2g.conv2.weight' in weights:
        global_out = global_out + spectral(weights, f'{name}.ffc.convg2g', distant)
    local_out = norm(weights, f'{name}.bn_l', local_out).clamp(min=0)
    if f'{name}.bn_g.weight' in weights:
        return local_out, norm(weights, f'{name}.bn_g', global_out).clamp(min=0)
    return local_out, None


def lama(weights: dict[str, Tensor], masked_image: Tensor, mask: Tensor, blocks: int, downs: int = 3) -> Tensor:
    """Inpaint images in [0, 1], 0 in the hole, with masks that are 1 in the hole; sizes are multiples of 2^downs."""
    local, distant = ffc(weights, 'model.1', torch.cat((masked_image, mask), 1), None)
    for index in range(2, 2 + downs):
        local, distant = ffc(weights, f'model.{index}', local, distant, stride=2)
    for index in range(2 + downs, 2 + downs + blocks):
        inner = ffc(weights, f'model.{index}.conv1', local, distant)
        inner = ffc(weights, f'model.{index}.conv2', *inner)
        local, distant = local + inner[0], distant + inner[1]
    x = torch.cat((local, distant), 1)
    index = 3 + downs + blocks
    for _ in range(downs):
        x = F.conv_transpose2d(
            x, weights[f'model.{index}.weight'], weights[f'model.{index}.bias'], stride=2, padding=1, output_padding=1
        )
        x = norm(weights, f'model.{index + 1}', x).clamp(min=0)
        index += 3
    return reflect_conv(weights[f'model.{index + 1}.weight'], x, bias=weights[f'model.{index + 1}.bias']).sigmoid()


def norm_shapes(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a batch norm."""
    shapes = {f'{name}.{key}': (channels,) for key in ('weight', 'bias', 'running_mean', 'running_var')}
    return {**shapes, f'{name}.num_batches_tracked': ()}


def ffc_shapes(name: str, into: tuple[int, int], out: tuple[int, int], kernel: int = 3) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a fast Fourier convolution, its local and global channels given."""
    shapes = {}
    for source, before in zip('lg', into, strict=True):
        for target, after in zip('lg', out, strict=True):
            part, half = f'{name}.ffc.conv{source}2{target}', after // 2
            if before and after and source == target == 'g':
                shapes[f'{part}.conv1.0.weight'] = (half, before, 1, 1)
                shapes |= norm_shapes(f'{part}.conv1.1', half)
                shapes[f'{part}.fu.conv_layer.weight'] = (2 * half, 2 * half, 1, 1)
                shapes |= norm_shapes(f'{part}.fu.bn', 2 * half)
                shapes[f'{part}.conv2.weight'] = (after, half, 1, 1)
            elif before and after:
                shapes[f'{part}.weight'] = (after, before, kernel, kernel)
    for branch, channels in zip('lg', out, strict=True):
        shapes |= norm_shapes(f'{name}.bn_{branch}', channels) if channels else {}
    return shapes


def published_shapes(width: int = 64, blocks: int = 9, downs: int = 3) -> dict[str, tuple[int, ...]]:
    """The published names and shapes, three quarters of the deepest channels being global."""
    shapes = ffc_shapes('model.1', (4, 0), (width, 0), 7)
    deepest = width * 2**downs
    split = deepest - int(deepest * 0.75), int(deepest * 0.75)
    for level in range(downs):
        out = split if level == downs - 1 else (width * 2 ** (level + 1), 0)
        shapes |= ffc_shapes(f'model.{2 + level}', (width * 2**level, 0), out)
    for index in range(blocks):
        for conv in ('conv1', 'conv2'):
            shapes |= ffc_shapes(f'model.{2 + downs + index}.{conv}', split, split)
    index = 3 + downs + blocks
    for level in reversed(range(downs)):
        shapes[f'model.{index}.weight'] = (width * 2 ** (level + 1), width * 2**level, 3, 3)
        shapes[f'model.{index}.bias'] = (width * 2**level,)
        shapes |= norm_shapes(f'model.{index + 1}', width * 2**level)
        index += 3
    shapes[f'model.{index + 1}.weight'] = (3, width, 7, 7)
    shapes[f'model.{index + 1}.bias'] = (3,)
    return shapes


def random_weights(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, Tensor]:
    """Weights under given names that no layer lets vanish, all statistics and shifts included."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in shapes.items():
        value = torch.rand(shape, generator=generator, dtype=torch.float64)
        if name.endswith('num_batches_tracked'):
            weights[name] = torch.tensor(7)
        elif len(shape) == 4:
            weights[name] = (value - 0.5) * (12 / (shape[1] * shape[2] * shape[3])) ** 0.5
        elif name.endswith(('running_var', 'weight')):
            weights[name] = value + 0.5
        else:
            weights[name] = value - 0.5
    return weights
