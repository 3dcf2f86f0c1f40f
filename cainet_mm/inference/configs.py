"""Configs of models: reading them, and making sure that those from elsewhere are no more than data."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmagic.models.base_models import OneStageInpaintor
from mmagic.registry import MODELS
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import nn

from ..models import ClassicalInpaintor
from ..utils.errors import describe_error

Inpaintor = OneStageInpaintor | ClassicalInpaintor


def read_config(path: str | Path) -> Config:
    """Read a config from a file, or from an installed package, such as ``'cainet_mm::quickstart/stage2.py'``.

    Raises:
        FileNotFoundError: There is no such config.
        ValueError: It cannot be read.
    """
    # MMEngine looks into packages for what is inherited alone
    inherited = '::' in str(path)
    if not inherited and not Path(path).is_file():
        raise FileNotFoundError(f'The config {str(path)!r} does not exist.')
    try:
        return Config.fromstring(f'_base_ = [{str(path)!r}]', '.py') if inherited else Config.fromfile(path)
    except Exception as error:  # a config is code, which fails in any way
        raise ValueError(f'The config {str(path)!r} cannot be read ({describe_error(error, kind=True)}).') from error


def require_model(config: Config, name: str) -> None:
    """Refuse a config without a model.

    Args:
        config: The config.
        name: What errors call it.

    Raises:
        ValueError: There is none.
    """
    model = config.get('model')
    if not isinstance(model, dict) or 'type' not in model:
        raise ValueError(f'{name} has no model, a dict with a type; give the config of an inpaintor.')


def require_inpaintor(kind: type, name: str) -> None:
    """Refuse a kind of model that fills no holes.

    Args:
        kind: The model's class.
        name: What errors call the source of the model.

    Raises:
        ValueError: It is no inpaintor.
    """
    if not (isinstance(kind, type) and issubclass(kind, Inpaintor)):
        raise ValueError(
            f'{name} is of a {getattr(kind, "__name__", kind)}, which fills no holes; give an inpaintor, such as a '
            'CAINetInpaintor of stage 2.'
        )


def for_inference(model: dict) -> dict:
    """Copy a model config without what only training needs: losses and ``Pretrained`` init configs."""
    model = without_pretrained(model)
    # they may need the weights of a VGG: ours, and that of MMagic's inpaintors
    for key, nothing in (('losses', {}), ('loss_composed_percep', None)):
        if key in model:
            model[key] = nothing
    return model


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


def model_class(config: Config, name: str) -> type | None:
    """The class of a config's model, by its name; ``None`` for a name that is not known."""
    require_model(config, name)
    kind = config.model['type']
    try:
        return MODELS.get(kind) if isinstance(kind, str) else kind
    except Exception:  # by how it is unknown
        return None


def require_data(config: object, name: str) -> None:
    """Refuse a config from elsewhere whose parts are anything but networks, before something is built from it.

    MMEngine imports a type that it does not know by its dotted name, and calls it with the config's arguments; with
    ``type='os.system'`` a config that is mere data would run a command.

    Args:
        config: The config, of dicts and lists.
        name: What errors call it.

    Raises:
        ValueError: It asks for something else.
    """
    # what registers itself is looked for by MMagic when it is first asked
    MODELS.import_from_location()
    for key, value in find_names(config):
        good = is_scope(value) if key in ('_scope_', 'default_scope') else is_part(value)
        if not good:
            raise ValueError(
                f'{name} asks for {value!r}, which is no part of a network here and could run code. If you '
                'trust it, give the config itself.'
            )


def find_names(config: object) -> Iterator[tuple[str, str]]:
    """Find the names in a config by which MMEngine looks things up, and their keys."""
    if isinstance(config, dict):
        for key, value in config.items():
            if key in ('type', '_scope_', 'default_scope') and isinstance(value, str):
                yield key, value
            yield from find_names(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from find_names(value)


def is_scope(name: str) -> bool:
    """Whether a name is that of a package that has registered models; MMEngine imports others."""
    return name in ROOT_MODELS.children or name in (ROOT_MODELS.scope, __name__.partition('.')[0])


def is_part(name: str) -> bool:
    """Whether a type is that of a network or of its initial weights. Nothing is imported for it."""
    scope, _, short = name.rpartition('.')
    if scope and not is_scope(scope):
        found = [find_loaded(name)]
    else:
        registries = [ROOT_MODELS, *ROOT_MODELS.children.values()]
        found = [registry.module_dict[short] for registry in registries if short in registry.module_dict]
        if not found:
            return short in WEIGHT_INITIALIZERS.module_dict
    return all(isinstance(one, type) and issubclass(one, nn.Module) for one in found)


def find_loaded(name: str) -> object:
    """What has a dotted name, in the modules that have been imported; ``None`` where nothing has."""
    module, _, member = name.rpartition('.')
    return getattr(sys.modules.get(module), member, None)


def training_size(config: Config) -> int | None:
    """The side of the squares that the network of a config is trained on; ``None`` where the config does not tell.

    Args:
        config: With ``image_size``, or with a training pipeline that crops (``crop_size``) or resizes (``scale``). Of
            a rectangle the shorter side is taken.
    """
    if config.get('image_size') is not None:
        return side_of(config.image_size)
    pipeline = config.get('train_dataloader', {}).get('dataset', {}).get('pipeline') or config.get('train_pipeline', [])
    for key in ('crop_size', 'scale'):
        sizes = [size for size in find_values(pipeline, key) if side_of(size) is not None]
        if sizes:
            return side_of(sizes[-1])
    return None


def side_of(size: object) -> int | None:
    """The shorter side of a size, a number or a pair; ``None`` for what leaves a side open."""
    sides: list[Any] = list(size) if isinstance(size, list | tuple) else [size]
    whole = all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in sides)
    return min(sides) if sides and whole else None


def find_values(config: object, key: str) -> Iterator[object]:
    """Find what stands under a key anywhere in a nested config, in its order."""
    if isinstance(config, dict):
        for name, value in config.items():
            if name == key:
                yield value
            else:
                yield from find_values(value, key)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from find_values(value, key)
