"""A local web page on which people fill holes in photographs of their own, with the models that they have."""

from .app import Page
from .models import find_models
from .photos import Limits
from .server import application, bind, is_loopback, serve
from .work import Workbench

__all__ = ['Limits', 'Page', 'Workbench', 'application', 'bind', 'find_models', 'is_loopback', 'serve']
