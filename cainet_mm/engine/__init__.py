"""What the training loop needs and MMEngine lacks."""

from .hooks import ChannelsLastHook, QueueFitsBatchHook, TrainingTimeHook
from .optim_wrappers import CPUAmpOptimWrapper

__all__ = ['CPUAmpOptimWrapper', 'ChannelsLastHook', 'QueueFitsBatchHook', 'TrainingTimeHook']
