"""From a training checkpoint to a file to hand on."""

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from mmengine.config import Config
from safetensors.torch import save
from torch import Tensor

from ..inference.configs import class_of, for_inference, read_config, require_inpaintor, require_model, training_size
from ..inference.published import CONFIG_KEY, SAFETENSORS
from ..utils.checkpoint_io import LOSSES, read_weights
from ..utils.files import write_file

HASH_LETTERS = 8


def publish(
    checkpoint: str | Path,
    config: str | Path | Config,
    out: str | Path,
    half: bool = False,
    notes: Mapping[str, object] | None = None,
    critic: bool = False,
) -> Path:
    """Write the weights of a checkpoint and the config of its model, and nothing else, to a file that names its hash.

    What only training needs stays behind: optimisers, the log, a critic unless it is asked for, losses and data. Where
    an ``EMAHook`` kept averaged weights, these are taken: it has put them into the checkpoint's ``state_dict``. The
    file holds only tensors, strings and numbers, so it is read without running anything; :func:`load_model` needs no
    config beside it.

    Args:
        checkpoint: The training checkpoint.
        config: The config that it was trained with, or its path.
        out: Where the file goes, ``NAME.safetensors`` or ``NAME.pth``; the first letters of its SHA-256 are put before
            its ending. Folders are made.
        half: Whether weights are written as float16, at half the size; they are float32 again in a model.
        notes: Facts to keep with the weights, as text, such as ``licence`` or ``data``; metrics are named
            ``metrics.NAME``.
        critic: Whether the critic (``disc.``) is written, too: a training that begins with the file goes on with it.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: There is no such checkpoint or config.
        ValueError: The checkpoint or the config cannot be read, the model fills no holes, float16 cannot hold a
            weight, a critic is asked for where there is none, or a note has a reserved name.
    """
    texts = {key: str(note) for key, note in (notes or {}).items()}
    if CONFIG_KEY in texts:
        raise ValueError(f'{CONFIG_KEY} is where the file keeps its config; give the note another name.')
    if not isinstance(config, Config):
        config = read_config(config)
    weights = read_weights(checkpoint)
    if critic and not any(key.startswith('disc.') for key in weights):
        raise ValueError(f'The checkpoint {str(checkpoint)!r} has no critic (disc.*); publish it without one.')
    left = LOSSES if critic else ('disc.', *LOSSES)
    weights = {key: value for key, value in weights.items() if not key.startswith(left)}
    require_model(config, 'The config')
    kind = class_of(config.model['type'])
    if kind is not None:
        require_inpaintor(kind, f'The checkpoint {str(checkpoint)!r}')
    if half:
        weights = {key: halve(key, value) for key, value in weights.items()}
    out = Path(out)
    if out.suffix not in ('', '.pth', SAFETENSORS):
        raise ValueError(f'{out} has the ending {out.suffix}; a file to hand on ends in {SAFETENSORS} or .pth.')
    content = checkpoint_bytes(weights, {CONFIG_KEY: plain_config(config), **texts}, out.suffix)
    digest = hashlib.sha256(content).hexdigest()[:HASH_LETTERS]
    published = out.with_name(f'{out.stem}-{digest}{out.suffix or ".pth"}')
    write_file(published, content)
    return published


def plain_config(config: Config) -> str:
    """What inference needs of a config, as JSON: the model, its scope, and the size that it was trained with."""
    size = training_size(config) if config.get('image_size') is None else config.image_size
    needed = dict(default_scope=config.get('default_scope'), model=config.model, image_size=size)
    plain = Config(needed).to_dict()
    return json.dumps({**plain, 'model': for_inference(plain['model'])}, sort_keys=True)


def checkpoint_bytes(weights: Mapping[str, Tensor], meta: Mapping[str, str], ending: str) -> bytes:
    """The content of a file with weights and texts (``meta``), always the same for the same ones.

    The ending says which: ``.safetensors``, or any other for a file that ``torch.load`` reads.
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
    """Turn a weight of 32 bits to 16; ``ValueError`` where a number is too large for that."""
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
