"""Bad images of the training set, listed and counted."""

from collections.abc import Iterator
from pathlib import Path

from mmengine.dist import barrier, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ...datasets.bad_images import BadImages


@HOOKS.register_module()
class BadImagesHook(Hook):
    """Has the bad images of the training set listed in the work directory, and counts them in the log.

    It acts on data sets of this package, which skip bad images up to a share. The list is ``bad_images.txt``, a line
    per image, and counts for all processes of a run and for those that resume it; a new run begins a new list. Of
    joined data sets (``ConcatDataset``) each has its own, ``bad_images_1.txt`` and so on. It needs the training loop of
    this package, which starts its workers after the hooks.

    Args:
        interval: Every how many iterations they are counted.
    """

    def __init__(self, interval: int = 100) -> None:
        self.interval = interval
        self._bad: list[BadImages] = []

    def before_train(self, runner: Runner) -> None:
        self._bad = list(bad_images_of(runner.train_dataloader.dataset))
        if not self._bad:
            return
        folder = Path(runner.work_dir)
        if runner.iter == 0 and is_main_process():
            for old in folder.glob('bad_images*.txt'):
                old.unlink(missing_ok=True)
        barrier()
        for number, bad in enumerate(self._bad, start=1):
            bad.list_in(folder / ('bad_images.txt' if len(self._bad) == 1 else f'bad_images_{number}.txt'))

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if self.every_n_train_iters(runner, self.interval) and (count := sum(bad.count for bad in self._bad)):
            runner.message_hub.update_scalar('train/bad_images', count)

    def after_train(self, runner: Runner) -> None:
        for bad in self._bad:
            if bad.count:
                said = f'{bad.count} of {bad.total} training images were bad and left out: {bad.listing}.'
                runner.logger.warning(said)


def bad_images_of(dataset: object) -> Iterator[BadImages]:
    """The records of bad images of a data set, through wrappers and joined data sets."""
    if hasattr(dataset, 'bad_images'):
        yield dataset.bad_images
        return
    for inner in getattr(dataset, 'datasets', None) or filter(None, [getattr(dataset, 'dataset', None)]):
        yield from bad_images_of(inner)
