"""What people and the tools call."""

from .deploy.exporting import Exported, export
from .deploy.publishing import publish
from .evaluation.comparison import MethodResult, Pictures, evaluate_method
from .evaluation.costs import Cost, describe_complexity, measure_cost
from .evaluation.scales import ScalePictures, picture_scales
from .evaluation.test_sets import config_of_folder, kinds_of, loader_from_config
from .inference.configs import training_size
from .inference.inpainting import BadImagesError, Outcome, Task, inpaint, inpaint_files, pair_files
from .inference.loading import load_inpaintor, load_model, read_config
from .inference.zoo import DEFAULT_MODEL, ModelInfo, find_model, list_models

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
