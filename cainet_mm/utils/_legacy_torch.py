"""Restricted reading of checkpoints before torch 2.6, whose own restricted mode cannot read training checkpoints."""

import _compat_pickle
import codecs
import functools
import pickle
from collections import Counter, OrderedDict
from collections.abc import Callable
from types import SimpleNamespace
from typing import IO, Any

import torch

from .checkpoint_types import name_of, training_checkpoint_types


def read_restricted(file: IO[bytes], map_location: object = None) -> object:
    """Read a file of ``torch.save``, zip or legacy, with :class:`RestrictedUnpickler`.

    By what ``torch.load`` calls before 2.6: that itself refuses another unpickler in its strict mode.
    """
    if not torch.serialization._is_zipfile(file):
        return torch.serialization._legacy_load(file, map_location, PICKLE, encoding='utf-8')
    with torch.serialization._open_zipfile_reader(file) as archive:
        return torch.serialization._load(_CheckedArchive(archive), map_location, PICKLE, encoding='utf-8')


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


@functools.cache
def _allowed_globals() -> dict[str, object]:
    """What a checkpoint may name: what torch 2.6 knows, and what training checkpoints hold."""
    known = {
        # torch 2.6 checks sparse tensors that are made by their classes; torch.save writes none of these
        name: value
        for name, value in torch._weights_only_unpickler._get_allowed_globals().items()
        if 'sparse' not in name or name.startswith('torch._utils.')
    }
    constants = {str(value): value for value in vars(torch).values() if isinstance(value, torch.dtype | torch.qscheme)}
    plain = {
        'collections.Counter': Counter,
        'builtins.bytearray': bytearray,
        'builtins.complex': complex,
        'builtins.set': set,
        'torch.device': torch.device,
        # by which an older protocol writes bytes
        '_codecs.encode': codecs.encode,
    }
    ours = {name: value for value, name in training_checkpoint_types()}
    return {**known, **constants, **plain, **ours}


@functools.cache
def _allowed_identities() -> frozenset[int]:
    return frozenset(map(id, _allowed_globals().values()))


def _is_allowed(thing: object) -> bool:
    # not by comparison, which a tensor answers with a tensor
    return id(thing) in _allowed_identities()


def _is_dict(thing: object) -> bool:
    return type(thing) in (dict, OrderedDict, Counter)


def _is_tensor_id(thing: object) -> bool:
    return isinstance(thing, tuple) and thing[:1] in (('storage',), (b'storage',))


class _Instructions(dict):
    def __missing__(self, code: int):
        raise pickle.UnpicklingError(f'Unsupported operand {code}')


def _guarded(name: str, place: int | None, check: Callable[[object], bool], what: str) -> Callable[..., None]:
    """An instruction of Python's unpickler that raises where its operand is not allowed.

    The operand is at a place of the stack, or, at ``None``, the object that a series of items goes into.
    """
    perform = getattr(pickle._Unpickler, name)

    def guarded(self: Any) -> None:
        operand = self.metastack[-1][-1] if place is None else self.stack[place]
        if not check(operand):
            raise pickle.UnpicklingError(f'Unsupported class {name_of(operand)} that is {what}')
        perform(self)

    return guarded


class RestrictedUnpickler(pickle._Unpickler):
    """Builds what torch 2.6 and later build of MMEngine's checkpoints, and raises for anything else.

    Names stand for what :func:`_allowed_globals` lists. As in torch's own, only what is listed is called, made or given
    a state, only lists and dicts are filled, and only the instructions that torch writes are known. It is Python's own
    unpickler, written in Python: the one in C cannot be restricted so, and a file could change classes and functions.
    """

    proto: int
    # torch's unpickler has imported the instructions that it knows
    dispatch = _Instructions(
        (code[0], pickle._Unpickler.dispatch[code[0]])
        for code in vars(torch._weights_only_unpickler).values()
        if isinstance(code, bytes) and len(code) == 1
    )
    dispatch.update(
        {
            pickle.REDUCE[0]: _guarded('load_reduce', -2, _is_allowed, 'called'),
            pickle.NEWOBJ[0]: _guarded('load_newobj', -2, lambda it: isinstance(it, type) and _is_allowed(it), 'made'),
            # never a class or a function
            pickle.BUILD[0]: _guarded('load_build', -2, lambda it: _is_allowed(type(it)), 'given a state'),
            pickle.BINPERSID[0]: _guarded('load_binpersid', -1, _is_tensor_id, 'kept apart like a tensor'),
            pickle.APPEND[0]: _guarded('load_append', -2, lambda it: type(it) is list, 'filled'),
            pickle.APPENDS[0]: _guarded('load_appends', None, lambda it: type(it) is list, 'filled'),
            pickle.SETITEM[0]: _guarded('load_setitem', -3, _is_dict, 'filled'),
            pickle.SETITEMS[0]: _guarded('load_setitems', None, _is_dict, 'filled'),
        }
    )

    def find_class(self, module: str, name: str) -> object:
        """Return what a name stands for, if it is allowed."""
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


def _load(file, **kwargs):
    return RestrictedUnpickler(file, **kwargs).load()


# what torch takes in the place of Python's module
PICKLE = SimpleNamespace(__name__=__name__, Unpickler=RestrictedUnpickler, load=_load)
