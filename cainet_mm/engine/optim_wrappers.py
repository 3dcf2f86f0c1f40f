"""Mixed precision where MMEngine offers none: on a CPU."""

from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """An ``OptimWrapper`` whose forward passes run under CPU autocast.

    MMEngine's ``AmpOptimWrapper`` refuses to be built without an accelerator. bfloat16 has the exponent range of
    float32, so no loss scaling is needed and every other step is that of ``OptimWrapper``.

    Args:
        dtype (str): ``'bfloat16'``, the type that every supported torch computes convolutions in on a CPU.
        kwargs: Those of ``OptimWrapper``: optimizer, accumulative_counts, clip_grad.

    Raises:
        ValueError: If ``dtype`` is another one.
    """

    def __init__(self, dtype='bfloat16', **kwargs):
        if dtype != 'bfloat16':
            raise ValueError(f"dtype is {dtype!r}, but only 'bfloat16' works on a CPU; leave it out or set that.")
        super().__init__(**kwargs)

    @contextmanager
    def optim_context(self, model):
        """Runs the forward pass under autocast, with the gradient accumulation of ``OptimWrapper``."""
        with super().optim_context(model), torch.autocast('cpu', dtype=torch.bfloat16):
            yield
