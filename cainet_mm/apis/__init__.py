"""What people and the tools call."""

from .comparison import MethodResult, Pictures, evaluate_method
from .models import load_model
from .scales import ScalePictures, picture_scales

__all__ = ['MethodResult', 'Pictures', 'ScalePictures', 'evaluate_method', 'load_model', 'picture_scales']
