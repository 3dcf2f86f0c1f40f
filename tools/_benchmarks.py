"""What tools/benchmark.py measures: each case is a function, and a reference that is run in turns with it.

The reference of a training step is written here, as one would from public parts: a generator pass for the critic and
another for the generator, targets scaled anew by each loss, true and filled images one after the other through the
critic, and a pass through VGG-16 for each image and each of the two terms. The decoders of references convolve enlarged
features, as DFNet's public code does.
"""

import copy
import ctypes
import math
import statistics
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import torch.nn.functional as F
from mmagic.registry import MODELS
from mmagic.structures import DataSample
from mmengine.optim import OptimWrapperDict
from mmengine.registry import DATASETS, OPTIM_WRAPPERS

from cainet_mm.apis import export, inpaint, load_inpaintor, load_model, read_config
from cainet_mm.models.decoders import UpConvModule
from cainet_mm.models.losses.vgg import FrozenVGG, gram_matrix

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
BASES = CONFIGS / '_base_/models'
MODES = ('eager', 'channels-last', 'half', 'half, channels-last, compiled')


def as_row(name, mode, unit, count, seconds, peak_mb=None, reference='', reference_seconds=(), reference_peak_mb=None):
    """A measurement: medians in milliseconds, units per second, the ratio to the reference round by round."""
    median = statistics.median(seconds)
    row = dict(name=name, mode=mode, milliseconds=round(1000 * median, 2), per_second=round(count / median, 3))
    row.update(unit=unit, peak_mb=peak_mb)
    if reference_seconds:
        ratios = [ours / theirs for ours, theirs in zip(seconds, reference_seconds, strict=True)]
        row.update(
            reference=reference,
            reference_milliseconds=round(1000 * statistics.median(reference_seconds), 2),
            reference_peak_mb=reference_peak_mb,
            ratio=round(statistics.median(ratios), 3),
            ratio_range=[round(min(ratios), 3), round(max(ratios), 3)],
        )
    return row


class Bench:
    """Measures functions on one device, in some rounds after one that does not count, on batches of square images.

    Weights of VGG-16 are random, which takes as long, or from a file.
    """

    def __init__(self, device, size, batch, rounds, vgg=None):
        self.device, self.size, self.batch, self.rounds, self.vgg = torch.device(device), size, batch, rounds, vgg
        self.rows = []
        # float16 where tensor cores are, bfloat16 on CPUs
        self.half = torch.bfloat16 if self.device.type == 'cpu' or torch.cuda.is_bf16_supported() else torch.float16

    def measure(self, name, mode, ours, reference=None, reference_name='', unit='image', count=None):
        """Times a function and its reference in turns, and adds the row; ``count`` units are done by a call."""
        runs = [ours] if reference is None else [ours, reference]
        peaks = [self.peak_of(run) for run in runs]
        seconds = [[] for _ in runs]
        for _ in range(self.rounds):
            for times, run in zip(seconds, runs, strict=True):
                self.wait()
                start = time.perf_counter()
                run()
                self.wait()
                times.append(time.perf_counter() - start)
        count = self.batch if count is None else count
        self.rows.append(
            as_row(name, mode, unit, count, seconds[0], peaks[0], reference_name, *seconds[1:], *peaks[1:])
        )
        return self.rows[-1]

    def wait(self):
        if self.device.type == 'cuda':
            torch.cuda.synchronize()

    def peak_of(self, run):
        """Runs a function, which warms it up; returns what it held beyond what was held before, in MB (1e6 bytes)."""
        if self.device.type == 'cuda':
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            run()
            self.wait()
            return round((torch.cuda.max_memory_allocated() - before) / 1e6, 1)
        run()
        try:
            ctypes.CDLL('libc.so.6').malloc_trim(0)
            Path('/proc/self/clear_refs').write_text('5')
            before = resident('VmRSS')
            run()
            return round((resident('VmHWM') - before) / 1e6, 1)
        except OSError:  # another system than Linux
            return None

    def images(self):
        """A batch as MMagic's pipelines hand it over: masked images in [0, 255], with images and masks as samples."""
        generator = torch.Generator().manual_seed(0)
        batch = dict(inputs=[], data_samples=[])
        low, high = self.size // 4, self.size // 4 * 3
        for _ in range(self.batch):
            image = torch.randint(0, 256, (3, self.size, self.size), generator=generator).float()
            mask = torch.zeros(1, self.size, self.size)
            mask[:, low:high, low:high] = 1
            sample = DataSample(gt_img=image, mask=mask)
            sample.set_metainfo(dict(gt_channel_order='BGR', gt_color_type='color'))
            batch['inputs'].append(image * (1 - mask) + 127.5 * mask)
            batch['data_samples'].append(sample)
        return batch

    def build(self, config, mode):
        """A model in a mode: its layout, and its generator compiled."""
        torch.manual_seed(0)
        model = MODELS.build(copy.deepcopy(config)).to(self.device)
        if 'channels-last' in mode:
            model.to(memory_format=torch.channels_last)
        if 'compiled' in mode:
            part = model.generator if hasattr(model, 'generator') else model.backbone
            part.forward = torch.compile(part.forward)
        return model

    def autocast(self, mode):
        """The context of a mode's forward passes."""
        return torch.autocast(self.device.type, dtype=self.half, enabled='half' in mode)

    def wrapper(self, parameters, mode, rate=1e-4):
        """An optimiser in the mode's precision, as a training by these configs has it."""
        optimizer = torch.optim.Adam(parameters, lr=rate, betas=(0.5, 0.9))
        if 'half' not in mode:
            return OPTIM_WRAPPERS.build(dict(type='OptimWrapper', optimizer=optimizer))
        if self.device.type == 'cpu':
            return OPTIM_WRAPPERS.build(dict(type='CPUAmpOptimWrapper', optimizer=optimizer, even_if_slow=True))
        dtype = str(self.half).partition('.')[2]
        return OPTIM_WRAPPERS.build(dict(type='AmpOptimWrapper', dtype=dtype, optimizer=optimizer))


def resident(name):
    """A line of the process's memory status, in bytes."""
    line = next(line for line in Path('/proc/self/status').read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def stage2_config(bench, **changes):
    """The model of stage 2 at the paper's widths, its VGG-16 from the file or random."""
    config = read_config(BASES / 'cainet.py')
    config.merge_from_dict({'model.losses.texture.loss.vgg': bench.vgg})
    config.merge_from_dict({f'model.{name}': value for name, value in changes.items()})
    return config.model


def make_step(bench, mode, config):
    """The training step of stage 2: a function, and the model it trains."""
    model = bench.build(config, mode).train()
    wrappers = {name: bench.wrapper(getattr(model, name).parameters(), mode) for name in ('generator', 'disc')}
    data = bench.images()
    return partial(model.train_step, data, OptimWrapperDict(**wrappers)), model


class NaiveStep:
    """The same objective put together plainly, with some things computed twice; in float32, contiguous."""

    def __init__(self, bench, config):
        self.model = model = unfused(bench.build(config, 'eager').train())
        self.vgg = FrozenVGG(bench.vgg).to(bench.device)
        self.data = bench.images()
        parts = (model.generator, model.disc)
        self.optimizers = [torch.optim.Adam(part.parameters(), lr=1e-4, betas=(0.5, 0.9)) for part in parts]

    def __call__(self):
        model = self.model
        data = model.data_preprocessor(self.data, True)
        target, mask = data['data_samples'].gt_img, data['data_samples'].mask
        inputs = torch.cat((data['inputs'], mask), dim=1)
        with torch.no_grad():
            outputs = model.generator(inputs)
        self._update(1, sum(self._critic_terms(outputs[k - 1], target) for k in model.critic_scales) / 3)
        outputs = model.generator(inputs)
        total = sum(6 * (output - scaled(target, output)).abs().mean() for output in outputs) / len(outputs)
        total = total + sum(self._texture_terms(outputs[k - 1], target, mask) for k in model.critic_scales) / 3
        self._update(0, total)

    def _update(self, index, loss):
        loss.backward()
        self.optimizers[index].step()
        # after it, as MMEngine does, so that neither of two steps holds gradients before it begins
        self.optimizers[index].zero_grad()

    def _critic_terms(self, output, target):
        real, critic = scaled(target, output), self.model.disc
        share = torch.rand(len(real), 1, 1, 1, device=real.device)
        between = (share * real + (1 - share) * output).requires_grad_()
        (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        return critic(output).mean() - critic(real).mean() + 10 * (slope.flatten(1).norm(dim=1) - 1).square().mean()

    def _texture_terms(self, output, target, mask):
        real = scaled(target, output)
        perceptual = sum(F.l1_loss(*pair) for pair in zip(self.vgg(output), self.vgg(real), strict=True)) / 3
        pairs = zip(self.vgg(output), self.vgg(real), strict=True)
        style = sum(F.l1_loss(gram_matrix(ours), gram_matrix(true)) for ours, true in pairs) / 3
        hole = F.max_pool2d(scaled(mask, output).ceil(), 3, stride=1, padding=1)
        across = (output.diff(dim=3).abs() * hole[..., 1:] * hole[..., :-1]).sum()
        down = (output.diff(dim=2).abs() * hole[..., 1:, :] * hole[..., :-1, :]).sum()
        variation = (across + down) / (3 * hole.sum())
        return 0.1 * perceptual + 240 * style + 0.1 * variation - 0.001 * self.model.disc(output).mean()


def unfused(model):
    """A model whose decoder enlarges each feature before it convolves it."""
    for part in model.modules():
        if isinstance(part, UpConvModule):
            part.fused_from = math.inf
    return model


def scaled(image, output):
    return F.interpolate(image, size=output.shape[-2:], mode='area')


def bench_generator(bench, mode):
    """A forward pass as a fill does it, compared with DFNet at the same widths, in the same mode."""
    models = [bench.build(config, mode).eval() for config in (stage2_config(bench), dfnet_config())]
    unfused(models[1])
    inputs = torch.rand(bench.batch, 4, bench.size, bench.size, device=bench.device)
    runs = [partial(answer, bench, mode, model.generator, inputs) for model in models]
    return bench.measure('generator, forward', mode, *runs, 'DFNet')


def dfnet_config():
    config = read_config(BASES / 'dfnet.py').model
    config.losses = {}
    return config


@torch.no_grad()
def answer(bench, mode, generator, inputs):
    with bench.autocast(mode):
        return generator(inputs)


def bench_parts(bench, mode):
    """What a step consists of, each alone: the sum is more than the step, which shares passes."""
    _, model = make_step(bench, mode, stage2_config(bench))
    data = model.data_preprocessor(bench.images(), True)
    target, mask = data['data_samples'].gt_img, data['data_samples'].mask
    inputs = torch.cat((data['inputs'], mask), dim=1)
    score = partial(model.score, mask=mask)

    def generate():
        with bench.autocast(mode):
            sum(output.mean() for output in model.generator(inputs)).backward()

    def criticise():
        with bench.autocast(mode):
            (score(target).mean() - score(target).mean()).backward()

    def penalise():
        model.loss_gp(score, target, target * 0.5).backward()

    def look_at_texture():
        output = (target * 0.5).requires_grad_()
        with bench.autocast(mode):
            sum(model.losses['texture'].loss(output, target).values()).backward()

    optimizer = torch.optim.Adam(model.generator.parameters(), lr=0.0)
    cases = {
        'generator, forward and backward': generate,
        'critic at full size, twice': criticise,
        'gradient penalty at full size': penalise,
        'VGG-16 terms at full size': look_at_texture,
        'update of the generator': optimizer.step,
    }
    for name, run in cases.items():
        bench.measure(name, mode, run)


def bench_step(bench, mode, interval=1):
    """The whole step of stage 2, compared with the naive one."""
    config = stage2_config(bench, train_cfg=dict(disc_step=1, penalty_interval=interval))
    step, _ = make_step(bench, mode, config)
    naive = NaiveStep(bench, stage2_config(bench))

    def steps(step):
        for _ in range(interval):
            step()

    name = 'stage-2 step' + (f', penalty every {interval}' if interval > 1 else '')
    runs = partial(steps, step), partial(steps, naive)
    return bench.measure(name, mode, *runs, 'naive, float32', count=interval * bench.batch)


def bench_stage1(bench, mode, queue_len=4096):
    """The step of stage 1; its floor is two passes of the encoder, one of them backward, which is its reference."""
    config = read_config(BASES / 'siamese_moco.py').model
    config.queue_len = bench.batch * max(1, queue_len // bench.batch)
    model = bench.build(config, mode).train()
    wrapper = bench.wrapper([weight for weight in model.parameters() if weight.requires_grad], mode)
    data = bench.images()
    for sample in data['data_samples']:
        sample.set_data(dict(mask_q=sample.mask, mask_k=sample.mask.flip(-1)))
    data['inputs'] = [sample.gt_img for sample in data['data_samples']]
    encoder = bench.build(config, mode).train().backbone
    views = torch.rand(bench.batch, 4, bench.size, bench.size, device=bench.device)

    def passes():
        with bench.autocast(mode):
            with torch.no_grad():
                encoder(views)
            encoder(views)[-1].mean().backward()

    return bench.measure('stage-1 step', mode, partial(model.train_step, data, wrapper), passes, 'encoder alone')


def bench_loader(bench, images=16):
    """Loading and masking of training images by one process, from the photographs that scikit-image ships."""
    dataset = DATASETS.build(read_config(CONFIGS / '_base_/datasets/sample_photos.py').train_dataloader.dataset)

    def load():
        for index in range(images):
            dataset[index % len(dataset)]

    return bench.measure('loading of training images, one process', 'CPU', load, count=images)


def bench_onnx(bench):
    """Networks as `tools/export.py` writes them, in ONNX Runtime, compared with PyTorch."""
    networks = {'CAINet': bench.build(stage2_config(bench), 'eager').eval()}
    networks['DFNet'] = unfused(bench.build(dfnet_config(), 'eager').eval())
    networks['cainet-photos'] = load_model('cainet-photos')
    with TemporaryDirectory() as folder:
        for name, model in networks.items():
            path = Path(folder) / f'{name}.onnx'
            export(model, path, size=(bench.size, bench.size), check=False)
            exported = load_inpaintor(None, path)
            runs = [partial(torch.no_grad()(each.test_step), bench.images()) for each in (exported, model)]
            bench.measure(f'{name} in ONNX Runtime', 'eager', *runs, 'PyTorch')


def bench_fill(bench, megapixels=12):
    """A fill of a large photograph with a hole of a tenth, by the shipped network, compared with Telea's method."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = height * 4 // 3
    ramp = np.linspace(0, 255, width, dtype=np.float32)[None, :, None]
    noise = np.random.default_rng(0).normal(0, 20, (height, width, 3))
    photo = np.clip(ramp + noise, 0, 255).astype(np.uint8)
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height // 4 + height * 3 // 10, width // 3 : width // 3 + width // 3] = 255
    model = load_model('cainet-photos', device=str(bench.device))
    telea = load_model(CONFIGS / 'baselines/telea.py')
    runs = [partial(inpaint, photo, mask, model=network) for network in (model, telea)]
    name = f'fill of a photograph of {megapixels:g} megapixels'
    return bench.measure(name, 'eager', *runs, 'Telea', unit='photograph', count=1)


def sweep(bench, mode):
    """How the cost of a step grows: one quantity at a time, the others as they are."""
    usual = dict(batch=bench.batch, size=bench.size)
    for key, values in dict(batch=(2, 4, 8), size=(64, 128, 256)).items():
        for value in values:
            other = Bench(bench.device, **{**usual, key: value}, rounds=bench.rounds, vgg=bench.vgg)
            step, _ = make_step(other, mode, stage2_config(other))
            bench.rows.append(other.measure(f'stage-2 step, {key} {value}', mode, step))
    for scales in (3, 6):
        changes = {'encdec.decoder.num_scales': scales, 'losses.rec.scales': tuple(range(1, scales + 1))}
        step, _ = make_step(bench, mode, stage2_config(bench, **changes))
        bench.measure(f'stage-2 step, {scales} scales', mode, step)
    for queue_len in (256, 4096, 65536):
        row = bench_stage1(bench, mode, queue_len)
        row['name'] = f'stage-1 step, queue of {queue_len}'
