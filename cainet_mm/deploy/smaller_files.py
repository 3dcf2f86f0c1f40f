"""ONNX files in lower precision, float16 or convolutions in int8, with a measurement of the gain and the loss."""

import statistics
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmengine.registry import init_default_scope

from ..evaluation.test_sets import config_of_folder, kinds_of, loader_from_config
from ..inference.onnx_files import open_session

# The lowest PSNR in dB, in the holes, of a smaller file against the float32 one. A fill differs from the photograph by
# some 20 dB: another 38 dB on top take 0.07 dB of that, and 60 dB nothing that shows. The shipped network's is
# in docs/exporting.md.
LOWEST_PSNR = {'float16': 60.0, 'int8': 38.0}
# photographs of a folder that are used, under each kind of masks
PHOTOS = 32


class Measured(NamedTuple):
    """Size, time and accuracy in lower precision, beside float32 in the same run."""

    megabytes: tuple[float, float]  # of the float32 file and the smaller one
    milliseconds: tuple[float, float]  # median times for an image, of the same two
    psnr: float  # of the smaller file's output against the float32 one's, in the holes of all images, in dB
    images: int
    size: tuple[int, int]  # their height and width


def make_smaller(path: Path, dtype: str, size: tuple[int, int], photos: str | Path | None = None) -> Measured:
    """Reduce the precision of an ONNX file of :func:`export`, and measure what that costs.

    Args:
        path: The file, in float32; it is replaced.
        dtype: ``'float16'`` computes in half precision; sizes, resize matrices and known pixels stay exact. ``'int8'``
            computes convolutions in 8 bits (static quantisation by ONNX Runtime, per output channel).
        size: Height and width of the images on which it is calibrated and measured.
        photos: Folder of photographs; by default the sample photographs. They get rectangular and irregular holes.

    Raises:
        ValueError: The outputs of the smaller file differ by more than ``LOWEST_PSNR`` allows, or there are no
            photographs.
    """
    cases = list(draw_cases(photos, size))
    smaller = path.with_name(f'smaller_{path.name}')
    {'float16': to_float16, 'int8': to_int8}[dtype](path, smaller, cases)
    measured = measure(path, smaller, cases, size)
    if not measured.psnr >= LOWEST_PSNR[dtype]:
        raise ValueError(
            f'In {dtype} this network returns something else: {measured.psnr:.1f} dB PSNR against its float32 file, in '
            f'the holes of {len(cases)} images, where {LOWEST_PSNR[dtype]:.0f} dB are the least. Nothing was written; '
            'export it in float32 (without --dtype).'
        )
    smaller.replace(path)
    return measured


def draw_cases(photos: str | Path | None, size: tuple[int, int]) -> Iterator[dict[str, np.ndarray]]:
    """Cut photographs to a size and draw holes, the same in every run; yields inputs of a file, one image each."""
    side = max(size)
    config = config_of_folder(Path(photos or '.'), image_size=side)
    init_default_scope(config.default_scope)
    loader = config.test_dataloader
    if photos is None:
        loader.dataset = dict(type='SamplePhotos', short_side=side, pipeline=loader.dataset.pipeline[1:])
    for kind in kinds_of(config):
        for batch in islice(loader_from_config(config, kind), PHOTOS):
            (sample,) = batch['data_samples']
            image, mask = (values[None, :, : size[0], : size[1]].float() for values in (sample.gt_img, sample.mask))
            yield dict(image=(image.flip(1) / 127.5 - 1).numpy(), mask=mask.numpy())


def measure(path: Path, smaller: Path, cases: list[dict[str, np.ndarray]], size: tuple[int, int]) -> Measured:
    """Compare two files on the same images, in turns."""
    sessions = [open_session(path), open_session(smaller)]
    times: tuple[list[float], list[float]] = ([], [])
    errors = []
    for case in cases:
        outputs = []
        for session, taken in zip(sessions, times, strict=True):
            start = time.perf_counter()
            outputs.append(session.run(['filled'], case)[0])
            taken.append(1000 * (time.perf_counter() - start))
        errors.append(np.square(outputs[0] - outputs[1], dtype=np.float64)[np.repeat(case['mask'] > 0.5, 3, axis=1)])
    # of a range of 2
    error = np.concatenate(errors).mean()
    psnr = float('inf') if error == 0 else float(10 * np.log10(4 / error))
    megabytes = path.stat().st_size / 1e6, smaller.stat().st_size / 1e6
    milliseconds = statistics.median(times[0]), statistics.median(times[1])
    return Measured(megabytes, milliseconds, psnr, len(cases), size)


def to_float16(path: Path, out: Path, cases: list[dict[str, np.ndarray]]) -> None:
    """Write a file that computes in float16 whatever depends on image and mask."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    model = onnx.load(str(path))
    # known pixels are put back by the last node in float32, outside of what is converted
    last = next(index for index, node in enumerate(model.graph.node) if 'filled' in node.output)
    filled, compose = model.graph.output.pop(0), model.graph.node.pop(last)
    names = [value.name for value in model.graph.output]
    raw = compose.input[1]
    if raw not in names:
        model.graph.output.append(onnx.helper.make_tensor_value_info(raw, onnx.TensorProto.FLOAT, None))
    # what is computed only of sizes goes beyond the range of float16
    of_images, exact = {value.name for value in model.graph.input}, []
    for node in model.graph.node:
        if node.op_type != 'Shape' and of_images.intersection(node.input):
            of_images.update(node.output)
        else:
            exact.append(node.name)
    model = convert_float_to_float16(model, keep_io_types=True, node_block_list=exact)
    others = [value for value in model.graph.output if value.name in names]
    del model.graph.output[:]
    model.graph.output.extend([filled, *others])
    model.graph.node.append(compose)
    OnnxModel(model).topological_sort()
    onnx.save(model, str(out))


def to_int8(path: Path, out: Path, cases: list[dict[str, np.ndarray]]) -> None:
    """Write a file whose convolutions take and have 8 bits, with ranges as those of the cases."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Reader(CalibrationDataReader):
        remaining = iter(cases)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.remaining, None)

    quantize_static(
        str(path),
        str(out),
        Reader(),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=['Conv', 'ConvTranspose'],
        per_channel=True,
        # processors without VNNI add two products of 8 bits in 16, which 7-bit weights do not overflow
        reduce_range=True,
    )
