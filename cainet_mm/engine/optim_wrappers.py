"""Mixed precision where MMEngine offers none, on a CPU; and what hooks read of optimiser wrappers."""

import platform
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner import Runner

from .errors import TrainingError

# What processors say of themselves, in torch's words and in those of Linux: x86's extensions, and ARM's.
COMPUTES_BFLOAT16 = {'avx512_bf16', 'amx_bf16', 'bf16', 'svebf16'}


def processor_abilities() -> set[str] | None:
    """Extensions of this machine's processor; ``None`` where they are not known."""
    if platform.machine() in ('x86_64', 'AMD64') and hasattr(torch.cpu, 'get_capabilities'):
        return {name for name, value in torch.cpu.get_capabilities().items() if value is True}
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return None
    fields = (line.partition(':') for line in lines)
    return {word for name, _, words in fields if name.strip() in ('flags', 'Features') for word in words.split()}


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """An ``OptimWrapper`` whose forward passes run under CPU autocast.

    MMEngine's ``AmpOptimWrapper`` needs an accelerator. bfloat16 has the exponent range of float32, so no loss scaling
    is needed. A processor that cannot compute in it (on x86: neither AVX512-BF16 nor AMX) converts every number to
    float32 and back: CAINet's generator then takes 1,837 ms in place of 269.

    Args:
        dtype: ``'bfloat16'``, the type that every supported torch computes convolutions in on a CPU.
        even_if_slow: Whether to train on such a processor all the same.
        kwargs: Those of ``OptimWrapper``: optimizer, accumulative_counts, clip_grad.

    Raises:
        ValueError: ``dtype`` is another one.
        TrainingError: The processor cannot compute in bfloat16, unless ``even_if_slow``.
    """

    def __init__(self, dtype: str = 'bfloat16', even_if_slow: bool = False, **kwargs) -> None:
        if dtype != 'bfloat16':
            raise ValueError(f"dtype is {dtype!r}, but only 'bfloat16' works on a CPU; leave it out or set that.")
        abilities = processor_abilities()
        if abilities is not None and not even_if_slow and not abilities & COMPUTES_BFLOAT16:
            raise TrainingError(
                'This processor has no bfloat16 arithmetic (AVX512-BF16 or AMX), so mixed precision is several times '
                'slower on it than float32. Train without --amp, with an OptimWrapper; or say that you mean it: '
                '--amp-anyway, or even_if_slow=True in the CPUAmpOptimWrapper.'
            )
        super().__init__(**kwargs)

    @contextmanager
    def optim_context(self, model):
        """Run the forward pass under autocast, with the gradient accumulation of ``OptimWrapper``."""
        with super().optim_context(model), torch.autocast('cpu', dtype=torch.bfloat16):
            yield


def wrappers_of(runner: Runner) -> list[tuple[str, OptimWrapper]]:
    """The optimiser wrappers of a run by their names; a single one has the name ``'all'``."""
    wrapper = runner.optim_wrapper
    return list(wrapper.items()) if isinstance(wrapper, OptimWrapperDict) else [('all', wrapper)]


def parameters_of(wrapper: OptimWrapper) -> list[torch.nn.Parameter]:
    """The parameters of an optimiser, in its order."""
    return [parameter for group in wrapper.param_groups for parameter in group['params']]
