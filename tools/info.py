"""Says what a bug report needs: versions, device, weights and folders: python tools/info.py"""

import os
import platform
import sys
from importlib import metadata
from pathlib import Path

from _command import Tool, make_package_importable

PACKAGES = (
    *('torch', 'torchvision', 'mmcv', 'mmcv-lite', 'mmengine', 'mmagic', 'mmpretrain'),
    *('numpy', 'opencv-python', 'gradio', 'onnx', 'onnxruntime'),
)


def describe_versions():
    """Versions of what is installed, importing nothing."""
    yield 'Python', f'{platform.python_version()} ({sys.executable})'
    yield 'platform', platform.platform()
    for name in PACKAGES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            if not name.startswith('mmcv'):
                yield name, 'not installed'
    if not any(next(metadata.distributions(name=name), None) for name in ('mmcv', 'mmcv-lite')):
        yield 'mmcv', 'neither mmcv nor mmcv-lite is installed'


def describe_device():
    """What a training runs on, and whether it has arithmetic in bfloat16."""
    import torch
    from mmengine.device import get_device

    from cainet_mm.engine.optim_wrappers import COMPUTES_BFLOAT16, processor_abilities

    device = get_device()
    if device == 'cuda':
        names = ', '.join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
        has_bfloat16 = torch.cuda.is_bf16_supported()
        yield 'device', f'cuda: {names}; CUDA {torch.version.cuda}'
    else:
        abilities = processor_abilities()
        has_bfloat16 = None if abilities is None else bool(abilities & COMPUTES_BFLOAT16)
        yield 'device', f'{device}, {os.cpu_count()} cores, {torch.get_num_threads()} threads'
    yield 'bfloat16', {True: 'yes', False: 'no, so --amp is slower than float32', None: 'not known'}[has_bfloat16]


def describe_weights():
    """Networks that have a name, weights that metrics and losses read, and where they are looked for."""
    import torch

    from cainet_mm.apis import list_models
    from cainet_mm.evaluation.feature_metrics import ALEXNET, INCEPTION
    from cainet_mm.inference.zoo import folders

    for model in list_models():
        yield model.name, f'{model.path} ({model.megabytes:.1f} MB)' if model.path else 'not here'
    cache = Path(torch.hub.get_dir(), 'checkpoints')
    for purpose, pattern in (('VGG-16, for training', 'vgg16-*.pth'), ('LPIPS', ALEXNET), ('FID', INCEPTION)):
        yield purpose, next(map(str, cache.glob(pattern)), 'not here')
    yield 'folders of networks', ', '.join(map(str, folders()))
    yield 'folder of the others', str(cache)


def describe_package():
    """Where the package lies, and what comes with it."""
    import cainet_mm

    here = Path(__file__).resolve().parents[1]
    yield 'cainet_mm', f'{cainet_mm.__version__} ({Path(cainet_mm.__file__).parent})'
    yield 'configs', str(here / 'configs')
    yield 'tools', str(here / 'tools')


def main():
    Tool(description=__doc__).parse_args()
    make_package_importable()
    # the versions first: the package itself may not be importable
    for part in (describe_versions, describe_package, describe_device, describe_weights):
        try:
            for name, text in part():
                print(f'{name + ":":<24}{text}', flush=True)
        except ImportError as error:
            print(error)
            return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
