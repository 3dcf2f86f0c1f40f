"""What people send: photographs and painted holes within limits; and what they get, as PNGs."""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..apis.photo_files import FORMATS, ORIENTATION, Photo, check_header, image_of, photo_of
from ..datasets.errors import BadImageError

# Pillow knows more, among them formats that start other programs; a phone's MPO is found as a JPEG
READABLE = ('PNG', 'JPEG', 'WEBP', 'TIFF', 'BMP')
# what a canvas of a browser takes
SIDES = (16, 16384)
VIEW_SIDE = 1600
HOLE_COLOUR = 128
FAST = dict(compress_level=1)


@dataclass(frozen=True)
class Limits:
    """How large a photograph may be.

    Attributes:
        megapixels: Millions of pixels.
        megabytes: Millions of bytes in its file.

    Raises:
        ValueError: A limit is not above 0.
    """

    megapixels: float = 16
    megabytes: float = 20

    def __post_init__(self) -> None:
        """Check the values."""
        if not (self.megapixels > 0 and self.megabytes > 0):
            raise ValueError(
                f'Limits are above 0, got {self.megapixels:g} megapixels and {self.megabytes:g} megabytes.'
            )

    def check_size(self, size: tuple[int, int]) -> None:
        """Refuse a photograph by its width and height.

        Raises:
            BadImageError: It is too small or too large.
        """
        shape = f'The photograph has {size[0]}x{size[1]} pixels (width x height)'
        if min(size) < SIDES[0] or max(size) > SIDES[1]:
            raise BadImageError(f'{shape}; each side may have {SIDES[0]} to {SIDES[1]}. Crop or resize it.')
        if size[0] * size[1] > self.megapixels * 1e6:
            raise BadImageError(
                f'{shape}, {size[0] * size[1] / 1e6:.1f} megapixels; up to {self.megapixels:g} are accepted. Make it '
                'smaller, or start the page with a higher --max-megapixels.'
            )


def open_upload(content: bytes) -> Image.Image:
    """Read the header of an image file.

    Raises:
        BadImageError: It is none, or too large even for Pillow.
    """
    try:
        with warnings.catch_warnings():
            # the limit here is the page's own
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(content), formats=READABLE)
    except Image.DecompressionBombError as error:
        raise BadImageError(f'The image is too large to be read ({error}).') from error
    except Exception as error:  # Pillow's decoders raise their own kinds on damaged bytes
        raise BadImageError(f'The file is no image that can be read; accepted are {", ".join(READABLE)}.') from error


def read_upload(content: bytes, limits: Limits) -> Photo:
    """Read a photograph from the bytes of its file; one that is too large is refused before it is unpacked.

    Args:
        content: The file.
        limits: How large it may be.

    Raises:
        BadImageError: It cannot be used.
    """
    if len(content) > limits.megabytes * 1e6:
        raise BadImageError(
            f'The file has {len(content) / 1e6:.1f} megabytes; up to {limits.megabytes:g} are accepted. Make the '
            'photograph smaller, or start the page with a higher --max-upload-mb.'
        )
    image = open_upload(content)
    limits.check_size(image.size)
    try:
        check_header(image, 'The photograph')
        orientation = image.getexif().get(ORIENTATION, 1)
        image.load()
    except BadImageError:
        raise
    except Exception as error:  # as above
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise BadImageError(f'The photograph cannot be read ({reason}).') from error
    return photo_of(image, 'The photograph', orientation)


def hole_of(photo: Photo, layers: Sequence[np.ndarray]) -> np.ndarray:
    """The hole in a photograph: what is painted, and what is transparent in the photograph itself.

    Args:
        photo: The photograph.
        layers: Paintings, (h, w, 4), opaque where there is paint; of another size where the photograph was reduced for
            the screen. They are brought to its size by nearest neighbour.

    Returns:
        (H, W), true in the hole.

    Raises:
        BadImageError: Nothing or everything is painted.
    """
    height, width = photo.pixels.shape[:2]
    hole = np.zeros((height, width), bool) if photo.alpha is None else photo.alpha == 0
    for layer in layers:
        paint = Image.fromarray(layer[..., 3] > 127)
        hole |= np.asarray(paint.resize((width, height), Image.Resampling.NEAREST))
    if not hole.any():
        raise BadImageError('Nothing is painted: paint over what is to be filled.')
    if hole.all():
        raise BadImageError('Everything is painted: leave a part of the photograph to fill the rest from.')
    return hole


def view_of(photo: Photo, pixels: np.ndarray) -> Image.Image:
    """An image to look at: upright, with 8 bits, not larger than a screen.

    Args:
        photo: The photograph, for its transparency and colour profile.
        pixels: (H, W, 1) or (H, W, 3), of its size.
    """
    layers = [pixels, *([] if photo.alpha is None else [photo.alpha[..., None]])]
    layers = [(layer // 257).astype(np.uint8) if layer.dtype == np.uint16 else layer for layer in layers]
    joined = np.concatenate(layers, axis=2)
    image = Image.fromarray(joined[..., 0] if joined.shape[2] == 1 else joined)
    image.thumbnail((VIEW_SIDE, VIEW_SIDE), reducing_gap=3.0)
    image.info.update({key: photo.info[key] for key in ('icc_profile',) if key in photo.info})
    return image


def with_hole(photo: Photo, hole: np.ndarray) -> np.ndarray:
    """The photograph's pixels, grey in the hole."""
    grey = HOLE_COLOUR * (257 if photo.pixels.dtype == np.uint16 else 1)
    return np.where(hole[..., None], photo.pixels.dtype.type(grey), photo.pixels)


def filled_file(photo: Photo, pixels: np.ndarray) -> bytes:
    """A PNG of the filled photograph: as its pixels lay in the file, with EXIF data and colour profile.

    Args:
        photo: The photograph.
        pixels: (H, W, 1) or (H, W, 3), of its size and type. Where the photograph was transparent, it is opaque now.
    """
    alpha = None if photo.alpha is None else np.where(photo.alpha == 0, np.uint8(255), photo.alpha)
    image = image_of(photo, pixels, alpha)
    content = io.BytesIO()
    kept = {key: value for key, value in image.info.items() if key in FORMATS['.png'].info}
    image.save(content, **FORMATS['.png'].options, **FAST, **kept)
    return content.getvalue()
