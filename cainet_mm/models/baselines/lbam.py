"""LBAM: image inpainting with learnable bidirectional attention maps (Xie et al., ICCV 2019)."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmagic.registry import MODELS as MMAGIC_MODELS
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

# of every convolution; each halves or doubles the size
KERNEL: dict[str, Any] = dict(kernel_size=4, stride=2, padding=1, bias=False)


@MODELS.register_module()
class AsymmetricGaussian(nn.Module):
    r"""The attention that LBAM draws from a convolved mask, with four learnt numbers.

    .. math::
        g_A(x) = \begin{cases}
        a \exp(-\sigma_1 (x - \mu)^2) & x < \mu \\
        1 + (a - 1) \exp(-\sigma_2 (x - \mu)^2) & x \ge \mu
        \end{cases}

    It is continuous, has its maximum a at :math:`\mu`, and goes to 0 far below and to 1 far above it. The numbers
    stay in a: [1.01, 6], :math:`\mu`: [0.1, 3], :math:`\sigma_1, \sigma_2`: [0.5, 2]: one that an optimiser brought
    out of its range is clamped, and in training also put back to the border, so that its gradient stays that of the
    border and it can return.

    Args:
        a: The start of a.
        mu: The start of :math:`\mu`.
        sigma1: The start of :math:`\sigma_1`.
        sigma2: The start of :math:`\sigma_2`.

    Raises:
        ValueError: A start is out of range.
    """

    RANGES = dict(a=(1.01, 6.0), mu=(0.1, 3.0), sigma1=(0.5, 2.0), sigma2=(0.5, 2.0))

    def __init__(self, a: float = 1.1, mu: float = 2.0, sigma1: float = 1.0, sigma2: float = 1.0) -> None:
        super().__init__()
        for (name, (low, high)), start in zip(self.RANGES.items(), (a, mu, sigma1, sigma2), strict=True):
            if not low <= start <= high:
                raise ValueError(f'{name} of an AsymmetricGaussian is between {low} and {high}, got {start}.')
            setattr(self, name, nn.Parameter(torch.tensor(float(start))))

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate at every value of a tensor of any shape."""
        numbers = {name: getattr(self, name) for name in self.RANGES}
        for name, limits in self.RANGES.items():
            if self.training:
                # through .data, since a graph of an earlier forward pass may still need these very numbers; clamp, as
                # below, has a gradient of 0 at its border from torch 2.14 on, and of 1 before
                numbers[name].data.clamp_(*limits)
            else:
                numbers[name] = numbers[name].clamp(*limits)
        a, mu, sigma1, sigma2 = numbers.values()
        below = x < mu
        bell = torch.exp(-torch.where(below, sigma1, sigma2) * (x - mu).square())
        return torch.where(below, a * bell, 1 + (a - 1) * bell)


@MODELS.register_module()
class MaskAttention(BaseModule):
    r"""One stage of a branch that turns a mask into attention maps.

    .. math:: A = g_A(W * M), \qquad M' = \mathrm{ReLU}(W * M)^{0.8}

    Args:
        in_channels: Channels of the mask M.
        out_channels: Channels of A and of M', the next stage's mask.
        activation: Config of :math:`g_A`.
        init_cfg: MMEngine's initialisation.
    """

    UPDATE_EXPONENT = 0.8

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        activation: dict = dict(type='AsymmetricGaussian'),
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.mask_conv = nn.Conv2d(in_channels, out_channels, **KERNEL)
        self.activation = MMAGIC_MODELS.build(activation)

    def forward(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Turn a mask, (N, C, H, W), into attention and the next mask, both (N, C', H / 2, W / 2)."""
        convolved = self.mask_conv(mask)
        return self.activation(convolved), F.relu(convolved).pow(self.UPDATE_EXPONENT)


@MODELS.register_module()
class AttentionEncoderStage(BaseModule):
    """A stride-2 convolution whose features are weighted by attention from the mask, then LeakyReLU(0.2).

    Args:
        in_channels: Channels of the features.
        mask_channels: Channels of the mask.
        out_channels: Channels of what comes out.
        activation: Config of the attention's activation.
        init_cfg: MMEngine's initialisation.
    """

    def __init__(
        self,
        in_channels: int,
        mask_channels: int,
        out_channels: int,
        activation: dict = dict(type='AsymmetricGaussian'),
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.conv = nn.Conv2d(in_channels, out_channels, **KERNEL)
        self.attention = MaskAttention(mask_channels, out_channels, activation)

    def forward(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Encode features, (N, C, H, W), by their mask, (N, C_m, H, W).

        Returns the next stage's features and mask, the features before the attention, which go to the decoder, and the
        attention; all (N, C', H / 2, W / 2).
        """
        skip = self.conv(features)
        attention, mask = self.attention(mask)
        return F.leaky_relu(skip * attention, 0.2), mask, skip, attention


@MODELS.register_module()
class AttentionDecoderStage(BaseModule):
    """Up-sampling; the encoder's features beside it; both weighted by their attention; LeakyReLU(0.2).

    Args:
        in_channels: Channels of the deeper features.
        out_channels: Channels of the up-sampled features.
        init_cfg: MMEngine's initialisation.
    """

    def __init__(self, in_channels: int, out_channels: int, init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.conv = nn.ConvTranspose2d(in_channels, out_channels, **KERNEL)

    def forward(self, features: Tensor, skip: Tensor, forward_attention: Tensor, reverse_attention: Tensor) -> Tensor:
        """Decode deeper features, (N, C, H, W), and the encoder's, (N, C_s, 2 H, 2 W), to (N, C_s + C', 2 H, 2 W).

        The attention from the known region weights the encoder's features; that from the hole, (N, C', 2 H, 2 W), the
        up-sampled ones.
        """
        upsampled = self.conv(features)
        return F.leaky_relu(torch.cat((skip * forward_attention, upsampled * reverse_attention), dim=1), 0.2)


@MODELS.register_module()
class LBAMGenerator(BaseModule):
    """LBAM, with attention from the known region in the encoder and from the hole in the decoder.

    A public checkpoint fits the default widths once ``tools/convert_lbam.py`` has renamed it. The network halves its
    input as often as there are widths; an input that this does not divide is continued to the right and downwards
    as a hole, and the output cut back to its size.

    Args:
        widths: Output channels of the encoder's stages.
        forward_activation: Config of the activation that makes the encoder's attention.
        reverse_activation: Config of the one that makes the decoder's.
        init_cfg: MMEngine's initialisation; the default is LBAM's, weights from N(0, 0.02).

    Raises:
        ValueError: There are less than two widths.
    """

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 512, 512, 512, 512),
        forward_activation: dict = dict(type='AsymmetricGaussian', a=1.1, mu=2.0, sigma1=1.0, sigma2=1.0),
        reverse_activation: dict = dict(type='AsymmetricGaussian', a=1.1, mu=1.0, sigma1=0.5, sigma2=0.5),
        init_cfg: dict | list[dict] | None = dict(type='Normal', layer=['Conv2d', 'ConvTranspose2d'], std=0.02),
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if len(widths) < 2:
            raise ValueError(f'LBAMGenerator needs the widths of at least two stages, got {tuple(widths)}.')
        self.encoder = nn.ModuleList(
            AttentionEncoderStage(before, mask_before, width, forward_activation)
            for before, mask_before, width in zip((4, *widths), (3, *widths), widths, strict=False)
        )
        self.reverse = nn.ModuleList(
            MaskAttention(before, width, reverse_activation)
            for before, width in zip((3, *widths), widths[:-1], strict=False)
        )
        # the deepest first
        deeper = [widths[-1], *(2 * width for width in widths[-2:0:-1])]
        self.decoder = nn.ModuleList(
            AttentionDecoderStage(before, width) for before, width in zip(deeper, widths[-2::-1], strict=True)
        )
        self.to_image = nn.ConvTranspose2d(2 * widths[0], 3, **KERNEL)

    def forward(self, inputs: Tensor) -> Tensor:
        """Inpaint (N, 4, H, W), RGB in [0, 1] with 0 in the hole, then 1 where known; to (N, 3, H, W) in [0, 1]."""
        height, width = inputs.shape[-2:]
        step = 2 ** len(self.encoder)
        # zeros are what a hole looks like: no colour, not known
        features = F.pad(inputs, (0, -width % step, 0, -height % step))
        known = features[:, 3:].expand(-1, 3, -1, -1)

        mask, skips, forward_attentions = known, [], []
        for stage in self.encoder:
            features, mask, skip, attention = stage(features, mask)
            skips.append(skip)
            forward_attentions.append(attention)
        mask, reverse_attentions = 1 - known, []
        for stage in self.reverse:
            attention, mask = stage(mask)
            reverse_attentions.append(attention)
        for level, stage in zip(reversed(range(len(self.reverse))), self.decoder, strict=True):
            features = stage(features, skips[level], forward_attentions[level], reverse_attentions[level])
        images = (torch.tanh(self.to_image(features)) + 1) / 2
        return images[..., :height, :width]


@MODELS.register_module()
class TwoColumnCritic(BaseModule):
    r"""LBAM's critic: one column looks at the known region, another one at the hole.

    .. math:: D(Y, M) = D_{known}(Y \odot (1 - M)) + D_{hole}(Y \odot M)

    A critic's last layer is linear, so the sum is a last layer over the features of both.

    Args:
        column: Config of a critic of images, built twice; (N, 3, H, W) to (N, 1).
        init_cfg: MMEngine's initialisation.
    """

    def __init__(self, column: dict = dict(type='CAINetCritic'), init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.known = MMAGIC_MODELS.build(column)
        self.hole = MMAGIC_MODELS.build(column)

    def forward(self, inputs: Tensor) -> Tensor:
        """Score images with their masks, (N, 4, H, W) to (N, 1): higher means more like a true image.

        RGB image, then the mask, 1 in the hole, as ``disc_input_with_mask`` of a :class:`CAINetInpaintor` hands it
        over; ``ValueError`` without a mask.
        """
        if inputs.shape[1] != 4:
            raise ValueError(
                f'TwoColumnCritic takes RGB images with a mask, 4 channels, got {inputs.shape[1]}; set '
                'disc_input_with_mask=True in the inpaintor.'
            )
        images, mask = inputs[:, :3], inputs[:, 3:]
        return self.known(images * (1 - mask)) + self.hole(images * mask)
