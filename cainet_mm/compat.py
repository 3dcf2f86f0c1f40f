"""Patches without which MMagic and MMPretrain cannot be imported, or their models built, on today's stacks.

Every patch answers one symptom, applies only where that symptom would occur, and leaves installed packages untouched on
disk. ``import cainet_mm`` applies them all, so it must come before ``import mmagic``.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

import huggingface_hub
import numpy as np
import torch
from packaging.version import Version

from .utils.safe_loading import allow_training_checkpoint_types, make_checkpoint_loader_safe

_MMCV_EXTENSION = 'mmcv._ext'

# where MMEngine notes, while a model is initialised, what happened to each parameter
_INIT_RECORD = '_params_init_info'

# A Library takes its schemas back when it is collected, so it has to live as long as the process.
_torchvision_library: torch.library.Library | None = None

# from torchvision 0.29 on, and before
_TORCHVISION_EXTENSIONS = ('_C_stable', '_C')

# torchvision registers fake implementations for these two even where its own extension did not load.
_TORCHVISION_SCHEMAS = {
    'nms': 'nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor',
    'qnms': 'qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor',
}


def apply() -> None:
    """Apply every patch that importing needs in this environment; a second call changes nothing."""
    define_missing_torchvision_operators()
    alias_numpy_bool8()
    answer_for_missing_mmcv_operators()
    name_cached_download()
    let_controlnet_aux_do_without_mediapipe()
    allow_training_checkpoint_types()
    make_checkpoint_loader_safe()


def define_missing_torchvision_operators() -> None:
    """Declare ``torchvision::nms`` and ``torchvision::qnms`` where torchvision's extension cannot load.

    Symptom: ``RuntimeError: operator torchvision::nms does not exist`` on ``import torchvision``.
    Cause: a torchvision wheel built for CUDA beside a CPU-only torch. Its extension does not load, but its Python
    code attaches fake implementations to the operators. Calling one still raises torchvision's own error.
    """
    global _torchvision_library
    if 'torchvision' in sys.modules or _torchvision_extension_loads():
        return
    missing = [schema for name, schema in _TORCHVISION_SCHEMAS.items() if not hasattr(torch.ops.torchvision, name)]
    if missing:
        _torchvision_library = torch.library.Library('torchvision', 'DEF')
        for schema in missing:
            _torchvision_library.define(schema)


def _torchvision_extension_loads() -> bool:
    """Whether torchvision declares its operators by itself; to declare them a second time would end the process."""
    found = (_find_submodule('torchvision', name) for name in _TORCHVISION_EXTENSIONS)
    extension = next((spec.origin for spec in found if spec is not None and spec.origin is not None), None)
    if extension is None:
        # one of a name that is not known yet is left to torchvision
        package = importlib.util.find_spec('torchvision')
        folders = (package.submodule_search_locations if package is not None else None) or []
        return any(any(Path(folder).glob('*.so')) for folder in folders)
    try:
        torch.ops.load_library(extension)
    except (ImportError, OSError):
        return False
    return True


def alias_numpy_bool8() -> None:
    """Give NumPy 2 back the name ``np.bool8``.

    Symptom: ``AttributeError: module 'numpy' has no attribute 'bool8'`` on ``import mmagic.models``.
    Cause: MMagic 1.2.0 was written against NumPy 1, where the name stood for ``np.bool_``.
    """
    # Under NumPy 1 even asking for the attribute warns.
    if Version(np.__version__).major >= 2 and not hasattr(np, 'bool8'):
        np.bool8 = np.bool_  # type: ignore[attr-defined]


def answer_for_missing_mmcv_operators() -> None:
    """Let ``mmcv.ops`` be imported where mmcv has no compiled operators.

    Symptom: ``ModuleNotFoundError: No module named 'mmcv._ext'`` on importing ``mmagic.models`` or
    ``mmpretrain.models``.
    Cause: both import ``mmcv.ops``, whose compiled part mmcv-lite lacks. Nothing in inpainting calls its operators, so
    a placeholder that raises when *called* is enough. A full mmcv that fails to load still reports its own error.
    """
    is_there = _MMCV_EXTENSION in sys.modules or _find_submodule('mmcv', '_ext') is not None
    if not is_there and not any(isinstance(finder, _MissingOperatorsFinder) for finder in sys.meta_path):
        # last: any finder that knows a real extension is asked first
        sys.meta_path.append(_MissingOperatorsFinder())


class _MissingOperatorsFinder(MetaPathFinder, Loader):
    """Finds ``mmcv._ext`` where no other finder does. The spec needs a loader: MMEngine asks pkgutil for one."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname != _MMCV_EXTENSION:
            return None
        return ModuleSpec(fullname, self, origin='placeholder of cainet_mm.compat')

    def create_module(self, spec):
        return _MissingOperators(spec.name)

    def exec_module(self, module):
        """Do nothing: the placeholder makes its attributes on demand."""


class _MissingOperators(ModuleType):
    """A placeholder for mmcv's compiled operators: any name is there, and raises when called."""

    # mmcv reports these two in its description of the environment; without operators it says the same
    get_compiler_version = get_compiling_cuda_version = staticmethod(lambda: 'n/a')

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(f'module {self.__name__!r} has no attribute {name!r}')

        def raise_missing_operator(*args, **kwargs):
            raise RuntimeError(
                f'The compiled operator {name!r} was called, but the installed mmcv-lite has no compiled operators; '
                'install the full mmcv, >=2.0.0,<2.2.0, as requirements/optional.txt says.'
            )

        return raise_missing_operator


def name_cached_download() -> None:
    """Give huggingface_hub a ``cached_download`` that raises when called.

    Symptom: ``ImportError: cannot import name 'cached_download' from 'huggingface_hub'`` on ``import mmagic.models``.
    Cause: diffusers 0.28, which MMagic imports, downloads its community pipelines with it, and huggingface_hub dropped
    it in 0.26. Nothing in inpainting downloads one.
    """

    def cached_download(*args, **kwargs):
        raise RuntimeError('This huggingface_hub has no cached_download; for pipelines of diffusers install one <0.26.')

    if not hasattr(huggingface_hub, 'cached_download'):
        huggingface_hub.cached_download = cached_download


def let_controlnet_aux_do_without_mediapipe() -> None:
    """Let ``controlnet_aux`` be imported beside a mediapipe without ``solutions``.

    Symptom: ``AttributeError: module 'mediapipe' has no attribute 'solutions'`` on ``import mmagic.apis``.
    Cause: MMagic's APIs import ``controlnet_aux`` for one of their diffusion editors. It works without mediapipe, but
    not with one from 1.0 on, which dropped what it uses. While it is imported, such a mediapipe is hidden from it.
    """
    if not any(isinstance(finder, _ControlnetAuxFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _ControlnetAuxFinder())


class _ControlnetAuxFinder(MetaPathFinder):
    """Finds ``controlnet_aux`` as usual, and has it loaded without a mediapipe with which that would fail."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname != 'controlnet_aux' or _find_submodule('mediapipe', 'python') is not None:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = functools.partial(_execute_without_mediapipe, spec.loader.exec_module)
        return spec


def _execute_without_mediapipe(execute, module) -> None:
    """Execute a module while ``import mediapipe`` fails."""
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split('.')[0] == 'mediapipe'}
    sys.modules['mediapipe'] = None  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', message="The module 'mediapipe' is not installed")
            execute(module)
    finally:
        del sys.modules['mediapipe']
        sys.modules.update(hidden)


def let_generation_init_weights_pass_layers_by() -> None:
    """Let MMagic initialise discriminators with layers that have no weights, such as activations.

    It needs MMagic imported; a second call changes nothing.
    Symptom: ``UnboundLocalError: ... 'init_info'`` when training of AOT-GAN, pix2pix or CycleGAN begins.
    Cause: ``generation_init_weights`` sets a variable for convolutions, linear layers and batch norms alone, but reads
    it for every layer that has MMEngine's record of the initialisation, and that is all of them. The record is taken
    off while the function runs; MMEngine fills it in afterwards.
    """
    utils = importlib.import_module('mmagic.models.utils')
    original: Callable[..., None] = utils.generation_init_weights
    attribute = original.__name__
    if hasattr(original, '__wrapped__'):
        return

    @functools.wraps(original)
    def generation_init_weights(module, *args, **kwargs):
        records = {layer: vars(layer).pop(_INIT_RECORD) for layer in module.modules() if _INIT_RECORD in vars(layer)}
        try:
            original(module, *args, **kwargs)
        finally:
            for layer, record in records.items():
                setattr(layer, _INIT_RECORD, record)

    # not everything in there is a module: None blocks an import
    for name, module in list(sys.modules.items()):
        if name.startswith('mmagic.') and getattr(module, attribute, None) is original:
            setattr(module, attribute, generation_init_weights)


def _find_submodule(package: str, submodule: str) -> ModuleSpec | None:
    """Find a submodule without importing its package, which may be what fails."""
    parent = importlib.util.find_spec(package)
    if parent is None or parent.submodule_search_locations is None:
        return None
    return PathFinder.find_spec(f'{package}.{submodule}', parent.submodule_search_locations)
