"""What the training loop needs and MMEngine lacks."""

from .hooks import QueueFitsBatchHook

__all__ = ['QueueFitsBatchHook']
