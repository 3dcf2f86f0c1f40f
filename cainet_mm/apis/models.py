"""From config and checkpoint to a model."""

from pathlib import Path

import torch
from mmagic.registry import MODELS
from mmengine.config import Config, ConfigDict
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope

from ..models.checkpoints import find_misfits, read_checkpoint, shapes_of
from .publishing import read_published_config


def load_model(
    config: str | Path | Config | None, checkpoint: str | Path | None = None, device: str = 'cpu'
) -> BaseModel:
    """Build the model of a config for inference and load its weights, which have to fit key for key.

    Args:
        config: Path of a config, or the config. ``None`` takes the one that a published checkpoint holds.
        checkpoint: Path or URL of the checkpoint. ``None`` for models without weights.
        device: Where the model goes.

    Returns:
        The model, in eval mode, with the config as ``cfg``.

    Raises:
        FileNotFoundError: The config or the checkpoint does not exist.
        ValueError: The checkpoint does not fit the model, holds what could run code, or holds no config where none
            is given; or the device cannot be used.
    """
    place = usable_device(device)
    if config is None:
        if checkpoint is None:
            raise ValueError('load_model needs a config, or a checkpoint of tools/publish_model.py, which holds one.')
        config = read_published_config(checkpoint)
    if not isinstance(config, Config):
        config = read_config(config)
    init_default_scope(config.get('default_scope', 'mmagic'))
    model_config = without_pretrained(config.model)
    # inference needs no losses, and these may need the weights of a VGG: ours, and that of MMagic's inpaintors
    for key, nothing in (('losses', {}), ('loss_composed_percep', None)):
        if key in model_config:
            model_config[key] = nothing
    model = MODELS.build(model_config)
    if checkpoint is not None:
        load_weights(model, str(checkpoint))
    # as OpenMMLab's packages keep it with models for inference
    model.cfg = config
    return model.to(place).eval()


def usable_device(device: str | torch.device) -> torch.device:
    """Take a device, where this machine has it.

    Raises:
        ValueError: It has not, or there is no such kind.
    """
    try:
        return torch.empty(1, device=device).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # by the kind of device
        raise ValueError(f'The device {device} cannot be used: {str(error).splitlines()[0]}') from error


def read_config(path: str | Path) -> Config:
    """Read a config from a file, or from an installed package, such as ``'cainet_mm::quickstart/stage2.py'``.

    Raises:
        FileNotFoundError: There is no such config.
    """
    if '::' in str(path):
        # MMEngine looks into packages for what is inherited alone
        return Config.fromstring(f'_base_ = [{str(path)!r}]', '.py')
    if not Path(path).is_file():
        raise FileNotFoundError(f'The config {str(path)!r} does not exist.')
    return Config.fromfile(path)


def without_pretrained(model: ConfigDict) -> ConfigDict:
    """Copy a model config without the ``Pretrained`` init configs: the weights to come replace those anyway."""
    if isinstance(model, dict):
        return type(model)(
            {
                key: None if key == 'init_cfg' and is_pretrained(value) else without_pretrained(value)
                for key, value in model.items()
            }
        )
    if isinstance(model, list | tuple):
        return type(model)(without_pretrained(part) for part in model)
    return model


def is_pretrained(init_cfg: object) -> bool:
    """Whether an init config loads a checkpoint."""
    return isinstance(init_cfg, dict) and init_cfg.get('type') == 'Pretrained'


def load_weights(model: BaseModel, checkpoint: str) -> None:
    """Load a checkpoint whose keys and shapes have to be those of the model.

    A checkpoint may be without a critic (``disc``), such as one that was converted from another implementation: the
    critic of the model then stays as it is.

    Args:
        model: The model.
        checkpoint: Path or URL.

    Raises:
        FileNotFoundError: A local checkpoint does not exist.
        ValueError: Keys are missing, left over, or of another shape.
    """
    if '://' not in checkpoint and not Path(checkpoint).is_file():
        raise FileNotFoundError(f'The checkpoint {checkpoint!r} does not exist.')
    loaded = read_checkpoint(checkpoint)
    weights = loaded.get('state_dict', loaded)
    # MMagic's perceptual loss keeps its network in the checkpoint
    weights = {key: value for key, value in weights.items() if not key.startswith('loss_percep.')}
    critic = {key: value for key, value in model.state_dict().items() if key.startswith('disc.')}
    if not critic.keys() & weights.keys():
        weights = {**weights, **critic}
    problems = find_misfits(shapes_of(weights), shapes_of(model.state_dict()))
    if problems:
        raise ValueError(
            f'The checkpoint {checkpoint!r} does not fit the {type(model).__name__} of the config. Keys '
            f'{"; keys ".join(problems)}. Give the config that it was trained with.'
        )
    model.load_state_dict(weights)
