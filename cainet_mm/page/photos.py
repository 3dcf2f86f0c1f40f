"""What people send: photographs and painted holes within limits; and what they get, as PNGs."""

import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..apis.photo_files import FORMATS, ORIENTATION, Photo, check_header, photo_of
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


def open_upload(content: bytes, formats: tuple[str, ...]) -> Image.Image:
    """Read the header of an image file.

    Raises:
        BadImageError: It is none, or too large even for Pillow.
    """
    try:
        with warnings.catch_warnings():
            # the limit here is the page's own
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            return Image.open(io.BytesIO(content), formats=formats)
    except Image.DecompressionBombError as error:
        raise BadImageError(f'The image is too large to be read ({error}).') from error
    except Exception as error:  # Pillow's decoders raise their own kinds on damaged bytes
        raise BadImageError(f'The file is no image that can be read; accepted are {", ".join(formats)}.') from error


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
    image = open_upload(content, READABLE)
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


def read_painting(content: bytes, shape: tuple[int, int]) -> np.ndarray:
    """Read the hole that was painted: what is opaque in a PNG of the photograph's size.

    Args:
        content: The file.
        shape: Height and width of the photograph.

    Returns:
        (H, W), true in the hole.

    Raises:
        BadImageError: It is of another size or kind, or nothing or everything is painted.
    """
    image = open_upload(content, ('PNG',))
    if image.size != shape[::-1] or 'A' not in image.getbands():
        raise BadImageError(
            f'The painting has {image.size[0]}x{image.size[1]} pixels and the bands {"".join(image.getbands())}; it '
            f'needs those of the photograph, {shape[1]}x{shape[0]}, and an alpha channel.'
        )
    try:
        hole = np.asarray(image.getchannel('A')) > 127
    except Exception as error:  # as above
        raise BadImageError('The painting cannot be read.') from error
    if not hole.any():
        raise BadImageError('Nothing is painted: paint over what is to be filled.')
    if hole.all():
        raise BadImageError('Everything is painted: leave a part of the photograph to fill the rest from.')
    return hole


def view_of(photo: Photo, pixels: np.ndarray) -> bytes:
    """A PNG to look at: upright, with 8 bits, not larger than a screen.

    Args:
        photo: The photograph, for its transparency and colour profile.
        pixels: (H, W, 1) or (H, W, 3), of its size.
    """
    layers = [pixels, *([] if photo.alpha is None else [photo.alpha[..., None]])]
    layers = [(layer // 257).astype(np.uint8) if layer.dtype == np.uint16 else layer for layer in layers]
    joined = np.concatenate(layers, axis=2)
    image = Image.fromarray(joined[..., 0] if joined.shape[2] == 1 else joined)
    image.thumbnail((VIEW_SIDE, VIEW_SIDE), reducing_gap=3.0)
    return encode(image, {key: photo.info[key] for key in ('icc_profile',) if key in photo.info})


def with_hole(photo: Photo, hole: np.ndarray) -> np.ndarray:
    """The photograph's pixels, grey in the hole."""
    grey = HOLE_COLOUR * (257 if photo.pixels.dtype == np.uint16 else 1)
    return np.where(hole[..., None], photo.pixels.dtype.type(grey), photo.pixels)


def encode(image: Image.Image, info: dict | None = None) -> bytes:
    """Write a PNG, with what stands beside the pixels."""
    content = io.BytesIO()
    kept = {key: value for key, value in (info or {}).items() if key in FORMATS['.png'].info}
    image.save(content, **FORMATS['.png'].options, **FAST, **kept)
    return content.getvalue()
