"""A checkpoint on preemption."""

import signal
import sys
from typing import Any

import torch
from mmengine.dist import all_reduce, barrier, get_world_size
from mmengine.hooks import CheckpointHook, Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ..optim_wrappers import wrappers_of
from ..signals import PREEMPTION_SIGNALS, REQUEUE_CODE, keep_signals_from_workers
from ..workers import loaders_of


@HOOKS.register_module()
class SaveOnSignalHook(Hook):
    """Saves a checkpoint and ends the run when a signal says that it is preempted.

    Clusters send SIGTERM, or the SIGUSR1 that a job asked for (``sbatch --signal``), some time before they kill. The
    iteration is finished, a checkpoint saved, and the process exits with code 75, by which ``tools/slurm_train.sh``
    knows to requeue the job. Several processes agree first, and all stay until the checkpoint is written; where
    gradients are accumulated, they save at the next iteration without a sum of gradients, as each process has its own.
    Workers of the data loaders leave the signal to the main process. A run without a ``CheckpointHook`` that counts
    iterations exits with the code of a process that the signal killed.

    Args:
        interval: Every how many iterations several processes ask each other.

    Raises:
        ValueError: The interval is below 1.
    """

    # after the checkpoint hook, which may be saving anyway
    priority = 'LOWEST'

    def __init__(self, interval: int = 10) -> None:
        if interval < 1:
            raise ValueError(f'SaveOnSignalHook takes an interval from 1 up, got {interval}.')
        self.interval = interval
        self.received: str | None = None
        self._agreed = False
        self._saver: CheckpointHook | None = None
        self._handlers: dict[signal.Signals, Any] = {}

    def before_train(self, runner: Runner) -> None:
        """Set the signal handlers, and have workers that start from now on leave the signals to this process."""
        savers = (hook for hook in runner.hooks if isinstance(hook, CheckpointHook) and not hook.by_epoch)
        self._saver = next(savers, None)
        self._handlers = {number: signal.signal(number, self._note) for number in PREEMPTION_SIGNALS}
        for loader in loaders_of(runner.train_loop, runner.val_loop):
            if loader.num_workers:
                keep_signals_from_workers(loader)

    def after_run(self, runner: Runner) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame) -> None:
        self.received = signal.Signals(number).name

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if not self._is_time(runner):
            return
        step = runner.iter + 1
        code, advice = REQUEUE_CODE, 'Go on with --resume.'
        if self._saver is None:
            code = 128 + signal.SIGTERM
            advice = 'Nothing was saved: the run has no CheckpointHook with by_epoch=False.'
        elif not (self._saver.last_ckpt or '').endswith(self._saver.filename_tmpl.format(step)):
            self._saver._save_checkpoint(runner)
        runner.logger.warning(
            f'{self.received or "Another process was preempted"} at iteration {step}: exits with code {code}. {advice}'
        )
        self.after_run(runner)
        # A launcher ends all processes once one of them has ended, be the first one still writing.
        barrier()
        sys.exit(code)

    def _is_time(self, runner: Runner) -> bool:
        if get_world_size() == 1:
            return self.received is not None
        if not self._agreed and (runner.iter + 1) % self.interval == 0:
            received = torch.tensor(float(self.received is not None))
            all_reduce(received, 'max')
            self._agreed = bool(received)
        # a checkpoint has no room for the sums of every process
        summed = (wrapper._inner_count % wrapper._accumulative_counts for _, wrapper in wrappers_of(runner))
        return self._agreed and not any(summed)
