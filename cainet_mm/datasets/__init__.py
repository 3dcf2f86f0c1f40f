"""Data sets and transforms that MMagic and MMCV lack."""

from .errors import BadImageError, TooManyBadImagesError
from .photos import PhotoDataset, PhotoMaskDataset
from .plain_pictures import RandomPlainPicture
from .positions import PositionedDataset, PositionedSampler
from .sample_photos import SamplePhotos
from .transforms import HoleBox, LoadHole, LoadPhoto, RandomTint, SeededByImage

__all__ = [
    'BadImageError',
    'HoleBox',
    'LoadHole',
    'LoadPhoto',
    'PhotoDataset',
    'PhotoMaskDataset',
    'PositionedDataset',
    'PositionedSampler',
    'RandomPlainPicture',
    'RandomTint',
    'SamplePhotos',
    'SeededByImage',
    'TooManyBadImagesError',
]
