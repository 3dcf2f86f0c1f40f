"""The generator of stage 2."""

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
        init_cfg: MMEngine's initialisation.
    """

    def __init__(self, encoder: dict, decoder: dict, init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.encoder = MMAGIC_MODELS.build(encoder)
        if 'skip_channels' not in decoder:
            decoder = dict(decoder, skip_channels=(self.encoder.in_channels, *self.encoder.widths))
        self.decoder = MMAGIC_MODELS.build(decoder)

    @property
    def num_scales(self) -> int:
        """Number of images that :meth:`forward` returns."""
        return self.decoder.num_scales

    def forward(self, inputs: Tensor) -> list[Tensor]:
        """Inpaint.

        Args:
            inputs: (N, 4, H, W): masked RGB image in [-1, 1] with 0 in the hole, then the mask, 1 in the hole.

        Returns:
            Images in [-1, 1] (not clamped), finest first, (N, 3, ceil(H / 2**i), ceil(W / 2**i)); the first one has
            the size of the input.
        """
        return self.decoder((inputs, *self.encoder(inputs)), inputs[:, :3])
