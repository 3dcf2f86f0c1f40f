"""Fast Fourier convolutions (Chi et al., NeurIPS 2020), as LaMa has them: a layer that sees the whole image at once."""

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule, build_norm_layer
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..utils.errors import describe_error
from .encoders import CAINetEncoder


@MODELS.register_module()
class FourierUnit(BaseModule):
    r"""A 1x1 convolution of an image's spectrum.

    .. math:: y = F^{-1}(\mathrm{ReLU}(\mathrm{norm}(W F(x))))

    F is the real two-dimensional Fourier transform, scaled so that it keeps the sum of squares. Real and imaginary
    part of a channel are neighbouring channels of the spectrum. It is computed in float32 or above whatever the
    surrounding autocast is.

    Args:
        channels: C of the image.
        norm_cfg: Norm layer. ``None`` for none.
        init_cfg: MMEngine's initialisation.
    """

    def __init__(
        self, channels: int, norm_cfg: dict | None = dict(type='BN'), init_cfg: dict | list[dict] | None = None
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.mix = ConvModule(2 * channels, 2 * channels, 1, bias=False, norm_cfg=norm_cfg)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (N, C, H, W) into the same shape; ``RuntimeError`` where the device has no Fourier transform."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        try:
            spectrum = self.mix(self.to_spectrum(wide)).to(wide.dtype)
            return self.to_image(spectrum, x.shape[-2:]).to(x.dtype)
        except RuntimeError as error:
            if 'fft' not in str(error).lower():
                raise
            raise RuntimeError(
                f'FourierUnit needs a Fourier transform, which torch {torch.__version__} does not have for '
                f'{x.device.type} ({describe_error(error, first_line=True)}); run the network on another device.'
            ) from error

    def to_spectrum(self, x: Tensor) -> Tensor:
        """Transform (N, C, H, W) to (N, 2 C, H, W // 2 + 1)."""
        parts = torch.view_as_real(torch.fft.rfft2(x, norm='ortho'))
        return parts.movedim(-1, 2).flatten(1, 2)

    def to_image(self, spectrum: Tensor, size: Sequence[int]) -> Tensor:
        """Transform (N, 2 C, H, W // 2 + 1) back to (N, C, H, W) with the ``size`` H and W."""
        parts = spectrum.unflatten(1, (-1, 2)).movedim(2, -1).contiguous()
        return torch.fft.irfft2(torch.view_as_complex(parts), s=tuple(size), norm='ortho')


class MatrixFourierUnit(FourierUnit):
    r"""The same by matrix products, for what has no Fourier transform, such as a file of ONNX.

    .. math::
        C^n_{jk} = \tfrac{1}{\sqrt n} \cos \tfrac{2 \pi j k}{n}, \quad
        S^n_{jk} = \tfrac{1}{\sqrt n} \sin \tfrac{2 \pi j k}{n}, \qquad
        F(x) = (C^H - i S^H)\, x\, (C^W - i S^W)
    """

    def to_spectrum(self, x: Tensor) -> Tensor:
        """Transform as :class:`FourierUnit` does."""
        height, width = x.shape[-2:]
        cos, sin = fourier_matrices(width, width // 2 + 1, x)
        real, imaginary = x @ cos, -(x @ sin)
        cos, sin = fourier_matrices(height, height, x)
        real, imaginary = cos @ real + sin @ imaginary, cos @ imaginary - sin @ real
        return torch.stack((real, imaginary), dim=2).flatten(1, 2)

    def to_image(self, spectrum: Tensor, size: Sequence[int]) -> Tensor:
        """Transform as :class:`FourierUnit` does."""
        height, width = size
        real, imaginary = spectrum[:, 0::2], spectrum[:, 1::2]
        cos, sin = fourier_matrices(height, height, spectrum)
        real, imaginary = cos @ real - sin @ imaginary, cos @ imaginary + sin @ real
        cos, sin = fourier_matrices(width, width // 2 + 1, spectrum)
        # all frequencies but the first one and, of an even width, the last one stand for themselves and their negative
        columns = torch.arange(width // 2 + 1, device=spectrum.device)
        share = 2 - ((columns == 0) | (2 * columns == width)).to(spectrum.dtype)
        return (real * share) @ cos.transpose(0, 1) - (imaginary * share) @ sin.transpose(0, 1)


def fourier_matrices(length: int, frequencies: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """C and S of :class:`MatrixFourierUnit`, both (length, frequencies), in arithmetic that tracing can follow."""
    places = torch.arange(length, device=like.device)
    # whole numbers, so that the angles of a large image are as exact as those of a small one
    turns = (places[:, None] * torch.arange(frequencies, device=like.device)[None]) % length
    angles = turns.to(like.dtype) * (2 * torch.pi) / length
    scale = torch.ones_like(places, dtype=like.dtype).sum().rsqrt()
    return angles.cos() * scale, angles.sin() * scale


@MODELS.register_module()
class SpectralTransform(BaseModule):
    """A :class:`FourierUnit` beside a shortcut, between two 1x1 convolutions.

    Args:
        in_channels: Channels of what comes in.
        out_channels: Channels of what goes out; half as many are in between.
        norm_cfg: Norm layer. ``None`` for none.
        init_cfg: MMEngine's initialisation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm_cfg: dict | None = dict(type='BN'),
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        hidden = out_channels // 2
        self.reduce = ConvModule(in_channels, hidden, 1, bias=False, norm_cfg=norm_cfg)
        self.unit = FourierUnit(hidden, norm_cfg)
        self.expand = nn.Conv2d(hidden, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (N, in_channels, H, W) into (N, out_channels, H, W)."""
        x = self.reduce(x)
        return self.expand(x + self.unit(x))


@MODELS.register_module()
class FastFourierConv(BaseModule):
    r"""A convolution over local and global channels, each with its norm, then ReLU.

    .. math::
        y_l = W_{ll} x_l + W_{gl} x_g, \qquad y_g = W_{lg} x_l + \mathcal{S}(x_g)

    The last channels are the global ones, ``int(channels * ratio)`` of them; :math:`\mathcal{S}` is a
    :class:`SpectralTransform`, the others are plain convolutions, padded by reflection. What has no channels on one of
    its sides is absent. Features go in and out as one tensor, so it stands where a convolution stands.

    Args:
        in_channels: Channels of what comes in, both kinds together.
        out_channels: Channels of what goes out.
        kernel_size: Odd kernel size.
        stride: Of layers that have no global channels on one side.
        ratio_in: Share of the global channels in what comes in.
        ratio_out: Share in what goes out.
        norm_cfg: Norm layer. ``None`` for none.
        init_cfg: MMEngine's initialisation.

    Raises:
        ValueError: A ratio is not from 0 to 1, or a layer with global channels on both sides has a stride.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        ratio_in: float = 0.75,
        ratio_out: float = 0.75,
        norm_cfg: dict | None = dict(type='BN'),
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if not (0 <= ratio_in <= 1 and 0 <= ratio_out <= 1):
            raise ValueError(f'The ratios of a FastFourierConv are from 0 to 1, got {ratio_in} and {ratio_out}.')
        global_in, global_out = int(in_channels * ratio_in), int(out_channels * ratio_out)
        self.local_in, local_out = in_channels - global_in, out_channels - global_out
        if stride != 1 and global_in and global_out:
            raise ValueError(f'A FastFourierConv with global channels in and out has the stride 1, got {stride}.')

        def convolution(before: int, after: int) -> nn.Module | None:
            layer: dict[str, Any] = dict(stride=stride, padding=kernel_size // 2, padding_mode='reflect', bias=False)
            return nn.Conv2d(before, after, kernel_size, **layer) if before and after else None

        self.local_to_local = convolution(self.local_in, local_out)
        self.local_to_global = convolution(self.local_in, global_out)
        self.global_to_local = convolution(global_in, local_out)
        self.global_to_global = SpectralTransform(global_in, global_out, norm_cfg) if global_in and global_out else None
        self.local_norm, self.global_norm = (
            (build_norm_layer(norm_cfg, width)[1] if norm_cfg else nn.Identity()) if width else None
            for width in (local_out, global_out)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Turn (N, in_channels, H, W) into (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        local, distant = x[:, : self.local_in], x[:, self.local_in :]
        outputs = []
        for norm, from_local, from_global in (
            (self.local_norm, self.local_to_local, self.global_to_local),
            (self.global_norm, self.local_to_global, self.global_to_global),
        ):
            if norm is not None:
                terms = [op(part) for op, part in ((from_local, local), (from_global, distant)) if op is not None]
                outputs.append(norm(sum(terms[1:], terms[0])).relu())
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)


@MODELS.register_module()
class FourierBlock(BaseModule):
    """Two fast Fourier convolutions beside a shortcut.

    Args:
        channels: Channels of what comes in and goes out.
        ratio: Share of the global ones.
        norm_cfg: Norm layer. ``None`` for none.
        init_cfg: MMEngine's initialisation.
    """

    def __init__(
        self,
        channels: int,
        ratio: float = 0.75,
        norm_cfg: dict | None = dict(type='BN'),
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        layer: dict[str, Any] = dict(ratio_in=ratio, ratio_out=ratio, norm_cfg=norm_cfg)
        self.conv1 = FastFourierConv(channels, channels, **layer)
        self.conv2 = FastFourierConv(channels, channels, **layer)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (N, C, H, W), from 2 pixels a side up, into the same shape."""
        return x + self.conv2(self.conv1(x))


@MODELS.register_module()
class FourierEncoder(CAINetEncoder):
    """CAINet's encoder with :class:`FourierBlock` s behind some of its stages.

    Args:
        block_stages: The stages, counted from 0; their features have to have 2 pixels a side or more.
        num_blocks: Blocks behind each of them.
        ratio: Share of the global channels.
        kwargs: Those of :class:`CAINetEncoder`; the blocks have its ``norm_cfg``.

    Raises:
        ValueError: As of :class:`CAINetEncoder`, or it has no such stage.
    """

    def __init__(self, block_stages: Sequence[int] = (2,), num_blocks: int = 2, ratio: float = 0.75, **kwargs) -> None:
        super().__init__(**kwargs)
        if not set(block_stages) <= set(range(len(self.widths))):
            raise ValueError(
                f'FourierEncoder has the stages 0 to {len(self.widths) - 1}, but block_stages is {tuple(block_stages)}.'
            )
        norm_cfg = kwargs.get('norm_cfg', dict(type='BN'))
        for stage in block_stages:
            blocks = (FourierBlock(self.widths[stage], ratio, norm_cfg) for _ in range(num_blocks))
            self.stages[stage] = nn.Sequential(self.stages[stage], *blocks)
        self.requires_grad_(not self.frozen)
