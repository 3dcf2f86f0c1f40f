"""What people and the tools call."""

from .comparison import MethodResult, Pictures, evaluate_method
from .costs import Cost, describe_complexity, measure_cost
from .models import load_model
from .scales import ScalePictures, picture_scales
from .test_sets import config_of_folder, kinds_of, loader_from_config

__all__ = [
    'Cost',
    'MethodResult',
    'Pictures',
    'ScalePictures',
    'config_of_folder',
    'describe_complexity',
    'evaluate_method',
    'kinds_of',
    'load_model',
    'loader_from_config',
    'measure_cost',
    'picture_scales',
]
