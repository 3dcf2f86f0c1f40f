"""Checks on the weights that one stage hands to the next."""

from pathlib import Path

import torch.nn as nn
from mmengine.runner.checkpoint import CheckpointLoader


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
    source, prefix = init_cfg['checkpoint'], init_cfg.get('prefix') or ''
    if '://' not in str(source) and not Path(source).is_file():
        raise FileNotFoundError(
            f'The pre-trained checkpoint {source!r} does not exist. Train stage 1 first and give its checkpoint '
            'file, or set the init_cfg to None to start from random weights.'
        )
    checkpoint = CheckpointLoader.load_checkpoint(str(source), map_location='cpu')
    weights = checkpoint.get('state_dict', checkpoint)
    if prefix and not prefix.endswith('.'):
        prefix += '.'
    given = {key[len(prefix) :]: tuple(value.shape) for key, value in weights.items() if key.startswith(prefix)}
    if not given:
        starts = sorted({key.split('.')[0] + '.' for key in weights})
        raise ValueError(
            f'The checkpoint {source!r} has no weights under the prefix {prefix!r}; its keys start with '
            f'{", ".join(starts)}. Give the prefix under which the {type(module).__name__} was saved.'
        )
    wanted = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    problems = [
        f'{title}: {", ".join(keys)}'
        for title, keys in (
            ('missing', [key for key in wanted if key not in given]),
            ('left over', [key for key in given if key not in wanted]),
            (
                'of another shape',
                [
                    f'{key} (checkpoint {given[key]}, module {wanted[key]})'
                    for key in wanted
                    if key in given and given[key] != wanted[key]
                ],
            ),
        )
        if keys
    ]
    if problems:
        raise ValueError(
            f'The checkpoint {source!r} does not fit the {type(module).__name__}. Keys {"; keys ".join(problems)}. '
            'Build the module with the settings that it was pre-trained with (widths, kernels, norm), or give '
            'another checkpoint.'
        )
