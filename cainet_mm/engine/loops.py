"""MMEngine's training loop, resumed exactly where it stopped."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import get_rank, get_world_size, is_main_process
from mmengine.registry import LOOPS
from mmengine.runner import IterBasedTrainLoop, Runner

from ..randomness import STEP, seed_all
from ..utils.dist import ask_first
from .training_lock import training_in
from .workers import run_with_watched_workers

# In the runtime_info of checkpoints: an iteration, how many samples all processes together had had before it, and how
# many they get in each from then on.
SAMPLES = 'samples_from'
# the iteration that was validated last, in the work directory
LAST_VALIDATION = 'last_validation'


@LOOPS.register_module()
class ResumableTrainLoop(IterBasedTrainLoop):
    """``IterBasedTrainLoop`` in which every iteration is a function of the seed and its number.

    Which images an iteration gets, how they are cropped and masked, and what the model draws follow from the seed of
    the run, the iteration and the process. A run that was killed and resumed therefore has the weights of one that was
    not, bit for bit where the operators are deterministic, as on CPUs. It also starts at once: MMEngine's loop loads
    again what was trained on, in order to skip it. A validation that was broken off comes first, as the best checkpoint
    could be another one without it.

    A run that is resumed with another batch size, or number of processes, continues after the samples that it had,
    where its sampler has no epochs (``InfiniteSampler``); with epochs it warns that some are repeated or left out.

    The data loader's data set and sampler are wrapped into :class:`ResumableDataset` and :class:`ResumableSampler`.
    A worker process that dies, of training or validation, is an error that names its image.

    Arguments are MMEngine's; ``dataloader`` is a config.

    Raises:
        ValueError: The data loader is no config, or has a batch sampler, whose batches have no known positions.
    """

    def __init__(self, runner: Runner, dataloader: dict, max_iters: int, **kwargs) -> None:
        if not isinstance(dataloader, dict) or 'batch_sampler' in dataloader:
            raise ValueError(
                'ResumableTrainLoop takes train_dataloader as a config with batch_size and sampler, not a loader that '
                "is built nor one with a batch_sampler. Give such a config, or train_cfg.type='IterBasedTrainLoop'."
            )
        # BaseLoop builds the loader, IterBasedTrainLoop starts its workers: too early, as nothing is resumed yet
        differ = runner._randomness_cfg.get('diff_rank_seed', False)
        loader = runner.build_dataloader(make_resumable(dataloader), seed=runner.seed, diff_rank_seed=differ)
        super().__init__(runner, _NotStarted(loader), max_iters, **kwargs)
        self.dataloader = loader
        self._loading: Any = None

    def run(self):
        """Train from the current iteration to the last, holding the lock of the work directory."""
        with training_in(self.runner.work_dir):
            self._run()
        return self.runner.model

    def _run(self) -> None:
        # the first process saves its seed in the checkpoints; with diff_rank_seed the others have another one
        self.seed = ask_first(lambda: self.runner.seed)
        self.dataloader_iterator = self._batches()
        if self._iter == 0 and is_main_process():
            # of another run in this folder
            (Path(self.runner.work_dir) / LAST_VALIDATION).unlink(missing_ok=True)
        try:
            run_with_watched_workers(self._train, self, self.runner.val_loop)
        finally:
            self._end_workers()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')

    def _train(self) -> None:
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        self._decide_current_val_interval()
        if self._iter and self._is_to_validate() and not self._was_validated():
            self._validate()
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            batch = next(self.dataloader_iterator)
            seed_all(self.seed, STEP, get_rank(), self._iter)
            self.run_iter(batch)
            self._decide_current_val_interval()
            if self._is_to_validate():
                self._validate()

    def _is_to_validate(self) -> bool:
        is_due = self._iter % self.val_interval == 0 or self._iter == self._max_iters
        return self.runner.val_loop is not None and self._iter >= self.val_begin and is_due

    def _was_validated(self) -> bool:
        note = Path(self.runner.work_dir) / LAST_VALIDATION
        return ask_first(lambda: note.is_file() and note.read_text().strip() == str(self._iter))

    def _validate(self) -> None:
        self.runner.val_loop.run()
        if is_main_process():
            (Path(self.runner.work_dir) / LAST_VALIDATION).write_text(str(self._iter))

    def _batches(self) -> Iterator[Sequence[dict]]:
        """Load batches from the current iteration on, epoch after epoch."""
        self.dataloader.sampler.start(self.seed, self._iter, self._samples_of_each())
        self.dataloader.dataset.seed = self.seed
        while True:
            self._loading = iter(self.dataloader)
            yield from self._loading

    def _samples_of_each(self) -> int:
        """How many samples each process has had."""
        batch, hub = self.dataloader.batch_size * get_world_size(), self.runner.message_hub
        known = self._iter > 0 and SAMPLES in hub.runtime_info
        iteration, samples, before = hub.get_info(SAMPLES) if known else (0, 0, batch)
        if before != batch:
            iteration, samples = self._iter, samples + (self._iter - iteration) * before
            goes_on = (
                f'the data go on after the {samples} images that were trained on'
                if self.dataloader.sampler.endless
                else 'some images of this epoch come twice, or not at all, as the sampler has epochs; an '
                'InfiniteSampler goes on where it was'
            )
            self.runner.logger.warning(
                f'An iteration had {before} images until iteration {self._iter}, all processes together, and has '
                f'{batch} from now on: {goes_on}. Iterations of schedules and learning rates stay as they are.'
            )
        hub.update_info(SAMPLES, [iteration, samples, batch])
        # one that does not divide them skips what is less than one for each
        samples += (self._iter - iteration) * batch
        return -(-samples // get_world_size())

    def _end_workers(self) -> None:
        # Left to Python, they are collected together with the queues that end them, and waited for in vain, five
        # seconds each. torch has no public way; the data loader can be used again after it.
        if hasattr(self._loading, '_shutdown_workers'):
            self._loading._shutdown_workers()
            self.dataloader._iterator = None
        self._loading = None


class _NotStarted:
    """A data loader without workers, for MMEngine's constructor, which would start them."""

    def __init__(self, loader) -> None:
        self.dataset = loader.dataset

    def __iter__(self) -> Iterator:
        return iter(())


def make_resumable(dataloader: dict) -> dict:
    """Wrap the data set and the sampler of a data loader's config into resumable ones."""
    sampler = dict(type='ResumableSampler', sampler=dataloader['sampler'], batch_size=dataloader['batch_size'])
    sampler['drop_last'] = dataloader.get('drop_last', False)
    return dict(dataloader, dataset=dict(type='ResumableDataset', dataset=dataloader['dataset']), sampler=sampler)
