"""From a training checkpoint to a file to hand on."""

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.config import Config
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..datasets.preparation import write_whole
from ..utils.checkpoint_io import read_checkpoint, read_weights
from .configs import describe_error, for_inference, model_class, read_config, require_data, require_inpaintor
from .filling import training_size

CONFIG_KEY = 'config_json'
SAFETENSORS = '.safetensors'
HASH_LETTERS = 8


def publish(
    checkpoint: str | Path,
    config: str | Path | Config,
    out: str | Path,
    half: bool = False,
    notes: Mapping[str, str] | None = None,
    critic: bool = False,
) -> Path:
    """Write the weights of a checkpoint and the config of its model, and nothing else, to a file that names its hash.

    What only training needs stays behind: optimisers, the log, a critic unless it is asked for, losses and data. Where
    an ``EMAHook`` kept averaged weights, these are taken: it has put them into the checkpoint's ``state_dict``. The
    file holds tensors, strings and numbers alone, so it is read without running anything; :func:`load_model` needs no
    config beside it.

    Args:
        checkpoint: The training checkpoint.
        config: The config that it was trained with, or its path.
        out: Where the file goes, ``NAME.safetensors`` or ``NAME.pth``; the first letters of its SHA-256 are put before
            its ending. Folders are made.
        half: Whether weights are written as float16, at half the size; they are float32 again in a model.
        notes: Facts to keep with the weights, such as ``licence`` or ``data``; figures are named ``metrics.NAME``.
        critic: Whether the critic (``disc.``) is written, too: a training that begins with the file goes on with it.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: There is no such checkpoint or config.
        ValueError: The checkpoint or the config cannot be read, the model fills no holes, float16 cannot hold a
            weight, a critic is asked for where there is none, or a note has the name of what is in the file by itself.
    """
    notes = dict(notes or {})
    if CONFIG_KEY in notes:
        raise ValueError(f'{CONFIG_KEY} is where the file keeps its config; give the note another name.')
    if not isinstance(config, Config):
        config = read_config(config)
    weights = read_weights(checkpoint)
    without = {key: value for key, value in weights.items() if not key.startswith('disc.')}
    if not critic:
        weights = without
    elif len(without) == len(weights):
        raise ValueError(f'The checkpoint {str(checkpoint)!r} has no critic (disc.*); publish it without one.')
    kind = model_class(config, 'The config')
    if kind is not None:
        require_inpaintor(kind, f'The checkpoint {str(checkpoint)!r}')
    if half:
        weights = {key: halve(key, value) for key, value in weights.items()}
    out = Path(out)
    content = checkpoint_bytes(weights, {CONFIG_KEY: plain_config(config), **notes}, out.suffix)
    digest = hashlib.sha256(content).hexdigest()[:HASH_LETTERS]
    published = out.with_name(f'{out.stem}-{digest}{out.suffix or ".pth"}')
    write_whole(published, content)
    return published


def plain_config(config: Config) -> str:
    """What inference needs of a config, as JSON: the model, its scope, and the size that it was trained with."""
    size = training_size(config) if config.get('image_size') is None else config.image_size
    needed = dict(default_scope=config.get('default_scope'), model=config.model, image_size=size)
    plain = Config(needed).to_dict()
    return json.dumps({**plain, 'model': for_inference(plain['model'])}, sort_keys=True)


def checkpoint_bytes(weights: Mapping[str, Tensor], meta: Mapping[str, str], ending: str) -> bytes:
    """The content of a file with weights and texts, the same for the same weights and texts.

    Args:
        weights: The state dict.
        meta: Texts by their names.
        ending: Of the file; ``.safetensors``, or any other for one that ``torch.load`` reads.
    """
    if ending != SAFETENSORS:
        content = io.BytesIO()
        torch.save(dict(state_dict=dict(weights), meta=dict(meta)), content)
        return content.getvalue()
    # tensors that share memory are refused
    content = save({key: value.detach().clone().contiguous() for key, value in weights.items()}, dict(meta))
    # safetensors writes the metadata in an order that changes from call to call: 8 bytes of length, JSON, weights
    length = int.from_bytes(content[:8], 'little')
    header = json.loads(content[8 : 8 + length])
    header['__metadata__'] = dict(sorted(meta.items()))
    plain = json.dumps(header, separators=(',', ':')).encode()
    # as the format has it, weights begin at a multiple of 8
    plain += b' ' * (-len(plain) % 8)
    return len(plain).to_bytes(8, 'little') + plain + content[8 + length :]


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


def read_metadata(path: str | Path) -> dict[str, str]:
    """Read the config and the notes in a safetensors file, not its weights; of other files nothing.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged.
    """
    if Path(path).suffix != SAFETENSORS:
        return {}
    if not Path(path).is_file():
        raise FileNotFoundError(f'The checkpoint {str(path)!r} does not exist.')
    try:
        with safe_open(path, framework='np') as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise ValueError(f'The checkpoint {str(path)!r} cannot be read ({describe_error(error)}).') from error


def read_published_config(path: str | Path) -> Config:
    """Read the config that a published file holds; nothing of it is executed.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file holds no config, or one that asks for anything but networks.
    """
    if Path(path).suffix == SAFETENSORS and '://' not in str(path):
        meta = read_metadata(path)
    else:
        loaded = read_checkpoint(path)
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
