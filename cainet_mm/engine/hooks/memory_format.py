"""The memory layout of convolutions."""

import time
from copy import deepcopy
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch.nn.parallel import DistributedDataParallel

from ...utils.dist import unwrap_model


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Lays the model's weights out channels-last, in which convolutions are faster on GPUs and on most CPUs.

    It changes no result beyond rounding, and checkpoints are the same with and without it. At the first forward pass a
    copy of the generator (of the backbone in stage 1) is timed in both layouts, and a warning in the log says so where
    this one is slower. It does not choose: a run that is resumed would not have the same weights, bit for bit.
    """

    def before_run(self, runner: Runner) -> None:
        """Convert the model before the run; activations follow the weights."""
        runner.model.to(memory_format=torch.channels_last)
        for part in runner.model.modules():
            if isinstance(part, DistributedDataParallel) and hasattr(part, 'reducer'):
                # It keeps the layout that weights had when they were wrapped, and would scramble gradients of another,
                # in the first step or, with find_unused_parameters, in all. Created again, it takes the present layout.
                part.__setstate__(part.__getstate__())

    def before_train(self, runner: Runner) -> None:
        """Have the first forward pass timed, by the first process."""
        model = unwrap_model(runner.model)
        part = getattr(model, 'generator', None) or getattr(model, 'backbone', None)
        if part is None or not is_main_process():
            return
        part = unwrap_model(part)

        def measure(module: torch.nn.Module, inputs: tuple, named: dict) -> None:
            if module is not part:
                return  # a copy, which has the hook, too
            handle.remove()
            seconds, contiguous = time_layouts(module, inputs, named)
            if seconds > 1.1 * contiguous:
                runner.logger.warning(
                    f'Channels-last is slower for this network here: a forward pass of {type(module).__name__} takes '
                    f'{1000 * seconds:.0f} ms in it and {1000 * contiguous:.0f} without. Leave ChannelsLastHook out.'
                )

        handle = part.register_forward_pre_hook(measure, with_kwargs=True)


@torch.no_grad()
def time_layouts(module: torch.nn.Module, inputs: tuple, named: dict) -> tuple[float, float]:
    """Time the forward pass of a copy of a module: seconds in channels-last and in contiguous layout, the fastest."""
    copy: Any = deepcopy(module)
    copy.eval()  # returns nothing in some backbones of MMPretrain
    layouts = (torch.channels_last, torch.contiguous_format)
    fastest = dict.fromkeys(layouts, float('inf'))
    # in turns, as other work on the machine comes and goes; the first ones are slow
    for number in range(4):
        for layout in layouts:
            copy.to(memory_format=layout)
            started = time.perf_counter()
            copy(*inputs, **named)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if number:
                fastest[layout] = min(fastest[layout], time.perf_counter() - started)
    return fastest[torch.channels_last], fastest[torch.contiguous_format]
