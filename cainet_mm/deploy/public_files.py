"""Reading weights out of files of others, TorchScript and training checkpoints, without running anything in them."""

import io
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ..utils.checkpoint_io import read_weights
from ..utils.errors import describe_error

STORAGES = dict(
    FloatStorage=torch.float32,
    DoubleStorage=torch.float64,
    HalfStorage=torch.float16,
    BFloat16Storage=torch.bfloat16,
    LongStorage=torch.int64,
    IntStorage=torch.int32,
    ShortStorage=torch.int16,
    CharStorage=torch.int8,
    ByteStorage=torch.uint8,
    BoolStorage=torch.bool,
)


class Stored(NamedTuple):
    """The data of a tensor in a file."""

    dtype: torch.dtype
    data: bytes


class Placeholder:
    """Replaces an object of any foreign type: it has the state that the file gives it, and does nothing."""

    state: object = None

    def __init__(self, *args) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __setitem__(self, key: object, value: object) -> None:
        pass

    append = extend = __init__


class WeightsUnpickler(pickle.Unpickler):
    """Builds lists, dicts, numbers, strings and tensors; whatever else a file names becomes a placeholder.

    No name is looked up, so nothing outside can be called or changed: all that a file gets is made for it here.

    Args:
        archive: The file.
        folder: Where in it the pickle is; its tensors are below ``data/`` there.
    """

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(io.BytesIO(archive.read(f'{folder}data.pkl')))
        self.archive = archive
        self.folder = folder

    def find_class(self, module: str, name: str) -> object:
        """Return the replacement of a name."""
        if module == 'torch' and name in STORAGES:
            # a string can be given no state
            return name
        if (module, name) == ('torch._utils', '_rebuild_tensor_v2'):
            return lambda stored, offset, size, stride, *rest: make_tensor(stored, offset, size, stride)
        if (module, name) == ('torch._utils', '_rebuild_parameter'):
            return lambda tensor, *rest: tensor
        if (module, name) == ('collections', 'OrderedDict'):
            # a new class, so that a state that the file gives it changes nothing else
            return type(name, (dict,), {'__setstate__': lambda self, state: None})
        return type(name, (Placeholder,), {})

    def persistent_load(self, pid: tuple) -> Stored:
        """Read the data of a tensor, which lies beside the pickle."""
        _, kind, key, *_ = pid
        return Stored(STORAGES[kind], self.archive.read(f'{self.folder}data/{key}'))


def make_tensor(stored: Stored, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """Make a tensor of stored data; torch checks that it does not reach beyond them."""
    if not isinstance(stored, Stored):
        raise pickle.UnpicklingError('a tensor without data')
    flat = torch.frombuffer(bytearray(stored.data), dtype=stored.dtype) if stored.data else torch.empty(0)
    return flat.as_strided(tuple(size), tuple(stride), offset)


def read_public_weights(path: str | Path) -> dict[str, Tensor]:
    """Read the weights of a local file: weights alone, a training checkpoint of any framework, or TorchScript.

    Only tensors are taken, by their names (of TorchScript, those of its modules). Objects of other types, such as those
    in checkpoints of PyTorch Lightning, are passed over, and the code in a TorchScript file is not loaded.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is none of these, or holds no weights.
    """
    if not zipfile.is_zipfile(path):
        # of torch before 1.6, and whatever is no checkpoint
        return read_weights(path)
    try:
        with zipfile.ZipFile(path) as archive:
            # archives have all in one folder; of TorchScript's two pickles the other one holds its code's constants
            folder = next(name for name in archive.namelist() if name.split('/')[1:] == ['data.pkl'])
            weights = WeightsUnpickler(archive, folder.removesuffix('data.pkl')).load()
            weights = dict(tensors_in(weights)) if isinstance(weights, Placeholder) else weights
    except StopIteration:
        raise ValueError(f'{str(path)!r} cannot be read as a checkpoint: it is another kind of archive.') from None
    except Exception as error:  # a damaged or crafted file can bring about anything
        reason = describe_error(error, kind=True)
        raise ValueError(f'{str(path)!r} cannot be read as a checkpoint ({reason}).') from error
    if isinstance(weights, Mapping):
        weights = weights.get('state_dict', weights)
    entries = weights.items() if isinstance(weights, Mapping) else ()
    if not entries or not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in entries):
        raise ValueError(
            f"{str(path)!r} holds no weights. It has to be a state dict, a dict that has one as 'state_dict', or "
            'TorchScript whose modules have kept their weights.'
        )
    return dict(weights)


def tensors_in(module: Placeholder, prefix: str = '') -> Iterator[tuple[str, Tensor]]:
    """Walk over a TorchScript module and those in it."""
    for name, value in module.state.items() if isinstance(module.state, dict) else ():
        if isinstance(value, Tensor):
            yield f'{prefix}{name}', value
        elif isinstance(value, Placeholder):
            yield from tensors_in(value, f'{prefix}{name}.')
