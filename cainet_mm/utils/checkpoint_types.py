"""Which types MMEngine's training checkpoints may hold beside those of torch, and what builds them."""

import importlib
import pickle
from typing import Any

import numpy as np
from packaging.version import Version

# as NumPy writes bool, int64, float32 and float64
PLAIN_DTYPES = ('b1', 'i8', 'f4', 'f8')


def training_checkpoint_types() -> list[tuple[Any, str]]:
    """What builds the types of training checkpoints, each with the name that stands for it in a file."""
    is_numpy_2 = Version(np.__version__).major >= 2
    core = importlib.import_module('numpy._core.multiarray' if is_numpy_2 else 'numpy.core.multiarray')
    functions = [
        (function, f'{module}.{name}')
        for name, function in (('_reconstruct', _make_empty_array), ('scalar', core.scalar))
        for module in ('numpy.core.multiarray', 'numpy._core.multiarray')
    ]
    # A file gives arrays and their dtypes a state, for which their types have to be listed; but it must not call them:
    # numpy.ndarray makes an object array out of any bytes, which are then taken for addresses of objects. No file can
    # ask for a name with a line break.
    kinds: list[type] = [np.ndarray, *(type(np.dtype(kind)) for kind in PLAIN_DTYPES)]
    stateful = [(kind, f'{kind.__module__}.{kind.__qualname__}\n') for kind in kinds]
    return [
        (_history_buffer(), 'mmengine.logging.history_buffer.HistoryBuffer'),
        # A HistoryBuffer stores its statistics as "getattr of HistoryBuffer, 'min'". To allow the real getattr would
        # open every attribute of every allowed type to a crafted file.
        (_history_buffer_statistic, 'builtins.getattr'),
        (_StoredArray, 'numpy.ndarray'),
        (_make_plain_dtype, 'numpy.dtype'),
        *functions,
        *stateful,
    ]


def name_of(thing: object) -> str:
    """The name of a class or a function, or of the class of anything else."""
    return getattr(thing, '__qualname__', type(thing).__qualname__)


class _StoredArray:
    """Stands for ``numpy.ndarray`` where a file names it: the kind of array to make, and nothing to call."""


def _make_empty_array(kind: object, *_) -> np.ndarray:
    """Make the array that a file then gives its state, as NumPy's ``_reconstruct`` does, but of no other kind."""
    # the class itself comes from programs that allow it to torch on their own
    if kind is not _StoredArray and kind is not np.ndarray:
        raise pickle.UnpicklingError(f'Unsupported class {name_of(kind)} as a kind of array')
    return np.empty(0, bool)


def _make_plain_dtype(kind: object, *_) -> np.dtype:
    """Return one of the dtypes that a training checkpoint needs.

    Always NumPy's own object, never the copy that a file asks for: a state changes nothing in that, whereas a copy
    could be made to take its numbers for addresses of objects.
    """
    if not isinstance(kind, str) or kind not in PLAIN_DTYPES:
        raise pickle.UnpicklingError(f'Unsupported class numpy.dtype of {kind!r}')
    return np.dtype(kind)


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
