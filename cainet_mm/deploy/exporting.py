"""From an inpaintor to a file that runs without this package: ONNX, TorchScript, torch.export."""

import importlib
import importlib.util
import inspect
import io
import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
import torch.export
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmcv.cnn.bricks import Conv2dAdaptivePadding, wrappers
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.overrides import TorchFunctionMode

from ..evaluation.costs import TracedInpaintor
from ..inference.filling import training_size
from ..inference.inpainting import SMALLEST_SIZE
from ..models.fourier import FourierUnit, MatrixFourierUnit
from ..utils.files import replacing
from ..version import __version__

INPUTS = ('image', 'mask')
# versions of ONNX's operators: the lowest, one that every supported torch writes, the lowest over torch.export
LOWEST_OPSET = 13
OPSET = 17
LOWEST_OPSET_OF_TORCH_EXPORT = 18
# the largest number that a size may have to be a multiple of
LARGEST_MULTIPLE = 512
# what rounding may excuse, a fortieth of the range
LARGEST_ROUNDING = 0.05
# convolutions that compute what torch's do, so that a batch norm behind them can be folded into their weights
PLAIN_CONVOLUTIONS = (nn.Conv2d, wrappers.Conv2d, Conv2dAdaptivePadding)
PLAIN_TRANSPOSED_CONVOLUTIONS = (nn.ConvTranspose2d, wrappers.ConvTranspose2d)

Run = Callable[[Tensor, Tensor], Tensor | Sequence[Tensor]]


@dataclass
class Exported:
    """What was written.

    Attributes:
        path: The file.
        way: How it came about, such as ``'torch.jit.trace'``.
        metadata: What the file says of itself.
        difference: Largest difference of its outputs from PyTorch's, in the range [-1, 1]; ``None`` where it was not
            checked.
        allowed: What it was allowed to be.
        checked: The inputs that were compared, (N, H, W).
    """

    path: Path
    way: str
    metadata: dict[str, str]
    difference: float | None = None
    allowed: float | None = None
    checked: list[tuple[int, int, int]] = field(default_factory=list)


class Case(NamedTuple):
    """An input, and what PyTorch makes of it."""

    image: Tensor
    mask: Tensor
    outputs: tuple[Tensor, ...]


class Plan(NamedTuple):
    """What an exporter is to write.

    Attributes:
        inputs: Image and mask to trace with.
        fixed: Whether sizes stay those of ``inputs``.
        names: Names of the outputs.
        opset: Version of ONNX's operators; ``None`` for the exporter's choice.
        metadata: What the file says of itself.
    """

    inputs: tuple[Tensor, Tensor]
    fixed: bool
    names: tuple[str, ...]
    opset: int | None
    metadata: dict[str, str]


class UnfitFileError(ValueError):
    """A file was written, but cannot be used, or answers otherwise than PyTorch."""


class ExportableInpaintor(nn.Module):
    """An inpaintor as a function of image and mask alone, for those who know neither its pipeline nor its conventions.

    What an image has in its hole is not looked at, and its known pixels come back bit for bit.

    Args:
        model: An inpaintor whose images have the range [-1, 1].
        num_scales: How many of the generator's own images are put out as well, finest first.

    Raises:
        ValueError: The model has no generator, its data preprocessor has another range, or there are fewer scales.
    """

    def __init__(self, model: BaseModel, num_scales: int = 0) -> None:
        super().__init__()
        kind = type(model).__name__
        if getattr(model, 'generator', None) is None:
            raise ValueError(f'{kind} has no generator that could be exported; give the config of an inpaintor.')
        preprocessor = model.data_preprocessor
        numbers = [getattr(preprocessor, name, None) for name in ('mean', 'std')]
        if any(number is None or (number != 127.5).any() for number in numbers):
            raise ValueError(
                f'The data preprocessor of {kind} has to bring images to [-1, 1] with mean=[127.5] * 3 and '
                'std=[127.5] * 3; others cannot be exported.'
            )
        if num_scales > getattr(model.generator, 'num_scales', 1):
            raise ValueError(
                f'{type(model.generator).__name__} puts out one image, and not several scales; export it without them.'
            )
        self.inpaint = TracedInpaintor(model)
        self.reversed_channels = getattr(preprocessor, 'output_channel_order', None) != 'RGB'
        self.num_scales = num_scales

    def forward(self, image: Tensor, mask: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Fill.

        Args:
            image: RGB in [-1, 1], (N, 3, H, W).
            mask: Above 0.5 in the hole, (N, 1, H, W).

        Returns:
            The filled image, (N, 3, H, W); with ``num_scales`` also the generator's own ones, finest first,
            (N, 3, h, w). All are in [-1, 1].
        """
        hole = mask > 0.5
        masked = image.masked_fill(hole, 0.0)
        scales: list[Tensor] = []

        def keep(module: nn.Module, arguments: tuple, outputs: Sequence[Tensor]) -> None:
            scales.extend(outputs[: self.num_scales])

        handle = self.inpaint.model.generator.register_forward_hook(keep) if self.num_scales else None
        try:
            raw, _ = self.inpaint(self.in_order(masked), hole.to(image.dtype))
        finally:
            if handle is not None:
                handle.remove()
        raw, *scales = (self.in_order(output).clamp(-1, 1) for output in (raw, *scales))
        filled = torch.where(hole, raw, image)
        return (filled, *scales) if scales else filled

    def in_order(self, images: Tensor) -> Tensor:
        """Turn RGB into the channel order of the inpaintor, or back."""
        return images.flip(1) if self.reversed_channels else images


class SameConv2d(Conv2dAdaptivePadding):
    r"""MMCV's convolution with TensorFlow's padding, in arithmetic that holds for other sizes than the traced one.

    .. math:: p = d (k - 1) + 1 - s + (-H \bmod s)

    which is not negative where the kernel covers its stride, :math:`d (k - 1) + 1 \ge s`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, H, W) to (N, C', ceil(H / s), ceil(W / s))."""
        padding = []
        for axis in (1, 0):
            reach = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
            total = reach - self.stride[axis] + -x.shape[2 + axis] % self.stride[axis]
            padding += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, padding), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class ResizeByMatrices(TorchFunctionMode):
    r"""Computes ``F.interpolate`` to a given size as two matrix products, which ONNX has for sizes that are not known.

    .. math::
        y = A_{h, H}\, x\, A_{w, W}^T, \qquad
        A^{area}_{ij} = \frac{[s_i \le j < e_i]}{e_i - s_i}, \quad
        s_i = \left\lfloor \tfrac{i H}{h} \right\rfloor,\; e_i = \left\lceil \tfrac{(i + 1) H}{h} \right\rceil, \qquad
        A^{bilinear}_{ij} = \max\left(0, 1 - \left| j - \mathrm{clamp}\left(
        \tfrac{(2 i + 1) H}{2 h} - \tfrac{1}{2}, 0, H - 1 \right) \right| \right)

    ``'area'`` has no operator in ONNX unless sizes are fixed, and the one of ``'bilinear'`` is traced with a fixed
    scale. Other modes pass.
    """

    def __torch_function__(self, func: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None) -> object:
        """Stand in for ``F.interpolate``."""
        kwargs = kwargs or {}
        if func is not F.interpolate:
            return func(*args, **kwargs)
        call = inspect.signature(F.interpolate).bind(*args, **kwargs).arguments
        mode, size = call.get('mode', 'nearest'), call.get('size')
        plain = size is not None and not call.get('align_corners') and not call.get('antialias')
        if mode not in ('area', 'bilinear') or not plain:
            return func(*args, **kwargs)
        image = call['input']
        height, width = size if isinstance(size, list | tuple) else (size, size)
        rows = resize_matrix(image.shape[-2], height, mode).to(image)
        columns = resize_matrix(image.shape[-1], width, mode).to(image)
        return rows @ image @ columns.transpose(0, 1)


def resize_matrix(before: int, after: int, mode: str) -> Tensor:
    """The matrix that resizes one axis, (after, before), float32; see :class:`ResizeByMatrices`."""
    targets, sources = torch.arange(after)[:, None], torch.arange(before)[None]
    if mode == 'bilinear':
        centres = ((2 * targets + 1) * before).float() / (2 * after) - 0.5
        return (1 - (sources - centres.clamp(min=0).minimum(sources.max().float())).abs()).clamp(min=0)
    starts = torch.div(targets * before, after, rounding_mode='floor')
    ends = torch.div((targets + 1) * before + after - 1, after, rounding_mode='floor')
    return ((sources >= starts) & (sources < ends)).float() / (ends - starts).float()


def fold_batch_norms(module: nn.Module) -> None:
    """Fold every batch norm of a ``ConvModule`` in eval mode into its convolution, in place.

    Left alone are those before their convolution, and those behind one that computes something else, such as a partial
    convolution, whose masked outputs stay 0 and then get the norm's shift.
    """
    for part in list(module.modules()):
        if not isinstance(part, ConvModule) or not isinstance(part.norm, _BatchNorm) or part.with_spectral_norm:
            continue
        transposed = type(part.conv) in PLAIN_TRANSPOSED_CONVOLUTIONS and part.conv.groups == 1
        follows = part.order.index('norm') == part.order.index('conv') + 1
        if follows and part.norm.running_mean is not None and (transposed or type(part.conv) in PLAIN_CONVOLUTIONS):
            part.conv = fuse_conv_bn_eval(part.conv, part.norm, transposed)
            setattr(part, part.norm_name, nn.Identity())


def make_traceable(module: nn.Module) -> None:
    """Replace layers that exporters do not know or whose code would fix the sizes of the traced image, in place."""
    for part in module.modules():
        if type(part) is Conv2dAdaptivePadding and all(
            dilation * (kernel - 1) + 1 >= stride
            for dilation, kernel, stride in zip(part.dilation, part.kernel_size, part.stride, strict=True)
        ):
            # the same weights under another forward
            part.__class__ = SameConv2d
        elif type(part) is FourierUnit:
            part.__class__ = MatrixFourierUnit


def as_tuple(outputs: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    """One output or several, as several."""
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)


def make_inputs(batch: int, height: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random images with a hole in the middle and many of a pixel."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(batch, 3, height, width, generator=generator) * 2 - 1
    mask = (torch.rand(batch, 1, height, width, generator=generator) > 0.8).float()
    mask[..., height // 4 : height - height // 4, width // 4 : width - width // 4] = 1
    return image, mask


def round_up(side: int, multiple: int) -> int:
    """The next multiple."""
    return -(-side // multiple) * multiple


def make_case(module: ExportableInpaintor, batch: int, height: int, width: int) -> Case:
    """Ask PyTorch for the answer.

    Raises:
        ValueError: The network puts out another size.
    """
    image, mask = make_inputs(batch, height, width)
    outputs = as_tuple(module(image, mask))
    if outputs[0].shape != image.shape:
        raise ValueError(f'the network makes {tuple(outputs[0].shape[-2:])} of {height}x{width}')
    return Case(image, mask, outputs)


def ask_fixed(module: ExportableInpaintor, size: tuple[int, int]) -> Case:
    """Ask PyTorch for the answer at the one size of a file.

    Raises:
        ValueError: The network does not take it.
    """
    try:
        return make_case(module, 1, *size)
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f'{type(module.inpaint.model).__name__} cannot be run at {size[0]}x{size[1]} ({reason_of(error)}); give '
            'another size.'
        ) from error


def find_multiple(module: ExportableInpaintor, size: tuple[int, int]) -> int:
    """Find the power of two whose multiples the network takes as sizes, by asking it.

    Raises:
        ValueError: There is none.
    """
    multiple, problem = 1, None
    while multiple <= LARGEST_MULTIPLE:
        # an odd number of times, as no larger power divides it
        height, width = (multiple * (-(-side // multiple) // 2 * 2 + 1) for side in size)
        try:
            make_case(module, 1, height, width)
        except (RuntimeError, ValueError) as error:
            multiple, problem = 2 * multiple, error
        else:
            return multiple
    raise ValueError(
        f'{type(module.inpaint.model).__name__} cannot be run at a size near {size[0]}x{size[1]} ({reason_of(problem)}'
        '); give another size.'
    )


def make_cases(module: ExportableInpaintor, size: tuple[int, int], multiple: int, smallest: int = 1) -> list[Case]:
    """Ask PyTorch for answers at several sizes and batches, odd ones included.

    Args:
        module: The inpaintor.
        size: Height and width that it is traced with.
        multiple: What heights and widths have to be multiples of.
        smallest: The smallest height and width.

    Returns:
        The answers; sizes that are too small for the network are left out.
    """
    height, width = size
    wanted = [(1, height, width), (1, height + multiple, width + 2 * multiple), (3, 64, 64), (1, 67, 101), (2, 2, 3)]
    cases = {}
    for batch, *sides in wanted:
        shape = (batch, *(round_up(max(side, smallest), multiple) for side in sides))
        if shape not in cases:
            try:
                cases[shape] = make_case(module, *shape)
            except (RuntimeError, ValueError):
                continue
    return list(cases.values())


def largest_difference(given: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """The largest difference between outputs; infinite where shapes differ or a number is not finite.

    Args:
        given: Outputs of the file.
        wanted: Those of PyTorch.
    """
    if [output.shape for output in given] != [output.shape for output in wanted]:
        return float('inf')
    differences = [(one - other).abs().max().item() for one, other in zip(given, wanted, strict=True)]
    return max(difference if difference == difference else float('inf') for difference in differences)


def rounding_of(module: ExportableInpaintor, cases: Sequence[Case]) -> float:
    """How far PyTorch's own answers lie apart where its convolutions add up in another order."""
    with torch.backends.mkldnn.flags(enabled=False):
        answers = [as_tuple(module(case.image, case.mask)) for case in cases]
    return max(largest_difference(answer, case.outputs) for answer, case in zip(answers, cases, strict=True))


def compare(run: Run, module: ExportableInpaintor, cases: Sequence[Case], tolerance: float) -> tuple[float, float]:
    """Compare a file with PyTorch.

    A network may blow up the rounding of single precision, as AOT-GAN's does: its file may differ from PyTorch by
    twice as much as PyTorch from itself, up to a fortieth of the range.

    Args:
        run: The file.
        module: The inpaintor.
        cases: Inputs and PyTorch's outputs.
        tolerance: What outputs may differ by.

    Returns:
        The largest difference and what it may be.

    Raises:
        UnfitFileError: It is larger, or the file does not run.
    """
    difference, allowed, rounding = 0.0, tolerance, None
    for case in cases:
        size = f'{case.image.shape[0]}x3x{case.image.shape[2]}x{case.image.shape[3]}'
        try:
            outputs = as_tuple(run(case.image, case.mask))
        # of ONNX Runtime's own classes
        except Exception as error:
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


def reason_of(error: BaseException | None) -> str:
    """What an error comes from, in a line cut to the length of a sentence."""
    while error is not None and error.__cause__ is not None and not isinstance(error, UnfitFileError):
        error = error.__cause__
    # without colours
    text = re.sub(r'\x1b\[[0-9;]*m', '', str(error))
    lines = [' '.join(line.split()) for line in text.splitlines() if any(map(str.isalnum, line))]
    # TorchScript says what happened after where
    line = next((line for line in lines if line.startswith('RuntimeError: ')), lines[0] if lines else repr(error))
    return line if len(line) <= 160 else f'{line[:157]}...'


def free_sizes() -> dict[int, object]:
    """The axes of image and mask that torch.export leaves open.

    Raises:
        UnfitFileError: This torch cannot.
    """
    dynamic = getattr(getattr(torch.export, 'Dim', None), 'DYNAMIC', None)
    if dynamic is None:
        raise UnfitFileError(f'it needs torch 2.6 or later, and this is {torch.__version__}')
    return {0: dynamic, 2: dynamic, 3: dynamic}


def any_size() -> AbstractContextManager:
    """Keep torch.export from setting apart sizes of 1, as those of the deepest features are, where this torch can."""
    module, option = 'torch.fx.experimental._config', 'backed_size_oblivious'
    config = importlib.import_module(module) if importlib.util.find_spec(module) else None
    return config.patch(option, True) if hasattr(config, option) else nullcontext()


def onnx_by_tracing(module: ExportableInpaintor, plan: Plan, path: Path) -> None:
    """Write ONNX by the exporter over torch.jit.trace."""
    axes = {0: 'batch', 2: 'height', 3: 'width'}
    # the coarser scales have sizes of their own
    dynamic = {name: axes for name in (*INPUTS, 'filled')}
    dynamic |= {name: {0: 'batch', 2: f'{name}_height', 3: f'{name}_width'} for name in plan.names[1:]}
    # which exporter it is could not be said before torch 2.5
    choice = {'dynamo': False} if 'dynamo' in inspect.signature(torch.onnx.export).parameters else {}
    with ResizeByMatrices():
        torch.onnx.export(
            module,
            plan.inputs,
            str(path),
            input_names=list(INPUTS),
            output_names=list(plan.names),
            dynamic_axes=None if plan.fixed else dynamic,
            opset_version=plan.opset or OPSET,
            verbose=False,
            **choice,
        )
    finish_onnx(path, plan)


def onnx_by_torch_export(module: ExportableInpaintor, plan: Plan, path: Path) -> None:
    """Write ONNX by the exporter over torch.export."""
    axes = free_sizes()
    if importlib.util.find_spec('onnxscript') is None:
        raise UnfitFileError('it needs the package onnxscript')
    with ResizeByMatrices(), any_size():
        program = torch.onnx.export(
            module,
            plan.inputs,
            input_names=list(INPUTS),
            output_names=list(plan.names),
            dynamic_shapes=None if plan.fixed else (axes, axes),
            opset_version=plan.opset or LOWEST_OPSET_OF_TORCH_EXPORT,
            dynamo=True,
            verbose=False,
        )
    program.save(str(path))
    finish_onnx(path, plan)


def finish_onnx(path: Path, plan: Plan) -> None:
    """Put the metadata into an ONNX file, name its axes, and have it checked.

    Raises:
        UnfitFileError: ONNX's checker refuses it, or its operators are of another version than was asked for.
    """
    import onnx

    model = onnx.load(str(path))
    version = next(entry.version for entry in model.opset_import if entry.domain in ('', 'ai.onnx'))
    if plan.opset not in (None, version):
        raise UnfitFileError(f'it writes opset {version}, and not {plan.opset}')
    model.producer_name, model.producer_version = 'cainet_mm', __version__
    onnx.helper.set_model_props(model, plan.metadata)
    for value in (*model.graph.input, *model.graph.output):
        value.doc_string = plan.metadata.get(value.name, '')
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise UnfitFileError(f"ONNX's checker refuses what it writes ({reason_of(error)})") from error
    onnx.save(model, str(path))


def torchscript_by_tracing(module: ExportableInpaintor, plan: Plan, path: Path) -> None:
    """Write TorchScript."""
    traced = torch.jit.trace(module, plan.inputs, check_trace=False)
    torch.jit.save(traced, str(path), _extra_files={'metadata.json': json.dumps(plan.metadata)})


def program_by_torch_export(module: ExportableInpaintor, plan: Plan, path: Path) -> None:
    """Write a program of torch.export."""
    axes = free_sizes()
    shapes = None if plan.fixed else (axes, axes)
    with any_size():
        program = torch.export.export(module, plan.inputs, dynamic_shapes=shapes, strict=False)
    torch.export.save(program, str(path), extra_files={'metadata.json': json.dumps(plan.metadata)})


def open_onnx(path: Path) -> Run:
    """Open an ONNX file in ONNX Runtime, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # what goes wrong is raised
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    return lambda *inputs: tuple(
        torch.from_numpy(output)
        for output in session.run(None, {name: one.numpy() for name, one in zip(INPUTS, inputs, strict=True)})
    )


def open_torchscript(path: Path) -> Run:
    """Open a TorchScript file."""
    return torch.jit.load(str(path), map_location='cpu')


def open_program(path: Path) -> Run:
    """Open a file of torch.export."""
    return torch.export.load(str(path)).module()


class Format(NamedTuple):
    """A kind of file.

    Attributes:
        title: What it is called.
        suffix: Ending of its name.
        ways: What writes it, by name; tried one after the other.
        read: What opens it.
        packages: What has to be installed to write it.
        to_check: And to check it.
        smallest: Height and width from which on it is checked and answers.
    """

    title: str
    suffix: str
    ways: dict[str, Callable[[ExportableInpaintor, Plan, Path], None]]
    read: Callable[[Path], Run]
    packages: tuple[str, ...] = ()
    to_check: tuple[str, ...] = ()
    smallest: int = 1


FORMATS = {
    'onnx': Format(
        'ONNX',
        '.onnx',
        {'torch.onnx over torch.jit.trace': onnx_by_tracing, 'torch.onnx over torch.export': onnx_by_torch_export},
        open_onnx,
        packages=('onnx',),
        to_check=('onnxruntime',),
    ),
    'torchscript': Format('TorchScript', '.pt', {'torch.jit.trace': torchscript_by_tracing}, open_torchscript),
    # it sets apart a pooling to a single pixel, which happens to the coarsest of six scales at 32 pixels
    'torch_export': Format(
        'torch.export', '.pt2', {'torch.export': program_by_torch_export}, open_program, smallest=64
    ),
}


def check_request(out: Path, kind: str, opset: int | None, check: bool) -> None:
    """Refuse what cannot be before anything slow.

    Raises:
        ModuleNotFoundError: A package is missing.
        ValueError: The format is unknown, the ending is another one's, or the opset is none.
    """
    if kind not in FORMATS:
        raise ValueError(f'The formats are {", ".join(FORMATS)}, got {kind!r}.')
    wanted = FORMATS[kind]
    if out.suffix != wanted.suffix:
        raise ValueError(f'The name of a file of {wanted.title} ends in {wanted.suffix}, got {out.name}.')
    if opset is not None and kind != 'onnx':
        raise ValueError(f'An opset belongs to ONNX; leave it out for {wanted.title}.')
    needed = (*wanted.packages, *(wanted.to_check if check else ()))
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            f'{wanted.title} needs what is not installed: pip install {" ".join(missing)} (accepted versions: '
            'requirements/export.txt, and the extra cainet_mm[export]).'
        )
    if opset is not None:
        import onnx

        highest = onnx.defs.onnx_opset_version()
        if not LOWEST_OPSET <= opset <= highest:
            raise ValueError(f'The opset is a number from {LOWEST_OPSET} to {highest}, got {opset}.')


def describe_sizes(size: tuple[int, int], multiple: int | None, smallest: int) -> str:
    """What images a file takes; ``multiple`` is ``None`` where it takes those of ``size`` alone."""
    if multiple is None:
        return f'1 image of {size[0]}x{size[1]} (height x width) alone'
    sizes = 'any number of images of any height and width'
    sizes += f' from {smallest} up' if smallest > 1 else ''
    return sizes + (f' that are multiples of {multiple}' if multiple > 1 else '')


def describe(model: BaseModel, names: Sequence[str]) -> dict[str, str]:
    """What a file says of itself, besides its sizes.

    Args:
        model: The inpaintor.
        names: Names of the outputs.
    """
    config = getattr(model, 'cfg', None)
    source = getattr(config, 'filename', None)
    trained = None if config is None else training_size(config)
    return {
        'made_by': f'cainet_mm {__version__}, torch {torch.__version__}',
        'model': f'{type(model).__name__}, {type(model.generator).__name__}',
        'config': 'held by the checkpoint' if source is None else Path(source).name,
        'image': 'float32 (N, 3, H, W), RGB in [-1, 1], which is pixel / 127.5 - 1; its hole is not looked at',
        'mask': 'float32 (N, 1, H, W), 1 in the hole, 0 where the image is known',
        'filled': 'float32 (N, 3, H, W), RGB in [-1, 1], known pixels as in the image; pixel = (value + 1) * 127.5',
        **{name: 'float32 (N, 3, h, w), what the network itself puts out, in [-1, 1]' for name in names[1:]},
        'trained_at': 'unknown' if trained is None else f'{trained}x{trained}',
    }


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back what exporters print of their own working, in Python and beneath it; what they raise is passed on."""
    logger = logging.getLogger('torch.onnx')
    level = logger.level
    logger.setLevel(logging.ERROR)
    sys.stdout.flush()
    stdout = os.dup(1)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), open(os.devnull, 'w') as nothing:
            warnings.simplefilter('ignore')
            os.dup2(nothing.fileno(), 1)
            yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
        logger.setLevel(level)


@torch.no_grad()
def export(
    model: BaseModel,
    out: str | Path,
    kind: str = 'onnx',
    *,
    size: tuple[int, int] | None = None,
    fixed: bool = False,
    scales: bool = False,
    opset: int | None = None,
    check: bool = True,
    tolerance: float = 1e-4,
    notes: dict[str, str] | None = None,
) -> Exported:
    """Write an inpaintor to a file that needs neither this package nor its config.

    The file takes ``image``, RGB in [-1, 1], (N, 3, H, W), and ``mask``, 1 in the hole, (N, 1, H, W), and answers
    with ``filled``, (N, 3, H, W), known pixels put back. Number and size of images are free, unless ``fixed``. The
    file is opened again and compared with PyTorch at several sizes; it gets its name only when it passed.

    Example:
        >>> export(load_model(CONFIG, CHECKPOINT), 'cainet.onnx').difference

    Args:
        model: An inpaintor, in eval mode, such as :func:`load_model` gives. It stays as it is.
        out: The file; its folders are made.
        kind: ``'onnx'``, ``'torchscript'`` or ``'torch_export'``.
        size: Height and width to trace with; by default that of the training, where the config tells, else 256x256.
        fixed: Whether the file takes one image of that size alone, for networks that cannot be written otherwise.
        scales: Whether ``scale_1``, ``scale_2``, ... are put out as well, the network's own images, finest first.
        opset: Version of ONNX's operators; by default the lowest that is needed.
        check: Whether the file is compared with PyTorch.
        tolerance: What it may differ by; or, where that is more, by twice what rounding does to PyTorch's own answers,
            at most 0.05.
        notes: Further entries of the file's metadata.

    Raises:
        ModuleNotFoundError: A package is missing.
        ValueError: The arguments do not fit, or the model cannot be written; the message says what was tried.
    """
    out = Path(out)
    check_request(out, kind, opset, check)
    if model.training:
        raise ValueError('The model is in training mode, in which it changes with what it sees; call model.eval().')
    trained = training_size(model.cfg) if getattr(model, 'cfg', None) is not None else None
    size = (trained or 256,) * 2 if size is None else (int(size[0]), int(size[1]))
    if min(size) < SMALLEST_SIZE:
        raise ValueError(f'The size to trace with has {SMALLEST_SIZE} pixels and more, got {size[0]}x{size[1]}.')
    num_scales = getattr(getattr(model, 'generator', None), 'num_scales', 1)
    # of a generator that puts out one image, to be refused
    module = ExportableInpaintor(deepcopy(model).cpu(), max(num_scales, 2) if scales else 0).eval()
    wanted = FORMATS[kind]
    multiple = 1 if fixed else find_multiple(module, size)
    cases = [ask_fixed(module, size)] if fixed else make_cases(module, size, multiple, wanted.smallest)
    names = ('filled', *(f'scale_{number}' for number in range(1, module.num_scales + 1)))
    sizes = describe_sizes(size, None if fixed else multiple, wanted.smallest)
    metadata = describe(model, names) | {'sizes': sizes} | (notes or {})
    if fixed:
        inputs = make_inputs(1, *size)
    else:
        # torch.export takes axes of one size for one, and those of size 1 for fixed
        height, width = (round_up(side, multiple) for side in size)
        inputs = make_inputs(2, height, width + multiple)
    plan = Plan(inputs, fixed, names, opset, metadata)

    simplified = deepcopy(module).requires_grad_(False)
    fold_batch_norms(simplified)
    make_traceable(simplified)
    problems = []
    with replacing(out) as partial:
        for way, write in wanted.ways.items():
            try:
                with quiet():
                    write(simplified, plan, partial)
                    compared = compare(wanted.read(partial), module, cases, tolerance) if check else (None, None)
            # exporters raise whatever comes
            except Exception as error:
                problems.append(f'{way}: {reason_of(error)}')
                continue
            checked = [(case.image.shape[0], *case.image.shape[2:]) for case in cases] if check else []
            return Exported(out, way, metadata, *compared, checked)
        others = [other for other in FORMATS if other != kind]
        advice = f'another format ({", ".join(others)})'
        advice = advice if fixed else f'one fixed size (fixed=True, --fixed), or {advice}'
        advice = advice if opset is None else f'no opset, {advice}'
        raise ValueError(
            f'{type(model).__name__} with its {type(model.generator).__name__} cannot be written as {wanted.title} '
            f'for {"the size " if fixed else "free sizes from "}{size[0]}x{size[1]}. Tried: {"; ".join(problems)}. '
            f'Try {advice}.'
        )
