"""Configs of models: reading them, and making sure that those from elsewhere are no more than data."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmagic.models.base_models import OneStageInpaintor
from mmagic.registry import MODELS
from mmengine.config import Config, ConfigDict
from mmengine.model import PretrainedInit
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
    # MMEngine finds configs of packages only as base configs
    inherited = '::' in str(path)
    if not inherited and not Path(path).is_file():
        raise FileNotFoundError(f'The config {str(path)!r} does not exist.')
    try:
        return Config.fromstring(f'_base_ = [{str(path)!r}]', '.py') if inherited else Config.fromfile(path)
    except Exception as error:  # a config is code, which fails in any way
        raise ValueError(f'The config {str(path)!r} cannot be read ({describe_error(error, kind=True)}).') from error


def require_model(config: Config, name: str) -> None:
    """Raise ``ValueError`` for a config, which it calls ``name``, without a model."""
    model = config.get('model')
    if not isinstance(model, dict) or 'type' not in model:
        raise ValueError(f'{name} has no model, a dict with a type; give the config of an inpaintor.')


def require_inpaintor(kind: type, name: str) -> None:
    """Raise ``ValueError`` for a class of models that fills no holes; ``name`` is the source of the model."""
    if not (isinstance(kind, type) and issubclass(kind, Inpaintor)):
        kind = getattr(kind, '__name__', kind)
        raise ValueError(f'{name} is of a {kind}, which fills no holes; give an inpaintor, such as that of stage 2.')


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
        model = type(model)({key: without_pretrained(value) for key, value in model.items()})
        if isinstance(model.get('init_cfg'), dict) and model['init_cfg'].get('type') in ('Pretrained', PretrainedInit):
            model['init_cfg'] = None
        return model
    if isinstance(model, list | tuple):
        return type(model)(without_pretrained(part) for part in model)
    return model


def class_of(kind: object) -> Any:
    """The class of a model's type; ``None`` for one that is not registered, which is not imported to find out."""
    if isinstance(kind, str):
        return MODELS.get(kind) if is_part(kind) else None
    return kind


def require_data(config: object, name: str) -> None:
    """Refuse a config from elsewhere whose parts are anything but networks, before something is built from it.

    MMEngine imports a type that it does not know by its dotted name, and calls it with the config's arguments; with
    ``type='os.system'`` a config that is mere data would run a command. Raises ``ValueError``.
    """
    # what registers itself is looked for by MMagic when it is first asked
    MODELS.import_from_location()
    checks = dict(type=is_part, _scope_=is_scope, default_scope=is_scope)
    for key, value in entries_in(config):
        if key in checks and isinstance(value, str) and not checks[key](value):
            raise ValueError(
                f'{name} asks for {value!r}, which is no part of a network here and could run code. If you '
                'trust it, give the config itself.'
            )


def entries_in(config: object) -> Iterator[tuple[object, object]]:
    """The keys and values of a nested config, in its order."""
    if isinstance(config, dict):
        for key, value in config.items():
            yield key, value
            yield from entries_in(value)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from entries_in(value)


def is_scope(name: str) -> bool:
    """Whether a name is that of a package that has registered models; MMEngine imports others."""
    return name in ROOT_MODELS.children or name in (ROOT_MODELS.scope, __name__.partition('.')[0])


def is_part(name: str) -> bool:
    """Whether a type is that of a network or of its initial weights. Nothing is imported for it."""
    scope, _, short = name.rpartition('.')
    if scope and not is_scope(scope):
        found = [getattr(sys.modules.get(scope), short, None)]
    else:
        registries = [ROOT_MODELS, *ROOT_MODELS.children.values()]
        found = [registry.module_dict[short] for registry in registries if short in registry.module_dict]
        if not found:
            return short in WEIGHT_INITIALIZERS.module_dict
    return all(isinstance(one, type) and issubclass(one, nn.Module) for one in found)


def training_size(config: Config) -> int | None:
    """The side of the squares that the network of a config is trained on; ``None`` where the config does not tell.

    By ``image_size``, or what its training pipeline crops (``crop_size``) or resizes to (``scale``).
    """
    if config.get('image_size') is not None:
        return side_of(config.image_size)
    pipeline = config.get('train_dataloader', {}).get('dataset', {}).get('pipeline') or config.get('train_pipeline', [])
    for wanted in ('crop_size', 'scale'):
        sides = [side for key, size in entries_in(pipeline) if key == wanted and (side := side_of(size))]
        if sides:
            return sides[-1]
    return None


def trained_size(model: object) -> int | None:
    """The training size of a model, by its config, ``cfg``, as ``load_model`` keeps it; ``None`` if unknown."""
    return training_size(getattr(model, 'cfg', None) or Config())


def require_eval_mode(model: nn.Module) -> None:
    """Raise ``ValueError`` for a model in training mode."""
    if model.training:
        raise ValueError('The model is in training mode, in which it changes with what it sees; call model.eval().')


def side_of(size: object) -> int | None:
    """The shorter side of a size, a number or a pair; ``None`` for what leaves a side open."""
    sides = size if isinstance(size, list | tuple) else [size]
    is_whole = all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in sides)
    return min(sides) if sides and is_whole else None
