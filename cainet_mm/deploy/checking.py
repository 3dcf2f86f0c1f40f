"""Whether an exported file returns what PyTorch does."""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

import torch
from torch import Tensor

from .traceable import ExportableInpaintor

# the largest number that a size may have to be a multiple of
LARGEST_MULTIPLE = 512
# what rounding may excuse, a fortieth of the range
LARGEST_ROUNDING = 0.05

Run = Callable[[Tensor, Tensor], Tensor | Sequence[Tensor]]


class UnfitFileError(ValueError):
    """A file was written, but cannot be used, or returns something else than PyTorch."""


class Case(NamedTuple):
    """An input, and PyTorch's outputs."""

    image: Tensor
    mask: Tensor
    outputs: tuple[Tensor, ...]


def run_on(run: Run, image: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
    """Run on an input; one output comes as a tuple, too."""
    outputs = run(image, mask)
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)


def make_inputs(batch: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Random images with a hole in the middle and many of a pixel."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(batch, 3, height, width, generator=generator) * 2 - 1
    mask = (torch.rand(batch, 1, height, width, generator=generator) > 0.8).float()
    mask[..., height // 4 : height - height // 4, width // 4 : width - width // 4] = 1
    return image, mask


def round_up(side: int, multiple: int) -> int:
    """The next multiple."""
    return -(-side // multiple) * multiple


def make_case(module: ExportableInpaintor, batch: int, height: int, width: int) -> Case:
    """Run PyTorch on random images; ``ValueError`` where the network returns another size."""
    image, mask = make_inputs(batch, height, width)
    outputs = run_on(module, image, mask)
    if outputs[0].shape != image.shape:
        raise ValueError(f'the network makes {tuple(outputs[0].shape[-2:])} of {height}x{width}')
    return Case(image, mask, outputs)


def find_multiple(module: ExportableInpaintor, size: tuple[int, int], fixed: bool = False) -> int:
    """Find the power of two whose multiples the network takes, near a size, 1 if ``fixed``; else ``ValueError``."""
    multiple = 1
    while True:
        # an odd number of times, as no larger power divides it
        odd = [multiple * (-(-side // multiple) // 2 * 2 + 1) for side in size]
        try:
            make_case(module, 1, *(size if fixed else odd))
            return multiple
        except (RuntimeError, ValueError) as error:
            multiple *= 2
            if fixed or multiple > LARGEST_MULTIPLE:
                near = '' if fixed else 'a size near '
                raise ValueError(
                    f'{type(module.inpaint.model).__name__} cannot be run at {near}{size[0]}x{size[1]} '
                    f'({reason_of(error)}); give another size.'
                ) from error


def make_cases(module: ExportableInpaintor, size: tuple[int, int], multiple: int, smallest: int = 1) -> list[Case]:
    """Run PyTorch at several multiples from a smallest side up, odd ones and the traced size included.

    Sizes that are too small for the network are left out.
    """
    height, width = size
    wanted = [(1, height, width), (1, height + multiple, width + 2 * multiple), (3, 64, 64), (1, 67, 101), (2, 2, 3)]
    shapes = {(batch, *(round_up(max(side, smallest), multiple) for side in sides)): None for batch, *sides in wanted}
    cases = []
    for shape in shapes:
        with suppress(RuntimeError, ValueError):
            cases.append(make_case(module, *shape))
    return cases


def largest_difference(given: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """The largest difference between outputs; infinite where shapes differ or a number is not finite."""
    if [output.shape for output in given] != [output.shape for output in wanted]:
        return float('inf')
    infinity = float('inf')
    differences = [(one - other).abs().nan_to_num(infinity, infinity) for one, other in zip(given, wanted, strict=True)]
    return max(difference.max().item() for difference in differences)


def rounding_of(module: ExportableInpaintor, cases: Sequence[Case]) -> float:
    """How far PyTorch's own outputs lie apart where its convolutions add up in another order."""
    with torch.backends.mkldnn.flags(enabled=False):
        return max(largest_difference(run_on(module, case.image, case.mask), case.outputs) for case in cases)


def compare(run: Run, module: ExportableInpaintor, cases: Sequence[Case], tolerance: float) -> tuple[float, float]:
    """Compare a file with PyTorch; returns the largest difference, and what is allowed.

    A network may blow up the rounding of single precision, as AOT-GAN's does: its file may differ from PyTorch by
    twice as much as PyTorch from itself, up to a fortieth of the range.

    Raises:
        UnfitFileError: Outputs differ by more, or the file does not run.
    """
    difference, allowed, rounding = 0.0, tolerance, None
    for case in cases:
        size = 'x'.join(map(str, case.image.shape))
        try:
            outputs = run_on(run, case.image, case.mask)
        except Exception as error:  # of ONNX Runtime's own classes
            raise UnfitFileError(f'what it writes does not run for {size} ({reason_of(error)})') from error
        here = largest_difference(outputs, case.outputs)
        if here > tolerance and rounding is None:
            rounding = rounding_of(module, cases)
            allowed = max(tolerance, min(2 * rounding, LARGEST_ROUNDING))
        if here > allowed:
            raise UnfitFileError(
                f'what it writes differs from PyTorch by {here:.2g} for {size}, more than the {allowed:.2g} allowed'
            )
        difference = max(difference, here)
    return difference, allowed


def reason_of(error: BaseException) -> str:
    """The root cause of an error, in one short line."""
    while error.__cause__ is not None and not isinstance(error, UnfitFileError):
        error = error.__cause__
    # without colours
    lines = [line.strip() for line in re.sub(r'\x1b\[[0-9;]*m', '', str(error)).splitlines() if line.strip()]
    # TorchScript says what happened after where
    line = next((line for line in lines if line.startswith('RuntimeError: ')), lines[0] if lines else repr(error))
    return line if len(line) <= 160 else f'{line[:157]}...'
