"""Turning checkpoints of other implementations into this package's."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from ..utils.checkpoint_io import find_misfits, shapes_of
from ..utils.files import write_file
from .publishing import checkpoint_bytes

# buffers of batch norm that checkpoints of PyTorch before 0.4.1 do not have; nothing at inference reads them
OPTIONAL_SUFFIX = 'num_batches_tracked'


def rename_strictly(
    weights: Mapping[str, Tensor], mapping: Mapping[str, str], module: nn.Module, source: str
) -> dict[str, Tensor]:
    """Give weights the names of a module, key for key; returns what its ``load_state_dict`` takes, in its order.

    The mapping has the module's name of each old one; weights, which errors call ``source``, may lack the counters
    ``num_batches_tracked``.

    Raises:
        ValueError: Weights are missing, left over, or of another shape; or the mapping does not cover the module.
    """
    wanted = module.state_dict()
    old_names = {new: old for old, new in mapping.items()}
    if len(old_names) != len(mapping) or old_names.keys() != wanted.keys():
        differing = sorted(old_names.keys() ^ wanted.keys()) or 'two old names for one new one'
        raise ValueError(f'The mapping of names does not fit the {type(module).__name__}: {differing}.')
    needed = {old: new for old, new in mapping.items() if old in weights or not old.endswith(OPTIONAL_SUFFIX)}
    problems = find_misfits(shapes_of(weights), shapes_of({old: wanted[new] for old, new in needed.items()}))
    if problems:
        raise ValueError(f'{source} does not fit the {type(module).__name__}. Keys {"; keys ".join(problems)}.')
    return {new: weights.get(old_names[new], value).detach().clone() for new, value in wanted.items()}


def write_checkpoint(weights: Mapping[str, Tensor], path: str | Path, meta: dict, force: bool = False) -> None:
    """Write weights and notes to ``NAME.pth`` or ``NAME.safetensors``, over a file of that name only with ``force``."""
    path = Path(path)
    if path.exists() and not force:
        raise FileExistsError(f'{str(path)!r} exists already; name another file, or replace it with --force.')
    write_file(path, checkpoint_bytes(weights, meta, path.suffix))
