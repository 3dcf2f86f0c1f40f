"""What a published file says besides its weights."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from safetensors import SafetensorError, safe_open

from ..utils.checkpoint_io import read_checkpoint
from ..utils.errors import describe_error
from .configs import require_data

CONFIG_KEY = 'config_json'
SAFETENSORS = '.safetensors'


def read_metadata(path: str | Path) -> dict[str, str]:
    """Read the config and the notes in a safetensors file, not its weights; of other files nothing.

    ``FileNotFoundError`` where there is none, ``ValueError`` where it is damaged.
    """
    if Path(path).suffix != SAFETENSORS:
        return {}
    if not Path(path).is_file():
        raise FileNotFoundError(f'The checkpoint {str(path)!r} does not exist.')
    try:
        with safe_open(path, framework='np') as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        reason = describe_error(error, kind=True)
        raise ValueError(f'The checkpoint {str(path)!r} cannot be read ({reason}).') from error


def read_published_config(path: str | Path) -> Config:
    """Read the config that a published file holds; nothing of it is executed.

    ``FileNotFoundError`` where there is none, ``ValueError`` for no config, or one of anything but networks.
    """
    if Path(path).suffix == SAFETENSORS and '://' not in str(path):
        meta: Mapping[str, Any] | None = read_metadata(path)
    else:
        loaded = read_checkpoint(path)
        meta = loaded.get('meta') if isinstance(loaded, Mapping) else None
    if not isinstance(meta, Mapping) or CONFIG_KEY not in meta:
        advice = 'give the one that it was trained with, or publish it with tools/publish_model.py'
        raise ValueError(f'{str(path)!r} holds no config; {advice}.')
    try:
        config = {key: value for key, value in json.loads(meta[CONFIG_KEY]).items() if value is not None}
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f'The config in {str(path)!r} is damaged; publish the checkpoint again.') from error
    require_data({key: config.get(key) for key in ('default_scope', 'model')}, f'The config in {str(path)!r}')
    return Config(config)
