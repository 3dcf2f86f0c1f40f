"""Stage 1 by masked auto-encoding, to compare with contrast."""

import torch
from mmagic.models.data_preprocessors import DataPreprocessor
from mmagic.structures import DataSample
from mmengine.registry import MODELS
from mmpretrain.models.selfsup import BaseSelfSupervisor
from torch import Tensor

from .encoder_decoders import centre
from .siamese import TwoMaskPreprocessor


@MODELS.register_module()
class MaskedViewPreprocessor(TwoMaskPreprocessor):
    """Builds the view of each image under its query mask, and the image that it is to be restored to.

    Its arguments are those of :class:`TwoMaskPreprocessor`; the first of ``mask_keys`` counts.
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        """Turn images (N, 3, H, W) and masks into ``inputs``: [view, (N, 4, H, W), image, (N, 3, H, W)]."""
        data = DataPreprocessor.forward(self, data, training)
        images, samples = data['inputs'], data['data_samples']
        mask = samples.get(self.mask_keys[0]).to(images.dtype)
        hidden = self.hide(images, mask)
        seen = centre(hidden) if self.centred else hidden
        # the image is centred by the mean of what is seen of it
        return dict(inputs=[torch.cat((seen, mask), dim=1), images + (seen - hidden)], data_samples=samples)


@MODELS.register_module()
class MaskedAutoencoder(BaseSelfSupervisor):
    r"""SimMIM's objective (Xie et al., CVPR 2022) for an encoder of masked views.

    .. math::
        \mathcal{L} = \frac{1}{C \sum M} \sum M \odot \lvert D(E(x \odot (1 - M), M)) - x \rvert

    with the encoder E, a linear decoder D from its last feature, and the hole M. Neck and head are MMPretrain's
    ``SimMIMLinearDecoder`` and ``SimMIMHead`` with a ``patch_size`` of 1. MMPretrain's ``SimMIM`` itself hands the
    mask to a transformer's tokens.

    MMPretrain's arguments: ``backbone``, the encoder of 4-channel views; ``neck``, D; ``head``, the loss of images
    (N, C, H, W) in a mask (N, H, W); ``data_preprocessor``, a :class:`MaskedViewPreprocessor`.
    """

    def loss(self, inputs: list[Tensor], data_samples: list[DataSample] | DataSample, **kwargs) -> dict[str, Tensor]:
        """Compute the loss of a batch.

        Args:
            inputs: Views, (N, 4, H, W), and images, (N, 3, H, W).
            data_samples: Not looked at.
        """
        view, image = inputs
        return dict(loss=self.head.loss(self.neck(self.backbone(view)[-1]), image, view[:, -1]))
