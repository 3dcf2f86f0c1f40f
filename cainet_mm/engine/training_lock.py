"""One training in a work directory at a time."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmengine.dist import broadcast_object_list, is_main_process

from .errors import TrainingError

LOCK = 'training.lock'
# Seconds: how often a lock is touched, and how long one that nobody touches is watched. Only changes count, not ages:
# the clock of a network disk may be another one.
BEAT, PATIENCE = 10.0, 60.0


def process_key(process: int) -> list[str] | None:
    """A key of a process, unique over machines and time; ``None`` where it has ended, or is invisible."""
    with suppress(OSError):
        boot = Path('/proc/sys/kernel/random/boot_id').read_text().strip()
        started = Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[19]
        return [boot, os.readlink('/proc/self/ns/pid'), started]
    return None


def read_lock(path: Path) -> tuple[dict, tuple] | None:
    """The holder of a lock, and what changes while it is held; ``None`` where there is no lock."""
    try:
        # opened, as a network disk then looks up again when it was touched
        with open(path, encoding='utf-8') as file:
            text, state = file.read(), os.fstat(file.fileno())
    except FileNotFoundError:
        return None
    try:
        holder = json.loads(text)
    except ValueError:
        holder = {}  # just made, or cut off
    return holder, (state.st_ino, state.st_mtime_ns, text)


def refuse_second_training(folder: str | Path) -> None:
    """Raise a ``TrainingError`` that names it where another process trains in a work directory.

    A process of another machine is watched to find out, for a minute at most.
    """
    path, end, mine = Path(folder) / LOCK, time.monotonic() + PATIENCE, process_key(os.getpid())
    first = found = read_lock(path)
    while found is not None and found == first:
        process, key = found[0].get('process'), found[0].get('key')
        if key and mine and key[:2] == mine[:2]:
            if process is None or process == os.getpid() or process_key(process) != key:
                return
            break
        if time.monotonic() > end:
            return
        time.sleep(PATIENCE / 60)
        found = read_lock(path)
    if found is not None:
        process, host, since = (found[0].get(name, 'unknown') for name in ('process', 'host', 'since'))
        raise TrainingError(
            f'Process {process} on {host} trains in {folder} since {since}. Wait until it ends, stop it, or give this '
            f'training another --work-dir.'
        )


def take_lock(path: Path) -> None:
    """Make the lock, instead of one that a process left that has ended; ``TrainingError`` where another holds it."""
    holder = dict(host=socket.gethostname(), process=os.getpid(), key=process_key(os.getpid()))
    holder['since'] = time.strftime('%Y-%m-%d %H:%M:%S %z')
    while True:
        refuse_second_training(path.parent)
        path.unlink(missing_ok=True)
        # of several processes that come this far, one makes it
        with suppress(FileExistsError), open(path, 'x', encoding='utf-8') as file:
            json.dump(holder, file)
            return


@contextmanager
def training_in(folder: str | Path) -> Iterator[None]:
    """Hold an existing work directory for one training, all of its processes together.

    The first process makes a file, ``training.lock``, and touches it while it trains. What a killed process leaves is
    taken over: at once on the same machine, on another one after a minute in which nobody touches it.

    Raises:
        TrainingError: Another training is there, in all processes of this one.
    """
    path = Path(folder) / LOCK
    refused: list[TrainingError | None] = [None]
    if is_main_process():
        try:
            take_lock(path)
        except TrainingError as error:
            refused = [error]
    broadcast_object_list(refused)
    if refused[0] is not None:
        raise refused[0]
    if not is_main_process():
        yield
        return
    ended = threading.Event()
    # by its descriptor: the path may belong to a process that took over while this one was suspended
    file = os.open(path, os.O_RDWR)

    def touch() -> None:
        while not ended.wait(BEAT):
            with suppress(OSError):
                os.utime(file)

    thread = threading.Thread(target=touch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with suppress(OSError):
            if os.fstat(file).st_ino == path.stat().st_ino:
                path.unlink()
        os.close(file)
