"""The embedded default: photographs that ship with scikit-image."""

from itertools import chain

import cv2
import mmcv
import numpy as np
import skimage.data
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

# Scenes and objects. The pictures of pure texture in the wheel (gravel, grass, brick, the deep field) are left out: no
# method fills their holes better than with the mean colour, so they neither teach nor show anything here.
TRAIN_PHOTOS = (
    *('astronaut', 'chelsea', 'clock', 'coins'),
    *('immunohistochemistry', 'moon', 'retina', 'stereo_motorcycle'),
)
TEST_PHOTOS = ('camera', 'coffee', 'rocket')
SPLITS = dict(train=TRAIN_PHOTOS, test=TEST_PHOTOS)


@DATASETS.register_module()
class SamplePhotos(BaseDataset):
    """Photographs from the scikit-image wheel, without any download; whole photographs are held out for test.

    The train split has the whole photographs, to be cropped at random by the pipeline. The test split has fixed
    square crops of the held-out ones, evenly spaced from the top left to the bottom right. Entries come with a ``key``
    and the image in memory (``gt``, (H, W, 3), uint8, BGR), so a pipeline starts without a loading transform.

    Args:
        split: ``'train'`` or ``'test'``.
        short_side: The photographs are reduced to this many pixels along their shorter side.
        crops_per_photo: Square crops of each test photograph.
        crop_size: Height and width of those, at most ``short_side``; two thirds of it by default.
        kwargs: ``pipeline``, ``test_mode`` and the rest of MMEngine's ``BaseDataset``.

    Raises:
        ValueError: An unknown split, a number below 1, or a crop larger than the photographs.
    """

    METAINFO = dict(dataset_type='sample_photos', task_name='inpainting')

    def __init__(
        self,
        split: str = 'train',
        short_side: int = 96,
        crops_per_photo: int = 4,
        crop_size: int | None = None,
        **kwargs,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"SamplePhotos has the splits 'train' and 'test', got {split!r}.")
        crop_size = max(1, short_side * 2 // 3) if crop_size is None else crop_size
        if crops_per_photo < 1 or not 1 <= crop_size <= short_side:
            raise ValueError(
                'SamplePhotos takes crops_per_photo from 1 up and crop_size from 1 to short_side, got '
                f'{crops_per_photo}, {crop_size} and {short_side}.'
            )
        self.split, self.short_side = split, short_side
        self.crops_per_photo, self.crop_size = crops_per_photo, crop_size
        super().__init__(ann_file='', **kwargs)

    def load_data_list(self) -> list[dict]:
        entries = []
        for name in SPLITS[self.split]:
            pieces = [shrink(photo, self.short_side) for photo in load_photos(name)]
            if self.split == 'test':
                crops = (square_crops(photo, self.crop_size, self.crops_per_photo) for photo in pieces)
                pieces = list(chain.from_iterable(crops))
            for number, image in enumerate(pieces):
                key = f'{name}_{number}'
                # the path names the pictures that MMagic's visualiser writes
                entry = dict(key=key, gt=image, gt_path=f'{key}.png', ori_gt_shape=image.shape)
                entries.append(dict(entry, gt_channel_order='bgr', gt_color_type='color'))
        return entries


def load_photos(name: str) -> list[np.ndarray]:
    """Load the photographs that a function of ``skimage.data`` gives, each (H, W, 3), uint8, BGR."""
    loaded = getattr(skimage.data, name)()
    # a stereo pair comes with a disparity map
    photos = loaded[:2] if isinstance(loaded, tuple) else [loaded]
    return [mmcv.gray2bgr(photo) if photo.ndim == 2 else mmcv.rgb2bgr(photo) for photo in photos]


def shrink(photo: np.ndarray, short_side: int) -> np.ndarray:
    """Reduce a photograph to ``short_side`` pixels along its shorter side, averaging over areas."""
    factor = short_side / min(photo.shape[:2])
    height, width = (max(short_side, round(length * factor)) for length in photo.shape[:2])
    return cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)


def square_crops(photo: np.ndarray, side: int, count: int) -> list[np.ndarray]:
    """Cut ``count`` squares of ``side`` pixels, evenly spaced from the top left to the bottom right."""
    rows, columns = (np.linspace(0, length - side, count).round().astype(int) for length in photo.shape[:2])
    return [photo[top : top + side, left : left + side] for top, left in zip(rows, columns, strict=True)]
