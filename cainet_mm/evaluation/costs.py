"""What a method costs: weights, multiply-adds, time."""

import time
from dataclasses import dataclass

import numpy as np
import torch
from mmagic.structures import DataSample
from mmengine.analysis import get_model_complexity_info
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass
class Cost:
    """What it takes to fill the hole of one image."""

    parameters: int  # weights of the generator; 0 for methods without one
    multiply_adds: int  # of its convolutions and matrix products; 0 for methods without a generator
    milliseconds: float  # median time for one image, from the input on the device to the answer on it
    size: tuple[int, int]  # height and width of the image


@torch.no_grad()
def measure_cost(model: BaseModel, size: tuple[int, int], repeats: int = 7) -> Cost:
    """Measure an inpaintor in eval mode on one image with a hole in its middle, timed after two runs."""
    device = next((weight.device for weight in model.parameters()), torch.device('cpu'))
    height, width = size
    mask = torch.zeros(1, 1, height, width, device=device)
    mask[..., height // 4 : height - height // 4, width // 4 : width - width // 4] = 1
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)).to(device) * 2 - 1
    image = image * (1 - mask)
    generator = getattr(model, 'generator', None)

    def run() -> None:
        metainfo = dict(gt_channel_order=['BGR'], img_channel_order=['BGR'])
        samples = DataSample(mask=mask.clone(), metainfo=metainfo)
        model(image, samples, mode='predict' if generator is None else 'tensor')
        if device.type != 'cpu':
            getattr(torch, device.type).synchronize()

    with FlopCounterMode(display=False) as counter:
        run()
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return Cost(
        parameters=0 if generator is None else sum(weight.numel() for weight in generator.parameters()),
        multiply_adds=counter.get_total_flops() // 2,
        milliseconds=float(np.median(times)) * 1000,
        size=(height, width),
    )


class TracedInpaintor(nn.Module):
    """An inpaintor as a function of tensors alone, which MMEngine's counters can trace."""

    def __init__(self, model: BaseModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Inpaint (N, 3, H, W) in [-1, 1] with masks of (N, 1, H, W): raw and composed image."""
        return self.model(image, DataSample(mask=mask), mode='tensor')


def describe_complexity(model: BaseModel, size: tuple[int, int]) -> dict:
    """Count a model's operations and parameters, module by module, with MMEngine's counters.

    An inpaintor is counted as it answers, of a :class:`SiameseMoCo` the encoder, for an image of a height and width.
    Returns what MMEngine's ``get_model_complexity_info`` does: ``flops`` (multiply-adds), ``params``, ``out_table``.

    Raises:
        ValueError: The model has neither a generator nor an encoder.
    """
    if getattr(model, 'generator', None) is not None:
        counted, inputs = TracedInpaintor(model), (torch.zeros(1, 3, *size), torch.zeros(1, 1, *size))
    elif getattr(model, 'backbone', None) is not None:
        counted, inputs = model.backbone, (torch.zeros(1, 4, *size),)
    else:
        raise ValueError(f'{type(model).__name__} has neither a generator nor an encoder to be counted.')
    return get_model_complexity_info(counted, inputs=inputs, show_arch=False)
