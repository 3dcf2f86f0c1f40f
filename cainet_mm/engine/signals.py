"""The signals by which a cluster takes its machine back, and what workers of data loaders do on them."""

import os
import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from torch.utils.data import DataLoader

PREEMPTION_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
# EX_TEMPFAIL of sysexits.h: try again
REQUEUE_CODE = 75

Result = TypeVar('Result')


def keep_signals_from_workers(loader: DataLoader) -> None:
    """Have the workers of a data loader, which have not started, obey signals of their parent alone.

    A cluster signals every process of a job, but the main process needs its workers to finish its iteration.
    """
    loader.worker_init_fn = partial(_obey_parent_alone, loader.worker_init_fn)
    # torch has no public name for what starts them
    start = loader._get_iterator
    loader._get_iterator = partial(_start_with_signals_blocked, start)  # type: ignore[method-assign]


def _start_with_signals_blocked(start: Callable[[], Result]) -> Result:
    """Start processes that have the signals blocked from the first moment on: one may come before they are ready."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, PREEMPTION_SIGNALS)
    try:
        return start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _obey_parent_alone(start: Callable[[int], object] | None, worker: int) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, PREEMPTION_SIGNALS)
    threading.Thread(target=_exit_on_signal_of, args=(os.getppid(),), daemon=True).start()
    if start is not None:
        start(worker)


def _exit_on_signal_of(parent: int) -> None:
    while signal.sigwaitinfo(PREEMPTION_SIGNALS).si_pid != parent:
        pass
    os._exit(0)
