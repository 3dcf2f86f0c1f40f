"""The formats of exported inpaintors, ONNX, TorchScript and torch.export: how each is written and opened again."""

import importlib
import importlib.util
import inspect
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.export
from torch import Tensor

from ..inference.onnx_files import open_session
from ..version import __version__
from .checking import Run, UnfitFileError, reason_of
from .smaller_files import LOWEST_PSNR
from .traceable import ExportableInpaintor, ResizeByMatrices

INPUTS = ('image', 'mask')
# versions of ONNX's operators: the lowest, one that every supported torch writes, the lowest over torch.export
LOWEST_OPSET = 13
OPSET = 17
LOWEST_OPSET_OF_TORCH_EXPORT = 18


class Plan(NamedTuple):
    """What an exporter is to write: a trace of ``inputs``, for only their sizes where ``fixed``."""

    inputs: tuple[Tensor, Tensor]
    fixed: bool
    names: tuple[str, ...]  # of the outputs
    opset: int | None  # None for the exporter's choice
    metadata: dict[str, str]

    @property
    def onnx(self) -> dict:
        """Arguments of both of ONNX's exporters."""
        return dict(input_names=list(INPUTS), output_names=list(self.names), verbose=False)


def free_sizes(fixed: bool) -> tuple[dict, dict] | None:
    """The axes of image and mask that torch.export leaves open; ``UnfitFileError`` where this torch cannot."""
    dynamic = getattr(getattr(torch.export, 'Dim', None), 'DYNAMIC', None)
    if dynamic is None:
        raise UnfitFileError(f'it needs torch 2.6 or later, and this is {torch.__version__}')
    return None if fixed else ({0: dynamic, 2: dynamic, 3: dynamic},) * 2


def any_size() -> AbstractContextManager:
    """Keep torch.export from setting apart sizes of 1, as those of the deepest features are, where this torch can."""
    module, option = 'torch.fx.experimental._config', 'backed_size_oblivious'
    config: Any = importlib.import_module(module) if importlib.util.find_spec(module) else None
    return config.patch(option, True) if hasattr(config, option) else nullcontext()


def onnx_by_tracing(module: ExportableInpaintor, plan: Plan, path: Path) -> None:
    """Write ONNX by the exporter over torch.jit.trace."""
    # the coarser scales have sizes of their own
    axes = {name: f'{name}_' if name in plan.names[1:] else '' for name in (*INPUTS, *plan.names)}
    dynamic = {name: {0: 'batch', 2: f'{prefix}height', 3: f'{prefix}width'} for name, prefix in axes.items()}
    # which exporter it is could not be said before torch 2.5
    choice: dict[str, Any] = {'dynamo': False} if 'dynamo' in inspect.signature(torch.onnx.export).parameters else {}
    with ResizeByMatrices():
        torch.onnx.export(
            module,
            plan.inputs,
            str(path),
            dynamic_axes=None if plan.fixed else dynamic,
            opset_version=plan.opset or OPSET,
            **choice,
            **plan.onnx,
        )
    finish_onnx(path, plan)


def onnx_by_torch_export(module: ExportableInpaintor, plan: Plan, path: Path) -> None:
    """Write ONNX by the exporter over torch.export."""
    axes = free_sizes(plan.fixed)
    if importlib.util.find_spec('onnxscript') is None:
        raise UnfitFileError('it needs the package onnxscript')
    with ResizeByMatrices(), any_size():
        program: Any = torch.onnx.export(
            module,
            plan.inputs,
            dynamic_shapes=axes,
            opset_version=plan.opset or LOWEST_OPSET_OF_TORCH_EXPORT,
            dynamo=True,
            **plan.onnx,
        )
    program.save(str(path))
    finish_onnx(path, plan)


def fold_constants(path: Path) -> None:
    """Compute once what no input changes, if ONNX Runtime is there; OpenCV's ``cv2.dnn`` reads no file without that."""
    with suppress(ModuleNotFoundError):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        # the higher levels write operators that only ONNX Runtime has
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(path.read_bytes(), options, providers=['CPUExecutionProvider'])


def finish_onnx(path: Path, plan: Plan) -> None:
    """Fold constants of an ONNX file, put the metadata into it, and have it checked; ``UnfitFileError`` if it fails."""
    import onnx

    fold_constants(path)
    model = onnx.load(str(path))
    used = {node.domain for node in model.graph.node} | {'', 'ai.onnx'}
    for entry in [entry for entry in model.opset_import if entry.domain not in used]:
        model.opset_import.remove(entry)
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
    axes = free_sizes(plan.fixed)
    with any_size():
        program = torch.export.export(module, plan.inputs, dynamic_shapes=axes, strict=False)
    torch.export.save(program, str(path), extra_files={'metadata.json': json.dumps(plan.metadata)})


def open_onnx(path: Path) -> Run:
    """Open an ONNX file in ONNX Runtime, on the CPU."""
    session = open_session(path)
    return lambda *inputs: tuple(
        torch.from_numpy(output)
        for output in session.run(None, {name: one.numpy() for name, one in zip(INPUTS, inputs, strict=True)})
    )


class ExportFormat(NamedTuple):
    """A kind of file: what it is called, what writes it (tried one after the other) and what opens it."""

    title: str
    suffix: str
    ways: dict[str, Callable[[ExportableInpaintor, Plan, Path], None]]
    read: Callable[[Path], Run]
    smallest: int = 1  # height and width from which on it is checked and works


EXPORT_FORMATS = {
    'onnx': ExportFormat(
        'ONNX',
        '.onnx',
        {'torch.onnx over torch.jit.trace': onnx_by_tracing, 'torch.onnx over torch.export': onnx_by_torch_export},
        open_onnx,
    ),
    'torchscript': ExportFormat(
        'TorchScript',
        '.pt',
        {'torch.jit.trace': torchscript_by_tracing},
        lambda path: torch.jit.load(str(path), map_location='cpu'),
    ),
    # it sets apart a pooling to a single pixel, which happens to the coarsest of six scales at 32 pixels
    'torch_export': ExportFormat(
        'torch.export',
        '.pt2',
        {'torch.export': program_by_torch_export},
        lambda path: torch.export.load(str(path)).module(),
        smallest=64,
    ),
}


def check_request(out: Path, kind: str, opset: int | None, check: bool, dtype: str = 'float32') -> ExportFormat:
    """Refuse what cannot be done before anything slow, as :func:`export` says; returns the format."""
    if kind not in EXPORT_FORMATS:
        raise ValueError(f'The formats are {", ".join(EXPORT_FORMATS)}, got {kind!r}.')
    wanted = EXPORT_FORMATS[kind]
    if out.suffix != wanted.suffix:
        raise ValueError(f'The name of a file of {wanted.title} ends in {wanted.suffix}, got {out.name}.')
    if opset is not None and kind != 'onnx':
        raise ValueError(f'An opset belongs to ONNX; leave it out for {wanted.title}.')
    if dtype not in ('float32', *LOWEST_PSNR) or dtype != 'float32' and kind != 'onnx':
        raise ValueError(f'Numbers are float32, or of ONNX {" or ".join(LOWEST_PSNR)}, got {dtype!r} for {kind}.')
    needed = {'onnx': True, 'onnxruntime': check or dtype != 'float32'} if kind == 'onnx' else {}
    missing = [name for name, is_needed in needed.items() if is_needed and importlib.util.find_spec(name) is None]
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
    return wanted
