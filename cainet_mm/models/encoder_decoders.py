"""The generator of stage 2."""

import torch
from mmagic.registry import MODELS as MMAGIC_MODELS
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class CAINetEncoderDecoder(BaseModule):
    """Generator: encoder, decoder, one fusion per scale.

    It takes masked image and mask in one tensor, as MMagic's ``OneStageInpaintor`` hands them to a generator; the
    same tensor is the encoder's input in stage 1 and the finest skip of the decoder.

    Args:
        encoder: Config of the encoder. With ``init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone.')``
            it starts from stage 1.
        decoder: Config of the decoder. ``skip_channels`` is filled in from the encoder where it is not given.
        hole_fill: Config of what is put into the hole before encoder, skip and fusions see the image, say
            :class:`SmoothFill`. By default nothing is: the hole is 0, as in the paper.
        centred: Whether encoder and skip see the image minus its mean colour (with ``hole_fill``, of the filled
            image), so that features do not depend on a tint. The fusions see the colours as they are.
        init_cfg: MMEngine's initialisation.
    """

    def __init__(
        self,
        encoder: dict,
        decoder: dict,
        hole_fill: dict | None = None,
        centred: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.encoder = MMAGIC_MODELS.build(encoder)
        if 'skip_channels' not in decoder:
            decoder = dict(decoder, skip_channels=(self.encoder.in_channels, *self.encoder.widths))
        self.decoder = MMAGIC_MODELS.build(decoder)
        self.centred = centred
        self.hole_fill = None if hole_fill is None else MMAGIC_MODELS.build(hole_fill)

    @property
    def num_scales(self) -> int:
        """Number of images that :meth:`forward` returns."""
        return self.decoder.num_scales

    def forward(self, inputs: Tensor) -> list[Tensor]:
        """Inpaint (N, 4, H, W): masked RGB image in [-1, 1] with 0 in the hole, then the mask, 1 in the hole.

        Returns images in [-1, 1] (not clamped), finest first, ``(N, 3, ceil(H / 2**i), ceil(W / 2**i))``; the first
        one has the size of the input.
        """
        masked, mask = inputs[:, :3], inputs[:, 3:]
        if self.hole_fill is not None:
            masked = self.hole_fill(masked, mask)
        if self.hole_fill is not None or self.centred:
            inputs = torch.cat((centre(masked) if self.centred else masked, mask), dim=1)
        return self.decoder((inputs, *self.encoder(inputs)), masked)


def centre(image: Tensor) -> Tensor:
    """Take the mean colour off each image of (N, C, H, W)."""
    return image - image.mean(dim=(2, 3), keepdim=True)
