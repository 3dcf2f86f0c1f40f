"""Small trainings that one process or several can do, on the same samples and with the same random numbers."""

from contextlib import contextmanager
from types import SimpleNamespace
from unittest import mock

import torch
from conftest import tiny
from mmengine.dist import get_rank, get_world_size
from mmengine.model import MMDistributedDataParallel, MMSeparateDistributedDataParallel
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import MODELS
from torch import nn

from cainet_mm.models.losses.vgg import shared_vgg

# samples of a step, over all processes and, where gradients are accumulated, over all of its batches
SAMPLES = 4
# side of the hole of each sample: very different numbers of pixels, and in either half of the batch
HOLES = (6, 44, 14, 30)


class ReadyBatch(nn.Module):
    """In the preprocessor's place: batches that are tensors already, in float64."""

    def forward(self, data, training=False):
        return data


class RecordingWrapper(OptimWrapper):
    """Keeps the gradients of each backward pass and of each step, before they are clipped."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.gradients, self.passes = [], []

    def _collect(self):
        return [
            parameter.grad.clone()
            for group in self.param_groups
            for parameter in group['params']
            if parameter.grad is not None
        ]

    def backward(self, loss, **kwargs):
        super().backward(loss, **kwargs)
        self.passes.append(torch.cat([gradient.flatten() for gradient in self._collect()]))

    def step(self, **kwargs):
        self.gradients.append(self._collect())
        super().step(**kwargs)


def share_of(part, parts):
    """The positions of a step's samples that a process sees in one of its batches."""
    size = SAMPLES // parts
    return slice(part * size, (part + 1) * size)


@contextmanager
def drawn_per_sample():
    """Let ``torch.rand`` give a sample's numbers by its place in the step, whoever asks for them."""
    place = SimpleNamespace(step=0, samples=slice(None), calls=0)

    def draw(*size, device=None, dtype=None):
        place.calls += 1
        generator = torch.Generator().manual_seed(1000 * place.step + place.calls)
        return torch.rand(SAMPLES, *size[1:], generator=generator, dtype=torch.float64)[place.samples].to(dtype)

    original = torch.rand

    def rand(*size, generator=None, **kwargs):
        return original(*size, generator=generator, **kwargs) if generator is not None else draw(*size, **kwargs)

    with mock.patch('torch.rand', rand):
        yield place


def photos_of(step):
    """True images and masks of a step, (4, 3, 64, 64) and (4, 1, 64, 64)."""
    generator = torch.Generator().manual_seed(step)
    target = torch.rand(SAMPLES, 3, 64, 64, generator=generator, dtype=torch.float64) * 2 - 1
    mask = torch.zeros(SAMPLES, 1, 64, 64, dtype=torch.float64)
    for sample, side in enumerate(HOLES):
        mask[sample, :, 8 : 8 + side, 4 : 4 + side] = 1
    return target, mask


def build(config, seed=0):
    """Build a model in float64 that takes ready batches; the weights are the same in every process."""
    shared_vgg.cache_clear()
    torch.manual_seed(seed)
    model = MODELS.build(config)
    model.data_preprocessor = ReadyBatch()
    return model.double().train()


def plain_config():
    """The quickstart's stage 2, thin; no batch norm."""
    return tiny('stage2', '').model


def stage2_config(**losses):
    """The same with perceptual losses on random weights, which take most of a step."""
    config = plain_config()
    texture = dict(type='MultiScaleLoss', scales=(1,), loss=dict(type='TextureLoss', vgg=None, style_weight=1.0))
    config.losses.update(texture=texture, **losses)
    return config


def additive_config():
    """Stage 2 with those losses whose mean over parts of a step is the step's.

    The total variation is not one of them, as its parts have different numbers of pixels; nor is the adversarial
    term, as all parts but the last see a critic that has not been updated yet.
    """
    config = stage2_config(tv=None)
    config.loss_gan.loss_weight = 0.0
    return config


def train_stage2(steps=3, accumulate=1, clip=None, optimizer='Adam', rate=1e-3, config=None, disc_step=1):
    """Train stage 2 on this process's share of each step's samples.

    Returns:
        Losses of each batch, gradients of each step and of each pass, weights after the last step.
    """
    config = stage2_config() if config is None else config
    config.train_cfg = dict(disc_step=disc_step)
    model = build(config)
    parameters = dict(generator=list(model.generator.parameters()), disc=list(model.disc.parameters()))
    wrappers = {
        name: RecordingWrapper(
            optimizer=getattr(torch.optim, optimizer)(values, lr=rate), accumulative_counts=accumulate, clip_grad=clip
        )
        for name, values in parameters.items()
    }
    before = {name: torch.cat([value.detach().flatten().clone() for value in parameters[name]]) for name in parameters}
    world = get_world_size()
    wrapped = MMSeparateDistributedDataParallel(model, device_ids=None) if world > 1 else model
    losses = []
    with drawn_per_sample() as place:
        for step in range(steps):
            target, mask = photos_of(step)
            for micro in range(accumulate):
                place.step, place.calls = step, 0
                place.samples = share_of(micro * world + get_rank(), accumulate * world)
                true, hole = target[place.samples], mask[place.samples]
                batch = dict(inputs=true * (1 - hole), data_samples=SimpleNamespace(gt_img=true, mask=hole))
                logged = wrapped.train_step(batch, OptimWrapperDict(**wrappers))
                losses.append({name: value.item() for name, value in logged.items()})
    return dict(
        losses=losses,
        gradients={name: wrapper.gradients for name, wrapper in wrappers.items()},
        passes={name: wrapper.passes for name, wrapper in wrappers.items()},
        before=before,
        weights={name: torch.cat([value.detach().flatten() for value in parameters[name]]) for name in parameters},
    )


def stage1_config(norm=None):
    """The quickstart's stage 1, thin, with a queue of 16 keys; no batch norm unless asked for."""
    config = tiny('stage1', '').model
    if norm is not None:
        config.backbone.norm_cfg = norm
    return config


def views_of(step):
    """Query views and key views of a step, (4, 4, 64, 64) each."""
    views = []
    for side in range(2):
        target, mask = photos_of(step)
        mask = mask.roll(16 * side, 3)
        views.append(torch.cat((target * (1 - mask), mask), dim=1))
    return views


def train_stage1(steps=6, norm=None, accumulate=1, seed=0):
    """Train stage 1 on this process's share of each step's samples.

    Returns:
        Losses of each batch, gradients of each step, the model's whole state after the last.
    """
    model = build(stage1_config(norm), seed)
    wrapper = RecordingWrapper(
        optimizer=torch.optim.SGD(
            [value for value in model.parameters() if value.requires_grad], lr=0.05, momentum=0.9
        ),
        accumulative_counts=accumulate,
    )
    world = get_world_size()
    wrapped = model
    if world > 1:
        # as MMEngine's runner wraps a model whose config names no wrapper
        wrapped = MMDistributedDataParallel(model, device_ids=None, broadcast_buffers=False)
    losses, queues = [], []
    for step in range(steps):
        samples = share_of(get_rank(), world)
        inputs = [view[samples] for view in views_of(step)]
        logged = wrapped.train_step(dict(inputs=inputs, data_samples=None), wrapper)
        losses.append({name: value.item() for name, value in logged.items()})
        queues.append(model.queue.clone())
    return dict(
        losses=losses,
        gradients=wrapper.gradients,
        queues=queues,
        state={name: value.clone() for name, value in model.state_dict().items()},
        model=wrapped,
    )
