"""Which types a checkpoint may hold, and reading no others, with every torch.

A checkpoint is a pickle, and a pickle can run anything. From 2.6 on, torch builds only types that it knows, unless it
is told otherwise; before, it builds whatever a file asks for. ``import cainet_mm`` makes MMEngine's loader, by which
its runner, its models and this package read checkpoints, refuse foreign types with every torch, in a sentence.
"""

from __future__ import annotations

import _compat_pickle
import codecs
import functools
import importlib
import os
import pickle
import re
import struct
import tarfile
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from types import SimpleNamespace
from typing import IO

import numpy as np
import torch
from packaging.version import Version
from safetensors import SafetensorError
from safetensors.torch import load_file

# by which torch from 2.6 on can be told to read as it did before
FORCED_OPEN = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
# which goes before that
FORCED_STRICT = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
TORCH_IS_STRICT = Version(torch.__version__).release >= (2, 6)

# how torch's messages, and those below, name the type that was asked for
ASKED_FOR = re.compile(r'(?:GLOBAL|[Uu]nsupported (?:global|class)):? (?:GLOBAL )?([\w.]+)')

# as NumPy writes bool, int64, float32 and float64
PLAIN_DTYPES = ('b1', 'i8', 'f4', 'f8')

# torch's own functions that make tensors, as far as torch 2.1 does not yet list or have them
_LATER_REBUILDERS = (
    '_rebuild_parameter_with_state',
    '_rebuild_qtensor',
    '_rebuild_tensor_v3',
    '_rebuild_nested_tensor',
    '_rebuild_wrapper_subclass',
    '_rebuild_device_tensor_from_numpy',
    '_rebuild_device_tensor_from_cpu_tensor',
)

# whether the running thread reads a checkpoint; torch.load as it was and as it is meanwhile, once for each that does
_restricting: ContextVar[bool] = ContextVar('restricting', default=False)
_patches: list[tuple] = []
_lock = threading.Lock()


class WeightsError(ValueError):
    """Weights cannot be read from a file, or do not fit; the message says why and what to do."""


class UnsafeCheckpointError(WeightsError):
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

    Symptom: a checkpoint can run code when it is resumed, tested, or loaded by an ``init_cfg``: before torch 2.6 any,
    and with every torch one that has a URL.
    Cause: MMEngine calls ``torch.load`` as such, which was open then, and reads URLs by ``torch.hub``, which asks for
    ``weights_only=False``. While its loader works, ``torch.load`` is restricted to the types that it knows from 2.6
    on and those of training checkpoints; for other threads, and afterwards, it is as it was.

    A config in the notes of a checkpoint (``meta['config']``, which older versions of MMEngine wrote) is left out: it
    is Python code, and MMEngine's runners run it on resuming, to compare the number of GPUs.
    """
    loader = importlib.import_module('mmengine.runner.checkpoint').CheckpointLoader
    original = loader.__dict__['load_checkpoint'].__func__
    if hasattr(original, '__wrapped__'):
        return

    @functools.wraps(original)
    def load_checkpoint(cls, filename, *args, **kwargs):
        try:
            # torch reads them only in later versions
            if str(filename).endswith('.safetensors') and '://' not in str(filename):
                return load_file(filename)
            with _restricted_torch_load():
                loaded = original(cls, filename, *args, **kwargs)
        except (pickle.UnpicklingError, SafetensorError) as error:
            raise UnsafeCheckpointError(describe_refusal(filename, error)) from error
        if isinstance(loaded, dict) and isinstance(loaded.get('meta'), dict):
            loaded['meta'].pop('config', None)
        return loaded

    loader.load_checkpoint = classmethod(load_checkpoint)


def describe_refusal(filename: object, error: Exception) -> str:
    """Say why a file was not read, and what can be done."""
    # torch puts its own words of advice around the reason
    said = str(error).rpartition('WeightsUnpickler error: ')[2].partition('Check the documentation')[0].strip()
    asked = ASKED_FOR.search(said)
    if asked:
        # torch leaves the module of built-in functions out
        reason = f'it asks for {asked[1].removeprefix("builtins.")}'
    else:
        reason = (said.splitlines() or [type(error).__name__])[0]
    return (
        f'{str(filename)!r} cannot be read as a checkpoint ({reason}). It has to be a file that torch.save wrote, with '
        'tensors, numbers, text and the log of MMEngine alone, since anything else could run code. If you trust the '
        'file, read it with torch.load(path, weights_only=False) and save its weights alone.'
    )


@contextmanager
def _restricted_torch_load() -> Iterator[None]:
    """Lets ``torch.load`` build nothing that could run code, in this thread and until the block ends.

    That includes calls that ask for ``weights_only=False``: so does ``torch.hub``, by which MMEngine reads URLs, with
    every torch.
    """
    if _is_set(FORCED_OPEN) and not _is_set(FORCED_STRICT):
        yield
        return
    token = _restricting.set(True)
    with _lock:
        if not _patches:
            _patches.append((torch.load, _make_restricted(torch.load)))
            torch.load = _patches[0][1]
        else:
            _patches.append(_patches[0])
    try:
        yield
    finally:
        _restricting.reset(token)
        with _lock:
            original, restricted = _patches.pop()
            if not _patches and torch.load is restricted:
                torch.load = original


def _make_restricted(original):
    @functools.wraps(original)
    def load(f, map_location=None, pickle_module=None, *, weights_only=None, **kwargs):
        if not _restricting.get():
            return original(f, map_location, pickle_module, weights_only=weights_only, **kwargs)
        try:
            with open(f, 'rb') if isinstance(f, (str, os.PathLike)) else nullcontext(f) as file:
                refuse_archives_that_run(file)
                if not TORCH_IS_STRICT:
                    return read_restricted(file, map_location)
            return original(f, map_location, weights_only=True, **kwargs)
        # what a crafted file can bring about in torch and NumPy; files that are damaged raise a RuntimeError
        except (
            ArithmeticError,
            AssertionError,
            AttributeError,
            EOFError,
            LookupError,
            TypeError,
            ValueError,
            struct.error,
        ) as error:
            raise pickle.UnpicklingError(f'{type(error).__name__}: {error}') from error

    return load


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, '').lower() in ('1', 'y', 'yes', 'true')


def refuse_archives_that_run(file: IO[bytes]) -> None:
    """Raise for the two kinds of files that torch reads otherwise than by its unpickler.

    A TorchScript archive brings code of its own, which runs while it is loaded. Of a tar archive, the format of torch
    before 0.2, members are written to the disk, and these may be links to other places.

    Raises:
        UnpicklingError: It is one of them.
    """
    start = file.tell()
    try:
        if torch.serialization._is_zipfile(file):
            with torch.serialization._open_zipfile_reader(file) as archive:
                if torch.serialization._is_torchscript_zip(archive):
                    raise pickle.UnpicklingError('it is a TorchScript archive, which brings code of its own')
        elif tarfile.is_tarfile(file):
            raise pickle.UnpicklingError('it is a tar archive, whose members may be written anywhere')
    finally:
        file.seek(start)


def read_restricted(file: IO[bytes], map_location: object = None) -> object:
    """Read a file of ``torch.save``, zip or legacy, with :class:`RestrictedUnpickler`.

    By what ``torch.load`` calls before 2.6: that itself refuses another unpickler where it is told to be strict.
    """
    if not torch.serialization._is_zipfile(file):
        return torch.serialization._legacy_load(file, map_location, _PICKLE, encoding='utf-8')
    with torch.serialization._open_zipfile_reader(file) as archive:
        return torch.serialization._load(_CheckedArchive(archive), map_location, _PICKLE, encoding='utf-8')


class _CheckedArchive:
    """An archive that gives no tensor more bytes than the file has for it; torch itself checks that from 2.10 on."""

    def __init__(self, archive) -> None:
        self.archive = archive

    def __getattr__(self, name: str) -> object:
        return getattr(self.archive, name)

    def get_storage_from_record(self, name: str, size: int, kind: type) -> torch.Tensor:
        data = bytearray(self.archive.get_record(name))
        if len(data) != size:
            raise pickle.UnpicklingError(f'a tensor of {size} bytes has {len(data)} in the file')
        return torch.frombuffer(data, dtype=torch.uint8) if data else torch.empty(0, dtype=torch.uint8)


class _Instructions(dict):
    def __missing__(self, code: int):
        raise pickle.UnpicklingError(f'Unsupported operand {code}')


class RestrictedUnpickler(pickle._Unpickler):
    """Builds what torch 2.6 and later build of MMEngine's checkpoints, and raises for anything else.

    Names stand for what :func:`_allowed_globals` lists. As in torch's own, only what is listed is called, made or given
    a state, only lists and dicts are filled, and only the instructions that torch writes are known. It is Python's own
    unpickler, written in Python: that written in C cannot be told so, and a file could change classes and functions.
    """

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

    def persistent_load(self, pid: object) -> object:
        """Raise, as torch puts its own in place where a file holds tensors."""
        raise pickle.UnpicklingError('tensors where none are expected')

    def _load_reduce(self) -> None:
        if not _is_allowed(self.stack[-2]):
            raise pickle.UnpicklingError(f'Unsupported class {_name_of(self.stack[-2])} that is called')
        super().load_reduce()

    def _load_newobj(self) -> None:
        if not (isinstance(self.stack[-2], type) and _is_allowed(self.stack[-2])):
            raise pickle.UnpicklingError(f'Unsupported class {_name_of(self.stack[-2])} that is made')
        super().load_newobj()

    def _load_build(self) -> None:
        """Give an object its state, if it is of a type that is listed: never a class or a function."""
        if not _is_allowed(type(self.stack[-2])):
            raise pickle.UnpicklingError(f'Unsupported class {type(self.stack[-2]).__name__} that is given a state')
        super().load_build()

    def _load_binpersid(self) -> None:
        pid = self.stack[-1]
        if not isinstance(pid, tuple) or not pid or pid[0] not in ('storage', b'storage'):
            raise pickle.UnpicklingError('something other than a tensor is kept apart')
        super().load_binpersid()

    def _load_append(self) -> None:
        self._check_filled(self.stack[-2], list)
        super().load_append()

    def _load_appends(self) -> None:
        self._check_filled(self.metastack[-1][-1], list)
        super().load_appends()

    def _load_setitem(self) -> None:
        self._check_filled(self.stack[-3], dict, OrderedDict, Counter)
        super().load_setitem()

    def _load_setitems(self) -> None:
        self._check_filled(self.metastack[-1][-1], dict, OrderedDict, Counter)
        super().load_setitems()

    @staticmethod
    def _check_filled(target: object, *kinds: type) -> None:
        if type(target) not in kinds:
            raise pickle.UnpicklingError(f'Unsupported class {_name_of(target)} that is filled')

    # torch's unpickler has imported the instructions that it knows
    dispatch = _Instructions(
        (code[0], pickle._Unpickler.dispatch[code[0]])
        for code in vars(torch._weights_only_unpickler).values()
        if isinstance(code, bytes) and len(code) == 1
    )
    dispatch.update(
        {
            pickle.REDUCE[0]: _load_reduce,
            pickle.NEWOBJ[0]: _load_newobj,
            pickle.BUILD[0]: _load_build,
            pickle.BINPERSID[0]: _load_binpersid,
            pickle.APPEND[0]: _load_append,
            pickle.APPENDS[0]: _load_appends,
            pickle.SETITEM[0]: _load_setitem,
            pickle.SETITEMS[0]: _load_setitems,
        }
    )


def _load(file, **kwargs):
    return RestrictedUnpickler(file, **kwargs).load()


# what torch takes in the place of Python's module
_PICKLE = SimpleNamespace(__name__=__name__, Unpickler=RestrictedUnpickler, load=_load)


@functools.lru_cache(maxsize=1)
def _allowed_globals() -> dict[str, object]:
    """What a checkpoint may name, before torch 2.6: what later ones know, and what training checkpoints hold."""
    known = {
        # torch 2.6 checks sparse tensors that are made by their classes; torch.save writes none of these
        name: value
        for name, value in torch._weights_only_unpickler._get_allowed_globals().items()
        if 'sparse' not in name or name.startswith('torch._utils.')
    }
    later = {f'torch._utils.{name}': vars(torch._utils).get(name) for name in _LATER_REBUILDERS}
    constants = {str(value): value for value in vars(torch).values() if isinstance(value, (torch.dtype, torch.qscheme))}
    plain = {
        'collections.Counter': Counter,
        'builtins.bytearray': bytearray,
        'builtins.complex': complex,
        'builtins.set': set,
        'torch.device': torch.device,
        # by which an older protocol writes bytes
        '_codecs.encode': codecs.encode,
    }
    ours = {name: value for value, name in _training_checkpoint_types()}
    named = {**known, **later, **constants, **plain, **ours}
    return {name: value for name, value in named.items() if value is not None}


@functools.lru_cache(maxsize=1)
def _allowed_identities() -> frozenset[int]:
    return frozenset(map(id, _allowed_globals().values()))


def _is_allowed(thing: object) -> bool:
    # not by comparison, which a tensor answers with a tensor
    return id(thing) in _allowed_identities()


def _name_of(thing: object) -> str:
    return getattr(thing, '__qualname__', type(thing).__qualname__)


def _training_checkpoint_types() -> list[tuple[object, str]]:
    """What MMEngine's training checkpoints hold beside torch's types, each with the name that stands for it."""
    core = importlib.import_module('numpy._core.multiarray' if _numpy_2() else 'numpy.core.multiarray')
    functions = [
        (function, f'{module}.{name}')
        for name, function in (('_reconstruct', _make_empty_array), ('scalar', core.scalar))
        for module in ('numpy.core.multiarray', 'numpy._core.multiarray')
    ]
    # A file gives arrays and their dtypes a state, for which their types have to be listed; but it must not call them:
    # numpy.ndarray makes an object array out of any bytes, which are then taken for addresses of objects. No file can
    # ask for a name with a line break.
    stateful = [
        (kind, f'{kind.__module__}.{kind.__qualname__}\n')
        for kind in (np.ndarray, *(type(np.dtype(kind)) for kind in PLAIN_DTYPES))
    ]
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


class _StoredArray:
    """Stands for ``numpy.ndarray`` where a file names it: the kind of array to make, and nothing to call."""


def _make_empty_array(kind: object, *_) -> np.ndarray:
    """Make the array that a file then gives its state, as NumPy's ``_reconstruct`` does, but of no other kind."""
    # the class itself comes from programs that allow it to torch on their own
    if kind is not _StoredArray and kind is not np.ndarray:
        raise pickle.UnpicklingError(f'Unsupported class {_name_of(kind)} as a kind of array')
    return np.empty(0, bool)


def _make_plain_dtype(kind: object, *_) -> np.dtype:
    """Give one of the dtypes that a training checkpoint needs.

    Always NumPy's own object, never the copy that a file asks for: a state changes nothing in that, whereas a copy can
    be told that its numbers are addresses of objects.
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


def _numpy_2() -> bool:
    return Version(np.__version__).major >= 2
