"""The one reader of checkpoints; weights are loaded only where every key fits."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path

from mmengine.runner.checkpoint import CheckpointLoader, get_state_dict
from torch import Tensor, nn

from .errors import describe_error
from .safe_loading import WeightsError, describe_refusal

NAMES_SHOWN = 6
# networks that losses keep in a model, such as MMagic's perceptual loss; nothing is learned in them
LOSSES = ('loss_percep.', 'losses.')
# what a checkpoint may be without, as published ones are: the model then keeps its own
OPTIONAL = ('disc.', *LOSSES)


def read_checkpoint(source: str | Path) -> object:
    """Read what a checkpoint holds, its path or, of a ``.pth``, its URL, to the CPU, without running code in it.

    Raises:
        FileNotFoundError: The source is a local path and nothing is there.
        WeightsError: The file is no checkpoint, is cut off, holds what could run code, or cannot be fetched.
    """
    source = str(source)
    if '://' not in source and not Path(source).is_file():
        raise FileNotFoundError(f'The checkpoint {source!r} does not exist.')
    if '://' in source and source.endswith('.safetensors'):
        raise WeightsError(
            f'The checkpoint {source!r} is a safetensors file, which is read from the disk alone; fetch it first, and '
            'give its path. By URL, what torch.save wrote (.pth) is read, and the config in it.'
        )
    try:
        # without MMEngine's log: the errors name the file
        return CheckpointLoader.load_checkpoint(source, map_location='cpu', logger='silent')
    except WeightsError:
        raise
    except Exception as error:  # of files that are cut off and of other kinds, and of URLs, there are many
        if '://' in source:
            raise WeightsError(f'The checkpoint {source!r} cannot be fetched ({describe_error(error)}).') from error
        raise WeightsError(describe_refusal(source, error)) from error


def read_weights(source: str | Path, prefix: str = '') -> dict[str, Tensor]:
    """Read the weights of a checkpoint, as :func:`weights_in` finds them.

    Of a prefix, only the keys that begin with it are taken, without it.

    Raises:
        FileNotFoundError: The source is a local path and nothing is there.
        WeightsError: It cannot be read, or holds no weights, or none under the prefix.
    """
    weights = weights_in(read_checkpoint(source), source)
    if prefix and not prefix.endswith('.'):
        prefix += '.'
    given = {key[len(prefix) :]: value for key, value in weights.items() if key.startswith(prefix)}
    if not given:
        starts = sorted({key.split('.')[0] + '.' for key in weights})
        raise WeightsError(
            f'The checkpoint {str(source)!r} has no weights under the prefix {prefix!r}; its keys start with '
            f'{", ".join(starts)}. Give the prefix under which the part was saved.'
        )
    return given


def weights_in(loaded: object, source: object) -> dict[str, Tensor]:
    """Find the weights in the content of a checkpoint, which errors call ``source``; ``WeightsError`` without any.

    Accepted is a state dict, or a dict that has one as ``state_dict`` or ``generator``; the prefix ``module.`` that
    ``DataParallel`` puts before every key is removed.
    """
    weights = loaded
    if isinstance(loaded, Mapping):
        if 'state_dict' in loaded:
            weights = loaded['state_dict']
        elif isinstance(loaded.get('generator'), Mapping):
            weights = loaded['generator']
    if not isinstance(weights, Mapping):
        fault = f'a {type(weights).__name__}'
    elif 'param_groups' in weights or 'optimizer' in weights:
        fault = 'the state of an optimiser'
    else:
        wrong = [key for key, value in weights.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
        if weights and not wrong:
            start = 'module.' if all(key.startswith('module.') for key in weights) else ''
            return {key.removeprefix(start): value for key, value in weights.items()}
        fault = f'a {type(weights[wrong[0]]).__name__} as {wrong[0]!r}' if wrong else 'nothing'
    raise WeightsError(
        f'The checkpoint {str(source)!r} has {fault} where weights are expected; it holds no weights that can be used. '
        "It has to be a state dict, names with a tensor each, or a dict that has one as 'state_dict' or 'generator'."
    )


def load_strict(module: nn.Module, weights: Mapping[str, Tensor], source: str | Path) -> None:
    """Load weights that have to fit a module, as :func:`fit_weights` says; ``WeightsError`` leaves it as it was."""
    module.load_state_dict(fit_weights(module, weights, source))


def fit_weights(module: nn.Module, weights: Mapping[str, Tensor], source: str | Path) -> dict[str, Tensor]:
    """Make sure that weights fit a module key for key.

    They may be without a critic (``disc.``), which the module then keeps, and without or with the networks of losses.
    The critic of weights is left out where the module has none. Weights of only a generator fit a model that has it as
    ``generator``. Returns the weights under the names of the module, without those that it does not need.

    Raises:
        WeightsError: Keys are missing, left over, or of another shape.
    """
    # without the wrappers of distributed training
    wanted = get_state_dict(module)
    if not weights.keys() & wanted.keys() and any(f'generator.{key}' in wanted for key in weights):
        weights = {f'generator.{key}': value for key, value in weights.items()}
    needless = LOSSES if any(key.startswith('disc.') for key in wanted) else OPTIONAL
    given = {key: value for key, value in weights.items() if key in wanted or not key.startswith(needless)}
    for start in OPTIONAL:
        if not any(key.startswith(start) for key in given):
            given.update((key, value) for key, value in wanted.items() if key.startswith(start))
    problems = find_misfits(shapes_of(given), shapes_of(wanted))
    if not problems:
        return given
    advice = 'Give the settings that it was trained with (widths, kernels, norm), or another checkpoint.'
    if 'queue_ptr' in weights and 'queue_ptr' not in wanted:
        advice = (
            'It is a checkpoint of stage 1, whose encoder a stage 2 begins with by '
            "init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone.'); give one of stage 2 here."
        )
    raise WeightsError(
        f'The checkpoint {str(source)!r} does not fit the {type(module).__name__}. Keys {"; keys ".join(problems)}. '
        f'{advice}'
    )


def load_part(model: nn.Module, part: str, checkpoint: str, prefix: str = '') -> None:
    """Load a submodule's weights, key for key, from those that a checkpoint has under a prefix."""
    load_strict(find_submodule(model, part), read_weights(checkpoint, prefix), checkpoint)


def find_submodule(model: nn.Module, part: str) -> nn.Module:
    """Get a submodule by its dotted name; the ``ValueError`` of a wrong one has the nearest names."""
    modules = dict(model.named_modules())
    if part not in modules:
        near = difflib.get_close_matches(part, modules, n=4, cutoff=0.0)
        raise ValueError(f'{type(model).__name__} has no part {part!r}; the nearest names are {", ".join(near)}.')
    return modules[part]


def shapes_of(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shapes of weights by their names."""
    return {key: tuple(value.shape) for key, value in weights.items()}


def find_misfits(given: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Say why weights do not fit a module, by the shapes of both: phrases with the first few names of each fault."""
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
    """Join names for a message, the first few of many."""
    names = list(names)
    shown = ', '.join(names[:NAMES_SHOWN])
    return f'{shown} and {len(names) - NAMES_SHOWN} more' if len(names) > NAMES_SHOWN else shown
