"""Exported ONNX files behind the model interface."""

import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from mmengine.config import Config

PROVIDERS = {'cpu': 'CPUExecutionProvider', 'cuda': 'CUDAExecutionProvider'}


def is_onnx(config: object, checkpoint: str | Path | None) -> bool:
    """Whether a network, as the arguments of :func:`load_inpaintor` name it, is an ONNX file."""
    return config is None and str(checkpoint).endswith('.onnx')


def open_session(path: str | Path, device: str = 'cpu'):
    """Open an ONNX file in ONNX Runtime, with the errors of :class:`OnnxInpaintor`."""
    if importlib.util.find_spec('onnxruntime') is None:
        raise ModuleNotFoundError('For ONNX files: pip install onnxruntime (versions: requirements/export.txt).')
    import onnxruntime

    if not Path(path).is_file():
        raise FileNotFoundError(f'The file {str(path)!r} does not exist.')
    provider = PROVIDERS.get(torch.device(device).type)
    if provider not in onnxruntime.get_available_providers():
        raise ValueError(f'This ONNX Runtime cannot compute on {device}; use --device cpu, or another build of it.')
    options = onnxruntime.SessionOptions()
    # what goes wrong is raised
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=[provider])
    except Exception as error:  # of ONNX Runtime's own classes
        raise ValueError(f'The file {str(path)!r} is no ONNX file that can be run: {error}') from error


class OnnxInpaintor:
    """An ONNX file of :func:`export` as a model for :func:`inpaint` and :func:`inpaint_files`.

    Example:
        >>> inpaint(image, mask, model=load_inpaintor(None, 'photos.onnx'))

    Args:
        path: The file.
        device: ``'cpu'``, or ``'cuda'`` with a build of ONNX Runtime for it.

    Raises:
        FileNotFoundError: There is no such file.
        ModuleNotFoundError: ONNX Runtime is not installed.
        ValueError: The file cannot be run here or on the device, or is no inpaintor.
    """

    training = False

    def __init__(self, path: str | Path, device: str = 'cpu') -> None:
        self.session = open_session(path, device)
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        if [value.name for value in inputs] != ['image', 'mask'] or outputs[0].name != 'filled':
            raise ValueError(f'The ONNX file {str(path)!r} is none of tools/export.py: it has other inputs or outputs.')
        self.count, _, height, width = inputs[0].shape
        if isinstance(height, int) and height != width:
            size = f'{height}x{width} alone, and windows are square'
            raise ValueError(f'The ONNX file {str(path)!r} takes {size}; export it with another --size.')
        trained = re.match(r'\d+', self.session.get_modelmeta().custom_metadata_map.get('trained_at', ''))
        size = height if isinstance(height, int) else trained and int(trained[0])
        self.cfg = Config(dict(image_size=size)) if size else None

    def test_step(self, data: dict) -> list[SimpleNamespace]:
        """Fill windows, as the ``test_step`` of a model does, with known pixels put back.

        ``data`` has ``inputs``, images of (3, S, S), BGR in [0, 255], and ``data_samples`` with a ``mask`` of (1, S, S)
        each; what is returned has ``output.fake_res``, like the inputs, in float32.
        """
        images = torch.stack(data['inputs']).flip(1).float().numpy() / np.float32(127.5) - 1
        masks = torch.stack([sample.mask for sample in data['data_samples']]).float().numpy()
        # a file of one fixed size takes one image at a time
        step = 1 if self.count == 1 else len(images)
        filled = [
            self.session.run(['filled'], dict(image=images[first : first + step], mask=masks[first : first + step]))[0]
            for first in range(0, len(images), step)
        ]
        images = torch.from_numpy((np.concatenate(filled) + 1) * np.float32(127.5)).flip(1)
        return [SimpleNamespace(output=SimpleNamespace(fake_res=image)) for image in images]
