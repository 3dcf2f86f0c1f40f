"""What the training loop needs and MMEngine lacks."""

from .checkpointing import AtomicCheckpointHook, StepStateHook
from .errors import CheckpointError, DataWorkerError, TrainingError
from .hooks import BadImagesHook, ChannelsLastHook, LoadPartHook, PlainKeysHook, QueueFitsBatchHook, TrainingTimeHook
from .loops import ResumableTrainLoop
from .optim_wrappers import CPUAmpOptimWrapper
from .preemption import SaveOnSignalHook

__all__ = [
    'AtomicCheckpointHook',
    'BadImagesHook',
    'CPUAmpOptimWrapper',
    'ChannelsLastHook',
    'CheckpointError',
    'DataWorkerError',
    'LoadPartHook',
    'PlainKeysHook',
    'QueueFitsBatchHook',
    'ResumableTrainLoop',
    'SaveOnSignalHook',
    'StepStateHook',
    'TrainingError',
    'TrainingTimeHook',
]
