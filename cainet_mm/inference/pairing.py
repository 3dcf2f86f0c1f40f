"""Which mask belongs to which photograph, and which files are written of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..datasets.mask_names import masks_among, match_masks
from ..utils.photo_paths import IMAGE_ENDINGS, find_files, short_name
from .image_io import IMAGE_FORMATS

# what is written beside a result on demand, and the ending of its name
SIDES = dict(raw='.raw.png', scales='.scales.png')


@dataclass(frozen=True)
class Task:
    """A photograph's files, for one of its masks; what is not wanted is ``None``."""

    photo: Path
    mask: Path | None  # None for the photograph's transparent part
    out: Path | None  # where the result goes
    problem: str | None = None  # why there can be none
    raw: Path | None = None  # where the network's own image goes
    scales: Path | None = None  # where the pictures of the network's scales go
    name: Path = Path()  # in a folder, the photograph's name or, where it has several masks, that of the mask

    @property
    def outputs(self) -> list[Path]:
        """All files that are written."""
        return [path for path in (self.out, self.raw, self.scales) if path is not None]


def pair_files(
    photos: Path, masks: Path | None, out: Path | None = None, save_raw: bool = False, save_scales: bool = False
) -> tuple[list[Task], list[Path], list[Path]]:
    """Say for a photograph, or for each in a folder and those below it, which is its mask and where its result goes.

    No two files that are written have the same name, and none that of a photograph or a mask.

    Args:
        photos: A photograph or a folder.
        masks: A mask for all photographs; a folder of masks, named as the photographs or after them (``a_mask.png``,
            several as ``a_mask001.png``, ``a_mask002.png``), of any ending, which may be that of the photographs
            itself; or ``None``, for masks beside the photographs, named after them, and photographs that have none.
        out: The file of the result, or a folder for results with the photographs' names. What is lossy becomes PNG
            there. ``None`` where nothing is written.
        save_raw: Whether the network's own image is written beside the result as ``NAME.raw.png``.
        save_scales: Whether the outputs of the network's scales for the largest hole are written as
            ``NAME.scales.png``.

    Returns:
        The tasks in the order of their names, one for each of a photograph's masks; the masks that belong to no
        photograph; and the files in the folder of photographs that have another ending than those, and what is hidden
        there.

    Raises:
        ValueError: A path does not exist, there are no photographs, a single photograph has no mask or several in a
            folder of masks, the result of one cannot be written under its name, or something would be written over
            what is read.
    """
    for path, kind in ((photos, 'photograph'), (masks, 'mask')):
        if path is not None and not path.exists():
            raise ValueError(f'There is no {kind} at {path}; give the path of an existing file or folder.')
    sides = [side for side, wanted in (('raw', save_raw), ('scales', save_scales)) if wanted]
    if photos.is_file():
        return [pair_one(photos, masks, out, sides)], [], []
    return pair_folder(photos, masks, out, sides)


def pair_one(photo: Path, mask: Path | None, out: Path | None, sides: Sequence[str]) -> Task:
    """The task of a single photograph, as :func:`pair_files` says."""
    if mask is not None and mask.is_dir():
        candidates = [path.relative_to(mask) for path in find_files(mask, [photo]).images]
        case, *others = match_masks([Path(photo.name)], candidates)[0]
        if case.mask is None or others:
            raise ValueError(f'{photo} has {case.problem or "several masks; give the file of one"} (in {mask}).')
        mask = mask / case.mask
    if out is None:
        return Task(photo, mask, None)
    if out.is_dir() or not out.suffix:
        out = out / (photo.name if keeps_pixels(photo) else short_name(photo.stem, '.png'))
    if out.suffix.lower() not in IMAGE_FORMATS:
        raise ValueError(f'{out} has an unknown ending; photographs are written as {", ".join(IMAGE_FORMATS)}.')
    require_folder(out.parent)
    beside: dict[str, Any] = {side: out.with_name(short_name(out.stem, SIDES[side])) for side in sides}
    task = Task(photo, mask, out, **beside)
    clash = find_clash(task, places_of([photo, mask]))
    if clash is not None:
        raise ValueError(clash)
    return task


def pair_folder(
    photos: Path, masks: Path | None, out: Path | None, sides: Sequence[str]
) -> tuple[list[Task], list[Path], list[Path]]:
    """The tasks of a folder, as :func:`pair_files` says."""
    beside = masks is None or masks.resolve() == photos.resolve()
    given = [path for path in (photos, None if beside else masks, out) if path is not None]
    if len(places_of(given)) < len(given):
        raise ValueError(f'Photographs, masks and results need folders of their own, got {", ".join(map(str, given))}.')
    if out is not None:
        require_folder(out)
    files = find_files(photos, given)
    images = [path.relative_to(photos) for path in files.images]
    among = masks_among(images)
    names = [name for name in images if name not in among]
    if not names:
        raise ValueError(f'{photos} has no photographs; accepted are the endings {", ".join(IMAGE_ENDINGS)}.')
    folder: Any  # None where there is one mask for all, and no candidates
    if masks is None or beside:
        folder, candidates = photos, sorted(among)
    elif masks.is_dir():
        folder, candidates = masks, [path.relative_to(masks) for path in find_files(masks, given).images]
    else:
        folder, candidates = None, []
    cases, unused = match_masks(names, candidates)
    unused_masks = [folder / name for name in unused] + [photos / name for name in sorted(among) if not beside]
    read = places_of([*(photos / name for name in images), masks, *(folder / name for name in candidates)])
    tasks = []
    outputs = name_outputs([case.name for case in cases], sides)
    for case, output in zip(cases, outputs, strict=True):
        places: dict[str, Any] = {kind: None if out is None else out / name for kind, name in output.items()}
        mask, problem = masks, None
        if folder is not None:
            mask = None if case.mask is None else folder / case.mask
            if mask is None and (case.several or masks is not None):
                problem = f'The photograph {photos / case.photo} has {case.problem} (in {folder}).'
        task = Task(photos / case.photo, mask, problem=problem, name=case.name, **places)
        clash = find_clash(task, read)
        if task.problem is None and clash is not None:
            task = replace(task, problem=f'The photograph {task.photo} was not filled: {clash}')
        tasks.append(task)
    return tasks, unused_masks, files.others


def places_of(paths: Sequence[Path | None]) -> dict[Path, Path]:
    """Where paths lead to, links followed, and the paths themselves."""
    return {path.resolve(): path for path in paths if path is not None}


def require_folder(folder: Path) -> None:
    """Raise ``ValueError`` for a folder that cannot be made, since it, or one above it, is a file."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise ValueError(f'{nearest} is a file; results need the name of a folder, or of a file in one.')


def find_clash(task: Task, read: dict[Path, Path]) -> str | None:
    """Say which of the files that are read (by their places) would be overwritten by a task; ``None`` for none."""
    for path in task.outputs:
        if path.resolve() in read:
            return f'{path} would be written over what is read, {read[path.resolve()]}; give another place for results.'
    return None


def name_outputs(names: Sequence[Path], sides: Sequence[str]) -> list[dict[str, Path]]:
    """Name what is written of photographs, whose own names are all different: the result, ``out``, and its ``sides``.

    No two names are equal.
    """
    taken = {name for name in names if keeps_pixels(name)}
    others = iter(choose_names([name for name in names if not keeps_pixels(name)], '.png', taken))
    columns = dict(out=[name if keeps_pixels(name) else next(others) for name in names])
    for side in sides:
        columns[side] = choose_names(columns['out'], SIDES[side], taken)
    return [dict(zip(columns, output, strict=True)) for output in zip(*columns.values(), strict=True)]


def choose_names(names: Sequence[Path], ending: str, taken: set[Path]) -> list[Path]:
    """Give names another ending: in place of their own or, where two would be equal, behind it.

    Names in ``taken`` are not free; those that are chosen are added.
    """
    counts = Counter(name.with_name(short_name(name.stem, ending)) for name in names)
    free = {name for name, count in counts.items() if count == 1} - taken
    taken |= free
    chosen = []
    for name in names:
        new = name.with_name(short_name(name.stem, ending))
        if new not in free:
            new = name.with_name(short_name(name.name, ending))
            while new in taken:
                new = new.with_name(short_name(new.name, ending))
            taken.add(new)
        chosen.append(new)
    return chosen


def keeps_pixels(name: Path) -> bool:
    """Whether a file's format is known and lossless; a photograph's result then has its name, else that of a PNG."""
    kind = IMAGE_FORMATS.get(name.suffix.lower())
    return kind is not None and kind.lossless
