"""From an inpaintor to a file that runs without this package: ONNX, TorchScript, torch.export."""

import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from mmengine.model import BaseModel

from ..inference.configs import require_eval_mode, trained_size
from ..inference.inpainting import SMALLEST_SIZE
from ..utils.files import write_file
from ..version import __version__
from .checking import Case, compare, find_multiple, make_case, make_cases, make_inputs, reason_of, round_up
from .export_formats import EXPORT_FORMATS, ExportFormat, Plan, check_request
from .smaller_files import Measured, make_smaller
from .traceable import ExportableInpaintor, fold_batch_norms, make_traceable


@dataclass
class Exported:
    """What was written."""

    path: Path
    way: str  # such as 'torch.jit.trace'
    metadata: dict[str, str]  # what the file says of itself
    difference: float | None = None  # the largest of its outputs in float32 from PyTorch's, in [-1, 1], if checked
    allowed: float | None = None
    checked: list[tuple[int, int, int]] = field(default_factory=list)  # the inputs that were compared, (N, H, W)
    measured: Measured | None = None  # size, time and accuracy in lower precision; None for float32


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
    dtype: str = 'float32',
    photos: str | Path | None = None,
) -> Exported:
    """Write an inpaintor to a file that needs neither this package nor its config.

    The file takes ``image``, RGB in [-1, 1], (N, 3, H, W), and ``mask``, 1 in the hole, (N, 1, H, W), and returns
    ``filled``, (N, 3, H, W), known pixels put back. Number and size of images are free, unless ``fixed``. The file is
    opened again and compared with PyTorch at several sizes; it gets its name only when it passed.

    Example:
        >>> export(load_model(CONFIG, CHECKPOINT), 'cainet.onnx').difference

    Args:
        model: An inpaintor, in eval mode, such as :func:`load_model` gives. It stays as it is.
        out: The file; its folders are made.
        kind: ``'onnx'``, ``'torchscript'`` or ``'torch_export'``.
        size: Height and width to trace with; by default that of the training, where the config tells, else 256x256.
        fixed: Whether the file takes only one image of that size, for networks that cannot be written otherwise.
        scales: Whether ``scale_1``, ``scale_2``, ... are returned as well, the network's own images, finest first.
        opset: Version of ONNX's operators; by default the lowest that is needed.
        check: Whether the file is compared with PyTorch.
        tolerance: What it may differ by; or, where that is more, by twice what rounding does to PyTorch's own outputs,
            at most 0.05.
        notes: Further entries of the file's metadata.
        dtype: ``'float32'``; or, of ONNX, ``'float16'`` or ``'int8'``, as :func:`make_smaller` says.
        photos: Folder of photographs on which these are calibrated and measured; by default the sample photographs.

    Raises:
        ModuleNotFoundError: A package is missing.
        ValueError: The arguments do not fit, the model cannot be written (the message says what was tried), or lower
            precision costs too much.
    """
    out = Path(out)
    wanted = check_request(out, kind, opset, check, dtype)
    module, size = wrap(model, size, scales)
    multiple = find_multiple(module, size, fixed)
    cases = [make_case(module, 1, *size)] if fixed else make_cases(module, size, multiple, wanted.smallest)
    names = ('filled', *(f'scale_{number}' for number in range(1, module.num_scales + 1)))
    sizes = describe_sizes(size, None if fixed else multiple, wanted.smallest)
    metadata = dict(**metadata_of(model, names), sizes=sizes, dtype=dtype) | (notes or {})
    height, width = (round_up(side, multiple) for side in size)
    # torch.export takes axes of one size for one, and those of size 1 for fixed
    inputs = make_inputs(1, *size) if fixed else make_inputs(2, height, width + multiple)
    with TemporaryDirectory() as folder:
        path = Path(folder) / out.name
        exported = write(module, Plan(inputs, fixed, names, opset, metadata), wanted, path, cases, check, tolerance)
        if dtype != 'float32':
            with quiet():
                exported.measured = make_smaller(path, dtype, (height, width), photos)
        write_file(out, path.read_bytes())
    exported.path = out
    return exported


def wrap(model: BaseModel, size: Sequence[int] | None, scales: bool) -> tuple[ExportableInpaintor, tuple[int, int]]:
    """Copy a model as a function of image and mask, and choose the size to trace with; refuses as :func:`export`."""
    require_eval_mode(model)
    size = (trained_size(model) or 256,) * 2 if size is None else (int(size[0]), int(size[1]))
    if min(size) < SMALLEST_SIZE:
        raise ValueError(f'The size to trace with has {SMALLEST_SIZE} pixels and more, got {size[0]}x{size[1]}.')
    num_scales = getattr(getattr(model, 'generator', None), 'num_scales', 1)
    # of a generator that returns one image, to be refused
    return ExportableInpaintor(deepcopy(model).cpu(), max(num_scales, 2) if scales else 0).eval(), size


def write(
    module: ExportableInpaintor,
    plan: Plan,
    wanted: ExportFormat,
    path: Path,
    cases: Sequence[Case],
    check: bool,
    tolerance: float,
) -> Exported:
    """Write a file in the first of its format's ways that returns what PyTorch does; ``ValueError`` where none does."""
    simplified = deepcopy(module).requires_grad_(False)
    fold_batch_norms(simplified)
    make_traceable(simplified)
    problems = []
    for way, write_way in wanted.ways.items():
        try:
            with quiet():
                write_way(simplified, plan, path)
                compared = compare(wanted.read(path), module, cases, tolerance) if check else (None, None)
        except Exception as error:  # exporters raise whatever comes
            problems.append(f'{way}: {reason_of(error)}')
            continue
        difference, allowed = compared
        checked = [(case.image.shape[0], *case.image.shape[2:]) for case in cases] if check else []
        return Exported(path, way, plan.metadata, difference, allowed, checked)
    advice = f'another format ({", ".join(name for name, other in EXPORT_FORMATS.items() if other is not wanted)})'
    advice = advice if plan.fixed else f'one fixed size (fixed=True, --fixed), or {advice}'
    advice = advice if plan.opset is None else f'no opset, {advice}'
    model = module.inpaint.model
    raise ValueError(
        f'{type(model).__name__} with its {type(model.generator).__name__} cannot be written as {wanted.title} for '
        f'{"a fixed size" if plan.fixed else "free sizes"}. Tried: {"; ".join(problems)}. Try {advice}.'
    )


def describe_sizes(size: tuple[int, int], multiple: int | None, smallest: int) -> str:
    """What images a file takes; ``multiple`` is ``None`` where it takes only those of ``size``."""
    if multiple is None:
        return f'1 image of {size[0]}x{size[1]} (height x width) alone'
    sizes = 'any number of images of any height and width'
    sizes += f' from {smallest} up' if smallest > 1 else ''
    return sizes + (f' that are multiples of {multiple}' if multiple > 1 else '')


def metadata_of(model: BaseModel, names: Sequence[str]) -> dict[str, str]:
    """What a file says of itself, besides its sizes; ``names`` are those of its outputs."""
    source, trained = getattr(getattr(model, 'cfg', None), 'filename', None), trained_size(model)
    return {
        'made_by': f'cainet_mm {__version__}, torch {torch.__version__}',
        'model': f'{type(model).__name__}, {type(model.generator).__name__}',
        'config': 'held by the checkpoint' if source is None else Path(source).name,
        'image': 'float32 (N, 3, H, W), RGB in [-1, 1], which is pixel / 127.5 - 1; its hole is not looked at',
        'mask': 'float32 (N, 1, H, W), 1 in the hole, 0 where the image is known',
        'filled': 'float32 (N, 3, H, W), RGB in [-1, 1], known pixels as in the image; pixel = (value + 1) * 127.5',
        **{name: 'float32 (N, 3, h, w), what the network itself returns, in [-1, 1]' for name in names[1:]},
        'trained_at': 'unknown' if trained is None else f'{trained}x{trained}',
    }


@contextmanager
def quiet() -> Iterator[None]:
    """Hide warnings and output of exporters."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(disabled)
