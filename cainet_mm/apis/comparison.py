"""One method on one test set: its figures and its pictures."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from mmagic.evaluation import Evaluator
from mmagic.structures import DataSample
from mmengine.model import BaseModel
from torch import Tensor
from torch.utils.data import DataLoader


@dataclass
class Pictures:
    """What there is to see of one image; all (H, W, 3), uint8, RGB.

    Attributes:
        name: The image's name.
        masked: The input; the hole is grey.
        truth: The true image.
        final: The method's answer.
        scales: The generator's outputs, coarsest first, for methods that have several.
    """

    name: str
    masked: np.ndarray
    truth: np.ndarray
    final: np.ndarray
    scales: list[np.ndarray] = field(default_factory=list)


@dataclass
class MethodResult:
    """What a method did on a test set.

    Attributes:
        figures: The metrics' names and values.
        pictures: The first images of the test set.
    """

    figures: dict[str, float]
    pictures: list[Pictures]


def evaluate_method(
    model: BaseModel,
    loader: DataLoader,
    metrics: list[dict],
    num_pictures: int = 0,
    on_batch: Callable[[int], None] = lambda number: None,
) -> MethodResult:
    """Run a model over a test set with MMagic's metrics.

    Args:
        model: An inpaintor, in eval mode.
        loader: Batches of the test set.
        metrics: Configs of the metrics.
        num_pictures: How many images to keep, evenly spread over the test set.
        on_batch: Called with the number of images after each batch.
    """
    evaluator = Evaluator(metrics)
    evaluator.prepare_metrics(model, loader)
    total = len(loader.dataset)
    kept = set(np.linspace(0, total - 1, min(num_pictures, total)).round().astype(int).tolist())
    pictures, index = [], 0
    with torch.no_grad(), recorded_scales(model) as scales:
        for batch in loader:
            samples = model.test_step(batch)
            evaluator.process(samples, batch, evaluator.metrics)
            for position, sample in enumerate(samples):
                if index in kept:
                    pictures.append(take_pictures(sample, [images[position] for images in scales]))
                index += 1
            on_batch(len(samples))
    figures = {name: float(value) for name, value in evaluator.evaluate().items()}
    return MethodResult(figures, pictures)


@contextmanager
def recorded_scales(model: BaseModel):
    """Give a list that holds, after each step of the model, its generator's images, coarsest first.

    It stays empty for models whose generator puts out a single image, or that have none.
    """
    scales: list[Tensor] = []

    def record(module, inputs, outputs) -> None:
        scales[:] = outputs[::-1] if isinstance(outputs, list) else []

    generator = getattr(model, 'generator', None)
    handle = generator.register_forward_hook(record) if generator is not None else None
    try:
        yield scales
    finally:
        if handle is not None:
            handle.remove()


def take_pictures(sample: DataSample, scales: list[Tensor]) -> Pictures:
    """Turn a predicted sample into pictures.

    Args:
        sample: With ``input``, ``gt_img``, ``output.pred_img`` in [0, 255], BGR, and ``mask``.
        scales: Images of the generator, (3, h, w), RGB in [-1, 1].
    """
    truth = to_picture(sample.gt_img.flip(0))
    hole = (sample.mask[0] > 0).cpu().numpy()
    return Pictures(
        name=str(sample.metainfo.get('gt_path', '')),
        masked=np.where(hole[..., None], np.uint8(128), truth),
        truth=truth,
        final=to_picture(sample.output.pred_img.flip(0)),
        scales=[to_picture((image.float() + 1) * 127.5) for image in scales],
    )


def to_picture(image: Tensor) -> np.ndarray:
    """Turn (3, H, W) in [0, 255] into (H, W, 3), uint8."""
    return image.float().round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
