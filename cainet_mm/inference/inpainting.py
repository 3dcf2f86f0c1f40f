"""Filling photographs: arrays, images and files; one, several or a folder."""

import io
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.model import BaseModel
from PIL import Image

from ..datasets.errors import BadImageError
from ..datasets.masks import Value
from ..evaluation import make_montage
from ..evaluation.comparison import ScaleRecorder
from ..utils.errors import describe_error
from ..utils.files import write_file
from ..utils.photo_paths import say_left_alone
from .configs import require_eval_mode, trained_size
from .filling import Options, fill_holes
from .image_io import IMAGE_FORMATS, image_of, write_image
from .jobs import (
    Job,
    MaskReader,
    Source,
    alpha_of,
    check_types,
    in_groups,
    make_job,
    result_of,
    spread_masks,
    with_warnings,
)
from .loading import load_default
from .pairing import Task, pair_files

__all__ = ['BadImagesError', 'Outcome', 'Task', 'inpaint', 'inpaint_files', 'pair_files']

# a smaller window shows a network too little to go by
SMALLEST_SIZE = 16
PROBLEMS_SHOWN = 6


class BadImagesError(BadImageError):
    """Some of several photographs cannot be used; the others have been filled.

    Attributes:
        results: What :func:`inpaint` returns of the others: a list with ``None`` for a bad photograph, or a
            dict without it.
        problems: What is wrong, by the photograph's position in the list or its name in the folder.
    """

    def __init__(self, results: list | dict[str, Image.Image], problems: Mapping[Any, str]) -> None:
        total = len(problems) + (len(results) if isinstance(results, dict) else len(results) - len(problems))
        more = len(problems) - PROBLEMS_SHOWN
        shown = [*list(problems.values())[:PROBLEMS_SHOWN], *([f'So it is with {more} more.'] if more > 0 else [])]
        super().__init__(
            f"{len(problems)} of {total} photographs cannot be filled; this error's results are those of the others. "
            + ' '.join(shown)
        )
        self.results = results
        self.problems = problems


@dataclass
class Outcome:
    """What became of a photograph."""

    task: Task
    problem: str | None = None  # why there is no result
    notes: list[str] = field(default_factory=list)  # on what is to know of the result


def inpaint(
    image: Source | Sequence[Source],
    mask: Source | Sequence[Source] | None = None,
    *,
    model: BaseModel | None = None,
    work_size: int | None = None,
    batch_size: int = 8,
    refine: bool = False,
    channel_order: str = 'rgb',
    hole_value: Value | None = None,
    invert: bool = False,
    fit_mask: bool = False,
) -> np.ndarray | Image.Image | list | dict[str, Image.Image]:
    """Fill the holes of a photograph, or of several: sizes are free, and known pixels come back as they were.

    Example:
        >>> filled = inpaint(image, mask)
        >>> filled = inpaint(image, mask, model=load_model('configs/baselines/telea.py'))

    Args:
        image: An array, (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8 or uint16; a stack of them, (N, H, W, C); a
            PIL image; the path of a photograph, or of a folder of them; or a list of any of these but folders.
        mask: An array, (H, W), (H, W, 3) or, of uint8, (H, W, 4), a PIL image or the path of one, whose bright pixels
            are the hole, as :func:`~cainet_mm.datasets.masks.read_hole` says; for several photographs one for each,
            or one for all; for a folder a folder with masks of the same names, or named after the photographs.
            ``None`` takes the masks beside the photographs of a folder (``a_mask.png``), else the transparent part of
            an RGBA photograph. A mask is for the photograph as one looks at it, turned by its EXIF orientation.
        model: Any inpaintor, in eval mode, such as :func:`load_model` gives. By default the network for photographs
            that comes with the package, on the CPU; it is kept for the next call.
        work_size: Side of the squares that the network works on. By default that which it was trained with, by the
            config that ``load_model`` keeps with the model as ``cfg``.
        batch_size: Number of windows that go through the network at once.
        refine: Whether large holes are filled again at finer scales, which sharpens what is near their borders.
        channel_order: Of arrays, ``'rgb'`` or ``'bgr'``.
        hole_value: The hole's value in masks of several values: a number, or a colour, (red, green, blue).
        invert: Whether masks mark what is known instead of the hole.
        fit_mask: Whether a mask of another size than its photograph is scaled to it, each side separately: where it
            shrinks, a pixel with any hole in it is hole. Without it, that is an error.

    Returns:
        As it was given: an array of the same shape, type and channel order; a PIL image, for paths too, with EXIF
        data and colour profile; a list; or a dict by the photographs' names in their folder, or by those of a
        photograph's masks where it has several. A photograph without a hole comes back unchanged. Of a folder, files
        with other endings than images' and masks that belong to no photograph are left alone, with a warning.

    Raises:
        BadImageError: A photograph or a mask cannot be used, sizes differ, or a mask leaves nothing known. Of several
            photographs the others are filled first; then it is a :class:`BadImagesError` that has their results.
        FileNotFoundError: No model is given, and the file of the default one is not there.
        ValueError: The arguments do not fit.
        TypeError: A photograph, mask or model is of another type.
    """
    if model is None:
        model = load_default()
    options = make_options(model, work_size, batch_size, refine)
    read = MaskReader(hole_value, invert, fit_mask)
    if channel_order not in ('rgb', 'bgr'):
        raise ValueError(f"The channel order of arrays is 'rgb' or 'bgr', got {channel_order!r}.")
    if isinstance(image, str | Path) and Path(image).is_dir():
        if not isinstance(mask, str | Path | None):
            kind = type(mask).__name__
            raise TypeError(f'The mask of a folder is a folder of masks, or the path of one for all; got {kind}.')
        return inpaint_folder(Path(image), None if mask is None else Path(mask), model, options, read)
    if isinstance(image, list | tuple) or isinstance(image, np.ndarray) and image.ndim == 4:
        sources = list(zip(image, spread_masks(mask, len(image)), strict=True))
        results = inpaint_list(sources, model, options, read, channel_order)
        return (np.stack(results) if results else image.copy()) if isinstance(image, np.ndarray) else results
    ((result, error),) = inpaint_all([(image, mask)], model, options, read, channel_order)
    if error is not None:
        raise error
    return result


def inpaint_folder(
    folder: Path, masks: Path | None, model: BaseModel, options: Options, read: MaskReader
) -> dict[str, Image.Image]:
    """Fill the photographs of a folder, as :func:`inpaint` says."""
    tasks, unused, others = pair_files(folder, masks)
    if unused:
        warnings.warn(f'{len(unused)} masks belong to no photograph, such as {unused[0]}.', stacklevel=3)
    if said := say_left_alone(others):
        warnings.warn(said, stacklevel=3)
    good = [task for task in tasks if task.problem is None]
    filled = inpaint_all([(task.photo, task.mask) for task in good], model, options, read)
    results, problems = {}, {task.name: task.problem for task in tasks}
    for task, (result, error) in zip(good, filled, strict=True):
        if error is None:
            results[task.name.as_posix()] = result
        else:
            problems[task.name] = describe_problem(f'The photograph {task.photo}', error)
    problems = {name.as_posix(): problem for name, problem in problems.items() if problem is not None}
    if problems:
        raise BadImagesError(results, problems)
    return results


def inpaint_list(
    sources: Sequence[tuple[Source, Source | None]], model: BaseModel, options: Options, read: MaskReader, order: str
) -> list:
    """Fill photographs by their masks, as :func:`inpaint` says."""
    results, problems = [], {}
    filled = inpaint_all(sources, model, options, read, order)
    for position, ((image, _), (result, error)) in enumerate(zip(sources, filled, strict=True)):
        results.append(result)
        if error is not None:
            is_path = isinstance(image, str | Path)
            name = f'The photograph {image}' if is_path else f'Photograph [{position}] of the list'
            problems[position] = describe_problem(name, error)
    if problems:
        raise BadImagesError(results, problems)
    return results


def make_options(model: BaseModel, work_size: int | None, batch_size: int, refine: bool) -> Options:
    """Check how the network is to be used; the errors are those of :func:`inpaint`."""
    if not hasattr(model, 'test_step'):
        raise TypeError(f'A model is what load_model() gives, or another inpaintor; got {type(model).__name__}.')
    require_eval_mode(model)
    work_size = trained_size(model) if work_size is None else work_size
    if work_size is None:
        raise ValueError('The size that the network was trained with is unknown; give it as --work-size (work_size).')
    if work_size < SMALLEST_SIZE or batch_size < 1:
        raise ValueError(
            f'--work-size (work_size) takes {SMALLEST_SIZE} pixels and more, --batch-size (batch_size) 1 and more, got '
            f'{work_size} and {batch_size}.'
        )
    return Options(int(work_size), int(batch_size), refine)


def inpaint_all(
    sources: Sequence[tuple[Any, Any]], model: BaseModel, options: Options, read: MaskReader, order: str = 'rgb'
) -> Iterator[tuple[Any, BadImageError | None]]:
    """Fill photographs of any kind by their masks, a few at a time; yields each one's result, or why there is none.

    Raises:
        TypeError: A photograph or a mask is of another type.
    """
    # before any is filled, as the results would be lost
    for image, mask in sources:
        check_types(image, mask)

    def jobs() -> Iterator[tuple[Any, Job | None]]:
        for image, mask in sources:
            try:
                yield image, with_warnings(make_job(image, mask, order, read))
            except BadImageError as error:
                yield error, None

    for group in in_groups(jobs(), options.batch_size):
        yield from results_of_group(group, model, options, order)


def results_of_group(
    group: list[tuple[Any, Job | None]], model: BaseModel, options: Options, order: str
) -> Iterator[tuple[Any, BadImageError | None]]:
    """Fill photographs that have been read, together."""
    filled = iter(fill_jobs([job for _, job in group if job is not None], model, options))
    for source, job in group:
        yield (None, source) if job is None else (result_of(job, next(filled), source, order), None)


def describe_problem(name: str, error: Exception) -> str:
    """Say why a photograph has no result, with its name."""
    reason = describe_error(error, kind=not isinstance(error, ValueError | RuntimeError | OSError))
    return reason if reason.startswith(f'{name} ') else f'{name} was not filled: {reason}'


def fill_jobs(jobs: Sequence[Job], model: BaseModel, options: Options) -> list[np.ndarray]:
    """Fill the holes of photographs, upright; wholly transparent pixels, which count as unknown, stay as they are."""
    filled = fill_holes([job.photo.pixels for job in jobs], [job.unknown for job in jobs], model, options)
    return [
        pixels if job.photo.alpha is None else np.where(job.hole[..., None], pixels, job.photo.pixels)
        for job, pixels in zip(jobs, filled, strict=True)
    ]


def inpaint_files(
    tasks: Sequence[Task],
    model: BaseModel,
    work_size: int | None = None,
    batch_size: int = 8,
    refine: bool = False,
    hole_value: Value | None = None,
    invert: bool = False,
    fit_mask: bool = False,
) -> Iterator[Outcome]:
    """Fill photographs from files into files; what is wrong with one does not keep the others.

    Args:
        tasks: The files, as :func:`pair_files` gives them.
        model: Any inpaintor, in eval mode; it and the options behind it are those of :func:`inpaint`.

    Returns:
        What became of each photograph, in their order; each is filled when its outcome is asked for.

    Raises:
        ValueError: The arguments do not fit.
    """
    options = make_options(model, work_size, batch_size, refine)
    if any(task.scales for task in tasks) and getattr(getattr(model, 'generator', None), 'num_scales', 1) < 2:
        raise ValueError(f'{type(model).__name__} has no generator with several scales; take a CAINetInpaintor.')
    one_by_one = any(task.raw or task.scales for task in tasks)
    read = MaskReader(hole_value, invert, fit_mask)
    groups = in_groups(read_tasks(tasks, read), 1 if one_by_one else batch_size)
    return (outcome for group in groups for outcome in fill_files(group, model, options))


def read_tasks(tasks: Iterable[Task], read: MaskReader) -> Iterator[tuple[Outcome, Job | None]]:
    """Read photographs and masks from files."""
    for task in tasks:
        outcome, job = Outcome(task, task.problem), None
        try:
            job = None if task.problem else make_job(task.photo, task.mask, 'rgb', read)
            outcome.notes += job.photo.notes if job else []
        except Exception as error:  # whatever is wrong with one, the others go on
            outcome.problem = describe_problem(f'The photograph {task.photo}', error)
        yield outcome, job


def fill_files(group: list[tuple[Outcome, Job | None]], model: BaseModel, options: Options) -> Iterator[Outcome]:
    """Fill photographs that have been read, together, and write the results."""
    jobs = [job for _, job in group if job is not None]
    filled: Sequence[np.ndarray | None] = [None] * len(jobs)
    if len(jobs) > 1:
        # where that fails, each is filled separately below
        with suppress(Exception):
            filled = fill_jobs(jobs, model, options)
    answers = iter(filled)
    for outcome, job in group:
        if job is not None:
            try:
                write_outputs(outcome, job, next(answers), model, options)
            except Exception as error:  # as above
                outcome.problem = describe_problem(f'The photograph {outcome.task.photo}', error)
        yield outcome


def write_outputs(outcome: Outcome, job: Job, pixels: np.ndarray | None, model: BaseModel, options: Options) -> None:
    """Fill a photograph unless that has been done, and write its outputs: the result last, when all others exist."""
    task = outcome.task
    raw: Any = job.photo.pixels.copy() if task.raw else None
    out: Any = task.out

    def keep_raw(place: tuple[slice, slice], image: np.ndarray) -> None:
        highest = np.iinfo(raw.dtype).max
        image = image.mean(axis=2, keepdims=True) if raw.shape[2] == 1 else image
        raw[place] = (image * (highest / 255)).round().clip(0, highest).astype(raw.dtype)

    recorder = ScaleRecorder(model)
    if pixels is None:
        options = replace(options, on_raw=keep_raw if task.raw else None)
        (pixels,) = fill_jobs([job], recorder if task.scales else model, options)
    if task.raw:
        write_image(image_of(job.photo, raw, alpha_of(job)), task.raw)
    if task.scales and recorder.pictures:
        titles = [f'scale {number}' for number in range(len(recorder.pictures) - 1, 0, -1)]
        content = io.BytesIO()
        make_montage(['input', *titles], [recorder.pictures]).save(content, 'PNG')
        write_file(task.scales, content.getvalue())
    elif task.scales:
        outcome.notes.append(f'{task.scales} was not written: without a hole the network saw nothing.')
    write_image(image_of(job.photo, pixels, alpha_of(job)), out)
    if not job.hole.any():
        outcome.notes.append(f'{out} is unchanged: the mask has no hole.')
    if not IMAGE_FORMATS[out.suffix.lower()].lossless:
        outcome.notes.append(f'{out} is a JPEG, whose compression changes the known pixels a little; PNG keeps them.')
