"""Training data whose order and randomness follow from the iteration, so that a run can resume from any one."""

from collections.abc import Callable, Iterator
from itertools import islice

from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_dist_info
from mmengine.registry import DATA_SAMPLERS, DATASETS
from torch.utils.data import Dataset, Sampler

from ..randomness import SAMPLE, seed_all
from .errors import BadImageError, BadMaskError, TooManyBadImagesError

# what names a sample in the entries of OpenMMLab's data sets
PATH_KEYS = ('gt_path', 'img_path', 'key')


# the second name is deprecated
@DATASETS.register_module(name=['ResumableDataset', 'PositionedDataset'])
class ResumableDataset(Dataset):
    """A data set whose random samples depend on their position in the training alone.

    The position counts the samples of all processes from the first iteration on. It seeds whatever the pipeline draws,
    replacements for bad images included. The number of workers or processes and interruptions change nothing.

    Args:
        dataset: Config of the data set.

    Attributes:
        seed: Seed of the run, the same in all processes.
        on_sample: Called with the index of each sample before it is prepared.
    """

    def __init__(self, dataset: dict) -> None:
        self.dataset = DATASETS.build(dataset)
        self.seed = 0
        self.on_sample: Callable[[int], object] | None = None
        self._index = -1
        if hasattr(self.dataset, 'prepare_data'):
            # OpenMMLab's data sets replace bad samples by others
            self.dataset.prepare_data = self._note_and_prepare

    def _note_and_prepare(self, index: int) -> dict | None:
        self._note(index)
        # not a method that was kept: pickled for a worker, it would come back as this one
        return type(self.dataset).prepare_data(self.dataset, index)

    def _note(self, index: int) -> None:
        self._index = index
        if self.on_sample is not None:
            self.on_sample(index)

    def full_init(self) -> None:
        if hasattr(self.dataset, 'full_init'):
            self.dataset.full_init()

    @property
    def metainfo(self) -> dict:
        return getattr(self.dataset, 'metainfo', {})

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, place: tuple[int, int]) -> dict:
        """Prepare the sample of a position in the training and an index; errors of the pipeline name it."""
        position, index = place
        self._note(index)
        seed_all(self.seed, SAMPLE, position)
        try:
            return self.dataset[index]
        except (BadImageError, BadMaskError, TooManyBadImagesError):
            raise
        except Exception as error:
            raise RuntimeError(
                f'{describe_sample(self.dataset, self._index)} could not be prepared ({type(error).__name__}: '
                f'{error}). Repair or remove it, or change the pipeline of the data set.'
            ) from error

    def get_data_info(self, index: int) -> dict:
        return self.dataset.get_data_info(index) if hasattr(self.dataset, 'get_data_info') else {}


def describe_sample(dataset: Dataset, index: int) -> str:
    """Name a sample in a message: its index, and its file where the data set knows it."""
    info = dataset.get_data_info(index) if hasattr(dataset, 'get_data_info') else {}
    name = next((info[key] for key in PATH_KEYS if info.get(key)), None)
    return f'Sample {index}' if name is None else f'Sample {index}, {name},'


# the second name is deprecated
@DATA_SAMPLERS.register_module(name=['ResumableSampler', 'PositionedSampler'])
class ResumableSampler(Sampler):
    """Yields the samples of another sampler with their positions, from any iteration on, loading none before it.

    Each iteration over it is an epoch, or the rest of one; over an ``InfiniteSampler`` the only one never ends.

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
        self.dataset, self.config = dataset, sampler
        self.batch_size, self.drop_last = batch_size, drop_last
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
        """Do nothing: MMEngine's loops call it, but the epoch follows from the iteration."""

    def _batches_in_epoch(self) -> int:
        samples = len(self.sampler)
        batches = samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)
        if not batches:
            raise ValueError(
                f'An epoch of {samples} samples has no batch of {self.batch_size}, and smaller ones are left out '
                '(drop_last=True). Use smaller batches, or an InfiniteSampler.'
            )
        return batches
