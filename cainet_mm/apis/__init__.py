"""What people and the tools call."""

from .comparison import MethodResult, Pictures, evaluate_method
from .models import load_model

__all__ = ['MethodResult', 'Pictures', 'evaluate_method', 'load_model']
