"""What a run does when it is told to go."""

import signal
import sys
from collections.abc import Sequence

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import CheckpointHook, Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

# EX_TEMPFAIL of sysexits.h: try again
REQUEUE_CODE = 75


@HOOKS.register_module()
class SaveOnSignalHook(Hook):
    """Saves a checkpoint and ends the run when a signal says that the machine is needed otherwise.

    Clusters send SIGTERM, or the signal that a job asked for (``sbatch --signal``), some time before they kill. The
    iteration is finished, a checkpoint saved, and the process exits with a code by which a script knows to put the job
    into the queue again; ``tools/slurm_train.sh`` does. Several processes agree first, whichever of them got the
    signal.

    Args:
        signals: Names of the signals.
        exit_code: The exit code.
        interval: Every how many iterations several processes ask each other.

    Raises:
        ValueError: There is no such signal, or an interval below 1.
    """

    # after the checkpoint hook, which may be saving anyway
    priority = 'LOWEST'

    def __init__(
        self, signals: Sequence[str] = ('SIGTERM', 'SIGUSR1'), exit_code: int = REQUEUE_CODE, interval: int = 10
    ) -> None:
        unknown = [name for name in signals if name not in signal.Signals.__members__]
        if unknown or interval < 1:
            raise ValueError(
                f'SaveOnSignalHook takes names of signals, such as SIGTERM, and an interval from 1 up, got '
                f'{list(signals)} and {interval}.'
            )
        self.signals = [signal.Signals[name] for name in signals]
        self.exit_code = exit_code
        self.interval = interval
        self.received: str | None = None
        self._handlers: dict[signal.Signals, object] = {}

    def before_train(self, runner: Runner) -> None:
        """Listen."""
        self._handlers = {number: signal.signal(number, self._note) for number in self.signals}

    def after_train(self, runner: Runner) -> None:
        """Listen no more."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame) -> None:
        self.received = signal.Signals(number).name

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Save and exit, where a signal has come."""
        if not self._is_time(runner.iter + 1):
            return
        step = runner.iter + 1
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook) and not hook.by_epoch:
                saved = hook.last_ckpt is not None and hook.last_ckpt.endswith(hook.filename_tmpl.format(step))
                if not saved:
                    hook._save_checkpoint(runner)
                break
        runner.logger.warning(
            f'{self.received or "Another process was told to go"} at iteration {step}: exits with code '
            f'{self.exit_code}. Go on with --resume.'
        )
        self.after_train(runner)
        sys.exit(self.exit_code)

    def _is_time(self, step: int) -> bool:
        if get_world_size() == 1:
            return self.received is not None
        if step % self.interval:
            return False
        told = torch.tensor(float(self.received is not None))
        all_reduce(told, 'max')
        return bool(told)
