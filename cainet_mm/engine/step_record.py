"""The losses and gradient norms of a training step, read without making the device wait."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor

from ..utils.checkpoint_io import enumerate_names

# the gradients of an optimiser: (its name, the parameter's name) of each, and their norms (n,), still on the device
Gradients = tuple[list[tuple[str, str]], Tensor]


@dataclass
class StepRecord:
    """The numbers of one iteration, as in the log, which are copied from the device asynchronously."""

    iteration: int
    batch: object  # as the loop got it
    losses: Mapping[str, Tensor]  # what the model returned for the log, (1,) each
    gradients: Sequence[Gradients]  # those that were looked at
    skipped: list[str]  # the optimisers whose steps were skipped
    is_late: bool  # whether for gradients accumulated before, which have been reported

    def __post_init__(self) -> None:
        values = torch.cat([*self.losses.values(), *(norms for _, norms in self.gradients)] or [torch.zeros(1)])
        values = torch.cat([not_finite_anywhere(values).reshape(1), values])
        # from a GPU into page-locked memory, without waiting
        self._values = values.to('cpu', non_blocking=True)
        self._copied = torch.cuda.Event() if values.is_cuda else None
        if self._copied is not None:
            self._copied.record()

    def wait(self) -> None:
        if self._copied is not None:
            self._copied.synchronize()

    @property
    def is_bad(self) -> bool:
        """Whether a number of any process is not finite."""
        return bool(self._values[0])

    def bad_gradients(self) -> dict[str, list[str]]:
        """The parameters whose gradients are not finite, by optimiser."""
        found: dict[str, list[str]] = {}
        labels = [label for labels, _ in self.gradients for label in labels]
        for (optimiser, name), norm in zip(labels, self._values[1 + len(self.losses) :].tolist(), strict=False):
            if not math.isfinite(norm):
                found.setdefault(optimiser, []).append(name)
        return found

    def describe(self) -> str:
        """Say what is not finite: the losses if there are some, else the gradients."""
        losses = dict(zip(self.losses, self._values[1 : 1 + len(self.losses)].tolist(), strict=True))
        good = ', '.join(f'{name} {value:.4g}' for name, value in losses.items() if math.isfinite(value))
        bad = {name: value for name, value in losses.items() if not math.isfinite(value)}
        if len(bad) > 1:
            bad.pop('loss', None)  # the sum of the others
        if bad:
            named = enumerate_names(f'{name!r} is {value}' for name, value in bad.items())
            return f'the loss {named}' + (f' (the others: {good})' if good else '')
        gradients = [f'{enumerate_names(names)} (optimiser {key!r})' for key, names in self.bad_gradients().items()]
        if gradients:
            named = ' and of '.join(gradients)
            return f'not finite is the gradient of {named}' + (f'; the losses are: {good}' if good else '')
        if get_world_size() > 1:
            return 'a loss or a gradient in another process is not finite'
        return 'the loss that was propagated is not finite'


def norms_of(tensors: Sequence[Tensor]) -> Tensor:
    """The Euclidean norms of n tensors, (n,): not finite where one holds nan or infinity, or overflows."""
    return torch.stack(torch._foreach_norm([t.float() if t.dtype == torch.float16 else t for t in tensors]))


def not_finite_anywhere(values: Tensor) -> Tensor:
    """1 where any value of any process is not finite, else 0; ()."""
    flag = (~values.isfinite()).any().float()
    if get_world_size() > 1:
        all_reduce(flag, 'max')
    return flag
