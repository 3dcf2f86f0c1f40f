"""Other people's encoders under stage 1's views."""

import torch
import torch.nn.functional as F
from mmagic.registry import MODELS as MMAGIC_MODELS
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from mmpretrain.models.utils import ClsDataPreprocessor
from torch import Tensor, nn

# the forms in which encoders of inpainting networks take image and mask, and the channels of their first convolution
FORMS = dict(view=4, view_with_ones=5, pair=3)


def check_stem(network: nn.Module, form: str) -> None:
    """Refuse a network whose first convolution does not take what is handed over.

    Args:
        network: The encoder or generator.
        form: The form in which image and mask are handed over.

    Raises:
        ValueError: It takes another number of channels.
    """
    stem = next((layer for layer in network.modules() if isinstance(layer, nn.Conv2d)), None)
    if stem is not None and stem.in_channels != FORMS[form]:
        raise ValueError(
            f'In the form {form!r}, image and mask have {FORMS[form]} channels, but the first convolution of '
            f'{type(network).__name__} takes {stem.in_channels}. Set its in_channels to {FORMS[form]}, or take the '
            f'form that fits ({", ".join(f"{name}: {count}" for name, count in FORMS.items())}).'
        )


@MODELS.register_module()
class ViewEncoder(BaseModule):
    """Makes a backbone of any encoder: hands it stage 1's view in the form that it takes.

    So an encoder of MMagic's can be pre-trained by :class:`SiameseMoCo` just as its inpaintor will call it. Its
    weights are saved under ``backbone.encoder.``; :class:`LoadPartHook` brings them into the inpaintor.

    Args:
        encoder: Config of the encoder. It returns a feature, several (the last counts), or a dict with one as
            ``out``.
        form: ``'view'``: masked image and mask in 4 channels, as AOT-GAN's encoder and those of MMPretrain with a
            4-channel stem; ``'view_with_ones'``: masked image, ones, mask in 5, as DeepFill's; ``'pair'``: masked
            image and the known region (1 = known, in 3 channels) as two arguments, as PConv's.
        hole_value: What the hole of the image is filled with; AOT-GAN's inpaintor fills it with 1, the others with 0.
        init_cfg: MMEngine's initialisation.

    Raises:
        ValueError: An unknown form, or an encoder whose first convolution takes another number of channels.
    """

    def __init__(
        self,
        encoder: dict,
        form: str = 'view',
        hole_value: float = 0.0,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if form not in FORMS:
            raise ValueError(f'ViewEncoder hands over the forms {", ".join(FORMS)}, got {form!r}.')
        self.encoder = MMAGIC_MODELS.build(encoder)
        self.form = form
        self.hole_value = hole_value
        check_stem(self.encoder, form)

    def forward(self, view: Tensor) -> tuple[Tensor]:
        """Encode.

        Args:
            view: (N, 4, H, W): masked RGB image in [-1, 1] with 0 in the hole, then the mask, 1 in the hole.

        Returns:
            The encoder's feature, (N, C, h, w), in a tuple, as MMPretrain's necks take it.
        """
        image, mask = view[:, :3], view[:, 3:]
        if self.hole_value:
            image = image + self.hole_value * mask
        if self.form == 'pair':
            feature = self.encoder(image, (1 - mask).expand_as(image))
        elif self.form == 'view_with_ones':
            feature = self.encoder(torch.cat((image, torch.ones_like(mask), mask), dim=1))
        else:
            feature = self.encoder(torch.cat((image, mask), dim=1))
        if isinstance(feature, dict):
            feature = feature['out']
        return (feature[-1] if isinstance(feature, list | tuple) else feature,)


@MODELS.register_module()
class WholeViewPreprocessor(ClsDataPreprocessor):
    """Shows whole photographs to an encoder that also takes a mask: the normalised image and a mask without a hole.

    With it an encoder of stage 1 is the backbone of an MMPretrain classifier as it is. It takes the arguments of
    MMPretrain's ``ClsDataPreprocessor``; give ``mean``, ``std`` and ``to_rgb`` as in stage 1.
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        """Turn images (N, 3, H, W) into ``inputs`` of (N, 4, H, W)."""
        data = super().forward(data, training)
        # one more channel, of zeros
        data['inputs'] = F.pad(data['inputs'], (0, 0, 0, 0, 0, 1))
        return data
