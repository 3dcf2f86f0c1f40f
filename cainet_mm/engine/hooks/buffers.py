"""Buffers that are the same in all processes, where models are evaluated."""

from mmengine.dist import broadcast, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


# the second name is deprecated
@HOOKS.register_module(name=['BroadcastBuffersHook', 'SameBuffersHook'])
class BroadcastBuffersHook(Hook):
    """Has all processes validate and test the model that the first one saves.

    In distributed training each process keeps the batch norm statistics of its own samples, and those of the first are
    saved. This hook broadcasts them before validation and at the end of training. MMEngine's ``SyncBuffersHook``
    averages over the processes instead: then the model that is validated is not the one that has just been saved.
    """

    # before hooks that look at the model
    priority = 'ABOVE_NORMAL'

    def before_val_epoch(self, runner: Runner) -> None:
        if get_world_size() > 1:
            for buffer in runner.model.buffers():
                broadcast(buffer)

    before_test_epoch = after_train = before_val_epoch
