"""Reading checkpoints without running what may be in them, with every torch.

A checkpoint is a pickle, and a pickle can run anything. From 2.6 on, torch by default builds only types that it
knows; before, whatever a file asks for. ``import cainet_mm`` makes MMEngine's loader, by which its runner, its models
and this package read checkpoints, refuse foreign types with every torch, with a clear error.
"""

from __future__ import annotations

import functools
import importlib
import os
import pickle
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import IO

import torch
from packaging.version import Version
from safetensors import SafetensorError
from safetensors.torch import load_file

from .checkpoint_types import training_checkpoint_types

# environment variables by which torch reads as before 2.6, or strictly; the second has precedence
FORCED_OPEN = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
FORCED_STRICT = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
TORCH_IS_STRICT = Version(torch.__version__).release >= (2, 6)

# how messages of torch and of this package name the type that was asked for
ASKED_FOR = re.compile(r'(?:GLOBAL|[Uu]nsupported (?:global|class)):? (?:GLOBAL )?([\w.]+)')

# whether the running thread reads a checkpoint by MMEngine's loader
_restricting: ContextVar[bool] = ContextVar('restricting', default=False)


class WeightsError(ValueError):
    """Weights cannot be read from a file, or do not fit; the message says why and what to do."""


class UnsafeCheckpointError(WeightsError):
    """A file is no checkpoint that can be read without running what is in it."""


def allow_training_checkpoint_types() -> None:
    """Let ``torch.load`` read MMEngine's training checkpoints in its restricted mode.

    Symptom: ``UnpicklingError: Weights only load failed`` when a run is resumed or tested.
    Cause: from 2.6 on, torch builds only types that it knows. MMEngine's checkpoints also hold the log
    (``HistoryBuffer``, NumPy arrays) and best scores (NumPy scalars). Exactly those are allowed, under the names
    that NumPy 1 and NumPy 2 write, so that a checkpoint can move between the two. Any other type is still refused.
    """
    if TORCH_IS_STRICT:
        torch.serialization.add_safe_globals([*training_checkpoint_types()])


def make_checkpoint_loader_safe() -> None:
    """Have MMEngine's ``CheckpointLoader`` refuse foreign types with every torch.

    Symptom: a checkpoint can run code when it is resumed, tested, or loaded by an ``init_cfg``: before torch 2.6 any,
    and with every torch one that has a URL.
    Cause: MMEngine calls ``torch.load`` as such, which was open then, and reads URLs by ``torch.hub``, which asks for
    ``weights_only=False``. While its loader works, ``torch.load`` is restricted, in its thread, to the types that it
    knows from 2.6 on and those of training checkpoints.

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
    torch.load = _make_restrictable(torch.load)


def describe_refusal(filename: object, error: Exception) -> str:
    """Say why a file was not read, and what can be done."""
    # without torch's own advice around the reason
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
    """Have ``torch.load`` build nothing that could run code, in this thread and until the block ends."""
    token = _restricting.set(_is_set(FORCED_STRICT) or not _is_set(FORCED_OPEN))
    try:
        yield
    finally:
        _restricting.reset(token)


def _make_restrictable(original):
    """``torch.load``, which within :func:`_restricted_torch_load` ignores a ``weights_only=False``."""

    @functools.wraps(original)
    def load(f, map_location=None, *args, **kwargs):
        if not _restricting.get():
            return original(f, map_location, *args, **kwargs)
        kwargs['weights_only'] = True
        try:
            with open(f, 'rb') if isinstance(f, str | os.PathLike) else nullcontext(f) as file:
                refuse_archives_that_run(file)
                if not TORCH_IS_STRICT:
                    from ._legacy_torch import read_restricted

                    return read_restricted(file, map_location)
                return original(f, map_location, **kwargs)
        except (pickle.UnpicklingError, RuntimeError, OSError, MemoryError):  # RuntimeError: it is damaged
            raise
        except Exception as error:  # a crafted file can bring about anything in torch and NumPy
            raise pickle.UnpicklingError(f'{type(error).__name__}: {error}') from error

    return load


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, '').lower() in ('1', 'y', 'yes', 'true')


def refuse_archives_that_run(file: IO[bytes]) -> None:
    """Raise ``UnpicklingError`` for the two kinds of files that torch does not read by its unpickler.

    A TorchScript archive brings code of its own, which runs while it is loaded. Of a tar archive, the format of torch
    before 0.2, members are written to the disk, and these may be links to other places.
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
