"""Which sample a worker of a data loader was at when it died."""

import multiprocessing
import os
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.util import Finalize
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, get_worker_info

from ..datasets.resumable import describe_sample
from ..utils.errors import describe_error
from .errors import DataWorkerError

# how torch names the processes, of a signal and of an exit code, one and several
DEAD = re.compile(r'DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)')
# what the main process gets from a worker that dies while it sends a batch
BROKEN_OFF = (ConnectionError, EOFError)
# seconds that its process may take to end after that
PATIENCE = 5.0

Result = TypeVar('Result')


class WatchedWorkers:
    """Has the workers of a data loader, which have not started, note which sample each is at."""

    def __init__(self, loader: DataLoader) -> None:
        self.loader = loader
        # of each worker its process and its sample
        self._notes = torch.full((loader.num_workers, 2), -1).share_memory_()
        loader.worker_init_fn = partial(_note_samples, self._notes, loader.worker_init_fn)

    def dead(self) -> list[int]:
        alive = {child.pid for child in multiprocessing.active_children()}
        return [process for process in self._notes[:, 0].tolist() if process >= 0 and process not in alive]

    def describe(self, process: int) -> str | None:
        """Name the sample that a process was at; ``None`` where it is none of these workers."""
        for noted, index in self._notes.tolist():
            if noted == process:
                return 'No sample yet' if index < 0 else describe_sample(self.loader.dataset, index)
        return None


def _note_samples(notes: torch.Tensor, start: Callable[[int], object] | None, worker: int) -> None:
    """Initialise a worker that notes its process and its samples in its row of the notes, (workers, 2)."""
    if start is not None:
        start(worker)
    note = notes[worker]
    note[0] = os.getpid()
    # not called in a process that is killed
    Finalize(None, note[0].fill_, args=(-1,), exitpriority=0)
    info: Any = get_worker_info()
    dataset = info.dataset
    if hasattr(dataset, 'on_sample'):
        dataset.on_sample = note[1].fill_
    elif hasattr(dataset, 'prepare_data'):
        prepare = dataset.prepare_data

        def note_and_prepare(index: int) -> dict | None:
            note[1] = index
            return prepare(index)

        dataset.prepare_data = note_and_prepare


def loaders_of(*loops: object) -> Iterator[DataLoader]:
    """The data loaders of MMEngine's and MMagic's loops."""
    for loop in loops:
        # MMagic's have several
        loaders = getattr(loop, 'dataloaders', None) or [getattr(loop, 'dataloader', None)]
        yield from (loader for loader in loaders if isinstance(loader, DataLoader))


def run_with_watched_workers(run: Callable[[], Result], *loops: object) -> Result:
    """Run loops, whose workers have not started, so that a worker that dies is an error that names its sample.

    A context manager would miss some deaths: torch reports them wherever Python is, the manager's own code included.

    Raises:
        DataWorkerError: A worker died.
    """
    watched = [WatchedWorkers(loader) for loader in loaders_of(*loops)]
    try:
        try:
            return run()
        except BROKEN_OFF:
            end = time.monotonic() + PATIENCE
            while not any(workers.dead() for workers in watched) and time.monotonic() < end:
                time.sleep(0.02)  # torch's error may come here
            raise
    except (RuntimeError, *BROKEN_OFF) as error:
        reported = DEAD.search(str(error))
        what = describe_error(error, first_line=True).strip(' .') if reported else 'A DataLoader worker died'
        processes = [int(process) for process in reported[1].split(',')] if reported else []
        if isinstance(error, BROKEN_OFF):
            processes = [process for workers in watched for process in workers.dead()]
        for sample in filter(None, (workers.describe(process) for process in processes for workers in watched)):
            raise DataWorkerError(
                f'{what}. {sample} was being prepared. If it was killed for memory, use fewer workers; if the image '
                'makes it crash, take the image out.'
            ) from error
        raise
