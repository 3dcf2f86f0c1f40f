"""The size of stage 1's queue beside that of a batch."""

from typing import Any

from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ...datasets.resumable import ResumableSampler
from ...utils.dist import unwrap_model
from ..optim_wrappers import wrappers_of


@HOOKS.register_module()
class QueueFitsBatchHook(Hook):
    """Stops stage 1 at its start when its batches do not divide the queue, or gradients are accumulated.

    :class:`SiameseMoCo` refuses such a batch when it meets one; the smaller last batch of an epoch comes late. It
    updates the key encoder, Eq. (2), and the queue with every batch, so that each has to be a step of its own.
    """

    def before_train(self, runner: Runner) -> None:
        counts = {name: wrapper._accumulative_counts for name, wrapper in wrappers_of(runner)}
        if max(counts.values()) > 1:
            raise ValueError(
                f'Stage 1 makes a step of every batch, but accumulative_counts of optim_wrapper is {counts}: the key '
                'encoder and the queue would be updated by each part of a step. Set accumulative_counts=1; it is the '
                'queue that stands for a large batch.'
            )
        check_queue_fits(unwrap_model(runner.model).queue_len, runner.train_dataloader, get_world_size())


def check_queue_fits(queue_len: int, loader: DataLoader, world_size: int) -> None:
    """Refuse, by a ``ValueError``, a data loader whose batches in all processes do not divide a queue of keys."""
    own_size: Any = loader.batch_size
    batch_size = own_size * world_size
    if queue_len % batch_size:
        raise ValueError(
            f'The queue of {queue_len} keys is not divided by the global batch of {batch_size} '
            f'({own_size} in each of {world_size} processes). Choose a queue_len that is a multiple of it, '
            f'such as {max(1, round(queue_len / batch_size)) * batch_size}.'
        )
    order: Any = loader.sampler
    sampler = order.sampler if isinstance(order, ResumableSampler) else order
    if isinstance(sampler, InfiniteSampler) or loader.drop_last:
        return
    remainder = len(order) % own_size
    if remainder:
        raise ValueError(
            f'The last batch of an epoch would have {remainder} samples instead of {own_size} and leave the '
            'queue uneven. Set drop_last=True in train_dataloader, or use an InfiniteSampler.'
        )
