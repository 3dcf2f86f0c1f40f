"""Hooks of MMEngine's runner, one kind per file."""

from .bad_images import BadImagesHook
from .buffers import BroadcastBuffersHook
from .checkpoints import AtomicCheckpointHook
from .compilation import CompileHook
from .diagnostics import CollapseHook, CriticHook
from .evaluation_steps import EvaluationStepsHook
from .finite import FiniteHook, NonFiniteError
from .memory_format import ChannelsLastHook
from .metrics import HolePSNRHook
from .pictures import TrainingPicturesHook
from .preemption import SaveOnSignalHook
from .queue_size import QueueFitsBatchHook, check_queue_fits
from .step_state import StepStateHook
from .training_time import TrainingTimeHook
from .weights import LoadPartHook, StrictLoadHook, UnwrapStateDictHook

__all__ = [
    'AtomicCheckpointHook',
    'BadImagesHook',
    'BroadcastBuffersHook',
    'ChannelsLastHook',
    'CollapseHook',
    'CompileHook',
    'CriticHook',
    'EvaluationStepsHook',
    'FiniteHook',
    'HolePSNRHook',
    'LoadPartHook',
    'NonFiniteError',
    'QueueFitsBatchHook',
    'SaveOnSignalHook',
    'StepStateHook',
    'StrictLoadHook',
    'TrainingPicturesHook',
    'TrainingTimeHook',
    'UnwrapStateDictHook',
    'check_queue_fits',
]
