"""The masks that a test set is tested under, as files and hashes, for comparisons elsewhere on the same holes."""

import hashlib
import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS

from ..utils.photo_paths import read_list
from .transforms import SeededByImage


def draw_test_masks(
    config: Config, names: str | Path | None = None, kinds: Sequence[str] = ()
) -> Iterator[tuple[str, np.ndarray]]:
    """Draw the masks under which the photographs of a test set are tested, by their names and the generators alone.

    Args:
        config: With the generators as ``test_masks`` and, unless names are given, a ``test_dataloader``.
        names: A text file with the photographs' names, one a line, as the data set has them.
        kinds: Which of ``test_masks``; all by default.

    Yields:
        ``KIND/NAME`` and the mask, (H, W), uint8, 255 in the hole.

    Raises:
        FileNotFoundError: There is no such list.
        ValueError: The config has no such kind, or a name leads out of its folder.
    """
    known = config.get('test_masks') or {}
    unknown = [kind for kind in kinds if kind not in known]
    if unknown or not known:
        raise ValueError(f'The kinds of masks of a config (test_masks) are {", ".join(known) or "none"}, got {kinds}.')
    keys = list(names_in(config, names))
    for key in keys:
        if posixpath.isabs(key) or posixpath.normpath(key).startswith('..'):
            raise ValueError(f"The name {key!r} leads out of its folder; give names relative to the photographs'.")
    pipeline = (config.get('test_dataloader') or {}).get('dataset', {}).get('pipeline', ())
    seed = next((step.get('seed', 0) for step in pipeline if step['type'] in ('SeededByImage', SeededByImage)), 0)
    for kind in kinds or known:
        draw = SeededByImage(known[kind], seed=seed)
        for key in keys:
            yield f'{kind}/{posixpath.normpath(key)}', draw(dict(key=key))['mask'][..., 0] * 255


def names_in(config: Config, names: str | Path | None) -> Iterable[str]:
    """The names of photographs without their endings, of a list or of the config's test set."""
    if names is not None:
        return [os.path.splitext(name)[0].replace('\\', '/') for name in read_list(names)]
    if config.get('test_dataloader') is None:
        raise ValueError('The config has no test_dataloader, which names the photographs; give a list of names.')
    dataset = DATASETS.build(dict(config.test_dataloader.dataset, pipeline=[]))
    return [dataset.get_data_info(index)['key'] for index in range(len(dataset))]


def hash_mask(mask: np.ndarray) -> str:
    """The SHA-256 of a mask's pixels, row by row, a byte each; files of one mask differ by what compressed them."""
    return hashlib.sha256(np.ascontiguousarray(mask, np.uint8).tobytes()).hexdigest()


def read_hashes(path: str | Path) -> dict[str, str]:
    """Read a list of hashes: lines ``HASH  KIND/NAME``, and remarks behind ``#``; else a ``ValueError``."""
    lines = [line.split('  ', 1) for line in read_list(path) if not line.startswith('#')]
    if not lines or any(len(line) != 2 or len(line[0]) != 64 for line in lines):
        raise ValueError(f'{path} is no list of hashes, lines of "HASH  KIND/NAME" as tools/test_masks.py writes.')
    return {name: digest for digest, name in lines}


def find_differences(drawn: dict[str, str], published: dict[str, str]) -> list[str]:
    """Name the masks that differ from a published list, are missing, or are not in it."""
    return sorted(name for name in drawn.keys() | published.keys() if drawn.get(name) != published.get(name))
