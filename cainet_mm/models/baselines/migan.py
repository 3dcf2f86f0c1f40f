"""MI-GAN: a simple baseline for image inpainting on mobile devices (Sargsyan et al., ICCV 2023), for inference."""

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule, ModuleDict
from mmengine.registry import MODELS
from torch import Tensor, nn

SMALLEST = 4  # side of the deepest features
CLAMP = 256.0


def activate(x: Tensor) -> Tensor:
    r"""LeakyReLU(0.2) times :math:`\sqrt 2`, clamped."""
    return (F.leaky_relu(x, 0.2) * 2**0.5).clamp(-CLAMP, CLAMP)


def binomial_filter(channels: int, gain: float, **options) -> nn.Conv2d:
    """A 4x4 convolution of each channel by itself that starts as the binomial low pass times ``gain``."""
    layer = nn.Conv2d(channels, channels, 4, groups=channels, bias=False, **options)
    line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    with torch.no_grad():
        layer.weight.copy_((gain * line[:, None] * line).expand_as(layer.weight))
    return layer


class FilteredUpsampling(BaseModule):
    """Doubles the size: zeros between the pixels, then a low pass.

    Args:
        channels: Channels.
        size: Side of what goes out.
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.filter = binomial_filter(channels, 4)
        kept = torch.zeros(1, 1, size, size)
        kept[..., ::2, ::2] = 1
        self.register_buffer('kept', kept)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (N, C, H, W) into (N, C, 2 H, 2 W)."""
        x = F.interpolate(x, scale_factor=2.0, mode='nearest') * self.kept
        return self.filter(F.pad(x, (2, 1, 2, 1)))


class SeparableConv(BaseModule):
    """A 3x3 convolution of each channel by itself, then a 1x1 convolution, each with MI-GAN's activation.

    Args:
        in_channels: Channels of what comes in.
        out_channels: Channels of what goes out.
        down: Whether the size is halved between the convolutions.
        up_to: Side of what goes out, where the size is doubled behind them.
        noise: Side of a constant noise pattern that is added before the last activation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        down: bool = False,
        up_to: int | None = None,
        noise: int | None = None,
    ) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels)
        self.downsample = binomial_filter(in_channels, 1, stride=2, padding=1) if down else nn.Identity()
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.upsample = FilteredUpsampling(out_channels, up_to) if up_to else nn.Identity()
        self.has_noise = noise is not None
        if noise is not None:
            self.register_buffer('noise', torch.randn(noise, noise))
            self.noise_strength = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Turn (N, in_channels, H, W) into (N, out_channels, H', W')."""
        x = self.downsample(activate(self.depthwise(x)))
        x = self.upsample(self.pointwise(x))
        return activate(x + self.noise * self.noise_strength if self.has_noise else x)


@MODELS.register_module()
class MIGANGenerator(BaseModule):
    """MI-GAN's generator, which is distilled from a large one; it is here for its public weights, not for training.

    Public checkpoints of 256 and 512 pixels fit once ``tools/convert_migan.py`` has renamed them. The patterns that it
    adds have the size of the image, so it takes images of this one size.

    Args:
        size: Side of the images, a power of two from 8 up.
        channels: Features of a side r have ``min(channels / r, widest)`` channels.
        widest: See ``channels``.
        init_cfg: MMEngine's initialisation.

    Raises:
        ValueError: ``size`` is no such number.
    """

    def __init__(
        self, size: int = 256, channels: int = 32768, widest: int = 512, init_cfg: dict | list[dict] | None = None
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if size < 2 * SMALLEST or size & (size - 1):
            raise ValueError(f'The size of a MIGANGenerator is a power of two from {2 * SMALLEST} up, got {size}.')
        self.size = size
        sides = [size >> level for level in range((size // SMALLEST).bit_length())]
        width = {side: min(channels // side, widest) for side in sides}
        self.from_rgb = nn.Conv2d(4, width[size], 1)
        self.encoder, self.decoder = ModuleDict(), ModuleDict()
        for side in sides:
            after = width[max(side // 2, SMALLEST)]
            stage = dict(
                conv1=SeparableConv(width[side], width[side]),
                conv2=SeparableConv(width[side], after, down=side > SMALLEST),
            )
            self.encoder[str(side)] = ModuleDict(stage)
        for side in reversed(sides):
            first = side == SMALLEST
            noise = None if first else side
            deeper = width[max(side // 2, SMALLEST)]
            stage = dict(
                conv1=SeparableConv(deeper, width[side], up_to=noise, noise=noise),
                conv2=SeparableConv(width[side], width[side], noise=noise),
                to_rgb=nn.Conv2d(width[side], 3, 1),
            )
            if not first:
                stage['upsample'] = FilteredUpsampling(3, side)
            self.decoder[str(side)] = ModuleDict(stage)

    def forward(self, inputs: Tensor) -> list[Tensor]:
        """Inpaint (N, 4, H, W): masked RGB image in [-1, 1], then the mask, 1 in the hole; H and W are ``size``.

        Returns one image in [-1, 1] (not clamped), (N, 3, H, W); ``ValueError`` for another size.
        """
        if tuple(inputs.shape[-2:]) != (self.size, self.size):
            raise ValueError(
                f'This MIGANGenerator takes images of {self.size}x{self.size} pixels alone, got '
                f'{inputs.shape[-2]}x{inputs.shape[-1]}. Fill photographs of other sizes in windows of this size '
                f'(work_size={self.size}), or crop them.'
            )
        known = 1 - inputs[:, 3:]
        features = activate(self.from_rgb(torch.cat((known - 0.5, inputs[:, :3] * known), dim=1)))
        skips = {}
        for side, stage in self.encoder.items():
            skips[side] = stage['conv1'](features)
            features = stage['conv2'](skips[side])
        image: Any = None
        for side, stage in self.decoder.items():
            features = stage['conv2'](stage['conv1'](features) + skips[side])
            own = stage['to_rgb'](features)
            image = own if image is None else stage['upsample'](image) + own
        return [image]
