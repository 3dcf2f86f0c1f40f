"""Methods to compare with that MMagic does not bundle."""

from .classical import ClassicalInpaintor

__all__ = ['ClassicalInpaintor']
