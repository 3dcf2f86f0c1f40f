"""Data sets and transforms that MMagic and MMCV lack."""

from .errors import BadImageError
from .photos import PhotoDataset
from .sample_photos import SamplePhotos
from .transforms import HoleBox, LoadPhoto, RandomTint, SeededByImage

__all__ = ['HoleBox', 'BadImageError', 'LoadPhoto', 'PhotoDataset', 'RandomTint', 'SamplePhotos', 'SeededByImage']
