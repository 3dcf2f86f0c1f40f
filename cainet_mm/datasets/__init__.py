"""Data sets and transforms that MMagic and MMCV lack."""

from .errors import BadImageError
from .photos import PhotoDataset, PhotoMaskDataset
from .sample_photos import SamplePhotos
from .transforms import HoleBox, LoadHole, LoadPhoto, RandomTint, SeededByImage

__all__ = [
    'BadImageError',
    'HoleBox',
    'LoadHole',
    'LoadPhoto',
    'PhotoDataset',
    'PhotoMaskDataset',
    'RandomTint',
    'SamplePhotos',
    'SeededByImage',
]
