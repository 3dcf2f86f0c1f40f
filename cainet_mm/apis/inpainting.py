"""A photograph, a hole, an answer."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from mmagic.structures import DataSample
from mmengine.model import BaseModel
from PIL import Image

from ..datasets.errors import BadImageError
from ..datasets.preparation import IMAGE_ENDINGS, walk_files, walk_images
from ..evaluation import write_montage
from .comparison import recorded_scales, to_picture
from .filling import Options, fill_holes, training_size
from .photo_files import (
    FORMATS,
    Photo,
    hole_of,
    hole_of_image,
    image_of,
    photo_of,
    read_hole,
    read_photo,
    write_image,
)

Source = np.ndarray | Image.Image | str | Path
# a smaller window shows a network too little to go by
SMALLEST_SIZE = 16
# photographs in memory at once, besides a single one of any size
MAX_PIXELS = 2**22


@dataclass
class Job:
    """A photograph to be filled.

    Attributes:
        photo: The photograph.
        hole: (H, W), true in the hole, upright.
        opaque: Whether the hole was the photograph's transparent part, which becomes opaque.
    """

    photo: Photo
    hole: np.ndarray
    opaque: bool = False


@dataclass(frozen=True)
class Task:
    """A photograph's files.

    Attributes:
        photo: The photograph.
        mask: Its mask, or ``None`` for its transparent part.
        out: Where the result goes.
        problem: Why there can be none, in a sentence.
    """

    photo: Path
    mask: Path | None
    out: Path
    problem: str | None = None


@dataclass
class Outcome:
    """What became of a photograph.

    Attributes:
        task: Its files.
        problem: Why there is no result, in a sentence; ``None`` where there is one.
        share: The share of the photograph that was hole.
        notes: Sentences on what is to know of the result.
    """

    task: Task
    problem: str | None = None
    share: float = 0.0
    notes: list[str] = field(default_factory=list)


def inpaint(
    image: Source | Sequence[Source],
    mask: Source | Sequence[Source] | None = None,
    *,
    model: BaseModel,
    work_size: int | None = None,
    batch_size: int = 8,
    refine: bool = False,
    channel_order: str = 'rgb',
) -> np.ndarray | Image.Image | list | dict[str, Image.Image]:
    """Fill the holes of a photograph, or of several: sizes are free, and known pixels come back as they were.

    Example:
        >>> model = load_model('configs/baselines/telea.py')
        >>> filled = inpaint(image, mask, model=model)

    Args:
        image: An array, (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8 or uint16; a stack of them, (N, H, W, C); a
            PIL image; the path of a photograph, or of a folder of them; or a list of any of these but folders.
        mask: An array, (H, W): bool, 0 and 1, or 0 to 255 with the hole above half; a PIL image or the path of one,
            whose bright pixels are the hole; for several photographs one for each, or one for all; for a folder a
            folder with masks of the same names. ``None`` takes the transparent part of an RGBA photograph. A mask is
            for the photograph as one looks at it, turned by its EXIF orientation.
        model: Any inpaintor, in eval mode, such as :func:`load_model` gives.
        work_size: Side of the squares that the network works on. By default that which it was trained with, by the
            config that ``load_model`` keeps with the model as ``cfg``.
        batch_size: Number of windows that go through the network at once.
        refine: Whether large holes are filled again at finer scales, which sharpens what is near their borders.
        channel_order: Of arrays, ``'rgb'`` or ``'bgr'``.

    Returns:
        As it was given: an array of the same shape, type and channel order; a PIL image, for paths too, with EXIF
        data and colour profile; a list; or a dict by the photographs' names in their folder. A photograph without a
        hole comes back unchanged.

    Raises:
        BadImageError: A photograph or a mask cannot be used, sizes differ, or a mask leaves nothing known.
        ValueError: The arguments do not fit.
        TypeError: A photograph, mask or model is of another type.
    """
    options = make_options(model, work_size, batch_size, refine)
    if channel_order not in ('rgb', 'bgr'):
        raise ValueError(f"The channel order of arrays is 'rgb' or 'bgr', got {channel_order!r}.")
    if isinstance(image, str | Path) and Path(image).is_dir():
        if not isinstance(mask, str | Path | None):
            raise TypeError(
                f'The photographs of a folder take a folder of masks, or the path of one mask for all, as mask; got '
                f'{describe_type(mask)}.'
            )
        tasks, _, _ = pair_files(Path(image), None if mask is None else Path(mask))
        for task in tasks:
            if task.problem is not None:
                raise BadImageError(task.problem)
        photos, masks = [task.photo for task in tasks], [task.mask for task in tasks]
        filled = inpaint_all(photos, masks, model, options, channel_order)
        return {photo.relative_to(image).as_posix(): one for photo, one in zip(photos, filled, strict=True)}
    if isinstance(image, np.ndarray) and image.ndim == 4:
        masks = spread_masks(mask, len(image))
        return np.stack(inpaint_all(list(image), masks, model, options, channel_order)) if len(image) else image.copy()
    if isinstance(image, list | tuple):
        return inpaint_all(image, spread_masks(mask, len(image)), model, options, channel_order)
    return inpaint_all([image], [mask], model, options, channel_order)[0]


def make_options(model: BaseModel, work_size: int | None, batch_size: int, refine: bool) -> Options:
    """Check how the network is to be used.

    Raises:
        ValueError: The model is in training mode, or a number is missing or too small.
        TypeError: The model is none.
    """
    if not hasattr(model, 'test_step'):
        raise TypeError(f'A model is what load_model() gives, or another inpaintor; got {describe_type(model)}.')
    if model.training:
        raise ValueError('The model is in training mode, in which it changes with what it sees; call model.eval().')
    if work_size is None:
        config = getattr(model, 'cfg', None)
        work_size = None if config is None else training_size(config)
    if work_size is None:
        raise ValueError(
            'The size that the network was trained with is unknown; give it as work_size, or a model of load_model() '
            'whose config has image_size or a training pipeline that crops.'
        )
    if work_size < SMALLEST_SIZE or batch_size < 1:
        raise ValueError(
            f'work_size takes {SMALLEST_SIZE} pixels and more and batch_size 1 and more, got {work_size} and '
            f'{batch_size}.'
        )
    return Options(int(work_size), int(batch_size), refine)


def spread_masks(mask: Source | Sequence[Source] | None, count: int) -> list[Source | None]:
    """Give each of several photographs its mask.

    Raises:
        ValueError: There are as many masks as neither one nor photographs.
    """
    stack = isinstance(mask, np.ndarray) and (mask.ndim == 4 or mask.ndim == 3 and mask.shape[2] not in (1, 3))
    several = stack or isinstance(mask, list | tuple)
    masks = list(mask) if several else [mask] * count
    if len(masks) != count:
        raise ValueError(f'{count} photographs need as many masks, or one for all; got {len(masks)}.')
    return masks


def inpaint_all(
    images: Sequence[Source], masks: Sequence[Source | None], model: BaseModel, options: Options, order: str
) -> list:
    """Fill photographs of any kind."""
    jobs = [make_job(image, mask, order) for image, mask in zip(images, masks, strict=True)]
    results = []
    for image, job, pixels in zip(images, jobs, fill_jobs(jobs, model, options), strict=True):
        if not isinstance(image, np.ndarray):
            results.append(image_of(job.photo, pixels, alpha_of(job)))
            continue
        pixels = pixels[..., ::-1] if order == 'bgr' else pixels
        alpha = alpha_of(job)
        pixels = pixels if alpha is None else np.concatenate((pixels, alpha[..., None]), axis=2)
        results.append(np.ascontiguousarray(pixels).reshape(image.shape))
    return results


def make_job(image: Source, mask: Source | None, order: str = 'rgb') -> Job:
    """Read a photograph and its mask and check that they fit.

    Args:
        image: An array, a PIL image or a path.
        mask: The same; ``None`` for the photograph's transparent part.
        order: Channel order of arrays.

    Raises:
        BadImageError: They cannot be used.
        TypeError: They are nothing of this.
    """
    for kind, given in (('photograph', image), ('mask', mask)):
        if not isinstance(given, Source) and not (kind == 'mask' and given is None):
            raise TypeError(f'A {kind} is an array, a PIL image or a path; got {describe_type(given)}.')
    name = f'The photograph {image}' if isinstance(image, str | Path) else 'The photograph'
    if isinstance(image, np.ndarray):
        photo = photo_of_array(image, order)
    else:
        photo = photo_of(image) if isinstance(image, Image.Image) else read_photo(Path(image))
    if mask is None:
        if photo.alpha is None:
            raise BadImageError(f'{name} has no mask and no alpha channel whose transparent part could be one.')
        hole = photo.alpha < np.iinfo(photo.alpha.dtype).max / 2
    elif isinstance(mask, np.ndarray):
        hole = hole_of(mask)
    else:
        hole = hole_of_image(mask) if isinstance(mask, Image.Image) else read_hole(Path(mask))
    size = photo.pixels.shape[:2]
    if hole.shape != size:
        which = f'mask {mask}' if isinstance(mask, str | Path) else 'mask'
        raise BadImageError(
            f'{name} has {size[0]}x{size[1]} pixels as one looks at it and its {which} {hole.shape[0]}x'
            f'{hole.shape[1]} (height x width); both need the same size.'
        )
    if hole.all():
        raise BadImageError(f'{name} is all hole; at least one pixel has to be known to fill the others from.')
    return Job(photo, hole, opaque=mask is None)


def describe_type(given: object) -> str:
    """Name the type of what was given, for a sentence."""
    kind = type(given)
    return kind.__name__ if kind.__module__ == 'builtins' else f'{kind.__module__}.{kind.__name__}'


def photo_of_array(image: np.ndarray, order: str) -> Photo:
    """Take an array as a photograph.

    Raises:
        BadImageError: It has another shape or type.
    """
    if image.dtype not in (np.uint8, np.uint16):
        raise BadImageError(
            f'The array of a photograph has the type uint8 or uint16, got {image.dtype}; round and convert it.'
        )
    if image.ndim not in (2, 3) or image.ndim == 3 and image.shape[2] not in (1, 3, 4) or not image.size:
        raise BadImageError(
            f'The array of a photograph has the shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got {image.shape}.'
        )
    pixels = image[..., None] if image.ndim == 2 else image
    alpha = pixels[..., 3] if pixels.shape[2] == 4 else None
    pixels = pixels[..., :3][..., ::-1] if order == 'bgr' else pixels[..., :3]
    return Photo(np.ascontiguousarray(pixels), alpha)


def alpha_of(job: Job) -> np.ndarray | None:
    """The alpha channel of a filled photograph: opaque where the hole was its transparent part."""
    alpha = job.photo.alpha
    return np.where(job.hole, np.iinfo(alpha.dtype).max, alpha).astype(alpha.dtype) if job.opaque else alpha


def fill_jobs(jobs: Sequence[Job], model: BaseModel, options: Options) -> list[np.ndarray]:
    """Fill the holes of photographs, upright."""
    return fill_holes([job.photo.pixels for job in jobs], [job.hole for job in jobs], model, options)


def pair_files(photos: Path, masks: Path | None, out: Path | None = None) -> tuple[list[Task], list[Path], list[Path]]:
    """Say for a photograph, or for each in a folder and those below it, which is its mask and where its result goes.

    Args:
        photos: A photograph or a folder.
        masks: A mask for all photographs; a folder of masks with the photographs' names, of any ending; or ``None``.
        out: The file of the result, or a folder for results with the photographs' names. What is lossy becomes PNG
            there. ``None`` where nothing is written.

    Returns:
        The tasks in the order of their names, the masks in the folder that belong to no photograph, and the files in
        the folder of photographs that have another ending than those.

    Raises:
        ValueError: A path does not exist, there are no photographs, a folder of masks comes with one photograph, or
            something would be written over what is read.
    """
    for path, kind in ((photos, 'photograph'), (masks, 'mask')):
        if path is not None and not path.exists():
            raise ValueError(f'There is no {kind} at {path}; give the path of an existing file or folder.')
    if photos.is_file():
        if masks is not None and masks.is_dir():
            raise ValueError(f'{photos} is one photograph and {masks} a folder; give the file of its mask.')
        if out is not None and (out.is_dir() or not out.suffix):
            out = out / result_name(Path(photos.name))
        if out is not None and out.resolve() in [path.resolve() for path in (photos, masks) if path is not None]:
            raise ValueError(f'{out} would be written over what is read; give another name.')
        return [Task(photos, masks, photos if out is None else out)], [], []

    others = [path.resolve() for path in (masks, out) if path is not None]
    if photos.resolve() in others:
        raise ValueError(f'{photos} is the folder of the photographs; masks and results need folders of their own.')
    files = sorted(
        path
        for path in walk_files(photos, photos / '.none')
        if not any(other == path.resolve() or other in path.resolve().parents for other in others)
    )
    names = [path.relative_to(photos) for path in files if path.suffix.lower() in IMAGE_ENDINGS]
    if not names:
        raise ValueError(f'{photos} has no photographs; accepted are the endings {", ".join(sorted(IMAGE_ENDINGS))}.')
    known: dict[Path, list[Path]] = {}
    if masks is not None and masks.is_dir():
        for path in sorted(walk_images(masks, masks / '.none')):
            known.setdefault(path.relative_to(masks).with_suffix(''), []).append(path)
    results = Counter(result_name(name) for name in names)
    tasks = []
    for name in names:
        mask, problem = masks, None
        if masks is not None and masks.is_dir():
            found = known.get(name.with_suffix(''), [])
            # of several, the one with the photograph's own ending
            same = [path for path in found if path.suffix == name.suffix] if len(found) > 1 else found
            mask = same[0] if len(same) == 1 else None
            if mask is None:
                what = 'several masks' if found else 'no mask'
                problem = f'The photograph {photos / name} has {what} of its name in {masks}; it needs one.'
        result = result_name(name)
        if results[result] > 1 and result != name:
            # of photo.png and photo.jpg, the second one's
            result = name.with_name(f'{name.name}.png')
        tasks.append(Task(photos / name, mask, photos / name if out is None else out / result, problem))
    unused = known.keys() - {name.with_suffix('') for name in names}
    unused_masks = [path for name in sorted(unused) for path in known[name]]
    return tasks, unused_masks, [path for path in files if path.suffix.lower() not in IMAGE_ENDINGS]


def result_name(name: Path) -> Path:
    """The name of a photograph's result: its own, or, for a format that is lossy or unknown, that of a PNG."""
    kind = FORMATS.get(name.suffix.lower())
    return name if kind is not None and kind.lossless else name.with_suffix('.png')


def inpaint_files(
    tasks: Sequence[Task],
    model: BaseModel,
    work_size: int | None = None,
    batch_size: int = 8,
    refine: bool = False,
    save_raw: bool = False,
    save_scales: bool = False,
) -> Iterator[Outcome]:
    """Fill photographs from files into files; what is wrong with one does not keep the others.

    Args:
        tasks: The files.
        model: Any inpaintor, in eval mode.
        work_size: As in :func:`inpaint`.
        batch_size: As in :func:`inpaint`. Small photographs are filled together.
        refine: As in :func:`inpaint`.
        save_raw: Whether the network's own image is written beside the result as ``NAME.raw.png``.
        save_scales: Whether what the network's scales put out for the largest hole is written as
            ``NAME.scales.png``.

    Yields:
        What became of each photograph, in their order.

    Raises:
        ValueError: The arguments do not fit.
    """
    options = make_options(model, work_size, batch_size, refine)
    if save_scales and getattr(getattr(model, 'generator', None), 'num_scales', 1) < 2:
        raise ValueError(f'{type(model).__name__} has no generator with several scales; take a CAINetInpaintor.')
    alone = save_raw or save_scales
    batch: list[tuple[Outcome, Job | None]] = []
    for task in tasks:
        outcome, job = Outcome(task, task.problem), None
        try:
            job = None if task.problem else make_job(task.photo, task.mask)
        except (BadImageError, MemoryError) as error:
            outcome.problem = sentence(task, error)
        batch.append((outcome, job))
        jobs = [one for _, one in batch if one is not None]
        pixels = sum(one.hole.size for one in jobs)
        if alone or len(jobs) >= batch_size or pixels >= MAX_PIXELS:
            yield from fill_files(batch, model, options, save_raw, save_scales)
            batch = []
    yield from fill_files(batch, model, options, save_raw, save_scales)


def fill_files(
    batch: list[tuple[Outcome, Job | None]], model: BaseModel, options: Options, save_raw: bool, save_scales: bool
) -> Iterator[Outcome]:
    """Fill photographs that have been read, together, and write the results."""
    good = [(outcome, job) for outcome, job in batch if job is not None]
    if len(good) > 1:
        try:
            filled = fill_jobs([job for _, job in good], model, options)
        except (RuntimeError, ValueError, MemoryError):
            # one of them, which is found by itself
            filled = [None] * len(good)
    else:
        filled = [None] * len(good)
    answers = {id(outcome): pixels for (outcome, _), pixels in zip(good, filled, strict=True)}
    for outcome, job in batch:
        if job is not None:
            try:
                write_answer(outcome, job, answers[id(outcome)], model, options, save_raw, save_scales)
            except (RuntimeError, ValueError, MemoryError, OSError) as error:
                outcome.problem = sentence(outcome.task, error)
        yield outcome


def write_answer(
    outcome: Outcome,
    job: Job,
    pixels: np.ndarray | None,
    model: BaseModel,
    options: Options,
    save_raw: bool,
    save_scales: bool,
) -> None:
    """Fill a photograph unless that has been done, and write what is wanted of it."""
    out = outcome.task.out
    raw = job.photo.pixels.copy() if save_raw else None

    def keep_raw(place: tuple[slice, slice], image: np.ndarray) -> None:
        highest = np.iinfo(raw.dtype).max
        image = image.mean(axis=2, keepdims=True) if raw.shape[2] == 1 else image
        raw[place] = (image * (highest / 255)).round().clip(0, highest).astype(raw.dtype)

    recorder = ScaleRecorder(model)
    if pixels is None:
        options = replace(options, on_raw=keep_raw if save_raw else None)
        (pixels,) = fill_jobs([job], recorder if save_scales else model, options)
    write_image(image_of(job.photo, pixels, alpha_of(job)), out)
    if save_raw:
        write_image(image_of(job.photo, raw, alpha_of(job)), out.with_name(f'{out.stem}.raw.png'))
    if recorder.pictures:
        titles = [f'scale {number}' for number in range(len(recorder.pictures) - 1, 0, -1)]
        path = out.with_name(f'{out.stem}.scales.png')
        partial = path.with_name(f'.{os.getpid()}.{path.name}')
        write_montage(['input', *titles], [recorder.pictures], partial)
        partial.replace(path)
    outcome.share = float(job.hole.mean())
    kind = FORMATS[out.suffix.lower()]
    if not job.hole.any():
        outcome.notes.append(f'{out} is unchanged: the mask has no hole.')
    if not kind.lossless:
        outcome.notes.append(f'{out} is a JPEG, whose compression changes the known pixels a little; PNG keeps them.')


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


def sentence(task: Task, error: Exception) -> str:
    """Say why a photograph has no result, with its name."""
    reason = ' '.join(str(error).split()) or type(error).__name__
    return reason if str(task.photo) in reason else f'The photograph {task.photo} was not filled: {reason}'
