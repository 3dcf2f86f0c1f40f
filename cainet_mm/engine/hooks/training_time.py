"""How long a model has been trained, and a limit to it."""

import time

import torch
from mmengine.dist import broadcast, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class TrainingTimeHook(Hook):
    """Measures how long a model has been trained, and ends training at a time limit.

    What counts is the time of training iterations, with the loading of their data and the saving of checkpoints;
    validation does not. The time is saved in the checkpoints (``trained_seconds`` in ``message_hub.runtime_info``), so
    that of a resumed run adds up. All processes stop after the same iteration, by the clock of the first one. A run
    that had reached the limit before it was resumed does not train any more.

    Args:
        limit_minutes: After how many minutes training ends. ``None`` for no limit.

    Raises:
        ValueError: The limit is not above 0.
    """

    # before the hook that saves a checkpoint
    priority = 'ABOVE_NORMAL'

    def __init__(self, limit_minutes: float | None = None) -> None:
        if limit_minutes is not None and not limit_minutes > 0:
            raise ValueError(f'TrainingTimeHook takes a number of minutes above 0, got {limit_minutes}.')
        self.limit_minutes = limit_minutes

    def before_train(self, runner: Runner) -> None:
        """Take the time of a resumed run from its checkpoint."""
        self.seconds = float(runner.message_hub.runtime_info.get('trained_seconds', 0))
        self.started: float | None = None
        if self._is_over(self.seconds):
            runner.logger.info(f'Was trained for {self.limit_minutes:g} minutes before, until iteration {runner.iter}.')
            runner.train_loop._max_iters = runner.iter

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        """Start the clock at the first iteration: what MMEngine skips on resuming is no training."""
        if self.started is None:
            self.started = time.monotonic()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Count, and make this iteration the last one at the time limit."""
        now = time.monotonic()
        self.seconds += now - (self.started or now)
        self.started = now
        seconds = torch.tensor(self.seconds, dtype=torch.float64)
        if get_world_size() > 1:
            broadcast(seconds)
        runner.message_hub.update_info('trained_seconds', seconds.item())
        if self._is_over(seconds.item()):
            runner.logger.info(f'Ends after {self.limit_minutes:g} minutes of training, iteration {runner.iter + 1}.')
            # MMEngine then saves and validates as it does after every last iteration
            runner.train_loop._max_iters = runner.iter + 1

    def _is_over(self, seconds: float) -> bool:
        return self.limit_minutes is not None and seconds >= 60 * self.limit_minutes

    def after_val(self, runner: Runner) -> None:
        """Leave the time of the validation out."""
        self.started = None
