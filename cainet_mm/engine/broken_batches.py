"""Batches that broke a training, in files that can be read without running code."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor

from ..datasets.resumable import PATH_KEYS

ELEMENT = 'data_element'


def can_be_nan(value: object) -> bool:
    """Whether something is a tensor with values that need not be finite."""
    return isinstance(value, Tensor) and value.is_floating_point() and value.numel() > 0


def to_plain(value: object) -> object:
    """Turn a batch into tensors on the CPU, lists, dicts, numbers and strings, which ``weights_only`` reads."""
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, np.ndarray) and value.dtype.kind in 'biuf':
        return torch.from_numpy(value.copy())
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, BaseDataElement):
        return {
            ELEMENT: name_of(type(value)),
            'metainfo': to_plain(dict(value.metainfo_items())),
            'data': to_plain(dict(value.items())),
        }
    if isinstance(value, Mapping):
        return {str(key): to_plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(part) for part in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def name_of(kind: type) -> str:
    """The full name of a class."""
    return f'{kind.__module__}.{kind.__qualname__}'


def _elements() -> Iterator[type[BaseDataElement]]:
    """Every class of data elements that has been imported."""
    waiting = [BaseDataElement]
    while waiting:
        found = waiting.pop()
        yield found
        waiting.extend(found.__subclasses__())


def from_plain(value: object) -> object:
    """Undo :func:`to_plain` as far as a model needs it: data elements are made anew."""
    if isinstance(value, dict) and ELEMENT in value:
        # classes that are there already: a file imports nothing
        kind = next((kind for kind in _elements() if name_of(kind) == value[ELEMENT]), BaseDataElement)
        return kind(metainfo=from_plain(value['metainfo']), **from_plain(value['data']))
    if isinstance(value, dict):
        return {key: from_plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [from_plain(part) for part in value]
    return value


def load_broken_batch(path: str | Path) -> object:
    """Load the batch of a file in ``broken/``, to call ``model.train_step`` or its preprocessor with.

    Args:
        path: A file that :class:`FiniteHook` wrote.

    Returns:
        The batch as the loop got it.
    """
    return from_plain(torch.load(path, map_location='cpu', weights_only=True)['batch'])


def find_sources(value: object) -> list[str]:
    """The files that the samples of a plain batch came from, in their order, where the samples say."""
    if isinstance(value, dict):
        named = next((value[key] for key in PATH_KEYS if isinstance(value.get(key), str | list)), None)
        if named is not None:
            return [named] if isinstance(named, str) else [str(name) for name in named]
        return [name for part in value.values() for name in find_sources(part)]
    if isinstance(value, list):
        return [name for part in value for name in find_sources(part)]
    return []


def find_bad_samples(value: object, index: int | None = None) -> list[int]:
    """Indices of the samples of a plain batch that came with values that are not finite.

    Samples are the elements of the lists in the batch; a tensor of all of them has the first dimension for it.
    """
    if can_be_nan(value):
        finite = value.isfinite()
        if finite.all():
            return []
        return [index] if index is not None else (~finite.flatten(1).all(1)).nonzero().flatten().tolist()
    parts = enumerate(value) if isinstance(value, list) else ()
    if isinstance(value, dict):
        parts = ((None, part) for part in value.values())
    found = [bad for place, part in parts for bad in find_bad_samples(part, place if index is None else index)]
    return sorted(set(found))
