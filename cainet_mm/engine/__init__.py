"""What the training loop needs and MMEngine lacks."""

from .broken_batches import load_broken_batch
from .buffers import SameBuffersHook
from .checkpointing import AtomicCheckpointHook, StepStateHook
from .diagnostics import CollapseHook, CriticHook
from .errors import CheckpointError, DataWorkerError, TrainingError
from .health import FiniteHook, NonFiniteError
from .hooks import (
    BadImagesHook,
    ChannelsLastHook,
    CompileHook,
    FittingWeightsHook,
    HolePSNRHook,
    LoadPartHook,
    PlainKeysHook,
    QueueFitsBatchHook,
    TrainingTimeHook,
)
from .loops import ResumableTrainLoop
from .model_wrappers import SplitDistributedDataParallel
from .optim_wrappers import CPUAmpOptimWrapper
from .pictures import TrainingPicturesHook
from .preemption import SaveOnSignalHook
from .testing import EvaluationStepsHook
from .workers import run_with_watched_workers

__all__ = [
    'AtomicCheckpointHook',
    'BadImagesHook',
    'CPUAmpOptimWrapper',
    'ChannelsLastHook',
    'CheckpointError',
    'CompileHook',
    'CollapseHook',
    'CriticHook',
    'DataWorkerError',
    'EvaluationStepsHook',
    'FiniteHook',
    'FittingWeightsHook',
    'HolePSNRHook',
    'LoadPartHook',
    'NonFiniteError',
    'PlainKeysHook',
    'QueueFitsBatchHook',
    'ResumableTrainLoop',
    'SameBuffersHook',
    'SaveOnSignalHook',
    'SplitDistributedDataParallel',
    'StepStateHook',
    'TrainingError',
    'TrainingPicturesHook',
    'TrainingTimeHook',
    'load_broken_batch',
    'run_with_watched_workers',
]
