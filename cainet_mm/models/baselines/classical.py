"""Non-learned inpainting behind the model interface."""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from mmagic.structures import DataSample
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..hole_fills import EdgeFill, SmoothFill


def fill_with_mean(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Fill the hole, (H, W), bool, in (H, W, 3), uint8, with the mean of the known pixels; mid-grey without any."""
    known = image[~hole]
    filled = image.copy()
    filled[hole] = known.mean(axis=0).round() if len(known) else 128
    return filled


def fill_with_opencv(flag: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """One of OpenCV's inpainting methods, with the radius of 3 pixels of its documentation."""
    return lambda image, hole: cv2.inpaint(image, hole.astype(np.uint8), 3, flag)


def fill_with_module(module: nn.Module) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A :class:`SmoothFill` or :class:`EdgeFill` as a method; mid-grey where nothing is known."""

    def fill(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
        centred = torch.from_numpy(image).permute(2, 0, 1).float()[None] - 127.5
        filled = module(centred, torch.from_numpy(hole)[None, None].float())[0] + 127.5
        return filled.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()

    return fill


METHODS = dict(
    mean=fill_with_mean,
    telea=fill_with_opencv(cv2.INPAINT_TELEA),
    navier_stokes=fill_with_opencv(cv2.INPAINT_NS),
    smooth=fill_with_module(SmoothFill()),
    edges=fill_with_module(EdgeFill(contrast=0.02 * 127.5)),
)


@MODELS.register_module()
class ClassicalInpaintor(BaseModel):
    """Fills holes without learnt weights, so that test pipelines, masks and metrics are those of every other model.

    Args:
        method: ``'mean'``, the mean colour of the known pixels; ``'telea'`` or ``'navier_stokes'``, OpenCV's;
            ``'smooth'`` and ``'edges'``, :class:`SmoothFill` and :class:`EdgeFill`, from which a network may start.
        data_preprocessor: Config of MMagic's ``DataPreprocessor``.
        kwargs: Those of MMEngine's ``BaseModel``.

    Raises:
        ValueError: An unknown method.
    """

    def __init__(self, method: str, data_preprocessor: dict, **kwargs) -> None:
        super().__init__(data_preprocessor=data_preprocessor, **kwargs)
        if method not in METHODS:
            raise ValueError(f'ClassicalInpaintor knows the methods {", ".join(METHODS)}, got {method!r}.')
        self.method = method

    def forward(self, inputs: Tensor, data_samples: DataSample, mode: str = 'predict') -> list[DataSample]:
        """Fill masked images in [-1, 1], (N, 3, H, W), where ``mask`` of the stacked samples, (N, 1, H, W), is 1.

        Returns the samples with ``output.pred_img`` (and ``fake_res``, ``fake_img``, which are the same here), in
        [0, 255]; ``NotImplementedError`` for another mode than ``'predict'``.
        """
        if mode != 'predict':
            raise NotImplementedError(f"ClassicalInpaintor has nothing to train; its mode is 'predict', got {mode!r}.")
        images = self.data_preprocessor.destruct(inputs, data_samples)
        samples = data_samples.split()
        for sample, image in zip(samples, images, strict=True):
            pixels = image.permute(1, 2, 0).round().to(torch.uint8).cpu().numpy()
            hole = sample.mask[0].cpu().numpy() > 0
            filled = torch.from_numpy(METHODS[self.method](pixels, hole)).permute(2, 0, 1).to(image)
            sample.output = DataSample(pred_img=filled, fake_res=filled, fake_img=filled)
        return samples
