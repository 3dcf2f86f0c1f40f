"""Which models there are to choose from."""

import ast
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config
from mmengine.model import BaseModel

from ..engine.checkpointing import list_checkpoints
from ..inference.configs import Inpaintor, class_of
from ..inference.loading import load_inpaintor, load_model
from ..inference.published import CONFIG_KEY, read_metadata
from ..inference.zoo import WEIGHT_ENDINGS, list_models

# as publish() names files
PUBLISHED = re.compile(r'.+-[0-9a-f]{8}\.(pth|safetensors)')
CLASSICAL = {
    'telea': ('Telea', "OpenCV's fast marching method"),
    'navier_stokes': ('Navier–Stokes', "OpenCV's method of fluid dynamics"),
}
# Windows of methods that have no training size; what is filled in one is not reduced.
CLASSICAL_SIZE = 512


@dataclass(frozen=True)
class Choice:
    """A model that can be chosen; it is loaded when it is first used."""

    key: str  # its name in requests
    title: str  # its name on the page
    source: str  # its origin, shown on the page
    config: str | None = None  # path of its config; None where the checkpoint holds it, and for classical methods
    checkpoint: Path | None = None  # None for classical methods
    method: str | None = None  # of a ClassicalInpaintor


def find_models(sources: Sequence[str]) -> dict[str, Choice]:
    """Find the named networks that have a file, the models of the command line, and those that need no weights.

    Sources are folders, searched for published files and work directories; published files; or ``CONFIG,CHECKPOINT``;
    others are a ``ValueError``. Nothing is loaded and no config is run: configs are code, and only those of models that
    are used are read.
    """
    found = [
        Choice(f'name:{model.name}', model.name, model.description, checkpoint=model.path)
        for model in list_models()
        if model.path is not None
    ]
    found += [Choice(method, *texts, method=method) for method, texts in CLASSICAL.items()]
    found += [choice for source in sources for choice in read_source(source)]
    choices: dict[str, Choice] = {}
    for choice in found:
        choices.setdefault(choice.key, choice)
    return choices


def read_source(source: str) -> Iterator[Choice]:
    """The models of a folder, a published file or a pair of config and checkpoint."""
    config, comma, checkpoint = source.rpartition(',')
    if Path(source).is_dir():
        yield from search(Path(source))
    elif Path(source).is_file():
        yield published_choice(Path(source), Path(source).stem)
    elif comma and Path(checkpoint).is_file() and ('::' in config or Path(config).is_file()):
        kind = model_type(Path(config)) if Path(config).is_file() else None
        yield trained_choice(config, Path(checkpoint), Path(config).stem, kind)
    else:
        raise ValueError(
            f'{source!r} is no model: accepted are folders with published files or work directories, files of '
            'tools/publish_model.py, and CONFIG,CHECKPOINT with the paths of two existing files.'
        )


def search(folder: Path) -> Iterator[Choice]:
    """Find published files and work directories in a folder and those below it."""
    for place, below, names in os.walk(folder):
        below.sort()
        place = Path(place)
        title = place.relative_to(folder).as_posix() if place != folder else folder.resolve().name
        # the last one written
        configs = [place / name for name in names if name.endswith('.py')]
        config = max(configs, key=lambda path: path.stat().st_mtime, default=None)
        checkpoint = next((path for path in list_checkpoints(place) if path.is_file()), None)
        if config is not None and checkpoint is not None:
            kind = model_type(config)
            network = class_of(kind)
            if network is None or issubclass(network, Inpaintor):
                yield trained_choice(str(config), checkpoint, title, kind)
        for name in sorted(names):
            path = place / name
            # a broken file and a pickle are known only by the name that publish() gives
            is_other = path.suffix in WEIGHT_ENDINGS and path != checkpoint
            if is_other and (PUBLISHED.fullmatch(name) or read_published_type(path)):
                yield published_choice(path, path.relative_to(folder).with_suffix('').as_posix())


def model_type(config: Path) -> str | None:
    """The type of the model in a config as MMEngine writes it, without running it; ``None`` where it does not say."""
    try:
        statements = ast.parse(config.read_text(encoding='utf-8')).body
    except (OSError, SyntaxError, ValueError):
        return None
    for statement in statements:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == 'model':
            for keyword in getattr(statement.value, 'keywords', []):
                if keyword.arg == 'type' and isinstance(keyword.value, ast.Constant):
                    return str(keyword.value.value)
    return None


def read_published_type(path: Path) -> str | None:
    """The type of the model in a published safetensors file, without its weights; ``None`` for other files."""
    try:
        return str(json.loads(read_metadata(path)[CONFIG_KEY])['model']['type'])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def published_choice(path: Path, title: str) -> Choice:
    """The model of a published file."""
    kind = read_published_type(path)
    source = f'{path}, published' if kind is None else f'{kind}, {path}, published'
    return Choice(f'file:{path}', title, source, checkpoint=path)


def trained_choice(config: str, checkpoint: Path, title: str, kind: str | None) -> Choice:
    """The model of a config and a checkpoint."""
    source = ', '.join(part for part in (kind, str(checkpoint), Path(config).name) if part)
    return Choice(f'run:{config},{checkpoint}', title, source, config, checkpoint)


def load_choice(choice: Choice, device: str) -> BaseModel:
    """Load a model that was chosen; a missing or unfit file is a ``FileNotFoundError`` or ``ValueError``."""
    if choice.method is not None:
        preprocessor = dict(type='DataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, output_channel_order='RGB')
        model = dict(type='ClassicalInpaintor', method=choice.method, data_preprocessor=preprocessor)
        return load_model(Config(dict(model=model, image_size=CLASSICAL_SIZE)), device=device)
    return load_inpaintor(choice.config, choice.checkpoint, device)
