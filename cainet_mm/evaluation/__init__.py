"""Metrics, statistics, tables and plots that MMagic lacks."""

from .feature_metrics import LPIPS, InceptionFID
from .html_report import write_html
from .metrics import HoleMAE, HolePSNR, HoleSSIM
from .plots import border_window, make_montage, write_montage, write_plot
from .reports import summarise, write_costs, write_images, write_json, write_report
from .statistics import mean_interval, paired_difference
from .tables import markdown_table

__all__ = [
    'LPIPS',
    'HoleMAE',
    'HolePSNR',
    'HoleSSIM',
    'InceptionFID',
    'border_window',
    'make_montage',
    'markdown_table',
    'mean_interval',
    'paired_difference',
    'summarise',
    'write_costs',
    'write_html',
    'write_images',
    'write_json',
    'write_montage',
    'write_plot',
    'write_report',
]
