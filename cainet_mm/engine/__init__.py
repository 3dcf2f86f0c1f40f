"""What the training loop needs and MMEngine lacks."""

from . import hooks
from .broken_batches import load_broken_batch
from .distributed import SplitDistributedDataParallel
from .errors import CheckpointError, DataWorkerError, TrainingError
from .hooks import *  # noqa: F403 (they have names of their own in hooks/__init__.py)
from .loops import ResumableTrainLoop
from .optim_wrappers import CPUAmpOptimWrapper
from .workers import run_with_watched_workers

__all__ = [
    'CPUAmpOptimWrapper',
    'CheckpointError',
    'DataWorkerError',
    'ResumableTrainLoop',
    'SplitDistributedDataParallel',
    'TrainingError',
    'load_broken_batch',
    'run_with_watched_workers',
]
__all__ += hooks.__all__
