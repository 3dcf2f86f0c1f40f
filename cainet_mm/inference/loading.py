"""From config and checkpoint to a model."""

import functools
from pathlib import Path

from mmagic.registry import MODELS
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope

from ..utils.checkpoint_io import load_strict, read_weights
from ..utils.errors import describe_error
from .configs import for_inference, read_config, require_inpaintor, require_model, without_pretrained
from .devices import usable_device
from .onnx_files import OnnxInpaintor, is_onnx
from .published import read_published_config
from .zoo import DEFAULT_MODEL, find_model, is_name

__all__ = ['load_default', 'load_inpaintor', 'load_model', 'read_config', 'without_pretrained']


def load_model(
    config: str | Path | Config | None, checkpoint: str | Path | None = None, device: str = 'cpu'
) -> BaseModel:
    """Build the model of a config for inference and load its weights, which have to fit key for key.

    Example:
        >>> load_model('cainet-photos')  # one of list_models()
        >>> load_model('configs/quickstart/compact_stage2.py', 'work_dirs/quickstart/stage2/iter_1200.pth')

    Args:
        config: Path of a config, or the config. ``None`` takes the one that a published checkpoint holds. Without a
            checkpoint, it may be the name of a network, such as :func:`list_models` gives.
        checkpoint: Path of the checkpoint, or the URL of one in ``.pth``; a ``.safetensors`` has to be fetched first.
            ``None`` for models without weights.
        device: Where the model goes.

    Returns:
        The model, in eval mode, with the config as ``cfg``.

    Raises:
        FileNotFoundError: The config, the checkpoint or the file of the named network does not exist.
        ValueError: There is no network of that name; the config or the checkpoint cannot be read; the config has no
            model, or one that cannot be built; the checkpoint does not fit the model, holds what could run code, or
            holds no config where none is given; or the device cannot be used.
    """
    place = usable_device(device)
    if checkpoint is None and is_name(config):
        checkpoint, config = find_model(str(config)), None
    if config is None:
        if checkpoint is None:
            raise ValueError('load_model needs a config, or a checkpoint of tools/publish_model.py, which holds one.')
        name, built = f'The config in {str(checkpoint)!r}', read_published_config(checkpoint)
    elif isinstance(config, Config):
        name, built = f'The config {config.filename!r}' if config.filename else 'The config', config
    else:
        name, built = f'The config {str(config)!r}', read_config(config)
    require_model(built, name)
    init_default_scope(built.get('default_scope', 'mmagic'))
    try:
        model = MODELS.build(for_inference(built.model))
    except Exception as error:  # by what is wrong in the config, and where
        raise ValueError(f'{name} has a model that cannot be built ({describe_error(error, kind=True)}).') from error
    if checkpoint is not None:
        load_strict(model, read_weights(checkpoint), checkpoint)
    # as OpenMMLab's packages keep it with models for inference
    model.cfg = built
    return model.to(place).eval()


def load_inpaintor(
    config: str | Path | Config | None, checkpoint: str | Path | None = None, device: str = 'cpu'
) -> BaseModel | OnnxInpaintor:
    """Load a model as :func:`load_model` does, and refuse one that fills no holes, such as that of stage 1.

    A checkpoint that ends in ``.onnx``, without a config, is a file of :func:`export`, and run by ONNX Runtime.

    Raises:
        FileNotFoundError: The config or the checkpoint does not exist.
        ModuleNotFoundError: ONNX Runtime is not installed.
        ValueError: As of :func:`load_model`; or the model is no inpaintor.
    """
    if checkpoint is not None and is_onnx(config, checkpoint):
        return OnnxInpaintor(checkpoint, device)
    model = load_model(config, checkpoint, device)
    require_inpaintor(type(model), f'The model of {config if checkpoint is None else checkpoint}')
    return model


@functools.cache
def load_default() -> BaseModel:
    """Load the network that fills where none is named, and keep it for the next time."""
    return load_inpaintor(DEFAULT_MODEL)
