"""A local web page on which people fill holes in photographs of their own, with the models that they have."""

from .app import Page
from .guard import Guard
from .models import Choice, find_models, load_choice
from .photos import Limits
from .server import application, bind, is_loopback, serve
from .work import Workbench

__all__ = [
    'Choice',
    'Guard',
    'Limits',
    'Page',
    'Workbench',
    'application',
    'bind',
    'find_models',
    'is_loopback',
    'load_choice',
    'serve',
]
