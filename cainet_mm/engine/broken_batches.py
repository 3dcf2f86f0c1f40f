"""Batches that broke a training, in files that can be read without running code."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.structures import BaseDataElement
from torch import Tensor

from ..datasets.resumable import PATH_KEYS
from ..utils.checkpoint_io import enumerate_names
from ..utils.errors import describe_error

ELEMENT = 'data_element'


def load_broken_batch(path: str | Path) -> object:
    """Load the batch of a file in ``broken/`` as the loop got it, to call ``model.train_step`` with."""
    return from_plain(torch.load(path, map_location='cpu', weights_only=True)['batch'])


def save_broken_batch(folder: Path, iteration: int, batch: object, fault: str, max_files: int) -> str:
    """Save a batch and its fault for :func:`load_broken_batch`; returns a message of where it is, and what is in it."""
    plain = to_plain(batch)
    sources = find_sources(plain)
    content = f' ({enumerate_names(sources)})' if sources else ''
    bad = [sources[index] if index < len(sources) else f'sample {index}' for index in find_bad_samples(plain)]
    if bad:
        content += f', of which {enumerate_names(bad)} came with values that are not finite,'
    ending = f'_rank{get_rank()}.pth' if get_rank() else '.pth'
    path = folder / f'iter_{iteration}{ending}'
    saved = [other for other in folder.glob('iter_*') if re.fullmatch(rf'iter_\d+{ending}', other.name)]
    if len(saved) >= max_files and path not in saved:
        return f'The batch{content} was not saved, as there are {len(saved)} in {folder} already.'
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(dict(iteration=iteration, fault=fault, sources=sources, batch=plain), path)
    # torch raises the latter for a full disk
    except (OSError, RuntimeError) as error:
        path.unlink(missing_ok=True)
        return f'The batch{content} could not be saved in {folder} ({describe_error(error, first_line=True)}).'
    return f'The batch{content} is in {path}.'


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
            ELEMENT: f'{type(value).__module__}.{type(value).__name__}',
            'metainfo': to_plain(dict(value.metainfo_items())),
            'data': to_plain(dict(value.items())),
        }
    if isinstance(value, Mapping):
        return {str(key): to_plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(part) for part in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def from_plain(value: object) -> Any:
    """Undo :func:`to_plain` as far as a model needs it: data elements are built again."""
    if isinstance(value, dict) and ELEMENT in value:
        # only a class that is imported already: a file imports nothing
        module, _, name = value[ELEMENT].rpartition('.')
        kind = getattr(sys.modules.get(module), name, None)
        kind = kind if isinstance(kind, type) and issubclass(kind, BaseDataElement) else BaseDataElement
        return kind(metainfo=from_plain(value['metainfo']), **from_plain(value['data']))
    if isinstance(value, dict):
        return {key: from_plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [from_plain(part) for part in value]
    return value


def find_sources(value: object) -> list[str]:
    """The files that the samples of a plain batch came from, in their order, where the samples name them."""
    if isinstance(value, dict):
        named = next((value[key] for key in PATH_KEYS if isinstance(value.get(key), str | list)), None)
        if named is not None:
            return [named] if isinstance(named, str) else [str(name) for name in named]
        value = list(value.values())
    return [name for part in value for name in find_sources(part)] if isinstance(value, list) else []


def find_bad_samples(value: object, index: int | None = None) -> list[int]:
    """Indices of samples that are not finite: elements of lists, or the first dimension of tensors outside of them."""
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


def can_be_nan(value: object) -> TypeGuard[Tensor]:
    """Whether something is a tensor with values that need not be finite."""
    return isinstance(value, Tensor) and value.is_floating_point() and value.numel() > 0
