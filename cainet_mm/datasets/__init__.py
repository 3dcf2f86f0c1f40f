"""Data sets and transforms that MMagic and MMCV lack."""

from .boxes import DrawBoxes
from .errors import BadImageError, BadMaskError, TooManyBadImagesError
from .masks import read_hole
from .object_holes import LoadHoleOfObjects
from .photos import PhotoDataset, PhotoMaskDataset
from .plain_pictures import RandomPlainPicture
from .resumable import ResumableDataset, ResumableSampler
from .sample_photos import SamplePhotos
from .transforms import HoleBox, LoadHole, LoadHoleFromSet, LoadPhoto, RandomTint, SeededByImage

__all__ = [
    'BadImageError',
    'BadMaskError',
    'DrawBoxes',
    'HoleBox',
    'LoadHole',
    'LoadHoleFromSet',
    'LoadHoleOfObjects',
    'LoadPhoto',
    'PhotoDataset',
    'PhotoMaskDataset',
    'RandomPlainPicture',
    'RandomTint',
    'ResumableDataset',
    'ResumableSampler',
    'SamplePhotos',
    'SeededByImage',
    'TooManyBadImagesError',
    'read_hole',
]
