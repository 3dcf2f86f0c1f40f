"""An inpaintor as a module that exporters can trace: batch norms folded, sizes free, no operator that ONNX lacks."""

import inspect
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmcv.cnn.bricks import Conv2dAdaptivePadding, wrappers
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.overrides import TorchFunctionMode

from ..evaluation.comparison import recorded_scales
from ..evaluation.costs import TracedInpaintor
from ..models.fourier import FourierUnit, MatrixFourierUnit

# convolutions that compute what torch's do, so that a batch norm behind them can be folded into their weights
PLAIN_CONVOLUTIONS = (nn.Conv2d, wrappers.Conv2d, Conv2dAdaptivePadding)
PLAIN_TRANSPOSED_CONVOLUTIONS = (nn.ConvTranspose2d, wrappers.ConvTranspose2d)


class ExportableInpaintor(nn.Module):
    """An inpaintor as a function of image and mask, without its data pipeline.

    What an image has in its hole is not looked at, and its known pixels come back bit for bit.

    Of the generator's own images, ``num_scales`` are returned as well, finest first.

    Raises:
        ValueError: The model has no generator, or fewer scales, or its data preprocessor another range than [-1, 1].
    """

    def __init__(self, model: BaseModel, num_scales: int = 0) -> None:
        super().__init__()
        kind = type(model).__name__
        if getattr(model, 'generator', None) is None:
            raise ValueError(f'{kind} has no generator that could be exported; give the config of an inpaintor.')
        preprocessor = model.data_preprocessor
        scales = [getattr(preprocessor, name, None) for name in ('mean', 'std')]
        if any(scale is None or (scale != 127.5).any() for scale in scales):
            raise ValueError(
                f'The data preprocessor of {kind} has to bring images to [-1, 1] with mean=[127.5] * 3 and '
                'std=[127.5] * 3; others cannot be exported.'
            )
        if num_scales > getattr(model.generator, 'num_scales', 1):
            raise ValueError(
                f'{type(model.generator).__name__} returns one image, and not several scales; export it without them.'
            )
        self.inpaint = TracedInpaintor(model)
        self.reversed_channels = getattr(preprocessor, 'output_channel_order', None) != 'RGB'
        self.num_scales = num_scales

    def forward(self, image: Tensor, mask: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Fill an RGB image in [-1, 1], (N, 3, H, W), where the mask, (N, 1, H, W), is above 0.5.

        Returns it, with ``num_scales`` also the generator's own images, finest first, (N, 3, h, w), all in [-1, 1].
        """
        hole = mask > 0.5
        masked = image.masked_fill(hole, 0.0)
        recording: Any = recorded_scales(self.inpaint.model) if self.num_scales else nullcontext([])
        with recording as recorded:
            raw, _ = self.inpaint(self.in_order(masked), hole.to(image.dtype))
        # coarsest first
        outputs = (raw, *recorded[::-1][: self.num_scales])
        raw, *scales = (self.in_order(output).clamp(-1, 1) for output in outputs)
        filled = torch.where(hole, raw, image)
        return (filled, *scales) if scales else filled

    def in_order(self, images: Tensor) -> Tensor:
        """Turn RGB into the channel order of the inpaintor, or back."""
        return images.flip(1) if self.reversed_channels else images


class SameConv2d(Conv2dAdaptivePadding):
    r"""MMCV's convolution with TensorFlow's padding, in arithmetic that holds for other sizes than the traced one.

    .. math:: p = d (k - 1) + 1 - s + (-H \bmod s)

    which is not negative where the kernel covers its stride, :math:`d (k - 1) + 1 \ge s`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, H, W) to (N, C', ceil(H / s), ceil(W / s))."""
        padding = []
        for axis in (1, 0):
            reach = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
            total = reach - self.stride[axis] + -x.shape[2 + axis] % self.stride[axis]
            padding += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, padding), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class ResizeByMatrices(TorchFunctionMode):
    r"""Computes ``F.interpolate`` to a given size as two matrix products, which ONNX has for sizes that are not known.

    .. math::
        y = A_{h, H}\, x\, A_{w, W}^T, \qquad
        A^{area}_{ij} = \frac{[s_i \le j < e_i]}{e_i - s_i}, \quad
        s_i = \left\lfloor \tfrac{i H}{h} \right\rfloor,\; e_i = \left\lceil \tfrac{(i + 1) H}{h} \right\rceil, \qquad
        A^{bilinear}_{ij} = \max\left(0, 1 - \left| j - \mathrm{clamp}\left(
        \tfrac{(2 i + 1) H}{2 h} - \tfrac{1}{2}, 0, H - 1 \right) \right| \right)

    ``'area'`` has no operator in ONNX unless sizes are fixed, and the one of ``'bilinear'`` is traced with a fixed
    scale. Other modes pass.
    """

    def __torch_function__(self, func: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None) -> object:
        """Replace ``F.interpolate``."""
        kwargs = kwargs or {}
        if func is not F.interpolate:
            return func(*args, **kwargs)
        call = inspect.signature(F.interpolate).bind(*args, **kwargs).arguments
        mode, size = call.get('mode', 'nearest'), call.get('size')
        plain = size is not None and not call.get('align_corners') and not call.get('antialias')
        if mode not in ('area', 'bilinear') or not plain:
            return func(*args, **kwargs)
        image = call['input']
        height, width = size if isinstance(size, list | tuple) else (size, size)
        rows = resize_matrix(image.shape[-2], height, mode).to(image)
        columns = resize_matrix(image.shape[-1], width, mode).to(image)
        return rows @ image @ columns.transpose(0, 1)


def resize_matrix(before: int, after: int, mode: str) -> Tensor:
    """The matrix that resizes one axis, (after, before), float32; see :class:`ResizeByMatrices`."""
    targets, sources = torch.arange(after)[:, None], torch.arange(before)[None]
    if mode == 'bilinear':
        centres = ((2 * targets + 1) * before).float() / (2 * after) - 0.5
        return (1 - (sources - centres.clamp(min=0).minimum(sources.max().float())).abs()).clamp(min=0)
    starts = torch.div(targets * before, after, rounding_mode='floor')
    ends = torch.div((targets + 1) * before + after - 1, after, rounding_mode='floor')
    return ((sources >= starts) & (sources < ends)).float() / (ends - starts).float()


def fold_batch_norms(module: nn.Module) -> None:
    """Fold every batch norm of a ``ConvModule`` in eval mode into its convolution, in place.

    Not those before their convolution, or behind one that computes something else, such as a partial convolution, whose
    masked outputs stay 0 and then get the norm's shift.
    """
    for part in list(module.modules()):
        if not isinstance(part, ConvModule) or not isinstance(part.norm, _BatchNorm) or part.with_spectral_norm:
            continue
        transposed = type(part.conv) in PLAIN_TRANSPOSED_CONVOLUTIONS and part.conv.groups == 1
        follows = part.order.index('norm') == part.order.index('conv') + 1
        if follows and part.norm.running_mean is not None and (transposed or type(part.conv) in PLAIN_CONVOLUTIONS):
            part.conv = fuse_conv_bn_eval(part.conv, part.norm, transposed)
            setattr(part, part.norm_name, nn.Identity())


def make_traceable(module: nn.Module) -> None:
    """Replace layers that exporters do not know or whose code would fix the sizes of the traced image, in place."""
    part: Any
    for part in module.modules():
        if type(part) is Conv2dAdaptivePadding and all(
            dilation * (kernel - 1) + 1 >= stride
            for dilation, kernel, stride in zip(part.dilation, part.kernel_size, part.stride, strict=True)
        ):
            # the same weights under another forward
            part.__class__ = SameConv2d
        elif type(part) is FourierUnit:
            part.__class__ = MatrixFourierUnit
