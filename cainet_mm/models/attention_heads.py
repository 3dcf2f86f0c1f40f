"""Other attentions in the dual attention fusion's place, to compare it with."""

import torch
from mmcv.cnn.bricks import NonLocal2d
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation


class ConvolutionalBlockAttention(nn.Module):
    r"""CBAM (Woo et al., ECCV 2018): a gate on channels, then one on places.

    .. math::
        F' = \sigma(\mathrm{MLP}(\mathrm{mean}_{hw} F) + \mathrm{MLP}(\max_{hw} F)) \odot F, \qquad
        F'' = \sigma(W_{7 \times 7} [\mathrm{mean}_c F'; \max_c F']) \odot F'

    Args:
        channels: Channels of the feature.
        hidden: Channels inside the MLP.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1))
        self.places = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, feature: Tensor) -> Tensor:
        """Rescale (N, C, h, w)."""
        mean, most = feature.mean(dim=(2, 3), keepdim=True), feature.amax(dim=(2, 3), keepdim=True)
        feature = feature * (self.mlp(mean) + self.mlp(most)).sigmoid()
        seen = torch.cat((feature.mean(dim=1, keepdim=True), feature.amax(dim=1, keepdim=True)), dim=1)
        return feature * self.places(seen).sigmoid()


def make_non_local(channels: int) -> NonLocal2d:
    """MMCV's self-attention, with keys and values at half the size."""
    layer = NonLocal2d(channels, sub_sample=True)
    # it has initialised itself, and could not do so again with what sub_sample has put around its convolutions
    layer.is_init = True
    return layer


# with the hidden width of our ChannelAttention
ATTENTIONS = dict(
    se=lambda channels: SqueezeExcitation(channels, max(channels // 16, 4)),
    cbam=lambda channels: ConvolutionalBlockAttention(channels, max(channels // 16, 4)),
    non_local=make_non_local,
)


@MODELS.register_module()
class AttentionHead(BaseModule):
    """An attention on the feature and a plain 1x1 convolution to an image; it stands in a fusion's place by name.

    Args:
        in_channels: Channels of the feature.
        attention: ``'se'``, torchvision's squeeze and excitation; ``'cbam'``; or ``'non_local'``, MMCV's
            self-attention, which compares every pixel with a quarter of all: it is for images of some 64 pixels.
        image_channels: Channels of the image.
        init_cfg: MMEngine's initialisation.

    Raises:
        ValueError: An unknown attention.
    """

    def __init__(
        self,
        in_channels: int,
        attention: str,
        image_channels: int = 3,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if attention not in ATTENTIONS:
            raise ValueError(f'The attentions of an AttentionHead are {", ".join(ATTENTIONS)}, got {attention!r}.')
        self.attention = ATTENTIONS[attention](in_channels)
        self.to_image = nn.Conv2d(in_channels, image_channels, 1)

    def forward(self, feature: Tensor, masked: Tensor) -> Tensor:
        """Turn (N, in_channels, h, w) into (N, image_channels, h, w); the masked image is not looked at."""
        return self.to_image(self.attention(feature))
