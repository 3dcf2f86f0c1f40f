"""Reading weights safely, and checks on those that one stage hands to the next."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path

from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from ..unpickling import describe_refusal

NAMES_SHOWN = 6


def check_pretrained_fits(module: nn.Module, init_cfg: dict) -> None:
    """Refuse a ``Pretrained`` checkpoint that does not fit the module key for key.

    MMEngine loads ``init_cfg=dict(type='Pretrained', ...)`` leniently: what does not fit is logged and the run
    goes on from random weights. A stage 2 that silently ignores stage 1 is worth nothing, so it is refused here,
    before the weights are loaded.

    Args:
        module: The module about to be initialised.
        init_cfg: Its ``Pretrained`` init config, with ``checkpoint`` and, optionally, ``prefix``.

    Raises:
        FileNotFoundError: The checkpoint is a local path and nothing is there.
        ValueError: Keys are missing, left over, or of another shape.
    """
    read_fitting(module, str(init_cfg['checkpoint']), init_cfg.get('prefix') or '')


def load_part(model: nn.Module, part: str, checkpoint: str, prefix: str = '') -> None:
    """Load a submodule's weights from those that a checkpoint has under a prefix; they have to fit key for key.

    Args:
        model: The model.
        part: Dotted name of the submodule.
        checkpoint: Path or URL.
        prefix: What the submodule's keys begin with in the checkpoint.

    Raises:
        FileNotFoundError: The checkpoint is a local path and nothing is there.
        ValueError: There is no such submodule; keys are missing, left over, or of another shape.
    """
    module = find_part(model, part)
    module.load_state_dict(read_fitting(module, checkpoint, prefix))


def find_part(model: nn.Module, part: str) -> nn.Module:
    """Get a submodule by its dotted name.

    Raises:
        ValueError: There is none of that name; the message has the nearest ones.
    """
    modules = dict(model.named_modules())
    if part not in modules:
        near = difflib.get_close_matches(part, modules, n=4, cutoff=0.0)
        raise ValueError(f'{type(model).__name__} has no part {part!r}; the nearest names are {", ".join(near)}.')
    return modules[part]


def read_fitting(module: nn.Module, source: str, prefix: str) -> dict[str, Tensor]:
    """Read the weights that a checkpoint has for a module, after making sure that they fit key for key.

    Args:
        module: What they are for.
        source: Path or URL of the checkpoint.
        prefix: What their keys begin with.

    Raises:
        FileNotFoundError: The checkpoint is a local path and nothing is there.
        ValueError: Keys are missing, left over, or of another shape.
    """
    if '://' not in source and not Path(source).is_file():
        raise FileNotFoundError(
            f'The pre-trained checkpoint {source!r} does not exist. Train stage 1 first and give its checkpoint '
            'file, or set the init_cfg to None to start from random weights.'
        )
    checkpoint = read_checkpoint(source)
    weights = checkpoint.get('state_dict', checkpoint)
    if prefix and not prefix.endswith('.'):
        prefix += '.'
    given = {key[len(prefix) :]: value for key, value in weights.items() if key.startswith(prefix)}
    if not given:
        starts = sorted({key.split('.')[0] + '.' for key in weights})
        raise ValueError(
            f'The checkpoint {source!r} has no weights under the prefix {prefix!r}; its keys start with '
            f'{", ".join(starts)}. Give the prefix under which the {type(module).__name__} was saved.'
        )
    problems = find_misfits(shapes_of(given), shapes_of(module.state_dict()))
    if problems:
        raise ValueError(
            f'The checkpoint {source!r} does not fit the {type(module).__name__}. Keys {"; keys ".join(problems)}. '
            'Build the module with the settings that it was pre-trained with (widths, kernels, norm), or give '
            'another checkpoint.'
        )
    return given


def shapes_of(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shapes of weights by their names."""
    return {key: tuple(value.shape) for key, value in weights.items()}


def find_misfits(given: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Say what keeps weights from fitting a module: phrases with the first few names; none where everything fits.

    Args:
        given: Shapes of the weights by their names.
        wanted: Those of the module.
    """
    faults = {
        'missing': [key for key in wanted if key not in given],
        'left over': [key for key in given if key not in wanted],
        'of another shape': [
            f'{key} (checkpoint {given[key]}, module {shape})'
            for key, shape in wanted.items()
            if key in given and given[key] != shape
        ],
    }
    return [f'{fault}: {enumerate_names(names)}' for fault, names in faults.items() if names]


def enumerate_names(names: Iterable[str]) -> str:
    """Join names for a sentence, the first few of many."""
    names = list(names)
    shown = ', '.join(names[:NAMES_SHOWN])
    return f'{shown} and {len(names) - NAMES_SHOWN} more' if len(names) > NAMES_SHOWN else shown


def read_checkpoint(source: str | Path) -> object:
    """Read what a checkpoint holds, to the CPU, without running code that it may contain.

    Args:
        source: Path or URL; a training checkpoint of MMEngine's, a published file, or weights alone.

    Raises:
        FileNotFoundError: The source is a local path and nothing is there.
        ValueError: The file is no checkpoint, holds what could run code, or cannot be fetched.
    """
    try:
        return CheckpointLoader.load_checkpoint(str(source), map_location='cpu')
    except OSError as error:
        if '://' not in str(source):
            raise
        raise ValueError(f'The checkpoint {str(source)!r} cannot be fetched ({error}).') from error
    # what torch raises on files of any other kind
    except (RuntimeError, EOFError, KeyError, IndexError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(describe_refusal(source, error)) from error


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read the weights of a checkpoint without running code that it may contain.

    Accepted is a state dict, or a dict that has one as ``state_dict``; the prefix ``module.`` that
    ``DataParallel`` puts before every key is taken off.

    Args:
        path: A local file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no checkpoint, or holds no weights.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'The checkpoint {str(path)!r} does not exist.')
    loaded = read_checkpoint(path)
    weights = loaded.get('state_dict', loaded) if isinstance(loaded, Mapping) else loaded
    if not isinstance(weights, Mapping) or not weights or not all(isinstance(w, Tensor) for w in weights.values()):
        raise ValueError(
            f'{str(path)!r} holds no weights. It has to be a state dict, names with a tensor each, or a dict that has '
            "one as 'state_dict'."
        )
    prefix = 'module.' if all(key.startswith('module.') for key in weights) else ''
    return {key.removeprefix(prefix): value for key, value in weights.items()}
