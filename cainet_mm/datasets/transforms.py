"""Transforms that MMagic and MMCV lack."""

import os
import posixpath
import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from mmagic.datasets.transforms import LoadImageFromFile
from mmcv.transforms import BaseTransform, Compose
from mmengine.registry import TRANSFORMS
from PIL import ImageOps

from ..utils.errors import describe_error
from ..utils.photo_paths import open_image_file, read_names
from .errors import BadImageError, BadMaskError, reading
from .masks import Value, read_hole


@TRANSFORMS.register_module()
class LoadPhoto(LoadImageFromFile):
    """MMagic's ``LoadImageFromFile`` for three-channel photographs, which says what is wrong with a file.

    Grey, palette and RGBA files are accepted and become three channels of 8 bits.

    Args:
        key: Loads ``results[f'{key}_path']`` into ``results[key]``, (H, W, 3), uint8, BGR.
        min_size: Smallest accepted height and width, those of the crop that follows.
        kwargs: As MMagic's.

    Raises:
        BadImageError: The file is missing, empty, no image, cut off, or too small.
    """

    def __init__(self, key: str = 'gt', min_size: tuple[int, int] = (1, 1), **kwargs) -> None:
        super().__init__(key=key, color_type='color', **kwargs)
        self.min_size = tuple(min_size)

    def _load_image(self, filename: str) -> np.ndarray:
        try:
            image = super()._load_image(filename)
        except OSError as error:
            raise BadImageError(f'{filename} cannot be read ({error.strerror or error}).') from error
        except Exception as error:  # each decoding back end raises its own kind on damaged bytes
            raise BadImageError(f'{filename} cannot be decoded as an image ({describe_error(error)}).') from error
        if image is None:
            image = self._decode_by_pillow(filename)
        height, width = image.shape[:2]
        if height < self.min_size[0] or width < self.min_size[1]:
            raise BadImageError(
                f'{filename} is {height}x{width} pixels, smaller than the crop of '
                f'{self.min_size[0]}x{self.min_size[1]}. Enlarge it, take it out, or use a smaller crop.'
            )
        return image

    def _decode_by_pillow(self, filename: str) -> np.ndarray:
        """Decode what OpenCV cannot, such as HEIC where Pillow can: (H, W, 3), uint8, upright."""
        with reading(f'{filename}, which is no JPEG, PNG, BMP, TIFF or WebP,'), open_image_file(filename) as image:
            pixels = np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
        return pixels if self.channel_order == 'rgb' else np.ascontiguousarray(pixels[..., ::-1])


@TRANSFORMS.register_module()
class LoadHole(BaseTransform):
    """Loads a photograph's own mask: ``mask_path`` to ``mask``, (H, W, 1), uint8, 1 in the hole.

    MMagic's ``LoadMask`` takes every pixel that is not black, which in a JPEG is also the blur around black. Here the
    mask is read as everywhere in this package, by :func:`~cainet_mm.datasets.masks.read_hole`.

    Args:
        hole_value: The hole's value in masks of several, as ``read_hole`` takes it.
        invert: Whether masks mark what is known instead of the hole.

    Raises:
        BadImageError: The file cannot be read as an image, does not say what is the hole, or has another size than
            the photograph.
    """

    def __init__(self, hole_value: Value | None = None, invert: bool = False) -> None:
        # configs have lists
        self.hole_value: Value | None = tuple(hole_value) if isinstance(hole_value, list) else hole_value
        self.invert = invert

    def load(self, path: str, results: dict) -> dict:
        """Load the mask of a path; its size has to be that of the photograph ``gt``, where it has been loaded."""
        hole = read_hole(path, self.hole_value, self.invert)
        size = results['gt'].shape[:2] if 'gt' in results else hole.shape
        if hole.shape != size:
            raise BadImageError(
                f'The mask {path} is {hole.shape[0]}x{hole.shape[1]} pixels and its photograph '
                f'{results.get("gt_path", "")} {size[0]}x{size[1]}; both need the same size.'
            )
        results['mask'] = hole[..., None].astype(np.uint8)
        return results

    def transform(self, results: dict) -> dict:
        return self.load(results['mask_path'], results)


@TRANSFORMS.register_module()
class LoadHoleFromSet(LoadHole):
    """Draws one of a set of masks: ``mask``, (H, W, 1), uint8, 1 in the hole; read as :class:`LoadHole` reads.

    Inside :class:`SeededByImage` the photograph's name picks the mask, as it does for MMagic's ``LoadMask``.

    Args:
        mask_list_file: List of the masks, one name per line, in UTF-8.
        prefix: The folder that the names are relative to.
        hole_value: The hole's value in masks of several, as :class:`LoadHole` takes it.
        invert: Whether masks mark what is known instead of the hole.

    Raises:
        FileNotFoundError: There is no such list.
        ValueError: It is empty, or has another encoding.
        BadMaskError: A mask cannot be read, does not say what is the hole, has none, or has another size than the
            photograph.
    """

    def __init__(self, mask_list_file: str, prefix: str, hole_value: Value | None = None, invert: bool = False) -> None:
        super().__init__(hole_value, invert)
        if not os.path.isfile(mask_list_file):
            raise FileNotFoundError(
                f'The list of masks {mask_list_file!r} does not exist. Write one with tools/make_masks.py, or one name '
                'per line, relative to prefix.'
            )
        self.mask_list_file, self.prefix = mask_list_file, prefix
        self.masks = [os.path.join(prefix, name) for name in read_names(mask_list_file, prefix)]
        if not self.masks:
            raise ValueError(f'The list of masks {mask_list_file!r} is empty.')

    def transform(self, results: dict) -> dict:
        path = self.masks[np.random.randint(0, len(self.masks))]
        try:
            results = self.load(path, results)
        except BadImageError as error:
            raise BadMaskError(f'{error} It is listed in {self.mask_list_file}.') from error
        if not results['mask'].any():
            raise BadMaskError(f'The mask {path} has no hole. It is listed in {self.mask_list_file}; take it out.')
        return results


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run a block with Python's and NumPy's global random state seeded, and put the states back after it."""
    states = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


@TRANSFORMS.register_module()
class SeededByImage(BaseTransform):
    """Runs transforms with the random state seeded by the image's name.

    Around the mask generators it gives each image of a test set a mask of its own that is the same in every run, in
    every worker and for every model. The random state outside is left as it was.

    Args:
        transforms: Configs of the transforms.
        name_key: The entry of the results that names the image, wherever the data lies; data sets put it into ``key``.
        seed: Another seed gives another set of masks.

    Raises:
        KeyError: The results have no ``name_key``.
    """

    def __init__(self, transforms: list[dict | Callable[[dict], dict]], name_key: str = 'key', seed: int = 0) -> None:
        self.transforms, self.name_key, self.seed = Compose(transforms), name_key, seed

    def transform(self, results: dict) -> dict | None:
        if self.name_key not in results:
            raise KeyError(
                f'SeededByImage seeds by results[{self.name_key!r}], but the results have {sorted(results)}. Set '
                'name_key to an entry that names the image.'
            )
        name = posixpath.normpath(str(results[self.name_key]).replace('\\', '/'))
        with seeded(zlib.crc32(f'{self.seed}/{name}'.encode())):
            return self.transforms(results)


@TRANSFORMS.register_module()
class RandomTint(BaseTransform):
    """Gives a photograph other colours: channels in random order, each with a random gain and offset.

    It makes of a handful of photographs many differently coloured ones, so that a network learns to take colours from
    around a hole and not from memory. It costs a tenth of a jitter through HSV.

    Args:
        keys: Images of the results to change, (H, W, 3), uint8; all by the same draw.
        gain: Range of the factor on a channel.
        offset: Range of what is added to a channel, in grey levels. Results are clipped to [0, 255].
    """

    def __init__(
        self, keys: list[str], gain: tuple[float, float] = (0.5, 1.2), offset: tuple[float, float] = (-40.0, 60.0)
    ) -> None:
        self.keys, self.gain, self.offset = list(keys), tuple(gain), tuple(offset)

    def transform(self, results: dict) -> dict:
        order = np.random.permutation(3)
        gains, offsets = (np.random.uniform(low, high, (3, 1)) for low, high in (self.gain, self.offset))
        tables = (np.arange(256) * gains + offsets).round().clip(0, 255).astype(np.uint8)
        for key in self.keys:
            # take each channel's values from that channel's table
            results[key] = tables[np.arange(3), results[key][..., order]]
        return results


@TRANSFORMS.register_module()
class HoleBox(BaseTransform):
    """Places a window of a fixed size around the hole, for the critics of Global&Local and DeepFillv1 that look at it.

    Of MMagic's masks only rectangles bring such a box along. Here the window is centred on the hole's bounding box and
    moved into the image, so it always has its full size; of a larger hole it shows the middle.

    Args:
        size: Height and width of the window.

    Raises:
        ValueError: The window is larger than the image.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = tuple(size)

    def transform(self, results: dict) -> dict:
        """Add ``mask_bbox``, [top, left, height, width]; an image without a hole gets the window in its middle."""
        mask = results['mask'].reshape(results['mask'].shape[:2])
        if any(window > length for window, length in zip(self.size, mask.shape, strict=True)):
            raise ValueError(
                f'HoleBox places a window of {self.size} pixels, but the mask has {mask.shape}. Take a smaller size '
                'here and for local_size of the inpaintor, or larger crops.'
            )
        corner = []
        for axis, window in enumerate(self.size):
            filled = np.flatnonzero(mask.any(axis=1 - axis))
            first, last = (filled[0], filled[-1]) if len(filled) else (0, mask.shape[axis] - 1)
            start = (int(first) + int(last) + 1 - window) // 2
            corner.append(min(max(start, 0), mask.shape[axis] - window))
        results['mask_bbox'] = [*corner, *self.size]
        return results
