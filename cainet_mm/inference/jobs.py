"""A photograph and its hole, from arrays, PIL images and files."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from PIL import Image

from ..datasets.errors import BadImageError
from ..datasets.masks import Value, read_hole
from .image_io import Photo, image_of, photo_of, read_photo, transparent_in

Source = np.ndarray | Image.Image | str | Path
Given = TypeVar('Given')
# photographs in memory at once, besides a single one of any size
MAX_PIXELS = 2**22


@dataclass
class Job:
    """A photograph to be filled."""

    photo: Photo
    hole: np.ndarray  # (H, W), true in the hole, upright
    opaque: bool = False  # whether the hole was the photograph's transparent part, which becomes opaque

    @property
    def unknown(self) -> np.ndarray:
        """Where nothing is to be seen, (H, W): the hole, and pixels that are wholly transparent, if others are left."""
        if self.photo.alpha is None or not self.hole.any():
            return self.hole
        unknown = self.hole | (self.photo.alpha == 0)
        return self.hole if unknown.all() else unknown


@dataclass(frozen=True)
class MaskReader:
    """Reads the hole of a photograph from its mask, as :func:`~cainet_mm.datasets.masks.read_hole` does."""

    hole_value: Value | None = None
    invert: bool = False
    fit: bool = False  # whether masks of another size are scaled to the photograph, each side separately

    def __call__(self, mask: Source, size: tuple[int, int]) -> np.ndarray:
        """Read a mask for a photograph of a size: (H, W), true in the hole, of its own size where it is not scaled."""
        hole = read_hole(mask, self.hole_value, self.invert)
        return scale_hole(hole, size) if self.fit and hole.shape != size else hole


def scale_hole(hole: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale a hole, true in (H, W), to another size: where it shrinks, a pixel with any of it is hole."""
    smaller = min(hole.shape[1], size[1]), min(hole.shape[0], size[0])
    shares = cv2.resize(hole.astype(np.float32), smaller, interpolation=cv2.INTER_AREA)
    return cv2.resize((shares > 0).astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT).astype(bool)


def make_job(image: Source, mask: Source | None, order: str = 'rgb', read: MaskReader = MaskReader()) -> Job:
    """Read a photograph and its mask, or its transparent part without one, and check that they fit.

    Raises:
        BadImageError: They cannot be used.
        TypeError: They are neither arrays nor PIL images nor paths.
    """
    check_types(image, mask)
    name = f'The photograph {image}' if isinstance(image, str | Path) else 'The photograph'
    if isinstance(image, np.ndarray):
        photo = photo_of_array(image, order)
    else:
        photo = photo_of(image, name) if isinstance(image, Image.Image) else read_photo(Path(image))
    size = photo.pixels.shape[:2]
    if mask is None:
        if photo.alpha is None:
            raise BadImageError(f'{name} has no mask and no alpha channel whose transparent part could be one.')
        if read.invert or read.hole_value is not None:
            raise BadImageError(
                f'{name} has no mask, and its hole would be what is transparent; leave out --invert and --hole-value '
                '(invert, hole_value), which say how masks are read, or give a mask.'
            )
        hole = transparent_in(photo)
    else:
        mask = mask_of_array(mask, order) if isinstance(mask, np.ndarray) else mask
        hole = read(mask, size)
        if read.hole_value is not None and (hole == read.invert).all():
            why = f'no pixel of its mask has the value {read.hole_value} of --hole-value (hole_value).'
            if read.invert:
                raise BadImageError(f'{name} is all hole: {why}')
            photo.notes.append(f'{name} has no hole: {why}')
    if hole.shape != size:
        which = f'mask {mask}' if isinstance(mask, str | Path) else 'mask'
        raise BadImageError(
            f'{name} has {size[0]}x{size[1]} pixels as one looks at it and its {which} {hole.shape[0]}x'
            f'{hole.shape[1]} (height x width); both need the same size, or '
            '--fit-mask (fit_mask=True), which scales the mask.'
        )
    if hole.all():
        raise BadImageError(f'{name} is all hole; at least one pixel has to be known to fill the others from.')
    return Job(photo, hole, opaque=mask is None)


def mask_of_array(mask: np.ndarray, order: str) -> np.ndarray | Image.Image:
    """Take an array as a mask in RGB; one of uint8 with an alpha channel becomes a PIL image."""
    if order == 'bgr' and mask.ndim == 3:
        mask = np.concatenate((mask[..., 2::-1], mask[..., 3:]), axis=2)
    return Image.fromarray(mask) if mask.shape[2:] == (4,) and mask.dtype == np.uint8 and mask.size else mask


def check_types(image: Source, mask: Source | None) -> None:
    """Raise ``TypeError`` where a photograph or a mask is neither an array nor a PIL image nor a path."""
    for kind, given in (('photograph', image), ('mask', mask)):
        if not isinstance(given, Source) and not (kind == 'mask' and given is None):
            raise TypeError(f'A {kind} is an array, a PIL image or a path; got {type(given).__name__}.')


def photo_of_array(image: np.ndarray, order: str) -> Photo:
    """Take an array as a photograph; ``BadImageError`` where it has another shape or type."""
    if image.dtype not in (np.uint8, np.uint16):
        raise BadImageError(f'A photograph as array is of uint8 or uint16, got {image.dtype}; round and convert it.')
    if image.ndim not in (2, 3) or image.ndim == 3 and image.shape[2] not in (1, 3, 4) or not image.size:
        shapes = '(H, W), (H, W, 1), (H, W, 3) or (H, W, 4)'
        raise BadImageError(f'A photograph as array has the shape {shapes}, got {image.shape}.')
    pixels = image[..., None] if image.ndim == 2 else image
    alpha = pixels[..., 3] if pixels.shape[2] == 4 else None
    pixels = pixels[..., :3][..., ::-1] if order == 'bgr' else pixels[..., :3]
    return Photo(np.ascontiguousarray(pixels), alpha)


def alpha_of(job: Job) -> np.ndarray | None:
    """The alpha channel of a filled photograph: opaque where the hole was its transparent part."""
    alpha = job.photo.alpha
    if alpha is None or not job.opaque:
        return alpha
    return np.where(job.hole, np.iinfo(alpha.dtype).max, alpha).astype(alpha.dtype)


def result_of(job: Job, pixels: np.ndarray, source: Source, order: str) -> np.ndarray | Image.Image:
    """Give a photograph with new pixels, (H, W, 1) or (H, W, 3), the form in which it came; a PIL image for a path."""
    alpha = alpha_of(job)
    if not isinstance(source, np.ndarray):
        return image_of(job.photo, pixels, alpha)
    pixels = pixels[..., ::-1] if order == 'bgr' else pixels
    pixels = pixels if alpha is None else np.concatenate((pixels, alpha[..., None]), axis=2)
    return np.ascontiguousarray(pixels).reshape(source.shape)


def in_groups(read: Iterable[tuple[Given, Job | None]], most: int) -> Iterator[list[tuple[Given, Job | None]]]:
    """Put photographs together as they are read, so that their windows share batches and few are in memory at once.

    Each comes with anything, and is ``None`` where it cannot be filled. A group has at most ``most``, or a large one.
    """
    group = []
    for one in read:
        group.append(one)
        # whoever has been given a group is done with it when the next one is read, and its photographs can go
        del one
        sizes = [job.hole.size for _, job in group if job is not None]
        if len(sizes) >= most or sum(sizes) >= MAX_PIXELS:
            yield group
            group.clear()
    if group:
        yield group


def spread_masks(mask: Source | Sequence[Source] | None, count: int) -> list[Source | None]:
    """Give each of several photographs its mask; ``ValueError`` for a number that is neither 1 nor theirs."""
    stack = isinstance(mask, np.ndarray) and (mask.ndim == 4 or mask.ndim == 3 and mask.shape[2] not in (1, 3, 4))
    several = stack or isinstance(mask, list | tuple)
    given: Any = mask
    masks = list(given) if several else [given] * count
    if len(masks) != count:
        raise ValueError(f'{count} photographs need as many masks, or one for all; got {len(masks)}.')
    return masks


def with_warnings(job: Job) -> Job:
    """Warn of what is not as in a photograph's file."""
    for note in job.photo.notes:
        warnings.warn(note, stacklevel=2)
    return job
