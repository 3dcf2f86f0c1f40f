"""What the training loop needs and MMEngine lacks."""

from .hooks import ChannelsLastHook, LoadPartHook, PlainKeysHook, QueueFitsBatchHook, TrainingTimeHook
from .optim_wrappers import CPUAmpOptimWrapper

__all__ = [
    'CPUAmpOptimWrapper',
    'ChannelsLastHook',
    'LoadPartHook',
    'PlainKeysHook',
    'QueueFitsBatchHook',
    'TrainingTimeHook',
]
