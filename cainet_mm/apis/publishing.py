"""From a training checkpoint to a file to hand on."""

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.config import Config
from torch import Tensor

from ..datasets.preparation import write_whole
from ..models.checkpoints import read_checkpoint
from .configs import describe_error, model_class, read_config, require_data, require_inpaintor

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
        ValueError: The checkpoint or the config cannot be read, the model fills no holes, or float16 cannot hold a
            weight.
    """
    if not isinstance(config, Config):
        config = read_config(config)
    weights = {key: value for key, value in read_weights_of(checkpoint).items() if not key.startswith('disc.')}
    kind = model_class(config, 'The config')
    if kind is not None:
        require_inpaintor(kind, f'The checkpoint {str(checkpoint)!r}')
    if half:
        weights = {key: halve(key, value) for key, value in weights.items()}
    needed = {key: config.get(key) for key in ('default_scope', 'model', 'image_size', 'train_dataloader')}
    plain = json.dumps(Config(needed).to_dict(), sort_keys=True)
    content = io.BytesIO()
    torch.save(dict(state_dict=weights, meta={CONFIG_KEY: plain}), content)
    digest = hashlib.sha256(content.getbuffer()).hexdigest()[:HASH_LETTERS]
    out = Path(out)
    published = out.with_name(f'{out.stem}-{digest}{out.suffix or ".pth"}')
    write_whole(published, content.getvalue())
    return published


def halve(key: str, weight: Tensor) -> Tensor:
    """Turn a weight of 32 bits to 16.

    Raises:
        ValueError: A number is too large for that.
    """
    if weight.dtype != torch.float32:
        return weight
    half = weight.half()
    if not half.isfinite().equal(weight.isfinite()):
        largest = weight[weight.isfinite()].abs().max().item()
        raise ValueError(
            f'float16 holds numbers up to {torch.finfo(torch.half).max:g}, and {key} has one of {largest:g}; publish '
            'with float32, without --half.'
        )
    return half


def read_file(checkpoint: str | Path) -> object:
    """Read what a checkpoint holds, without running anything in it.

    Args:
        checkpoint: Path or URL.

    Raises:
        FileNotFoundError: It is a local path and nothing is there.
        ValueError: It cannot be read.
    """
    if '://' not in str(checkpoint) and not Path(checkpoint).is_file():
        raise FileNotFoundError(f'The checkpoint {str(checkpoint)!r} does not exist.')
    try:
        return read_checkpoint(checkpoint)
    except ValueError:
        raise
    except Exception as error:  # torch raises an OSError without the file's name on one that was cut off
        raise ValueError(
            f'The checkpoint {str(checkpoint)!r} cannot be read ({describe_error(error)}); it may be cut off. Copy it '
            'anew, or give another one.'
        ) from error


def read_weights_of(checkpoint: str | Path) -> dict[str, Tensor]:
    """Read the weights of a checkpoint, as they are named there.

    Args:
        checkpoint: Path or URL of a state dict, or of a dict that has one as ``state_dict``.

    Raises:
        FileNotFoundError: It is a local path and nothing is there.
        ValueError: It cannot be read, or holds no weights.
    """
    loaded = read_file(checkpoint)
    weights = loaded.get('state_dict', loaded) if isinstance(loaded, Mapping) else loaded
    if not isinstance(weights, Mapping):
        fault = f'a {type(weights).__name__}'
    else:
        wrong = [key for key, value in weights.items() if not (isinstance(key, str) and isinstance(value, Tensor))]
        if not wrong:
            return dict(weights)
        fault = f'a {type(weights[wrong[0]]).__name__} as {wrong[0]!r}'
    raise ValueError(
        f'The checkpoint {str(checkpoint)!r} has {fault} where weights are expected. It has to be a state dict, names '
        "with a tensor each, or a dict that has one as 'state_dict'."
    )


def read_published_config(path: str | Path) -> Config:
    """Read the config that a published file holds; nothing of it is executed.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file holds no config, or one that asks for anything but networks.
    """
    loaded = read_file(path)
    meta = loaded.get('meta') if isinstance(loaded, Mapping) else None
    if not isinstance(meta, Mapping) or CONFIG_KEY not in meta:
        raise ValueError(
            f'{str(path)!r} holds no config; give the one that it was trained with, or publish it with '
            'tools/publish_model.py.'
        )
    try:
        config = {key: value for key, value in json.loads(meta[CONFIG_KEY]).items() if value is not None}
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f'The config in {str(path)!r} is damaged; publish the checkpoint again.') from error
    require_data({key: config.get(key) for key in ('default_scope', 'model')}, f'The config in {str(path)!r}')
    return Config(config)
