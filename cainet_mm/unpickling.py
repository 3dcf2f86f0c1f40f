"""Which types a checkpoint may hold, and reading no others, with every torch.

A checkpoint is a pickle, and a pickle can run anything. From 2.6 on, torch builds only types that it knows, unless it
is told otherwise; before, it builds whatever a file asks for. ``import cainet_mm`` makes MMEngine's loader, by which
its runner, its models and this package read checkpoints, refuse foreign types with every torch, in a sentence.
"""

from __future__ import annotations

import _compat_pickle
import functools
import importlib
import os
import pickle
import re
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from unittest import mock

import numpy as np
import torch
from packaging.version import Version

# by which torch from 2.6 on can be told to read as it did before
FORCED_OPEN = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
TORCH_IS_STRICT = Version(torch.__version__).release >= (2, 6)

# how torch's messages, and those below, name the type that was asked for
ASKED_FOR = re.compile(r'(?:GLOBAL|[Uu]nsupported (?:global|class)):? (?:GLOBAL )?([\w.]+)')


class UnsafeCheckpointError(ValueError):
    """A file is no checkpoint that can be read without running what is in it."""


def allow_training_checkpoint_types() -> None:
    """Lets ``torch.load`` read MMEngine's training checkpoints in its restricted mode.

    Symptom: ``UnpicklingError: Weights only load failed`` when a run is resumed or tested.
    Cause: from 2.6 on, torch builds only types that it knows. MMEngine's checkpoints also hold the log
    (``HistoryBuffer``, NumPy arrays) and best scores (NumPy scalars). Exactly those are allowed, under the names
    that NumPy 1 and NumPy 2 write, so that a checkpoint can move between the two. Any other type is still refused.
    """
    if TORCH_IS_STRICT:
        torch.serialization.add_safe_globals(_training_checkpoint_types())


def make_checkpoint_loader_safe() -> None:
    """Has MMEngine's ``CheckpointLoader`` refuse foreign types with every torch, in a sentence.

    Symptom: before torch 2.6 a checkpoint can run code when it is resumed, tested, or loaded by an ``init_cfg``.
    Cause: MMEngine calls ``torch.load`` as such, which was open then. While its loader works, ``torch.load`` is
    restricted to the types that it knows from 2.6 on and those of training checkpoints; for others it stays as it is.
    """
    loader = importlib.import_module('mmengine.runner.checkpoint').CheckpointLoader
    original = loader.__dict__['load_checkpoint'].__func__
    if hasattr(original, '__wrapped__'):
        return

    @functools.wraps(original)
    def load_checkpoint(cls, filename, *args, **kwargs):
        try:
            with _restricted_torch_load():
                return original(cls, filename, *args, **kwargs)
        except pickle.UnpicklingError as error:
            raise UnsafeCheckpointError(describe_refusal(filename, error)) from error

    loader.load_checkpoint = classmethod(load_checkpoint)


def describe_refusal(filename: object, error: Exception) -> str:
    """Say why a file was not read, and what can be done."""
    asked = ASKED_FOR.search(str(error))
    reason = f'it asks for {asked[1]}' if asked else (str(error).splitlines() or [type(error).__name__])[0]
    return (
        f'{str(filename)!r} cannot be read as a checkpoint ({reason}). It has to be a file that torch.save wrote, with '
        'tensors, numbers, text and the log of MMEngine alone, since anything else could run code. If you trust the '
        'file, read it with torch.load(path, weights_only=False) and save its weights alone.'
    )


@contextmanager
def _restricted_torch_load() -> Iterator[None]:
    if TORCH_IS_STRICT or os.environ.get(FORCED_OPEN, '').lower() in ('1', 'y', 'yes', 'true'):
        yield
        return
    original = torch.load

    @functools.wraps(original)
    def load(f, map_location=None, pickle_module=None, *, weights_only=False, **kwargs):
        # in its restricted mode torch itself knows fewer types
        return original(f, map_location, pickle_module=_PICKLE, weights_only=False, **kwargs)

    with mock.patch.object(torch, 'load', load):
        yield


class RestrictedUnpickler(pickle._Unpickler):
    """Builds what torch 2.6 and later build of MMEngine's checkpoints, and raises for anything else.

    Python's own unpickler, written in Python: that written in C cannot be told which objects may be given a state, by
    which a file could change classes and functions.
    """

    dispatch = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> object:
        """Give what a name stands for, if it is allowed."""
        if self.proto < 3:
            # older protocols write the names of Python 2
            renamed = _compat_pickle.IMPORT_MAPPING.get(module, module), name
            module, name = _compat_pickle.NAME_MAPPING.get((module, name), renamed)
        allowed = _allowed_globals()
        if f'{module}.{name}' not in allowed:
            raise pickle.UnpicklingError(f'Unsupported global: GLOBAL {module}.{name}')
        return allowed[f'{module}.{name}']

    def load_build(self) -> None:
        """Give an object its state, if it is of a type that has one."""
        owner = self.stack[-2]
        plain = (torch.Tensor, torch.nn.Parameter, OrderedDict, np.ndarray, np.dtype, _history_buffer())
        if not isinstance(owner, plain):
            raise pickle.UnpicklingError(f'Unsupported class {type(owner).__name__} that is given a state')
        super().load_build()

    dispatch[pickle.BUILD[0]] = load_build


def _load(file, **kwargs):
    return RestrictedUnpickler(file, **kwargs).load()


# what torch.load takes in the place of Python's module
_PICKLE = SimpleNamespace(__name__=__name__, Unpickler=RestrictedUnpickler, load=_load)


@functools.lru_cache(maxsize=1)
def _allowed_globals() -> dict[str, object]:
    """What a checkpoint may name, before torch 2.6: torch's types and those of training checkpoints."""
    unpickler = importlib.import_module('torch._weights_only_unpickler')
    dtypes = {str(value): value for value in vars(torch).values() if isinstance(value, torch.dtype)}
    plain = {
        'collections.Counter': Counter,
        'builtins.bytearray': bytearray,
        'builtins.set': set,
        'torch.device': torch.device,
        # by which an older protocol writes bytes
        '_codecs.encode': importlib.import_module('_codecs').encode,
    }
    ours = dict(_named(item) for item in _training_checkpoint_types())
    return {**unpickler._get_allowed_globals(), **dtypes, **plain, **ours}


def _named(item: object) -> tuple[str, object]:
    """The name and the object of an item as ``add_safe_globals`` takes it."""
    if isinstance(item, tuple):
        return item[1], item[0]
    return f'{item.__module__}.{item.__qualname__}', item


def _training_checkpoint_types() -> list:
    numpy_core = importlib.import_module('numpy._core.multiarray' if _numpy_2() else 'numpy.core.multiarray')
    functions = [
        (getattr(numpy_core, function), f'{module}.{function}')
        for function in ('_reconstruct', 'scalar')
        for module in ('numpy.core.multiarray', 'numpy._core.multiarray')
    ]
    dtypes = [type(np.dtype(kind)) for kind in ('bool', 'int64', 'float32', 'float64')]
    # A HistoryBuffer stores its statistics as "getattr of HistoryBuffer, 'min'". To allow the real getattr would
    # open every attribute of every allowed type to a crafted file.
    statistic = (_history_buffer_statistic, 'builtins.getattr')
    return [_history_buffer(), statistic, np.ndarray, np.dtype, *functions, *dtypes]


def _history_buffer_statistic(owner, name):
    history_buffer = _history_buffer()
    # The class registers its statistics when the first buffer is made.
    statistics = history_buffer()._statistics_methods
    if owner is not history_buffer or name not in statistics:
        raise pickle.UnpicklingError(
            f'The checkpoint asks for the attribute {name!r} of {owner!r}; only the statistics '
            f'{sorted(statistics)} of {history_buffer.__name__} are allowed.'
        )
    return statistics[name]


def _history_buffer() -> type:
    # MMEngine can be imported only once torchvision can.
    return importlib.import_module('mmengine.logging').HistoryBuffer


def _numpy_2() -> bool:
    return Version(np.__version__).major >= 2
