"""Methods to compare with that MMagic does not bundle."""

from .classical import ClassicalInpaintor
from .unit_range import UnitRangeGenerator

__all__ = ['ClassicalInpaintor', 'UnitRangeGenerator']
