"""Buffers that are the same in all processes, where models are judged."""

from mmengine.dist import broadcast, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class SameBuffersHook(Hook):
    """Has all processes validate and test the model that the first one saves.

    Processes that train together have the same parameters, but each follows the mean and variance of its own samples
    in the buffers of batch norm, of which the first one's are saved. They do not enter into training, but into every
    figure. The buffers of the first process are handed to the others before validation and at the end of training.
    MMEngine's ``SyncBuffersHook`` takes the mean over the processes at these moments instead: then the model that is
    validated is not the one that has just been saved.
    """

    # before hooks that look at the model
    priority = 'ABOVE_NORMAL'

    def before_val_epoch(self, runner: Runner) -> None:
        """Hand the buffers over."""
        if get_world_size() > 1:
            for buffer in runner.model.buffers():
                broadcast(buffer)

    def before_test_epoch(self, runner: Runner) -> None:
        """Hand the buffers over."""
        self.before_val_epoch(runner)

    def after_train(self, runner: Runner) -> None:
        """Hand the buffers over."""
        self.before_val_epoch(runner)
