"""Metrics, tables and figures that MMagic lacks."""

from .figures import write_montage
from .metrics import HolePSNR
from .tables import write_tables

__all__ = ['HolePSNR', 'write_montage', 'write_tables']
