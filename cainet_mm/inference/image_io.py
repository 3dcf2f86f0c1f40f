"""Photographs and masks as files and PIL images: what is read, and how it is written again."""

import io
from contextlib import suppress
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageCms
from PIL.Image import Transpose

from ..datasets.errors import BadImageError, is_deep, reading, refuse_frames
from ..utils.files import write_file
from ..utils.photo_paths import open_image_file


class ImageFormat(NamedTuple):
    """A kind of file that photographs are written to."""

    options: dict  # of Pillow's save
    modes: tuple[str, ...]  # Pillow's modes that the file can hold
    info: tuple[str, ...]  # what it can hold beside the pixels
    lossless: bool = True


GREY_AND_COLOUR = ('L', 'LA', 'RGB', 'RGBA', 'I;16')
INFO = ('exif', 'icc_profile', 'dpi')
TIFF = ImageFormat(dict(format='TIFF', compression='tiff_adobe_deflate'), GREY_AND_COLOUR, INFO)
JPEG = ImageFormat(dict(format='JPEG', quality=95, subsampling=0), ('L', 'RGB'), INFO, lossless=False)
IMAGE_FORMATS = {
    '.png': ImageFormat(dict(format='PNG'), GREY_AND_COLOUR, INFO),
    '.tif': TIFF,
    '.tiff': TIFF,
    '.webp': ImageFormat(dict(format='WEBP', lossless=True, exact=True), ('RGB', 'RGBA'), ('exif', 'icc_profile')),
    '.bmp': ImageFormat(dict(format='BMP'), ('L', 'RGB'), ('dpi',)),
    '.jpg': JPEG,
    '.jpeg': JPEG,
}
ORIENTATION = 0x0112
# EXIF's tags that a TIFF has among those of its own: orientation, and who took the photograph, with what and when. Of
# other tags some would be taken for the sizes of the TIFF itself.
TIFF_EXIF = (0x010E, 0x010F, 0x0110, ORIENTATION, 0x0131, 0x0132, 0x013B, 0x8298)
EXIF_DIRECTORIES = {ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo}
# how an image gets upright, by EXIF's orientation, and back: the two rotations are each other's inverse
TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
TURNS_BACK = {**TURNS, 6: TURNS[8], 8: TURNS[6]}


@dataclass
class Photo:
    """A photograph, upright."""

    pixels: np.ndarray  # (H, W, 1) or (H, W, 3), RGB, uint8 or uint16, as one looks at the photograph
    alpha: np.ndarray | None = None  # (H, W), uint8
    orientation: int = 1  # EXIF's number of how the pixels lie in the file; 1 for upright
    info: dict = field(default_factory=dict)  # beside the pixels: exif, icc_profile, dpi
    notes: list[str] = field(default_factory=list)  # on what is not as in the file


def read_photo(path: Path) -> Photo:
    """Read a photograph; ``BadImageError`` where it cannot be read, or is of a kind whose pixels would not survive."""
    name = f'The photograph {path}'
    with reading(name), open_image_file(path) as image:
        return photo_in(image, name)


def photo_in(image: Image.Image, name: str = 'The photograph') -> Photo:
    """Read a photograph that has been opened, as :func:`read_photo` does; one of several frames is refused."""
    with reading(name):
        refuse_frames(image, name)
        return photo_of(image, name, unread=True)


def photo_of(image: Image.Image, name: str = 'The photograph', unread: bool = False) -> Photo:
    """Take a PIL image apart.

    Args:
        image: Modes L, LA, RGB, RGBA, I;16 and P; the last one becomes RGB or RGBA. CMYK becomes RGB, of colours of
            16 bits the upper 8 are taken, and 1-bit images become grey, all with a note. Of an image with several
            frames, the current one.
        name: What errors call it.
        unread: Whether it has only been opened, so that its orientation is that of the file. Pillow turns a TIFF
            upright when it reads the pixels, and leaves other images as they are.

    Raises:
        BadImageError: It cannot be read, or is of another kind.
    """
    # before the pixels are read, which asking a PNG for its EXIF data does
    notes = [f'{name} has 16 bits for each colour, of which 8 are read: its result has 8.'] if is_deep(image) else []
    stored = image.getexif().get(ORIENTATION, 1) if unread else 1
    of_tiff = tiff_exif(image.getexif()) if image.format == 'TIFF' else None
    with reading(name):
        image.load()
    info = {key: image.info[key] for key in INFO if image.info.get(key)}
    if not all(isfinite(dots) and dots > 0 for dots in info.get('dpi', ())):
        del info['dpi']
    orientation = image.getexif().get(ORIENTATION, 1)
    if of_tiff is not None:
        of_tiff[ORIENTATION] = stored if orientation == 1 else orientation
        info['exif'] = of_tiff.tobytes()
    elif image.getexif() or 'exif' in info:
        # a PNG may have them in a text chunk
        info['exif'] = without_thumbnail(info.get('exif') or image.getexif(), orientation)
    if (image.mode.startswith('I') or notes) and 'transparency' in image.info:
        raise BadImageError(
            f'{name} has 16 bits and one value that stands for transparent, which others could turn into when '
            'holes are filled. Convert it to 8 bits with an alpha channel, or take the transparency out.'
        )
    if image.mode == 'CMYK':
        image, how = colours_of(image, info.pop('icc_profile', None))
        notes.append(f'{name} is CMYK: its result is RGB, converted {how}.')
    if image.mode == '1':
        notes.append(f'{name} is black and white with 1 bit for each pixel: its result is grey, with 8.')
        image = image.convert('LA' if 'transparency' in image.info else 'L')
    if image.mode == 'P' or 'transparency' in image.info and image.mode in ('L', 'RGB'):
        image = image.convert('RGBA' if 'transparency' in image.info else 'RGB')
    if image.mode not in ('L', 'LA', 'RGB', 'RGBA') and not image.mode.startswith('I;16'):
        raise BadImageError(f'{name} has the mode {image.mode}; convert it to grey, RGB, RGBA, CMYK or a palette.')
    if orientation in TURNS:
        image = image.transpose(TURNS[orientation])
    pixels, alpha = np.asarray(image), None
    pixels = pixels.astype(np.uint8 if pixels.dtype == np.uint8 else np.uint16)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.shape[2] in (2, 4):
        pixels, alpha = pixels[..., :-1], pixels[..., -1]
    return Photo(np.ascontiguousarray(pixels), alpha, stored if orientation == 1 else orientation, info, notes)


def without_thumbnail(exif: bytes | Image.Exif, orientation: int) -> bytes:
    """EXIF data of an image without their thumbnail, on which what was removed would still be seen.

    Without one they stay as they are, but for an orientation that only the image's XMP data have. Of data that Pillow
    cannot write again, as they are damaged, the orientation alone is left.
    """
    found, kept = Image.Exif(), Image.Exif()
    try:
        exif = exif if isinstance(exif, bytes) else exif.tobytes()
        found.load(exif)
        is_turned = found.get(ORIENTATION, 1) == orientation
        if is_turned and not found.get_ifd(ExifTags.IFD.IFD1):
            return exif
        # Pillow leaves directories out that nobody asked for
        kept.load(exif)
        if not is_turned:
            kept[ORIENTATION] = orientation
        return kept.tobytes()
    except Exception:  # of many kinds
        kept = Image.Exif()
        kept[ORIENTATION] = orientation
        return kept.tobytes()


def tiff_exif(exif: Image.Exif) -> Image.Exif:
    """What a TIFF can hold of EXIF data: some tags of its own, and the directories on exposure and place."""
    kept = Image.Exif()
    kept.update({tag: value for tag, value in exif.items() if tag in TIFF_EXIF})
    for directory in EXIF_DIRECTORIES:
        tags = {tag: value for tag, value in exif.get_ifd(directory).items() if tag != ExifTags.IFD.Interop}
        if tags:
            kept[directory] = tags
    return kept


def colours_of(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, str]:
    """Convert CMYK to RGB, by its colour profile to sRGB where it has one, and say how it was done."""
    if profile:
        with suppress(ImageCms.PyCMSError, OSError):
            own, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile('sRGB')
            converted: Any = ImageCms.profileToProfile(image, own, srgb, outputMode='RGB')
            return converted, 'to sRGB by its colour profile'
    return image.convert('RGB'), 'without a colour profile, so that colours may look different'


def image_of(photo: Photo, pixels: np.ndarray, alpha: np.ndarray | None) -> Image.Image:
    """Make a PIL image of a photograph's new pixels and alpha channel, with the orientation and info of its file."""
    if alpha is not None:
        pixels = np.concatenate((pixels, alpha[..., None]), axis=2)
    image = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))
    if photo.orientation in TURNS:
        image = image.transpose(TURNS_BACK[photo.orientation])
    image.info.update(photo.info)
    return image


def image_bytes(image: Image.Image, kind: ImageFormat, **options) -> bytes:
    """The content of a file with a PIL image and what the format can hold beside its pixels."""
    content = io.BytesIO()
    options = {**kind.options, **options}
    info = {key: image.info[key] for key in kind.info if image.info.get(key)}
    if kind is TIFF and 'exif' in info:
        given = Image.Exif()
        given.load(info['exif'])
        kept = tiff_exif(given)
        info['exif'] = kept.tobytes()
        if EXIF_DIRECTORIES & kept.keys():
            # libtiff, which compresses, cannot write directories
            options['compression'] = 'raw'
    image.save(content, **options, **info)
    return content.getvalue()


def write_image(image: Image.Image, path: Path) -> None:
    """Write a PIL image and what stands beside its pixels, whole or not at all; the ending of the path is the format.

    ``BadImageError`` where that is unknown, or cannot hold the image.
    """
    kind = IMAGE_FORMATS.get(path.suffix.lower())
    if kind is None:
        raise BadImageError(f'{path} has an unknown ending; photographs are written as {", ".join(IMAGE_FORMATS)}.')
    kept = (('exif', 'EXIF data'), ('icc_profile', 'colour profile'))
    lost = [name for key, name in kept if key not in kind.info and image.info.get(key)]
    if image.mode not in kind.modes or lost:
        what = f'its {" and ".join(lost)}' if lost else f'an image of the mode {image.mode}'
        raise BadImageError(f'{path} cannot hold {what}; write to a file that ends in .png.')
    write_file(path, image_bytes(image, kind))


def transparent_in(photo: Photo) -> np.ndarray:
    """Where a photograph is more transparent than opaque, (H, W); its hole where it has no mask."""
    if photo.alpha is None:
        return np.zeros(photo.pixels.shape[:2], bool)
    return photo.alpha < np.iinfo(photo.alpha.dtype).max / 2
