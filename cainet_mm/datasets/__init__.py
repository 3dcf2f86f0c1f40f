"""Data sets and transforms that MMagic and MMCV lack."""

from .boxes import DrawBoxes
from .errors import BadImageError, TooManyBadImagesError
from .photos import PhotoDataset, PhotoMaskDataset
from .positions import PositionedDataset, PositionedSampler
from .sample_photos import SamplePhotos
from .transforms import HoleBox, LoadHole, LoadPhoto, RandomTint, SeededByImage

__all__ = [
    'BadImageError',
    'DrawBoxes',
    'HoleBox',
    'LoadHole',
    'LoadPhoto',
    'PhotoDataset',
    'PhotoMaskDataset',
    'PositionedDataset',
    'PositionedSampler',
    'RandomTint',
    'SamplePhotos',
    'SeededByImage',
    'TooManyBadImagesError',
]
