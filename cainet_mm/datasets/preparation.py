"""From a data set as people download it to the image lists that the configs read.

Nothing is copied: a list names images relative to the data set's folder.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from ..utils.errors import describe_error
from ..utils.files import write_file
from ..utils.photo_paths import IMAGE_ENDINGS, find_files, open_image_file
from .mask_names import masks_among


class PreparationError(ValueError):
    """A data set that cannot be prepared; the message says what was found and what to do."""


@dataclass(frozen=True)
class Part:
    """A part of a data set as it is distributed."""

    name: str  # of its list
    folders: tuple[str, ...]  # where it may lie below the data set's folder; the first one that exists is taken
    counts: tuple[int, ...] = ()  # numbers of images that are expected; empty for any


@dataclass(frozen=True)
class Layout:
    """A data set as it is distributed."""

    title: str
    parts: tuple[Part, ...]  # a single one is divided at random into the lists train and test
    num_test: int = 0  # images for test, where the paper says so, of a data set with a single part
    min_side: int = 256  # smallest accepted height and width; smaller photographs would be enlarged in training


LAYOUTS = {
    'imagenet': Layout(
        'ImageNet (ILSVRC 2012)',
        (
            Part('train', ('train', 'ILSVRC/Data/CLS-LOC/train'), (1_281_167,)),
            Part('test', ('val', 'ILSVRC/Data/CLS-LOC/val'), (50_000,)),
        ),
        # many photographs are smaller than 256 along one side; those of less than half of it are left out
        min_side=128,
    ),
    'places2': Layout(
        'Places2 (Places365)',
        (
            # Places365-Standard, Places365-Challenge
            Part('train', ('data_256', 'data_large', 'train'), (1_803_460, 8_026_628)),
            Part('test', ('val_256', 'val_large', 'val'), (36_500,)),
        ),
    ),
    'celeba-hq': Layout('CelebA-HQ', (Part('all', ('CelebA-HQ-img', ''), (30_000,)),), num_test=2_000),
    'paris-streetview': Layout(
        'Paris StreetView',
        (
            Part('train', ('paris_train_original',), (14_900,)),
            Part('test', ('paris_eval_gt', 'paris_eval/paris_eval_gt', 'paris_eval'), (100,)),
        ),
        # the evaluation images also go round at this size
        min_side=227,
    ),
    'folder': Layout('Folder of photographs', (Part('all', ('',)),)),
}


@dataclass
class Prepared:
    """What became of one list: where it is, the images in it, and what is wrong with each that was left out."""

    path: Path
    kept: list[str] = field(default_factory=list)
    bad: dict[str, str] = field(default_factory=dict)


def prepare(
    source: Layout,
    root: Path,
    lists: Path | None = None,
    *,
    num_test: int | float | None = None,
    seed: int = 0,
    min_side: int | None = None,
    any_number: bool = False,
    **verification,
) -> list[Prepared]:
    """Find, count, divide and verify the images of a data set, and write its lists.

    Nothing is written before everything has been verified, and each file is written whole or not at all.

    Args:
        source: The data set.
        root: Its folder.
        lists: Where the lists go; by default ``root/lists``, where the configs look for them.
        num_test: Of a data set with a single part, the number of test images, or, below 1, their share. By default
            that of ``source``.
        seed: Draws the test images.
        min_side: Smallest accepted height and width; by default that of ``source``.
        any_number: Accept any number of images.
        verification: ``headers_only``, ``workers`` and ``track``, as :func:`write_verified` takes them.

    Raises:
        PreparationError: A folder is absent or empty, the number of images is not the expected one, or no image of a
            list can be used.
    """
    if not root.is_dir():
        raise PreparationError(f'{root} is no folder; give the one into which {source.title} was unpacked.')
    lists = root / 'lists' if lists is None else lists
    images = {part.name: list_part(root, part, lists) for part in source.parts}
    masks: set[str] = set()
    if source is LAYOUTS['folder']:
        masks = {name.as_posix() for name in masks_among(map(Path, images['all']))}
        images['all'] = [name for name in images['all'] if name not in masks]
    if not any_number:
        for part in source.parts:
            found, expected = len(images[part.name]), ' or '.join(f'{count:,}' for count in part.counts)
            if part.counts and found not in part.counts:
                raise PreparationError(
                    f'{source.title} has {expected} images in its part {part.name!r}, but {found:,} were found. '
                    'Complete it, or accept what is there with --any-number.'
                )
    if len(source.parts) == 1:
        (names,) = images.values()
        images = divide(names, source.num_test if num_test is None else num_test, seed)
    min_side = source.min_side if min_side is None else min_side
    return write_verified(images, dict.fromkeys(images, root), lists, min_side, masks, **verification)


def write_verified(
    images: Mapping[str, Sequence[str]],
    roots: Mapping[str, Path],
    lists: Path,
    min_side: int,
    masks: Iterable[str] = (),
    *,
    headers_only: bool = False,
    workers: int = 4,
    track: Callable[[Iterable, str, int], Iterable] = lambda images, name, total: images,
) -> list[Prepared]:
    """Verify images and write their lists, once all have been verified.

    Args:
        images: The names of each list's images.
        roots: The folder that the names of each list are relative to.
        lists: Where the lists go.
        min_side: Smallest accepted height and width.
        masks: Names of files that are masks of the images, to be listed as left out.
        headers_only: Trust an image whose header can be read, instead of decoding it.
        workers: Number of threads.
        track: Wraps the images of a list while they are verified, to show progress; called with them, the list's name
            and their number.

    Raises:
        PreparationError: No image of a list can be used.
    """
    prepared = []
    for name, names in images.items():
        result = Prepared(lists / f'{name}.txt')
        find = partial(find_problem, min_side=min_side, headers_only=headers_only)
        # decoding releases the GIL
        with ThreadPool(workers) as pool:
            problems = pool.imap(find, (roots[name] / image for image in names), chunksize=16)
            for image, problem in track(zip(names, problems, strict=True), name, len(names)):
                if problem is None:
                    result.kept.append(image)
                else:
                    result.bad[image] = problem
        if not names:
            raise PreparationError(f'There are no images for {name}.txt: its list is empty.')
        if not result.kept:
            image, problem = next(iter(result.bad.items()))
            raise PreparationError(
                f'None of the {len(names)} images for {name}.txt can be used; the first one, {image}, {problem}.'
            )
        prepared.append(result)
    for result in prepared:
        write_list(result.path, result.kept)
    bad = [f'{image}\t{problem}' for result in prepared for image, problem in result.bad.items()]
    bad += [f'{mask}\tis named as the mask of another image' for mask in sorted(masks)]
    write_list(lists / 'left_out.txt', bad)
    return prepared


def list_part(root: Path, part: Part, lists: Path) -> list[str]:
    """Name the images of a part relative to the data set's folder, sorted; ``PreparationError`` without any."""
    folder = next((folder for folder in part.folders if (root / folder).is_dir()), None)
    if folder is None:
        raise PreparationError(
            f'{root} has none of the folders {", ".join(part.folders)}, where the {part.name} images are expected; '
            'unpack or link them there.'
        )
    found = find_files(root / folder, [lists])
    images = sorted(path.relative_to(root).as_posix() for path in found.images)
    if not images:
        raise PreparationError(f'{root / folder} has no images; accepted are the endings {", ".join(IMAGE_ENDINGS)}.')
    if left := found.left_alone():
        print_log(left, 'current')
    return images


def divide(images: Sequence[str], num_test: int | float, seed: int) -> dict[str, list[str]]:
    """Draw the test images of sorted ones: the lists ``train`` and ``test``, sorted.

    The draw depends on the seed and on the number of images alone (NumPy keeps the numbers of ``RandomState`` the same
    from version to version), so it is made before any image is left out. ``num_test`` is a number, or a share below 1.
    ``PreparationError`` where one of the lists would be empty.
    """
    count = round(num_test * len(images)) if num_test < 1 else int(num_test)
    if not 0 < count < len(images):
        raise PreparationError(
            f'{num_test:g} for test leaves {max(0, len(images) - count)} of {len(images)} images for training and '
            f'{count} for test; both need at least one.'
        )
    drawn = set(np.random.RandomState(seed).permutation(len(images))[:count].tolist())
    return dict(
        train=[image for index, image in enumerate(images) if index not in drawn],
        test=[image for index, image in enumerate(images) if index in drawn],
    )


def find_problem(path: Path, min_side: int = 1, headers_only: bool = False) -> str | None:
    """Say what is wrong with an image, or ``None``."""
    # a line of UTF-8
    if path.name.encode(errors='ignore').decode().splitlines() != [path.name]:
        return 'has a name that no list can hold'
    try:
        with open_image_file(path) as image:
            width, height = image.size
            if min(width, height) < min_side:
                return f'is {height}x{width} pixels, smaller than {min_side} along one side'
            if not headers_only:
                # Of a JPEG the whole file is read, but only a small picture is computed from it.
                image.draft('RGB', (1, 1))
                image.load()
    except Exception as error:  # Pillow's decoders raise their own kinds on damaged bytes
        return f'cannot be decoded ({describe_error(error)})'
    return None


def write_list(path: Path, lines: Sequence[str]) -> None:
    """Write lines into a text file, whole or not at all."""
    # names that UTF-8 cannot hold are only ever in the list of what was left out
    content = ''.join(f'{line}\n' for line in lines)
    write_file(path, content.encode('utf-8', 'backslashreplace'))
