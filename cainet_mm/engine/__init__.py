"""What the training loop needs and MMEngine lacks."""

from .hooks import ChannelsLastHook, QueueFitsBatchHook
from .optim_wrappers import CPUAmpOptimWrapper

__all__ = ['CPUAmpOptimWrapper', 'ChannelsLastHook', 'QueueFitsBatchHook']
