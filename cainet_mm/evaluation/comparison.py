"""One method on one test set: its metrics, image by image, and its pictures."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmagic.evaluation import Evaluator
from mmagic.structures import DataSample
from mmengine.model import BaseModel
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..utils.photo_paths import IMAGE_ENDINGS, short_name

# the fields of MMagic's predictions: with the known pixels put back, and the network's own
IMAGES = dict(composed='fake_img', raw='fake_res')
# the metrics over the whole image and inside the hole; each is taken of the composed and of the raw image
WHOLE = ('MAE', 'PSNR', 'SSIM')
HOLE = ('HoleMAE', 'HolePSNR', 'HoleSSIM')


@dataclass
class Pictures:
    """What there is to see of one image; all (H, W, 3), uint8, RGB."""

    name: str
    masked: np.ndarray  # the input; the hole is grey
    truth: np.ndarray
    final: np.ndarray  # the method's answer
    hole: np.ndarray  # (H, W), true in the hole
    scales: list[np.ndarray] = field(default_factory=list)  # the generator's outputs, coarsest first, if several


@dataclass
class ImageResult:
    """What a method did on one image: its name, the share of it that is hole, and its metrics by their names."""

    name: str
    hole_share: float
    metrics: dict[str, float]
    photo: str = ''  # the photograph that it is of, which may have several masks; the name where it is empty


@dataclass
class MethodResult:
    """What a method did on a test set."""

    metrics: dict[str, float]
    images: list[ImageResult]  # in the order of the test set
    pictures: list[Pictures]  # of some images
    size: tuple[int, int]  # height and width of the last image
    without_hole: list[str] = field(default_factory=list)  # names of images that are left out, as they have no hole
    enlarged: list[str] = field(default_factory=list)  # names of images whose photographs are smaller than they


def image_metrics() -> list[dict]:
    """Configs of the metrics that are taken image by image, named ``composed/PSNR``, ``raw/HoleSSIM``, ..."""
    return [dict(type=name, pred_key=key, prefix=image) for image, key in IMAGES.items() for name in (*WHOLE, *HOLE)]


def evaluate_method(
    model: BaseModel,
    loader: DataLoader,
    metrics: Sequence[dict],
    num_pictures: int = 0,
    on_batch: Callable[[int], None] = lambda number: None,
    rounded: bool = True,
    save_to: Path | None = None,
) -> MethodResult:
    """Run a model over a test set with MMagic's metrics.

    The model gets one image at a time, however the loader batches them: convolutions add up in another order in
    batches of another size, and the metrics shall be the same to the last digit.

    Args:
        model: An inpaintor, in eval mode.
        loader: Batches of the test set.
        metrics: Configs of the metrics.
        num_pictures: How many images to keep, evenly spread over the test set.
        on_batch: Called with the number of images after each batch.
        rounded: Whether images are rounded to 8 bits before, as they would be written.
        save_to: Folder for the answers as PNG, ``composed/NAME.png`` and ``raw/NAME.png``, see :func:`path_below`.

    Raises:
        ValueError: No image has a hole.
    """
    evaluator = Evaluator(metrics)
    evaluator.prepare_metrics(model, loader)
    dataset: Any = loader.dataset
    total = len(dataset)
    due = np.linspace(0, total - 1, min(num_pictures, total)).round().astype(int).tolist()
    pictures, names, shares, photos, enlarged = [], [], [], [], []
    without_hole = list(getattr(loader.dataset, 'without_hole', ()))
    number = -1
    with torch.no_grad(), recorded_scales(model) as scales:
        for batch in loader:
            for single in split_batch(batch):
                number += 1
                if not (single['data_samples'][0].mask > 0).any():
                    without_hole.append(name_of(single['data_samples'][0], loader.dataset))
                    continue
                (sample,) = model.test_step(single)
                names.append(name_of(sample, loader.dataset))
                photos.append(str(sample.metainfo.get('gt_path') or number))
                size = tuple(sample.gt_img.shape[-2:])
                if min(sample.metainfo.get('ori_gt_shape', size)[:2]) < min(size):
                    enlarged.append(names[-1])
                if rounded:
                    sample.gt_img = sample.gt_img.round().clamp(0, 255).double()
                    for key, image in sample.output.items():
                        setattr(sample.output, key, image.round().clamp(0, 255).double())
                evaluator.process([sample], single, evaluator.metrics)
                # or the next one with a hole
                if due and number >= due[0]:
                    del due[0]
                    pictures.append(take_pictures(names[-1], sample, [images[0] for images in scales]))
                if save_to is not None:
                    save_answers(names[-1], sample, save_to)
                shares.append((sample.mask > 0).double().mean().item())
            on_batch(len(batch['data_samples']))
    if not names:
        raise ValueError(f'None of the {total} images has a hole, so that there is nothing to compare.')
    values = metrics_of_images(evaluator, len(names))
    images = [ImageResult(*of_image) for of_image in zip(names, shares, values, photos, strict=True)]
    totals = {name: float(value) for name, value in evaluator.evaluate().items()}
    return MethodResult(totals, images, pictures, size, without_hole, enlarged)


def split_batch(batch: Mapping[str, list]) -> Iterator[dict[str, list]]:
    """The samples of a batch, each as a batch of its own."""
    for index in range(len(next(iter(batch.values())))):
        yield {key: values[index : index + 1] for key, values in batch.items()}


def metrics_of_images(evaluator: Evaluator, total: int) -> list[dict[str, float]]:
    """Collect the values of those metrics that have one of each image; named as the evaluator names them."""
    values: list[dict[str, float]] = [{} for _ in range(total)]
    for metric in evaluator.metrics:
        name = getattr(metric, 'metric', None)
        if name is None or len(metric.results) != total:
            continue
        full_name = f'{metric.prefix}/{name}' if metric.prefix else name
        for image, result in zip(values, metric.results, strict=True):
            image[full_name] = float(result[name])
    return values


def name_of(sample: DataSample, dataset: Dataset) -> str:
    """The name of a sample's image: its path below the data set's folder, or that of its mask where it has several."""
    index = sample.metainfo.get('sample_idx')
    info = {} if index is None or not hasattr(dataset, 'get_data_info') else dataset.get_data_info(int(index))
    if info.get('case') is not None:
        return info['case']
    path = str(sample.metainfo.get('gt_path', ''))
    folder = (getattr(dataset, 'data_prefix', None) or {}).get('gt')
    return Path(os.path.relpath(path, folder)).as_posix() if folder else path


def path_below(name: str) -> Path:
    """A name as a path below a folder; one that would lead out of it, ``../a.png``, has a digest before its ending."""
    given = Path(name)
    inside = Path(*(part for part in given.parts if part not in (given.anchor, '..')))
    if inside == given:
        return given
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    return inside.parent / short_name(inside.stem, f'-{digest}{inside.suffix}')


def save_answers(name: str, sample: DataSample, folder: Path) -> None:
    """Write a predicted sample's composed and raw image as PNG, under the image's name: ``a.jpg`` as ``a.jpg.png``."""
    place = path_below(name)
    # beside a.jpg, a.jpg.png becomes a.jpg.png.png
    if place.suffix.lower() != '.png' or Path(place.stem).suffix.lower() in IMAGE_ENDINGS:
        place = place.with_name(short_name(place.name, '.png'))
    for image, key in IMAGES.items():
        path = folder / image / place
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(to_picture(sample.output.get(key).flip(0))).save(path)


@contextmanager
def recorded_scales(model: BaseModel):
    """Give a list that holds, after each step of the model, its generator's images, coarsest first.

    It stays empty for models whose generator returns a single image, or that have none.
    """
    scales: list[Tensor] = []

    def record(module, inputs, outputs) -> None:
        scales[:] = outputs[::-1] if isinstance(outputs, list) and len(outputs) > 1 else []

    generator = getattr(model, 'generator', None)
    handle = generator.register_forward_hook(record) if generator is not None else None
    try:
        yield scales
    finally:
        if handle is not None:
            handle.remove()


def take_pictures(name: str, sample: DataSample, scales: list[Tensor]) -> Pictures:
    """Turn a predicted sample, in [0, 255] and BGR, and the scales, (3, h, w), RGB in [-1, 1], into pictures."""
    truth = to_picture(sample.gt_img.flip(0))
    hole = (sample.mask[0] > 0).cpu().numpy()
    return Pictures(
        name=name,
        masked=np.where(hole[..., None], np.uint8(128), truth),
        truth=truth,
        final=to_picture(sample.output.pred_img.flip(0)),
        hole=hole,
        scales=[to_picture((image.float() + 1) * 127.5) for image in scales],
    )


def to_picture(image: Tensor) -> np.ndarray:
    """Turn (3, H, W) in [0, 255] into (H, W, 3), uint8."""
    return image.float().round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()


class ScaleRecorder:
    """A model that keeps pictures of the first window it fills: its input, and its scales' outputs, coarsest first."""

    def __init__(self, model: BaseModel) -> None:
        self.model = model
        self.pictures: list[np.ndarray] = []

    def test_step(self, data: dict) -> list[DataSample]:
        """Predict, as the model does."""
        if self.pictures:
            return self.model.test_step(data)
        masked = data['inputs'][0].flip(0)
        with recorded_scales(self.model) as scales:
            predictions = self.model.test_step(data)
            self.pictures = [to_picture(masked), *(to_picture((images[0].float() + 1) * 127.5) for images in scales)]
        return predictions
