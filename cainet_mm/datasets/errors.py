"""Errors of images and masks."""

from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from ..utils.errors import describe_error


class BadImageError(ValueError):
    """An image that cannot be used; the message names the file, what was found and what is accepted.

    A data set skips such an image with a warning, up to a share of bad images.
    """


class BadMaskError(ValueError):
    """A mask of a set that is meant for every photograph cannot be used, which ends the run."""


class TooManyBadImagesError(ValueError):
    """More images are bad than the data set may skip."""


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Raise ``BadImageError`` on an image, which it calls ``name``, that cannot be read."""
    try:
        yield
    except BadImageError:
        raise
    except Exception as error:  # Pillow's decoders raise their own kinds on damaged bytes
        raise BadImageError(f'{name} cannot be read as an image ({describe_error(error)}).') from error


def refuse_frames(image: Image.Image, name: str) -> None:
    """Raise ``BadImageError`` for an image of several frames."""
    # a phone's MPO is a JPEG with a second view behind it
    frames = getattr(image, 'n_frames', 1)
    if frames > 1 and image.format != 'MPO':
        raise BadImageError(f'{name} has {frames} frames; give each as an image of its own.')


def is_deep(image: Image.Image) -> bool:
    """Whether an image that was opened, and not read yet, has colours of 16 bits, of which Pillow reads 8."""
    # a raw mode such as RGB;16B, or (RGB, largest value) of a PPM
    codings = [tile[3] for tile in getattr(image, 'tile', ())]
    deep = ';16' in str(codings)
    if image.format == 'PPM':
        deep = any(isinstance(part, int) and part > 255 for coding in codings for part in coding)
    return deep and image.mode in ('L', 'LA', 'RGB', 'RGBA', 'CMYK')
