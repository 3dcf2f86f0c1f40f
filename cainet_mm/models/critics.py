"""The critic of stage 2."""

from collections.abc import Sequence

import torch
from mmagic.registry import MODELS as MMAGIC_MODELS
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class CAINetCritic(BaseModule):
    """Fully convolutional WGAN-GP critic D of Eq. (13): images of any size, one score per image.

    Stride-2 convolutions with LeakyReLU, a last one to a map of patch scores, and their mean. There is no batch
    norm: it would tie the samples of a batch together and so break the penalty, which is on each sample's gradient.

    Args:
        in_channels: Channels of the image.
        widths: Output channels of each stride-2 convolution.
        kernel_size: Odd kernel size.
        act_cfg: Activation.
        init_cfg: MMEngine's initialisation.
    """

    def __init__(
        self,
        in_channels: int = 3,
        widths: Sequence[int] = (64, 128, 256, 256),
        kernel_size: int = 5,
        act_cfg: dict = dict(type='LeakyReLU', negative_slope=0.2),
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        channels = (in_channels, *widths)
        self.features = nn.Sequential(
            *(
                ConvModule(before, width, kernel_size, stride=2, padding=kernel_size // 2, act_cfg=act_cfg)
                for before, width in zip(channels[:-1], widths, strict=True)
            )
        )
        self.score = nn.Conv2d(channels[-1], 1, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Score images, (N, in_channels, H, W) to (N, 1): higher means more like a true image."""
        return self.score(self.features(images)).mean(dim=(2, 3))


@MODELS.register_module()
class GlobalLocalCritic(BaseModule):
    """Two critics in one: of the whole image and of the window around its hole, as Global&Local's inpaintor calls it.

    Args:
        global_critic: Config of the critic of the image, say a :class:`CAINetCritic`.
        local_critic: Config of the critic of the window.
        init_cfg: MMEngine's initialisation.
    """

    def __init__(self, global_critic: dict, local_critic: dict, init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.global_critic = MMAGIC_MODELS.build(global_critic)
        self.local_critic = MMAGIC_MODELS.build(local_critic)

    def forward(self, images: tuple[Tensor, Tensor]) -> Tensor:
        """Score images, (N, C, H, W), and their windows, (N, C, h, w): the scores of both side by side, (N, ...)."""
        image, window = images
        scores = self.global_critic(image), self.local_critic(window)
        return torch.cat([score.flatten(1) for score in scores], dim=1)
