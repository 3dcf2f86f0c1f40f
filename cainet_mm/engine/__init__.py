"""What the training loop needs and MMEngine lacks."""

from .checkpointing import AtomicCheckpointHook, CheckpointError, StepStateHook
from .hooks import BadImagesHook, ChannelsLastHook, LoadPartHook, PlainKeysHook, QueueFitsBatchHook, TrainingTimeHook
from .loops import DataWorkerError, ResumableTrainLoop
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
    'TrainingTimeHook',
]
