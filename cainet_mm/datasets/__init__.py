"""Data sets and transforms that MMagic and MMCV lack."""

from .errors import BadImageError
from .photos import PhotoDataset
from .sample_photos import SamplePhotos
from .transforms import LoadPhoto, SeededByImage

__all__ = ['BadImageError', 'LoadPhoto', 'PhotoDataset', 'SamplePhotos', 'SeededByImage']
