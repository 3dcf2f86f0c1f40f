"""One training in a work directory at a time."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# not flock, which the workers of a killed process would hold on to
from fcntl import LOCK_EX, LOCK_NB, lockf
from pathlib import Path
from typing import TextIO

from ..utils.dist import ask_first
from .errors import TrainingError

LOCK = 'training.lock'


def refuse_second_training(folder: str | Path) -> None:
    """Raise a ``TrainingError`` that names it where another process trains in a work directory."""
    path = Path(folder) / LOCK
    if path.is_file():
        with open(path, 'r+', encoding='utf-8') as file:
            lock_file(file, folder)


def lock_file(file: TextIO, folder: str | Path) -> None:
    """Lock an open file until it is closed, or its process ends in whatever way; a ``TrainingError`` where it is."""
    try:
        lockf(file, LOCK_EX | LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        file.seek(0)
        with suppress(ValueError):  # not written yet
            holder = json.load(file)
            raise TrainingError(
                f'Process {holder["process"]} on {holder["host"]} trains in {folder} since {holder["since"]}. Wait '
                'until it ends, stop it, or give this training another --work-dir.'
            ) from error
        raise TrainingError(f'Another training begins in {folder}; give this one another --work-dir.') from error
    except OSError:
        pass  # the disk has no locks


def take_lock(path: Path) -> TextIO:
    """Make and lock the file of a training; ``TrainingError`` where another one holds it."""
    while True:
        file = open(path, 'a+', encoding='utf-8')  # noqa: SIM115 (it stays open)
        lock_file(file, path.parent)
        with suppress(FileNotFoundError):
            # a training that has just ended removes its file
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                break
        file.close()
    file.truncate(0)
    since = time.strftime('%Y-%m-%d %H:%M:%S %z')
    json.dump(dict(host=socket.gethostname(), process=os.getpid(), since=since), file)
    file.flush()
    return file


@contextmanager
def training_in(folder: str | Path) -> Iterator[None]:
    """Hold an existing work directory for one training, all of its processes together.

    The first process locks a file, ``training.lock``. The system takes the lock of a killed process away, also on
    disks that several machines share. ``TrainingError`` in all processes where another training is there.
    """
    path, held = Path(folder) / LOCK, []
    ask_first(lambda: held.append(take_lock(path)))
    try:
        yield
    finally:
        for file in held:
            with file, suppress(OSError):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    path.unlink()
