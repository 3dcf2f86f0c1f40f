"""What people and the tools call."""

from .comparison import MethodResult, Pictures, evaluate_method
from .costs import Cost, describe_complexity, measure_cost
from .exporting import Exported, export
from .filling import training_size
from .inpainting import BadImagesError, Outcome, Task, inpaint, inpaint_files, pair_files
from .models import load_inpaintor, load_model, read_config
from .publishing import publish
from .scales import ScalePictures, picture_scales
from .test_sets import config_of_folder, kinds_of, loader_from_config
from .zoo import DEFAULT_MODEL, ModelInfo, find_model, list_models

__all__ = [
    'DEFAULT_MODEL',
    'BadImagesError',
    'Cost',
    'Exported',
    'MethodResult',
    'ModelInfo',
    'Outcome',
    'Pictures',
    'ScalePictures',
    'Task',
    'config_of_folder',
    'describe_complexity',
    'evaluate_method',
    'export',
    'find_model',
    'inpaint',
    'inpaint_files',
    'kinds_of',
    'list_models',
    'load_inpaintor',
    'load_model',
    'loader_from_config',
    'measure_cost',
    'pair_files',
    'picture_scales',
    'publish',
    'read_config',
    'training_size',
]
