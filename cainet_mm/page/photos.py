"""Photographs, painted holes and masks that are uploaded, within limits; and results as PNGs."""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ..datasets.errors import BadImageError, reading
from ..datasets.masks import grow_hole, read_hole
from ..inference.image_io import IMAGE_FORMATS, Photo, image_bytes, image_of, photo_in, transparent_in

# Pillow knows more, among them formats that start other programs; a phone's MPO is found as a JPEG
READABLE = ('PNG', 'JPEG', 'WEBP', 'TIFF', 'BMP')
# what a canvas of a browser takes
SIDE_RANGE = (16, 16384)
VIEW_SIDE = 1600
# the page's editor sends one
LAYERS = 4
HOLE_COLOUR = 128
# pixels
GROWTH = 100


class Limits(NamedTuple):
    """How large a photograph may be: megapixels, and megabytes of its file."""

    megapixels: float = 16
    megabytes: float = 20

    def check_size(self, size: tuple[int, int]) -> None:
        """Refuse a photograph that is too small or too large by its width and height."""
        shape = f'The photograph has {size[0]}x{size[1]} pixels (width x height)'
        if min(size) < SIDE_RANGE[0] or max(size) > SIDE_RANGE[1]:
            raise BadImageError(f'{shape}; each side may have {SIDE_RANGE[0]} to {SIDE_RANGE[1]}. Crop or resize it.')
        if size[0] * size[1] > self.megapixels * 1e6:
            raise BadImageError(
                f'{shape}, {size[0] * size[1] / 1e6:.1f} megapixels; up to {self.megapixels:g} are accepted. Make it '
                'smaller, or start the page with a higher --max-megapixels.'
            )


def open_upload(content: bytes, name: str = 'The file', formats: Sequence[str] = READABLE) -> Image.Image:
    """Read the header of an image file, which errors call ``name``, in one of the formats."""
    try:
        with warnings.catch_warnings():
            # the limit here is the page's own
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(content), formats=tuple(formats))
    except Image.DecompressionBombError as error:
        raise BadImageError(f'{name} is too large to be read ({error}).') from error
    except Exception as error:  # Pillow's decoders raise their own kinds on damaged bytes
        raise BadImageError(f'{name} is no image that can be read; accepted are {", ".join(formats)}.') from error


def read_upload(content: bytes, limits: Limits) -> Photo:
    """Read a photograph from the bytes of its file; one that is too large is refused before it is decoded."""
    if len(content) > limits.megabytes * 1e6:
        raise BadImageError(
            f'The file has {len(content) / 1e6:.1f} megabytes; up to {limits.megabytes:g} are accepted. Make the '
            'photograph smaller, or start the page with a higher --max-upload-mb.'
        )
    image = open_upload(content)
    limits.check_size(image.size)
    return photo_in(image)


def read_layer(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Read what is painted on a photograph of some width and height: (H, W), true where there is paint.

    The file is a PNG, opaque where there is paint; smaller than the photograph where that was reduced for the screen,
    and brought to its size by nearest neighbour. What is of another shape is refused before it is decoded.
    """
    image = open_upload(read_again(path, 'What was painted', 'fill again'), 'What was painted', ('PNG',))
    (w, h), (width, height) = image.size, size
    # one side of a reduced photograph is rounded
    alike = min(abs(w - h * width / height), abs(h - w * height / width)) <= 1
    if w > width or h > height or not alike:
        raise BadImageError(
            f'What was painted has {w}x{h} pixels (width x height); accepted are {width}x{height}, as the photograph '
            'has, or fewer in the same shape. Paint again.'
        )
    if 'A' not in image.getbands():
        raise BadImageError(f'What was painted has the mode {image.mode}, without transparency. Paint again.')
    with reading('What was painted'):
        paint = image.getchannel('A').point(lambda alpha: 255 * (alpha > 127), '1')
    return np.asarray(paint.resize(size, Image.Resampling.NEAREST))


def read_again(path: Path, what: str, advice: str) -> bytes:
    """Read a file that was uploaded; ``BadImageError`` where it has been deleted since."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise BadImageError(f'{what} has been here too long and was deleted; {advice}.') from error


def hole_of(
    photo: Photo, layers: Sequence[str], mask: str | None = None, invert: bool = False, grown: int = 0
) -> np.ndarray:
    """The hole in a photograph, (H, W): what is painted or masked, and what is transparent in the photograph itself.

    What is painted (files of ``layers``) or masked is grown by a number of pixels. ``BadImageError`` where a file
    cannot be used, there are too many, or nothing or everything is painted.
    """
    if len(layers) > LAYERS:
        raise BadImageError(f'What was painted has {len(layers)} layers; up to {LAYERS} are accepted. Paint again.')
    height, width = photo.pixels.shape[:2]
    painted = np.zeros((height, width), bool)
    for layer in layers:
        painted |= read_layer(Path(layer), (width, height))
    if mask is not None:
        painted |= read_mask(read_again(Path(mask), 'The mask', 'choose it again'), (width, height), invert)
    if isinstance(grown, bool) or not isinstance(grown, int) or not 0 <= grown <= GROWTH:
        raise BadImageError(f'A hole grows by 0 to {GROWTH} whole pixels, got {grown!r}.')
    return check_hole(photo, grow_hole(painted, grown))


def read_mask(content: bytes, size: tuple[int, int], invert: bool = False) -> np.ndarray:
    """Read a mask for a photograph of some width and height: (H, W), true in the hole.

    The file is bright in the hole or, inverted, where the photograph is known; one of another size is refused before it
    is decoded.
    """
    image = open_upload(content, 'The mask')
    # EXIF data may say that it is rotated
    if image.size not in (size, size[::-1]):
        found, wanted = ('x'.join(map(str, sides)) for sides in (image.size, size))
        raise BadImageError(f'The mask has {found} pixels (width x height), the photograph {wanted}; give another.')
    hole = read_hole(image, invert=invert)
    if hole.shape != size[::-1]:
        raise BadImageError(f'The mask has the shape {hole.shape}, the photograph {size[::-1]}, height first.')
    return hole


def check_hole(photo: Photo, hole: np.ndarray | None) -> np.ndarray:
    """Join a hole, (H, W) or ``None``, with what is transparent; ``BadImageError`` for nothing and for everything."""
    joined = transparent_in(photo)
    if hole is not None:
        joined |= hole
    if not joined.any():
        raise BadImageError('Nothing is painted or masked: mark what is to be filled.')
    if joined.all():
        raise BadImageError('Everything is painted or masked: leave a part of the photograph to fill the rest from.')
    return joined


def view_of(photo: Photo, pixels: np.ndarray) -> Image.Image:
    """An image to look at, of pixels (H, W, 1 or 3): upright, with 8 bits, not larger than a screen."""
    layers = [pixels, *([] if photo.alpha is None else [photo.alpha[..., None]])]
    layers = [(layer // 257).astype(np.uint8) if layer.dtype == np.uint16 else layer for layer in layers]
    joined = np.concatenate(layers, axis=2)
    image = Image.fromarray(joined[..., 0] if joined.shape[2] == 1 else joined)
    image.thumbnail((VIEW_SIDE, VIEW_SIDE), reducing_gap=3.0)
    if 'icc_profile' in photo.info:
        image.info['icc_profile'] = photo.info['icc_profile']
    return image


def with_hole(photo: Photo, hole: np.ndarray) -> np.ndarray:
    """The photograph's pixels, grey in the hole."""
    grey = HOLE_COLOUR * (257 if photo.pixels.dtype == np.uint16 else 1)
    return np.where(hole[..., None], photo.pixels.dtype.type(grey), photo.pixels)


def filled_file(photo: Photo, pixels: np.ndarray) -> bytes:
    """A PNG of the filled photograph (H, W, 1 or 3), as its pixels lay in the file, with EXIF and colour profile.

    Where the photograph was transparent, it is opaque now.
    """
    alpha = None if photo.alpha is None else np.where(transparent_in(photo), np.uint8(255), photo.alpha)
    return image_bytes(image_of(photo, pixels, alpha), IMAGE_FORMATS['.png'], compress_level=1)
