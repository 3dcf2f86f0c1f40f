"""Training data whose order and randomness follow from the iteration, so that a run can go on from any one."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from itertools import islice

from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_dist_info
from mmengine.registry import DATA_SAMPLERS, DATASETS
from torch.utils.data import Dataset, Sampler

from ..randomness import SAMPLE, seed_all
from .errors import BadImageError, BadMaskError, TooManyBadImagesError, mask_of_another_size

# signals by which a cluster wants its machine back
PREEMPTION_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)

# what names a sample in the entries of OpenMMLab's data sets
PATH_KEYS = ('gt_path', 'img_path', 'key')


@DATASETS.register_module()
class PositionedDataset(Dataset):
    """A data set whose samples are random by their position in the training alone.

    The position counts the samples of all processes from the first iteration on. It seeds whatever the pipeline
    draws, a crop, a flip, a mask, a replacement for a bad image; how many workers or processes there are and whether
    the run was interrupted changes nothing.

    Args:
        dataset: Config of the data set.

    Attributes:
        seed: Seed of the run, the same in all processes; another one gives other crops and masks.
        on_sample: What is told the index of each sample before it is prepared.
    """

    def __init__(self, dataset: dict) -> None:
        self.dataset = DATASETS.build(dataset)
        self.seed = 0
        self.on_sample: Callable[[int], object] | None = None
        self._index = -1
        if hasattr(self.dataset, 'prepare_data'):
            # OpenMMLab's data sets take other samples in the place of bad ones
            self.dataset.prepare_data = self._note_and_prepare

    def _note_and_prepare(self, index: int) -> dict | None:
        self._note(index)
        # not a method that was kept: pickled for a worker, it would come back as this one
        return type(self.dataset).prepare_data(self.dataset, index)

    def _note(self, index: int) -> None:
        """Keep in mind which sample is being prepared."""
        self._index = index
        if self.on_sample is not None:
            self.on_sample(index)

    def full_init(self) -> None:
        """Read the list of the data set."""
        if hasattr(self.dataset, 'full_init'):
            self.dataset.full_init()

    @property
    def metainfo(self) -> dict:
        """That of the data set."""
        return getattr(self.dataset, 'metainfo', {})

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, place: tuple[int, int]) -> dict:
        """Prepare a sample.

        Args:
            place: Position in the training and index in the data set, as from :class:`PositionedSampler`.

        Raises:
            BadMaskError: A mask has another size than its image.
            RuntimeError: The pipeline failed; the message names the sample.
        """
        position, index = place
        self._note(index)
        seed_all(self.seed, SAMPLE, position)
        try:
            return self.dataset[index]
        except (BadImageError, BadMaskError, TooManyBadImagesError):
            raise
        except Exception as error:
            raise mask_of_another_size(error) or RuntimeError(
                f'{describe_sample(self.dataset, self._index)} could not be prepared ({type(error).__name__}: '
                f'{error}). Repair or remove it, or change the pipeline of the data set.'
            ) from error

    def get_data_info(self, index: int) -> dict:
        """What the data set knows of a sample before it is prepared."""
        return self.dataset.get_data_info(index) if hasattr(self.dataset, 'get_data_info') else {}


def describe_sample(dataset: Dataset, index: int) -> str:
    """Name a sample for a sentence: its file, where the data set tells, and its index."""
    info = dataset.get_data_info(index) if hasattr(dataset, 'get_data_info') else {}
    name = next((info[key] for key in PATH_KEYS if info.get(key)), None)
    return f'Sample {index}' if name is None else f'Sample {index}, {name},'


def obey_parent_alone() -> None:
    """Let a worker process ignore the signals of a cluster, but not those of its parent.

    A cluster that wants its machine back signals every process of a job. The main process finishes its iteration and
    saves; it needs its workers for that, and ends them itself.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, PREEMPTION_SIGNALS)
    threading.Thread(target=_exit_when_parent_says, args=(os.getppid(),), daemon=True).start()


def _exit_when_parent_says(parent: int) -> None:
    while signal.sigwaitinfo(PREEMPTION_SIGNALS).si_pid != parent:
        pass
    os._exit(0)


@DATA_SAMPLERS.register_module()
class PositionedSampler(Sampler):
    """Gives the samples of another sampler their positions, and starts at any iteration without loading what was.

    It goes through epoch after epoch: each iteration over it is one, or what is left of it. Of an
    ``InfiniteSampler`` the only one never ends.

    Args:
        dataset: The data set.
        sampler: Config of the sampler.
        batch_size: Batch size of each process.
        drop_last: Whether the smaller last batch of an epoch is left out.
        seed: Seed of the sampler, as MMEngine gives it.
    """

    def __init__(
        self, dataset: Dataset, sampler: dict, batch_size: int, drop_last: bool = False, seed: int | None = None
    ) -> None:
        self.dataset = dataset
        self.config = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.start(seed, 0)

    @property
    def endless(self) -> bool:
        """Whether the sampler has no epochs."""
        return isinstance(self.sampler, InfiniteSampler)

    def start(self, seed: int | None, iteration: int, samples: int | None = None) -> None:
        """Go to the batch of an iteration.

        Args:
            seed: Seed of the sampler.
            iteration: Number of batches that each process has had.
            samples: Number of samples that each process has had of a sampler without epochs; ``None`` where all
                batches were of this size.
        """
        # a new one, as an InfiniteSampler cannot go back
        self.sampler = DATA_SAMPLERS.build(dict(self.config), default_args=dict(dataset=self.dataset, seed=seed))
        self.iteration = iteration
        self.samples = iteration * self.batch_size if samples is None else samples

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Give (position, index) from the current iteration to the end of its epoch."""
        rank, world_size = get_dist_info()
        if self.endless:
            skipped = position = self.samples
        else:
            epoch, batch = divmod(self.iteration, self._batches_in_epoch())
            skipped, position = batch * self.batch_size, self.iteration * self.batch_size
            self.sampler.set_epoch(epoch)
            self.iteration = (epoch + 1) * self._batches_in_epoch()
        for number, index in enumerate(islice(iter(self.sampler), skipped, None), position):
            yield number * world_size + rank, index

    def __len__(self) -> int:
        return len(self.sampler)

    def set_epoch(self, epoch: int) -> None:
        """Nothing: MMEngine's loops call it, but the iteration says which epoch it is."""

    def _batches_in_epoch(self) -> int:
        samples = len(self.sampler)
        batches = samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)
        if not batches:
            raise ValueError(
                f'An epoch of {samples} samples has no batch of {self.batch_size}, and smaller ones are left out '
                '(drop_last=True). Use smaller batches, or an InfiniteSampler.'
            )
        return batches
