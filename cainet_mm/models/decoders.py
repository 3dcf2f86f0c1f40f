"""The multi-scale decoder."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmagic.registry import MODELS as MMAGIC_MODELS
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, ModuleList
from mmengine.registry import MODELS
from torch import Tensor, nn

from .execution import is_eager_on_cpu
from .pyramids import downscale


class UpConvModule(ConvModule):
    """A decoder layer: enlarges a feature to the size of a skip, puts the skip behind it, and convolves both.

    Where the skip is twice as large, the kernel is 3x3 and nothing is being exported or compiled, CPUs compute the
    share of the feature as a transposed convolution with a 4x4 kernel, whose elements are the sums of those that meet
    the same pixel: the same result from 16 products where the enlarged feature takes 36.

    Attributes:
        fused_from: Number of the feature's pixels from which on that is faster; making the kernel takes time, too.
    """

    fused_from = 256

    def forward(self, feature: Tensor, skip: Tensor) -> Tensor:
        """Turn the next coarser feature, (N, C, h', w'), and the skip, (N, C', h, w), into (N, out_channels, h, w)."""
        if self._can_be_fused(feature, skip):
            kernel, beside = self.conv.weight.split((feature.shape[1], skip.shape[1]), dim=1)
            output = F.conv2d(skip, beside, self.conv.bias, padding=1)
            output = output + F.conv_transpose2d(feature, sum_over_pairs(kernel), stride=2, padding=1)
        else:
            enlarged = F.interpolate(feature, size=skip.shape[-2:], mode='nearest')
            output = self.conv(torch.cat((enlarged, skip), dim=1))
        output = self.norm(output) if self.with_norm else output
        return self.activate(output) if self.with_activation else output

    def _can_be_fused(self, feature: Tensor, skip: Tensor) -> bool:
        # other devices have not been measured; a traced size would be taken for the size of all images
        if not is_eager_on_cpu(feature):
            return False
        height, width = feature.shape[-2:]
        fits = tuple(skip.shape[-2:]) == (2 * height, 2 * width) and height * width >= self.fused_from
        return fits and type(self.conv) is nn.Conv2d and self.conv.kernel_size == (3, 3)


def sum_over_pairs(kernel: Tensor) -> Tensor:
    """Turn the kernel of a convolution after nearest-neighbour doubling into that of a transposed one with stride 2.

    From (out_channels, C, 3, 3) to (C, out_channels, 4, 4), the turned kernel, convolved with 2x2 ones.
    """
    padded = F.pad(kernel.transpose(0, 1).flip(-2, -1), (1, 1, 1, 1))
    rows = padded[..., 1:, :] + padded[..., :-1, :]
    return rows[..., 1:] + rows[..., :-1]


@MODELS.register_module()
class CAINetDecoder(BaseModule):
    r"""Multi-scale decoder: up-sample, concatenate the skip, convolve; at the finest scales, fuse into an image.

    The size of each skip decides the up-sampled size, so nothing has to be a multiple of anything.

    Args:
        skip_channels: Channels of the skips, finest first, the last being the deepest feature:
            (channels of the input, widths of the encoder...).
        out_channels: Channels of the decoder's layers, finest first, one fewer than ``skip_channels``. By default
            those of the skip that the layer takes, as in DFNet.
        num_scales: How many layers, counted from the finest, return an image.
        fusion: Config of the module that turns a feature into an image; ``in_channels`` is filled in.
        progressive: Whether the fusion of a scale gets the input image with the next coarser output added in its
            hole, in place of the input image alone. A scale then refines what the coarser one found:
            :math:`x_k + m_k \odot (\hat Y_{k+1} - x_{k+1}){\uparrow}` is handed over at scale k, with the share
            :math:`m_k` of hole in each pixel. The coarsest scale gets the input image. Outputs are those of the
            fusions in the hole and the input elsewhere. The first skip has to be image and mask, in this order.
        kernel_size: Odd kernel size of the convolutions.
        norm_cfg: Norm layer. ``None`` for none.
        act_cfg: Activation.
        bias: Whether convolutions have a bias; ``'auto'`` gives one to those without a norm layer.
        init_cfg: MMEngine's initialisation.

    Raises:
        ValueError: ``num_scales`` or the length of ``out_channels`` does not match ``skip_channels``, or the kernel is
            even.
    """

    def __init__(
        self,
        skip_channels: Sequence[int],
        out_channels: Sequence[int] | None = None,
        num_scales: int = 6,
        fusion: dict = dict(type='DualAttentionFusion'),
        progressive: bool = False,
        kernel_size: int = 3,
        norm_cfg: dict | None = dict(type='BN'),
        act_cfg: dict | None = dict(type='LeakyReLU', negative_slope=0.2),
        bias: bool | str = 'auto',
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        num_layers = len(skip_channels) - 1
        out_channels = tuple(skip_channels[:-1] if out_channels is None else out_channels)
        if len(out_channels) != num_layers:
            raise ValueError(
                f'CAINetDecoder has {num_layers} layers for {len(skip_channels)} skips {tuple(skip_channels)}, '
                f'but got {len(out_channels)} out_channels {out_channels}.'
            )
        if kernel_size % 2 == 0:
            raise ValueError(f'CAINetDecoder takes an odd kernel_size, got {kernel_size}.')
        if not 1 <= num_scales <= num_layers:
            raise ValueError(
                f'CAINetDecoder has {num_layers} layers and can return images at 1 to {num_layers} scales, got '
                f'num_scales={num_scales}. Give the encoder more stages, or ask for fewer scales.'
            )
        self.num_scales = num_scales
        self.progressive = progressive
        deeper, layer = (*out_channels[1:], skip_channels[-1]), dict(bias=bias, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.layers = nn.ModuleList(
            UpConvModule(below + skip, width, kernel_size, padding=kernel_size // 2, **layer)
            for below, skip, width in zip(deeper, skip_channels[:-1], out_channels, strict=True)
        )
        # MMEngine's list, so that init_weights gets as far as the fusions
        self.fusions = ModuleList(
            MMAGIC_MODELS.build(dict(fusion, in_channels=width)) for width in out_channels[:num_scales]
        )

    def forward(self, skips: Sequence[Tensor], masked: Tensor) -> list[Tensor]:
        """Decode skips, the encoder's input and its features, finest first, (N, skip_channels[i], h_i, w_i).

        ``masked`` is the input image with its hole at 0, (N, 3, H, W). Returns the images, finest first, (N, 3, h_i,
        w_i) for i < num_scales.
        """
        feature = skips[-1]
        outputs, change = [], None
        for index in reversed(range(len(self.layers))):
            feature = self.layers[index](feature, skips[index])
            if index >= self.num_scales:
                continue
            if self.progressive:
                output, change = self._refine(index, feature, masked, skips[0][:, masked.shape[1] :], change)
            else:
                output = self.fusions[index](feature, masked)
            outputs.append(output)
        return outputs[::-1]

    def _refine(
        self, index: int, feature: Tensor, masked: Tensor, mask: Tensor, change: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Fuse at one scale on top of what the next coarser one changed; returns the output and what it changes."""
        size = feature.shape[-2:]
        image = base = downscale(masked, size)
        hole = downscale(mask, size)
        if change is not None:
            base = image + hole * F.interpolate(change, size=size, mode='bilinear', align_corners=False)
        change = hole * (self.fusions[index](feature, base) - image)
        return image + change, change
