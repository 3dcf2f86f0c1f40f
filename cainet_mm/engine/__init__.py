"""What the training loop needs and MMEngine lacks."""

from .hooks import QueueFitsBatchHook
from .optim_wrappers import CPUAmpOptimWrapper

__all__ = ['CPUAmpOptimWrapper', 'QueueFitsBatchHook']
