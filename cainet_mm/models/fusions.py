"""What turns a decoder feature into an image: the dual attention fusion and its drop-in replacements."""

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from .pyramids import downscale


@MODELS.register_module()
class ChannelAttention(BaseModule):
    r"""Channel gate, Eq. (3)-(5).

    .. math::
        z_c = \frac{1}{hw} \sum_{i,j} f_c(i, j), \qquad
        \omega = \sigma(W_U\, \mathrm{ReLU}(W_D z)), \qquad
        \hat f_c = \omega_c f_c

    Args:
        channels: C, the channels of the feature.
        reduction: r; W_D has C / r outputs, but at least ``min_hidden``.
        min_hidden: Keeps the gate of narrow features from hanging on one ReLU unit.
        init_cfg: MMEngine's initialisation.

    Raises:
        ValueError: ``reduction`` is not positive.
    """

    def __init__(
        self, channels: int, reduction: int = 16, min_hidden: int = 4, init_cfg: dict | list[dict] | None = None
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if reduction < 1:
            raise ValueError(f'ChannelAttention needs a reduction of at least 1, got {reduction}.')
        hidden = max(channels // reduction, min_hidden)
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.excite = nn.Conv2d(hidden, channels, 1)

    def forward(self, feature: Tensor) -> Tensor:
        """Rescale every channel of (N, C, h, w)."""
        descriptor = feature.mean(dim=(2, 3), keepdim=True)
        gate = self.excite(self.squeeze(descriptor).relu()).sigmoid()
        return feature * gate


@MODELS.register_module()
class DualAttentionFusion(BaseModule):
    r"""Dual attention fusion (DAF): blends what was restored with what is known, Eq. (3)-(8).

    .. math::
        x'_q &= (W_C x_q){\downarrow} \\
        \alpha &= \sigma(\mathcal{A}(W_D \hat F, x'_q)) \\
        \hat Y &= \alpha \odot W_D \hat F + (1 - \alpha) \odot x'_q

    :math:`\hat F` is the feature after :class:`ChannelAttention`; :math:`W_C` and :math:`W_D` are 1x1 convolutions,
    :math:`\mathcal{A}` three 3x3 convolutions. :math:`W_C` starts as the identity, so that known pixels pass
    through at first. It is applied after the down-scaling, which gives the same result (interpolation weights sum
    to one, so a 1x1 convolution commutes with it) for a fraction of the cost.

    Args:
        in_channels: Channels of the feature.
        image_channels: Channels of the image.
        reduction: r of the channel gate.
        alpha_channels: ``image_channels`` for one map per channel, 1 for one shared by all.
        hidden_channels: Width of the two hidden layers of A.
        downscale_mode: How x_q is down-scaled, ``'area'`` or ``'bilinear'``.
        residual: Whether :math:`W_D` gives the difference of the restored image from :math:`x'_q`. With x_q
            filled by a :class:`SmoothFill`, the network then learns what is to be changed about that fill: Eq. (8)
            becomes :math:`\hat Y = x'_q + \alpha \odot W_D \hat F`. Alpha starts near 0.9: from one half, it would
            shut the network off before there is anything worth adding.
        norm_cfg: Norm layer inside A. ``None`` for none.
        act_cfg: Activation inside A.
        init_cfg: MMEngine's initialisation.

    Raises:
        ValueError: ``alpha_channels`` is neither 1 nor ``image_channels``.
    """

    def __init__(
        self,
        in_channels: int,
        image_channels: int = 3,
        reduction: int = 16,
        alpha_channels: int = 3,
        hidden_channels: int = 32,
        downscale_mode: str = 'area',
        residual: bool = False,
        norm_cfg: dict | None = dict(type='BN'),
        act_cfg: dict | None = dict(type='LeakyReLU', negative_slope=0.2),
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if alpha_channels not in (1, image_channels):
            raise ValueError(
                f'DualAttentionFusion blends with one alpha map per image channel ({image_channels}) or one for '
                f'all (1), got alpha_channels={alpha_channels}.'
            )
        self.downscale_mode = downscale_mode
        self.residual = residual
        self.channel_attention = ChannelAttention(in_channels, reduction)
        self.to_image = nn.Conv2d(in_channels, image_channels, 1)
        self.from_input = nn.Conv2d(image_channels, image_channels, 1)
        hidden = dict(kernel_size=3, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.attend = nn.Sequential(
            ConvModule(2 * image_channels, hidden_channels, **hidden),
            ConvModule(hidden_channels, hidden_channels, **hidden),
            nn.Conv2d(hidden_channels, alpha_channels, 3, padding=1),
        )
        self._start_as_identity()

    def _start_as_identity(self) -> None:
        nn.init.dirac_(self.from_input.weight)
        nn.init.zeros_(self.from_input.get_parameter('bias'))
        if self.residual:
            nn.init.constant_(self.attend[-1].get_parameter('bias'), 2.0)

    def init_weights(self) -> None:
        """Initialise; W_C stays the identity whatever a surrounding init_cfg says of convolutions."""
        super().init_weights()
        self._start_as_identity()

    def decompose(self, feature: Tensor, masked: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the three parts of the blend.

        Args:
            feature: (N, in_channels, h, w).
            masked: The input image with its hole at 0, (N, image_channels, H, W), of any size.

        Returns:
            alpha in (0, 1), (N, alpha_channels, h, w); W_D F (with ``residual``, x'_q + W_D F) and x'_q, both
            (N, image_channels, h, w).
        """
        restored = self.to_image(self.channel_attention(feature))
        known = self.from_input(downscale(masked, feature.shape[-2:], self.downscale_mode))
        if self.residual:
            restored = known + restored
        alpha = self.attend(torch.cat((restored, known), dim=1)).sigmoid()
        return alpha, restored, known

    def forward(self, feature: Tensor, masked: Tensor) -> Tensor:
        """Fuse; see :meth:`decompose` for the shapes. Returns the image, (N, image_channels, h, w)."""
        alpha, restored, known = self.decompose(feature, masked)
        return torch.lerp(known, restored, alpha)


@MODELS.register_module()
class ImageHead(BaseModule):
    """A plain 1x1 convolution to an image: the decoder layer with its fusion taken out (Table II, DAF off).

    Args:
        in_channels: Channels of the feature.
        image_channels: Channels of the image.
        init_cfg: MMEngine's initialisation.
    """

    def __init__(self, in_channels: int, image_channels: int = 3, init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.to_image = nn.Conv2d(in_channels, image_channels, 1)

    def forward(self, feature: Tensor, masked: Tensor) -> Tensor:
        """Turn (N, in_channels, h, w) into (N, image_channels, h, w); the masked image is not looked at."""
        return self.to_image(feature)


@MODELS.register_module()
class AlphaFusion(BaseModule):
    r"""DFNet's fusion block, which the dual attention fusion builds upon; a drop-in replacement for it.

    .. math::
        R &= l + (u - l)\, \sigma(W F) \\
        \alpha &= \sigma(\mathcal{A}(x{\downarrow}, R)) \\
        \hat Y &= \alpha \odot R + (1 - \alpha) \odot x{\downarrow}

    with 1x1 convolution W, :math:`\mathcal{A}` a 1x1, a 3x3 and a 1x1 convolution, and [l, u] the range of images.
    Against :class:`DualAttentionFusion` it has no channel gate, bounds the restored image, and takes the masked
    image as it is.

    Args:
        in_channels: Channels of the feature.
        image_channels: Channels of the image.
        image_range: l and u.
        hidden_channels: Width of A's first layer.
        downscale_mode: ``'area'`` or ``'bilinear'``, which is DFNet's.
        norm_cfg: Norm layer inside A. ``None`` for none.
        act_cfg: Activation inside A.
        bias: Whether A's convolutions have a bias; ``'auto'`` gives one to those without a norm layer.
        init_cfg: MMEngine's initialisation.

    Raises:
        ValueError: ``image_range`` is empty.
    """

    def __init__(
        self,
        in_channels: int,
        image_channels: int = 3,
        image_range: tuple[float, float] = (-1.0, 1.0),
        hidden_channels: int = 32,
        downscale_mode: str = 'area',
        norm_cfg: dict | None = dict(type='BN'),
        act_cfg: dict | None = dict(type='LeakyReLU', negative_slope=0.2),
        bias: bool | str = 'auto',
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.low, self.high = image_range
        if self.low >= self.high:
            raise ValueError(f'AlphaFusion takes the range of images as (lowest, highest), got {tuple(image_range)}.')
        self.downscale_mode = downscale_mode
        self.to_image = nn.Conv2d(in_channels, image_channels, 1)
        layer = dict(norm_cfg=norm_cfg, act_cfg=act_cfg, bias=bias)
        self.attend = nn.Sequential(
            ConvModule(2 * image_channels, hidden_channels, 1, **layer),
            ConvModule(hidden_channels, image_channels, 3, padding=1, **layer),
            nn.Conv2d(image_channels, image_channels, 1),
        )

    def decompose(self, feature: Tensor, masked: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the three parts of the blend: alpha, R and the down-scaled masked image.

        Shapes as in :meth:`DualAttentionFusion.decompose`.
        """
        restored = self.low + (self.high - self.low) * self.to_image(feature).sigmoid()
        # under autocast the convolutions of the other two give half precision
        known = downscale(masked, feature.shape[-2:], self.downscale_mode).to(restored.dtype)
        alpha = self.attend(torch.cat((known, restored), dim=1)).sigmoid()
        return alpha, restored, known

    forward = DualAttentionFusion.forward
