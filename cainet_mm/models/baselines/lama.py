"""LaMa: resolution-robust large mask inpainting with Fourier convolutions (Suvorov et al., WACV 2022)."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, ModuleList
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..fourier import FastFourierConv, FourierBlock


@MODELS.register_module()
class LaMaGenerator(BaseModule):
    """LaMa's generator: down-sampling, residual blocks of fast Fourier convolutions, up-sampling.

    Public checkpoints fit the default widths once ``tools/convert_lama.py`` has renamed them: those of 9 blocks, and of
    18 ("big"). An input that is no multiple of 8 is continued by reflection to the right and downwards, and the output
    cut back to its size.

    Args:
        width: Channels of the first layer; each down-sampling doubles them.
        num_downs: Number of down-samplings, each to half the size; the last one splits off the global channels.
        num_blocks: Number of residual blocks.
        ratio: Share of the global channels.
        norm_cfg: Norm layer.
        init_cfg: MMEngine's initialisation; LaMa's is torch's own.

    Raises:
        ValueError: There is no down-sampling.
    """

    def __init__(
        self,
        width: int = 64,
        num_downs: int = 3,
        num_blocks: int = 9,
        ratio: float = 0.75,
        norm_cfg: dict = dict(type='BN'),
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if num_downs < 1:
            raise ValueError(f'LaMaGenerator needs a down-sampling at least, got num_downs={num_downs}.')
        widths = [width * 2**level for level in range(num_downs + 1)]
        plain: dict[str, Any] = dict(ratio_in=0, norm_cfg=norm_cfg)
        self.stem = FastFourierConv(4, width, 7, ratio_out=0, **plain)
        self.downs = ModuleList(
            FastFourierConv(before, after, stride=2, ratio_out=ratio if after == widths[-1] else 0, **plain)
            for before, after in zip(widths[:-1], widths[1:], strict=True)
        )
        self.blocks = ModuleList(FourierBlock(widths[-1], ratio, norm_cfg) for _ in range(num_blocks))
        # with biases before the norm, as published
        deconv = dict(type='deconv', output_padding=1)
        self.ups = ModuleList(
            ConvModule(before, after, 3, stride=2, padding=1, bias=True, conv_cfg=deconv, norm_cfg=norm_cfg)
            for before, after in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.to_image = nn.Conv2d(width, 3, 7, padding=3, padding_mode='reflect')

    def forward(self, inputs: Tensor) -> Tensor:
        """Inpaint (N, 4, H, W): RGB in [0, 1] with 0 in the hole, then 1 where the image is known.

        So a :class:`UnitRangeGenerator` hands it over; the network itself sees 1 in the hole. Returns images in [0, 1],
        (N, 3, H, W); ``ValueError`` where they are too small to be reflected at their borders.
        """
        height, width = inputs.shape[-2:]
        step = 2 ** len(self.downs)
        if min(height, width) <= step:
            raise ValueError(
                f'LaMaGenerator takes images of {step + 1} pixels a side and more, got {height}x{width}; enlarge them.'
            )
        features = torch.cat((inputs[:, :3], 1 - inputs[:, 3:]), dim=1)
        features = F.pad(features, (0, -width % step, 0, -height % step), mode='reflect')
        for layer in (self.stem, *self.downs, *self.blocks, *self.ups):
            features = layer(features)
        return self.to_image(features).sigmoid()[..., :height, :width]


@MODELS.register_module()
class PatchCritic(BaseModule):
    """LaMa's critic: a score for each patch of an image, and on demand the features on the way there.

    Stride-2 convolutions, each doubling the channels, one more without stride, and one to the scores, with LeakyReLU
    and, but for the first and the last one, batch norm.

    Args:
        in_channels: Channels of the image.
        widths: Output channels of the stride-2 convolutions.
        norm_cfg: Norm layer.
        init_cfg: MMEngine's initialisation.
    """

    def __init__(
        self,
        in_channels: int = 3,
        widths: Sequence[int] = (64, 128, 256, 512),
        norm_cfg: dict | None = dict(type='BN'),
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        layer = dict(kernel_size=4, padding=2, bias=True, act_cfg=dict(type='LeakyReLU', negative_slope=0.2))
        channels = (in_channels, *widths, widths[-1])
        self.stages = ModuleList(
            ConvModule(
                before, after, stride=2 if index < len(widths) else 1, norm_cfg=norm_cfg if index else None, **layer
            )
            for index, (before, after) in enumerate(zip(channels[:-1], channels[1:], strict=True))
        )
        self.score = nn.Conv2d(channels[-1], 1, 4, padding=2)

    def forward(self, images: Tensor, return_features: bool = False) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Score images, (N, in_channels, H, W).

        Returns scores, (N, 1, h, w), higher means more like a true image; with ``return_features`` also a feature of
        each stage.
        """
        features = []
        for stage in self.stages:
            images = stage(images)
            features.append(images)
        scores = self.score(images)
        return (scores, features) if return_features else scores
