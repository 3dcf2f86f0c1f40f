"""What a generator does at each scale: the outputs of Fig. 6 and the alpha maps of Eq. (7)."""

from dataclasses import dataclass

import numpy as np
import torch
from mmagic.models.base_models import OneStageInpaintor

from .comparison import to_picture


@dataclass
class ScalePictures:
    """What there is to see of one photograph; all (h, w, 3), uint8, RGB, lists coarsest first."""

    masked: np.ndarray  # the input; the hole is grey
    outputs: list[np.ndarray]  # the generator's image at every scale
    # white where the decoder's image is taken and black where the input is; empty for fusions that have none
    alphas: list[np.ndarray]
    final: np.ndarray  # the finest output with the known pixels put back


@torch.no_grad()
def picture_scales(model: OneStageInpaintor, image: np.ndarray, mask: np.ndarray) -> ScalePictures:
    """Inpaint one photograph and keep what every scale of the decoder did.

    Args:
        model: A ``CAINetInpaintor``, in eval mode.
        image: (H, W, 3), uint8, RGB.
        mask: (H, W), true in the hole.

    Raises:
        ValueError: Image and mask differ in size, or the model has no decoder with several scales.
    """
    if image.shape[:2] != mask.shape:
        raise ValueError(f'The image has {image.shape[:2]} pixels and its mask {mask.shape}; both need the same size.')
    fusions = getattr(getattr(getattr(model, 'generator', None), 'decoder', None), 'fusions', None)
    if fusions is None:
        raise ValueError(f'{type(model).__name__} has no decoder with fusions at scales; take a CAINetInpaintor.')
    device = next(model.parameters()).device
    hole = torch.from_numpy(mask).to(device)[None, None].float()
    known = torch.from_numpy(image).to(device).permute(2, 0, 1)[None] / 127.5 - 1
    seen = {}

    def record(fusion, inputs) -> None:
        seen[fusion] = inputs

    handles = [fusion.register_forward_pre_hook(record) for fusion in fusions]
    try:
        outputs = model.generator(torch.cat((known * (1 - hole), hole), dim=1))
    finally:
        for handle in handles:
            handle.remove()
    blending = [fusion for fusion in fusions if hasattr(fusion, 'decompose')]
    alphas = [fusion.decompose(*seen[fusion])[0].expand(1, 3, -1, -1) for fusion in blending]
    final = torch.where(hole > 0, outputs[0], known)
    return ScalePictures(
        masked=np.where(mask[..., None], np.uint8(128), image),
        outputs=[to_picture((output[0].float() + 1) * 127.5) for output in reversed(outputs)],
        alphas=[to_picture(alpha[0].float() * 255) for alpha in reversed(alphas)],
        final=to_picture((final[0].float() + 1) * 127.5),
    )
