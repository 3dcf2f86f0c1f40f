"""Metrics and figures that MMagic lacks."""

from .metrics import HolePSNR

__all__ = ['HolePSNR']
