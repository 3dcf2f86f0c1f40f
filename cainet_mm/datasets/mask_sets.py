"""Fixed sets of masks on disk, drawn by the generators that the configs train with."""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from mmcv.transforms import Compose
from mmengine.config import Config

from ..utils.files import write_file
from .preparation import write_list
from .transforms import seeded

KINDS = ('rectangular', 'irregular', 'buckets')
# Shares of the image that is hole, above the first and up to the second, in per cent: those of PConv's test masks.
AREA_RANGES = ((1, 10), (10, 20), (20, 30), (30, 40), (40, 50), (50, 60))
# settings of MMagic's generators that are lengths in pixels
LENGTHS = ('img_shape', 'max_bbox_shape', 'max_bbox_delta', 'min_margin', 'brush_width')
MAX_ATTEMPTS = 10_000


@dataclass
class MaskList:
    """A list of masks.

    Attributes:
        path: Where the list is; it names masks relative to its folder.
        names: The masks.
        areas: The share of each one that is hole.
    """

    path: Path
    names: list[str] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)


def write_mask_set(
    folder: Path,
    kind: str,
    masks: Config,
    size: int = 256,
    count: int = 1000,
    seed: int = 0,
    on_mask: Callable[[], None] = lambda: None,
) -> list[MaskList]:
    """Draw masks and write them as PNG files, 255 in the hole, 0 elsewhere, with lists of their names.

    A mask depends on kind, size, seed and its own number alone: the first hundred of a thousand are those of a hundred.

    Args:
        folder: Where the masks go.
        kind: ``'rectangular'``; ``'irregular'``; or ``'buckets'``, irregular ones by the share of the hole, with
            ``count`` masks and a list for each of :data:`AREA_RANGES`.
        masks: The config with the generators (``rectangles`` and ``strokes``) and the ``image_size`` that their
            settings are for: configs/_base_/masks/free_form_256.py. They are scaled to ``size``.
        size: Height and width.
        count: Number of masks.
        seed: The seed.
        on_mask: Called after each mask.

    Returns:
        The lists; ``masks.txt``, which names every mask, comes last.

    Raises:
        ValueError: An unknown kind, a number below 1, a size that is too small for the generators, or a bucket that
            they cannot fill.
    """
    if kind not in KINDS:
        raise ValueError(f'The kind of masks is one of {", ".join(KINDS)}, got {kind!r}.')
    if size < 1 or count < 1:
        raise ValueError(f'A set of masks needs a size and a count of at least 1, got {size} and {count}.')
    transforms = Compose(scale_lengths(masks['rectangles' if kind == 'rectangular' else 'strokes'], masks, size))
    everything = MaskList(folder / 'masks.txt')
    lists = []
    if kind == 'buckets':
        for low, high in AREA_RANGES:
            title = f'{low:02d}-{high:02d}'
            bucket = MaskList(folder / f'{title}.txt')
            for index in range(count):
                mask = draw_of_area(transforms, (low / 100, high / 100), f'{seed}/{title}/{index}')
                write_mask(bucket, f'{title}/{index:05d}.png', mask)
                on_mask()
            lists.append(bucket)
            everything.names += bucket.names
            everything.areas += bucket.areas
    else:
        for index in range(count):
            write_mask(everything, f'{index:05d}.png', draw(transforms, f'{seed}/{kind}/{index}'))
            on_mask()
    lists.append(everything)
    for masks_of in lists:
        write_list(masks_of.path, masks_of.names)
    return lists


def scale_lengths(transforms: list[dict], masks: Config, size: int) -> list[dict]:
    """Copy the configs of mask generators with every length in pixels brought from the config's size to another.

    Raises:
        ValueError: The config's masks are not square, or nothing would be left of a range of lengths.
    """
    height, width = masks['image_size']
    if height != width:
        raise ValueError(f'Sets are made from generators of square masks, but image_size is {(height, width)}.')

    def scale(value):
        if isinstance(value, tuple | list):
            return tuple(map(scale, value))
        return max(1, round(value * size / height))

    def copy(transform):
        config = transform.get('mask_config')
        if config is None:
            return dict(transform)
        scaled = {key: scale(value) if key in LENGTHS else value for key, value in config.items()}
        low, high = scaled.get('brush_width', (0, 1))
        if low >= high or scaled.get('max_bbox_delta', 0) >= scaled.get('max_bbox_shape', 1):
            raise ValueError(f'Masks of {size}x{size} pixels are too small for the generators; choose a larger size.')
        return dict(transform, mask_config=scaled)

    return [copy(transform) for transform in transforms]


def draw(transforms: Compose, seed: str) -> np.ndarray:
    """Draw a mask, (H, W, 1), uint8, 1 in the hole."""
    with seeded(zlib.crc32(seed.encode())):
        return transforms({})['mask']


def draw_of_area(transforms: Compose, area: tuple[float, float], seed: str) -> np.ndarray:
    """Draw a mask whose hole takes a share of the image within ``area``.

    Masks are laid over each other until the hole is large enough, and thrown away when it has become too large.

    Raises:
        ValueError: No such mask came in :data:`MAX_ATTEMPTS` draws.
    """
    low, high = area
    mask = None
    for attempt in range(MAX_ATTEMPTS):
        drawn = draw(transforms, f'{seed}/{attempt}')
        mask = drawn if mask is None else mask | drawn
        if low < mask.mean() <= high:
            return mask
        if mask.mean() > high:
            mask = None
    raise ValueError(
        f'{MAX_ATTEMPTS} draws gave no mask with a hole of {low:.0%} to {high:.0%} of the image; choose a larger size, '
        'or other settings of the generators.'
    )


def write_mask(masks: MaskList, name: str, mask: np.ndarray) -> None:
    """Write a mask beside its list and note it there."""
    _, content = cv2.imencode('.png', mask * 255)
    write_file(masks.path.parent / name, content.tobytes())
    masks.names.append(name)
    masks.areas.append(float(mask.mean()))


def areas_by_list(lists: list[MaskList]) -> Iterator[tuple[str, int, float, float, float]]:
    """Name, number of masks, and smallest, mean and largest share of the hole of each list."""
    for masks in lists:
        yield masks.path.name, len(masks.names), min(masks.areas), float(np.mean(masks.areas)), max(masks.areas)
