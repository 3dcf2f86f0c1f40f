"""Imports only what a fill by the network that comes with the package needs: most of its time was imports."""

import gc
import importlib.util
import re
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

# what MMEngine, MMagic and this package import for training, measuring and other networks; with what lies below it
NEEDLESS = (
    'mmagic.datasets',
    'mmagic.evaluation',
    'mmagic.models.editors',
    'mmpretrain',
    'requests',
    'scipy',
    'skimage',
    'torch.distributed.fsdp',
    'torch.distributed.optim',
    'torch_fidelity',
    'torchvision',
    'transformers',
)


class Placeholder(ModuleType):
    """Replaces a module: any name is there, as an empty class to inherit from."""

    __path__ = ()

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(f'module {self.__name__!r} has no attribute {name!r}')
        value = type(name, (), {'__init__': refuse})
        setattr(self, name, value)
        return value


def refuse(self, *args, **kwargs):
    """Says why an object cannot be made; without this, it would be one that does nothing."""
    raise RuntimeError(f'{type(self).__name__} was not imported, since only the shipped network was to fill.')


class Needless(MetaPathFinder, Loader):
    """Finds the needless modules, as placeholders."""

    def find_spec(self, fullname, path=None, target=None):
        if not any(fullname == name or fullname.startswith(f'{name}.') for name in NEEDLESS):
            return None
        return ModuleSpec(fullname, self, origin='placeholder of tools/_light.py', is_package=True)

    def create_module(self, spec):
        return Placeholder(spec.name)

    def exec_module(self, module):
        """Does nothing: the placeholder makes its attributes on demand."""


def needs_no_more(checkpoint):
    """Whether a published file's network consists of parts that the shipped one has, too."""
    package = Path(importlib.util.find_spec('cainet_mm').origin).parent
    shipped = next(package.glob('weights/cainet-photos-*.safetensors'), None)
    try:
        return types_in(checkpoint) <= types_in(shipped)
    except Exception:  # no such file, or another kind of it: whoever loads it says what is wrong
        return False


def types_in(path):
    """The types in the config that a safetensors file holds."""
    from safetensors import safe_open

    with safe_open(path, 'np') as file:
        return set(re.findall(r'"type": ?"([^"]*)"', file.metadata()['config_json']))


def import_for_filling():
    """Imports the package with placeholders for what a fill does not need; once it is imported, this does nothing.

    Whoever imports one of the needless modules afterwards gets it. The network that comes with the package needs none,
    nor do those of :func:`needs_no_more`; for another one, or a training, import the package as usual.
    """
    if 'cainet_mm' in sys.modules:
        return
    finder = Needless()
    sys.meta_path.insert(0, finder)
    try:
        importlib.import_module('cainet_mm.inference.inpainting')
        importlib.import_module('cainet_mm.inference.loading')
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if isinstance(module, Placeholder)]:
            parent, _, last = name.rpartition('.')
            del sys.modules[name]
            if parent in sys.modules:
                vars(sys.modules[parent]).pop(last, None)
    # as import_package() does
    gc.freeze()
