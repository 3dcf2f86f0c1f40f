"""Stage 1 by masked auto-encoding, to compare with contrast."""

import torch
from mmagic.structures import DataSample
from mmengine.registry import MODELS
from mmpretrain.models.selfsup import BaseSelfSupervisor
from torch import Tensor

from .siamese import TwoMaskPreprocessor


@MODELS.register_module()
class MaskedViewPreprocessor(TwoMaskPreprocessor):
    """Builds the view of each image under its query mask, and the image that it is to be restored to.

    Its arguments are those of :class:`TwoMaskPreprocessor`; the first of ``mask_keys`` counts.
    """

    def make_inputs(self, images: Tensor, masks: list[Tensor]) -> list[Tensor]:
        """The view, (N, 4, H, W), and the image that it is restored to, (N, 3, H, W)."""
        masked, seen = self.hide(images, masks[0])
        # the image is centred by the mean of what is seen of it
        return [torch.cat((seen, masks[0]), dim=1), images + (seen - masked)]


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
