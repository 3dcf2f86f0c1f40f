"""Networks that have a name: which there are, where their files lie, and what is known of them."""

import difflib
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .published import CONFIG_KEY, read_metadata

# what fills a photograph where no network is named
DEFAULT_MODEL = 'cainet-photos'
PACKAGE_FOLDER = Path(__file__).resolve().parents[1] / 'weights'
FOLDER_VARIABLE = 'CAINET_MM_WEIGHTS'
WEIGHT_ENDINGS = ('.safetensors', '.pth')
DESCRIPTIONS = {
    DEFAULT_MODEL: 'a compact CAINet for photographs; comes with the package',
    'cainet-texture': 'the same, trained on with texture terms: sharper, but further from the original (lower PSNR); '
    'comes with the package',
    'lama': 'LaMa (Suvorov et al., WACV 2022), public weights',
    'migan': 'MI-GAN (Sargsyan et al., ICCV 2023), public weights',
    'dfnet': 'DFNet (Hong et al., ACM MM 2019), public weights',
    'lbam': 'LBAM (Xie et al., ICCV 2019), public weights',
}


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a network that has a name."""

    name: str  # what load_model takes
    description: str
    path: Path | None = None  # its file, where it is there
    notes: dict[str, str] = field(default_factory=dict)  # of its publisher (licence, data, ...) in a safetensors file

    @property
    def megabytes(self) -> float | None:
        """The size of its file; ``None`` where it is not there."""
        return None if self.path is None else self.path.stat().st_size / 1e6

    @property
    def metrics(self) -> dict[str, str]:
        """Those of the notes that are metrics, ``metrics.NAME``, by their names."""
        prefix = 'metrics.'
        return {key.removeprefix(prefix): text for key, text in self.notes.items() if key.startswith(prefix)}


def list_models() -> list[ModelInfo]:
    """List the networks that have a name, the default first, whether their files are there or not."""
    models = []
    for name, description in DESCRIPTIONS.items():
        path = next(find_model_files(name), None)
        metadata: dict[str, str] = {}
        with suppress(ValueError):  # what is wrong is said when it is loaded
            metadata = {} if path is None else read_metadata(path)
        notes = {key: text for key, text in metadata.items() if key != CONFIG_KEY}
        models.append(ModelInfo(name, description, path, notes))
    return models


def find_model(name: str) -> Path:
    """Find the file of a network by its name.

    Raises:
        FileNotFoundError: It is not there; the message says where it was looked for, and how to get it.
        ValueError: There is no network of that name; the message has the nearest ones.
    """
    if name not in DESCRIPTIONS:
        near = difflib.get_close_matches(name, DESCRIPTIONS, n=3, cutoff=0.0)
        raise ValueError(f'There is no network named {name!r}; the nearest names are {", ".join(near)}.')
    path = next(find_model_files(name), None)
    if path is not None:
        return path
    if name.startswith('cainet-'):
        advice = 'It comes with the package; install that again, or put a copy there.'
    else:
        advice = (
            f'Fetch its public weights, and convert them: python tools/convert_{name}.py PUBLIC '
            f'{user_folder() / name}.pth'
        )
    places = ' and '.join(map(str, folders()))
    files = ' or '.join(name + ending for ending in WEIGHT_ENDINGS)
    raise FileNotFoundError(
        f'The network {name!r} has no file here: {files} was looked for in {places} (${FOLDER_VARIABLE} names another '
        f'folder than the first). {advice}'
    )


def find_model_files(name: str) -> Iterator[Path]:
    """Find the files of a network, with or without a hash in their names; of a folder the newest first."""
    pattern = re.compile(rf'{re.escape(name)}(-[0-9a-f]{{8}})?({"|".join(map(re.escape, WEIGHT_ENDINGS))})')
    for folder in folders():
        files = [path for path in folder.glob(f'{name}*') if pattern.fullmatch(path.name) and path.is_file()]
        yield from sorted(files, key=lambda path: path.stat().st_mtime, reverse=True)


def folders() -> list[Path]:
    """Where files are looked for: the user's folder, then the package's."""
    return [user_folder(), PACKAGE_FOLDER]


def user_folder() -> Path:
    """The user's folder for weights; it lies where torch and others keep theirs, unless the environment names one."""
    cache = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    return Path(os.path.expanduser(os.environ.get(FOLDER_VARIABLE) or os.path.join(cache, 'cainet_mm')))


def is_name(text: object) -> bool:
    """Whether a text is the name of a network rather than a path; paths of configs have an ending."""
    return isinstance(text, str) and re.fullmatch(r'[\w-]+', text) is not None
