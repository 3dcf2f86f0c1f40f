"""What a method costs: weights, multiply-adds, time."""

import time
from dataclasses import dataclass

import numpy as np
import torch
from mmagic.structures import DataSample
from mmengine.model import BaseModel
from torch.utils.flop_counter import FlopCounterMode


@dataclass
class Cost:
    """What it takes to fill the hole of one image.

    Attributes:
        parameters: Weights of the generator; 0 for methods without one.
        multiply_adds: Multiply-adds of its convolutions and matrix products; 0 for methods without a generator.
        milliseconds: Median time for one image, from the input on the device to the answer on it.
        size: Height and width of the image.
    """

    parameters: int
    multiply_adds: int
    milliseconds: float
    size: tuple[int, int]


@torch.no_grad()
def measure_cost(model: BaseModel, size: tuple[int, int], repeats: int = 7) -> Cost:
    """Measure a method on one image with a hole in its middle.

    Args:
        model: An inpaintor, in eval mode.
        size: Height and width of the image.
        repeats: How often it is timed, after two runs that do not count.
    """
    device = next((weight.device for weight in model.parameters()), torch.device('cpu'))
    height, width = size
    mask = torch.zeros(1, 1, height, width, device=device)
    mask[..., height // 4 : height - height // 4, width // 4 : width - width // 4] = 1
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0)).to(device) * 2 - 1
    image = image * (1 - mask)
    generator = getattr(model, 'generator', None)

    def run() -> None:
        samples = DataSample(
            mask=mask.clone(),
            metainfo=dict(gt_channel_order=['BGR'], img_channel_order=['BGR']),
        )
        if generator is None:
            model(image, samples, mode='predict')
        else:
            model(image, samples, mode='tensor')
        if device.type == 'cuda':
            torch.cuda.synchronize(device)

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
