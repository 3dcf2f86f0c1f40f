"""From a training checkpoint to a file to hand on."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.config import Config

from ..models.checkpoints import read_checkpoint

CONFIG_KEY = 'config_json'
HASH_LETTERS = 8


def publish(checkpoint: str | Path, config: str | Path | Config, out: str | Path, half: bool = False) -> Path:
    """Write the weights of a checkpoint and the config of its model, and nothing else, to a file that names its hash.

    What only training needs stays behind: optimisers, the log, and a critic. The file holds tensors, strings and
    numbers alone, so ``torch.load(..., weights_only=True)`` reads it; :func:`load_model` needs no config beside it.

    Args:
        checkpoint: The training checkpoint.
        config: The config that it was trained with, or its path.
        out: Where the file goes; the first letters of its SHA-256 are put before its ending. Folders are made.
        half: Whether weights are written as float16, at half the size; they are float32 again in a model.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: There is no such checkpoint or config.
    """
    if not isinstance(config, Config):
        config = Config.fromfile(config)
    if not Path(checkpoint).is_file():
        raise FileNotFoundError(f'The checkpoint {str(checkpoint)!r} does not exist.')
    loaded = read_checkpoint(checkpoint)
    weights = {key: value for key, value in loaded.get('state_dict', loaded).items() if not key.startswith('disc.')}
    if half:
        weights = {key: value.half() if value.dtype == torch.float32 else value for key, value in weights.items()}
    needed = {key: config.get(key) for key in ('default_scope', 'model', 'image_size', 'train_dataloader')}
    plain = json.dumps(Config(needed).to_dict(), sort_keys=True)
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f'.{out.name}.{os.getpid()}.partial')
    try:
        torch.save(dict(state_dict=weights, meta={CONFIG_KEY: plain}), partial)
        digest = hashlib.sha256(partial.read_bytes()).hexdigest()[:HASH_LETTERS]
        published = out.with_name(f'{out.stem}-{digest}{out.suffix or ".pth"}')
        os.replace(partial, published)
    finally:
        partial.unlink(missing_ok=True)
    return published


def read_published_config(path: str | Path) -> Config:
    """Read the config that a published file holds; nothing of it is executed.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file holds no config.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'The checkpoint {str(path)!r} does not exist.')
    loaded = read_checkpoint(path)
    meta = loaded.get('meta') if isinstance(loaded, Mapping) else None
    if not isinstance(meta, Mapping) or CONFIG_KEY not in meta:
        raise ValueError(
            f'{str(path)!r} holds no config; give the one that it was trained with, or publish it with '
            'tools/publish_model.py.'
        )
    return Config({key: value for key, value in json.loads(meta[CONFIG_KEY]).items() if value is not None})
