"""Atomic writes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .photo_paths import short_name

PARTIAL = 'partial'


@contextmanager
def replacing(path: str | Path, sync: bool = False) -> Iterator[Path]:
    """Write a file under a temporary name, which becomes its own when the block ends without an error.

    Yields the temporary path, beside the file and with the same ending. The folder of the file is made. After an error,
    a file that had the name is as it was. With ``sync``, the file and its name are on the disk when this ends, so that
    they survive a power failure.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(short_name(f'.{path.stem}', f'.{os.getpid()}.{PARTIAL}{path.suffix}'))
    try:
        yield partial
        if sync:
            _sync(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    if sync:
        _sync(path.parent)


def write_file(path: str | Path, content: bytes, sync: bool = False) -> None:
    """Write a file as :func:`replacing` does."""
    with replacing(path, sync) as partial:
        partial.write_bytes(content)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
