"""Fixed sets of masks on disk, drawn by the generators that the configs train with."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from ..utils.files import write_file
from .masks import encode_mask
from .preparation import write_list
from .transforms import SeededByImage

KINDS = ('rectangular', 'irregular', 'buckets')
# Shares of the image that is hole, above the first and up to the second, in per cent: those of PConv's test masks.
AREA_RANGES = ((1, 10), (10, 20), (20, 30), (30, 40), (40, 50), (50, 60))
# settings of MMagic's generators that are lengths in pixels
LENGTHS = ('img_shape', 'max_bbox_shape', 'max_bbox_delta', 'min_margin', 'brush_width')
MAX_ATTEMPTS = 10_000


@dataclass
class MaskList:
    """A list of masks at a path: their names relative to its folder, and the share of each that is hole."""

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
        seed: Another one gives other masks.
        on_mask: Called after each mask.

    Returns:
        The lists; ``masks.txt``, which names every mask, comes last.

    Raises:
        ValueError: A kind, number or size that cannot be, or a bucket that the generators cannot fill.
    """
    if kind not in KINDS:
        raise ValueError(f'The kind of masks is one of {", ".join(KINDS)}, got {kind!r}.')
    if size < 1 or count < 1:
        raise ValueError(f'A set of masks needs a size and a count of at least 1, got {size} and {count}.')
    generators = masks['rectangles' if kind == 'rectangular' else 'strokes']
    draw = SeededByImage(scale_lengths(generators, masks, size), seed=seed)
    everything, buckets = MaskList(folder / 'masks.txt'), []
    for area in AREA_RANGES if kind == 'buckets' else (None,):
        title = kind if area is None else f'{area[0]:02d}-{area[1]:02d}'
        bucket = MaskList(folder / f'{title}.txt')
        for index in range(count):
            if area is None:
                name, mask = f'{index:05d}.png', draw(dict(key=f'{title}/{index}'))['mask']
            else:
                name, mask = f'{title}/{index:05d}.png', draw_of_area(draw, area, f'{title}/{index}')
            write_file(folder / name, encode_mask(mask))
            bucket.names.append(name)
            bucket.areas.append(float(mask.mean()))
            on_mask()
        buckets += [] if area is None else [bucket]
        everything.names += bucket.names
        everything.areas += bucket.areas
    lists = [*buckets, everything]
    for each in lists:
        write_list(each.path, each.names)
    return lists


def scale_lengths(transforms: Any, masks: Config, size: int) -> Any:
    """Copy the configs of mask generators with every length in pixels brought from the config's size to another."""
    height, width = masks['image_size']
    if height != width:
        raise ValueError(f'Masks are scaled from generators of square ones, but image_size is {(height, width)}.')

    def scale(value: Any, key: str = '') -> Any:
        if isinstance(value, dict):
            scaled = {name: scale(entry, name) for name, entry in value.items()}
            low, high = scaled.get('brush_width', (0, 1))
            if low >= high or scaled.get('max_bbox_delta', 0) >= scaled.get('max_bbox_shape', 1):
                raise ValueError(f'Masks of {size}x{size} pixels are too small for the generators; choose larger ones.')
            return scaled
        if isinstance(value, list | tuple):
            return type(value)(scale(entry, key) for entry in value)
        return max(1, round(value * size / height)) if key in LENGTHS else value

    return scale(transforms)


def draw_of_area(draw: SeededByImage, area: tuple[int, int], key: str) -> np.ndarray:
    """Draw a mask whose hole takes a share of the image within ``area``, in percent; ``ValueError`` if none comes.

    Masks are laid over each other until the hole is large enough, and thrown away when it has become too large.
    """
    low, high = (share / 100 for share in area)
    mask = None
    for attempt in range(MAX_ATTEMPTS):
        drawn = draw(dict(key=f'{key}/{attempt}'))['mask']
        mask = drawn if mask is None else mask | drawn
        if low < mask.mean() <= high:
            return mask
        if mask.mean() > high:
            mask = None
    raise ValueError(
        f'{MAX_ATTEMPTS} draws gave no mask with a hole of {low:.0%} to {high:.0%} of the image; choose a larger size, '
        'or other settings of the generators.'
    )


def areas_by_list(lists: list[MaskList]) -> Iterator[tuple[str, int, float, float, float]]:
    """Name, number of masks, and smallest, mean and largest share of the hole of each list."""
    for masks in lists:
        yield masks.path.name, len(masks.names), min(masks.areas), float(np.mean(masks.areas)), max(masks.areas)
