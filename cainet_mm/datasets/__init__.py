"""Data sets and transforms that MMagic and MMCV lack."""

from .errors import BadImageError
from .photos import PhotoDataset
from .sample_photos import SamplePhotos
from .transforms import LoadPhoto, RandomTint, SeededByImage

__all__ = ['BadImageError', 'LoadPhoto', 'PhotoDataset', 'RandomTint', 'SamplePhotos', 'SeededByImage']
