"""The one reader of masks: what is the hole in a file, a PIL image or an array.

Every place that takes a mask reads it here, so that a file has the same hole everywhere.
"""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from ..utils.photo_paths import open_image_file
from .errors import BadImageError, is_deep, reading, refuse_frames

Mask = np.ndarray | Image.Image | str | Path
Value = float | tuple[float, float, float]

# the largest value of bool and float masks, of 8 bits and of 16 bits
TOPS = (1, 255, 65535)
# a mask with a third level up to this number of values is one of labels
FEW = 8
# sides of squares of one value: the smallest region of a label; and one that JPEG's blocks of 8x8 pixels do not make
REGION, WIDE_REGION = 3, 17
# the smallest range of values, as a share of the largest, and the largest share of values in the middle half of it
CONTRAST, MIDDLE_SHARE = 1 / 8, 0.2
# soft edges of a hole are narrower than this, and than this share of the shorter side
EDGE, EDGE_SHARE = 9, 1 / 32
LUMINANCE = (0.299, 0.587, 0.114)
VALUES_SHOWN = 6
HOW = (
    'Say which value is the hole, such as --hole-value {option} (hole_value={value} in Python and in LoadHole), with '
    '--invert (invert=True) where that is what is known; or save the mask with two values, the brighter in the hole.'
)


def read_hole(mask: Mask, hole_value: Value | None = None, invert: bool = False) -> np.ndarray:
    """Read a mask, upright: the bright one of its two levels is the hole.

    Of two values the brighter one is the hole, whatever they are: 0 and 1, 0 and 255, 90 and 200. Of more, noise of
    a JPEG and soft edges of the hole belong to the nearer level. A mask with one value is empty if that is 0, and all
    hole if it is the largest, 1, 255 or 65535. Colours count by their luminance, what is transparent as black.

    Args:
        mask: The path of an image file of any mode; a PIL image; or an array, (H, W), (H, W, 1) or (H, W, 3) in RGB,
            of any type.
        hole_value: The hole's own value where the mask has several: a grey level, an index of a palette, or a colour,
            (red, green, blue), as it stands in the file.
        invert: Whether the mask marks what is known instead.

    Returns:
        (H, W), true in the hole.

    Raises:
        BadImageError: It cannot be read; or it does not say what is the hole, such as a label map or a photograph.
    """
    name = f'The mask {mask}' if isinstance(mask, str | Path) else 'The mask'
    values, alpha, indices = (mask, None, None) if isinstance(mask, np.ndarray) else pixels_of(mask, name)
    if values.ndim not in (2, 3) or values.ndim == 3 and values.shape[2] not in (1, 3) or not values.size:
        raise BadImageError(f'A mask has height and width, and one or three channels; got the shape {values.shape}.')
    if not np.isfinite(values).all():
        raise BadImageError(f'{name} has values that are nan or infinite; give 0 and 1.')
    if values.ndim == 3 and (values == values[..., :1]).all():
        values = values[..., 0]
    if alpha is not None and (hole_value is None or indices is None):
        values = over_black(values, alpha, name, said=invert or hole_value is not None)
    if hole_value is None:
        hole = bright_in(grey_of(values), values if indices is None else indices, name)
    else:
        hole = is_value(values if indices is None else indices, hole_value, name)
    return ~hole if invert else hole


def grow_hole(hole: np.ndarray, pixels: int) -> np.ndarray:
    """Grow a hole, (H, W), true in it, by a number of pixels in every direction; 0 leaves it as it is."""
    if not pixels:
        return hole
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return cv2.dilate(hole.astype(np.uint8), kernel).astype(bool)


def encode_mask(mask: np.ndarray) -> bytes:
    """Encode a mask, (H, W) or (H, W, 1), as a PNG: 255 where it is not 0."""
    return cv2.imencode('.png', (mask > 0).astype(np.uint8) * 255)[1].tobytes()


def pixels_of(mask: Image.Image | str | Path, name: str) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """The pixels of a mask's image, upright; ``BadImageError`` where it cannot be read.

    Grey levels or colours, (H, W) or (H, W, 3); the alpha channel, (H, W), in [0, 1], where there is one that differs
    anywhere; and the indices, (H, W), of an image with a palette.
    """
    with reading(name):
        if isinstance(mask, str | Path):
            with open_image_file(mask) as image:
                return pixels_of(image, name)
        refuse_frames(mask, name)
        deep = is_deep(mask)
        mask.load()
        image = ImageOps.exif_transpose(mask)
    indices = np.asarray(image) if image.mode == 'P' else None
    if 'transparency' in image.info and image.mode in ('1', 'L', 'P', 'RGB'):
        image = image.convert('RGBA')
    elif image.mode not in ('1', 'L', 'I', 'F', 'LA', 'RGB', 'RGBA') and not image.mode.startswith('I;16'):
        image = image.convert('RGBA' if image.mode in ('PA', 'La', 'RGBa') else 'RGB')
    pixels = np.asarray(image)
    if deep and not pixels[..., :3].any():
        raise BadImageError(f'{name} has 16 bits a colour, of which Pillow reads 8, and these are 0; save it with 8.')
    if image.mode not in ('LA', 'RGBA'):
        return pixels, None, indices
    alpha = pixels[..., -1] / 255
    return pixels[..., :-1], alpha if alpha.min() < alpha.max() else None, indices


def grey_of(values: np.ndarray) -> np.ndarray:
    """The luminance of colours, (H, W, 3), and what is (H, W) as it is."""
    if values.ndim == 2:
        return values
    red, green, blue = (weight * values[..., i] for i, weight in enumerate(LUMINANCE))
    return red + green + blue


def over_black(values: np.ndarray, alpha: np.ndarray, name: str, said: bool = True) -> np.ndarray:
    """Lay a mask, (H, W) or (H, W, 3), over black, by its alpha channel in [0, 1].

    One of which nothing is seen then is its alpha channel itself, if it is ``said`` which of opaque and transparent is
    the hole; it is a ``BadImageError`` else.
    """
    laid = (values * (alpha if values.ndim == 2 else alpha[..., None])).round()
    if laid.any():
        return laid
    if not said:
        raise BadImageError(
            f'{name} is black, in part opaque (alpha 255) and in part transparent (alpha 0), so that either could be '
            f'the hole. {HOW.format(option=255, value=255)}'
        )
    return (alpha * 255).round()


def is_value(values: np.ndarray, wanted: Value, name: str) -> np.ndarray:
    """Where a mask has a value, (H, W); ``BadImageError`` for a colour in a mask without colours."""
    wanted = np.asarray(wanted, np.float64)
    if wanted.shape not in ((), (3,)):
        raise BadImageError(f'hole_value is a number or a colour of three, got {wanted.tolist()}.')
    if values.ndim == 2 and wanted.ndim and (wanted != wanted[0]).any():
        raise BadImageError(f'{name} is grey or has a palette; give hole_value as one number, not {wanted.tolist()}.')
    wanted = wanted if values.ndim == 3 else wanted.flat[0]
    # floats of a file have 32 bits
    same = np.isclose(values, wanted, rtol=1e-5, atol=1e-8)
    return same if values.ndim == 2 else same.all(axis=2)


def bright_in(levels: np.ndarray, values: np.ndarray, name: str) -> np.ndarray:
    """Where the levels of a mask, (H, W), are bright; ``BadImageError``, with its values, where that is not clear."""
    if levels.dtype == bool:
        return levels
    low, high = levels.min(), levels.max()
    top = next((top for top in TOPS if high <= top), high)
    if low == high:
        if high not in (0, top):
            raise ambiguous(name, values, 'has one level all over')
        return np.full(levels.shape, high > 0)
    if ((levels == low) | (levels == high)).all():
        return levels == high
    levels = levels.astype(np.float32)
    half = levels > (float(low) + float(high)) / 2
    # noise of a JPEG goes beyond the two levels
    dark, bright = float(np.median(levels[~half])), float(np.median(levels[half]))
    gap, middle = bright - dark, (dark + bright) / 2
    if gap < CONTRAST * float(top):
        raise ambiguous(name, values, f'has more than two values between {low:g} and {high:g}')
    few = len(np.unique(levels)) <= FEW
    region = np.ones((REGION if few else WIDE_REGION,) * 2, np.uint8)
    flat = np.unique(levels[cv2.erode(levels, region) == cv2.dilate(levels, region)])
    if len(flat) > 2 if few else (np.minimum(np.abs(flat - dark), np.abs(flat - bright)) > gap / 8).any():
        raise ambiguous(name, values, 'has regions of more than two values, as labels have')
    between = np.abs(levels - middle) < gap / 4
    edge = np.ones((max(EDGE, round(min(levels.shape) * EDGE_SHARE)),) * 2, np.uint8)
    if between.mean() > MIDDLE_SHARE or cv2.erode(between.astype(np.uint8), edge).any():
        raise ambiguous(name, values, 'has much that is neither dark nor bright, as a photograph has')
    return levels > middle


def ambiguous(name: str, values: np.ndarray, what: str) -> BadImageError:
    """The error on a mask that does not say what is the hole."""
    if values.ndim == 3:
        codes = np.unique((values.astype(np.int64) * (2**32, 2**16, 1)).sum(axis=2))
        found = np.stack((codes >> 32, codes >> 16 & 65535, codes & 65535), axis=1)
    else:
        found = np.unique(values)[:, None]
    shown = [','.join(f'{part:g}' for part in value) for value in found[[*range(min(len(found), VALUES_SHOWN)), -1]]]
    more = len(found) - VALUES_SHOWN
    listed = ' '.join(shown[: min(len(found), VALUES_SHOWN)]) + (f' and {more} more' if more > 0 else '')
    value = shown[-1] if values.ndim == 2 else f'({shown[-1]})'
    return BadImageError(f'{name} {what}; its values are {listed}. {HOW.format(option=shown[-1], value=value)}')
