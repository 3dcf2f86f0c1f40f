"""Runs through MMEngine's runner, and what else the processes of the pair do, as they do it in the tools."""

import sys
from types import SimpleNamespace
from unittest import mock

import cases
import torch
from conftest import ROOT, tiny
from mmengine.config import Config
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import MODELS, init_default_scope
from torch import distributed, nn
from torchvision.models import alexnet

from cainet_mm.engine import BroadcastBuffersHook
from cainet_mm.evaluation import feature_metrics

SMOKE = sorted((ROOT / 'configs/baselines/smoke').glob('*.py'))
METRICS = ('MAE', 'PSNR', 'SSIM', 'HoleMAE', 'HolePSNR', 'HoleSSIM')


def start_processes():
    """Start the process group as a launcher's processes do, and MMagic's scope as its configs do."""
    distributed.init_process_group('gloo')
    init_default_scope('mmagic')


def runner_of(config, name):
    """Build a run as the tools build it; in a process of its own, one that is not distributed."""
    sys.path.append(str(ROOT / 'tools'))
    from _command import Command, build_runner

    config.launcher = 'none' if get_world_size() == 1 else 'pytorch'
    config.experiment_name = name
    return build_runner(Command(''), config)


def without_model(answer):
    return {key: value for key, value in answer.items() if key != 'model'}


def buffers_of(model):
    return {name: value.clone() for name, value in model.named_buffers()}


def stage1_with_batch_norm(folder):
    """Stage 1 with batch norm, and its buffers before and after the hook."""
    answer = cases.train_stage1(steps=3, norm=dict(type='BN'))
    model = answer['model']
    trained = buffers_of(model)
    BroadcastBuffersHook().before_val_epoch(SimpleNamespace(model=model))
    parameters = {name: value.detach().clone() for name, value in model.named_parameters()}
    return dict(parameters=parameters, trained=trained, same=buffers_of(model))


def masked_l1(folder):
    """MMagic's L1 loss in the holes of this process's samples, over all of them together and one by one."""
    target, mask = cases.photos_of(0)
    share = cases.share_of(get_rank(), get_world_size())
    return {
        sample_wise: MODELS.build(dict(type='L1Loss', sample_wise=sample_wise))(
            torch.zeros_like(target[share]), target[share], weight=mask[share]
        ).item()
        for sample_wise in (False, True)
    }


class Colours(nn.Module):
    """In Inception's place: some features of an image."""

    def forward(self, images):
        image = images.float() / 255
        return (torch.cat((image.mean((2, 3)), image.std((2, 3))), 1),)


class Figures(Hook):
    """Keeps the figures of a test."""

    def after_test_epoch(self, runner, metrics=None):
        self.figures = metrics


def evaluate_seven_images(folder, count=7):
    """The test loop on seven images, with every metric, by a generator of random weights."""
    name = f'test_{count}_{get_world_size()}'
    config = tiny('stage2', folder / name)
    config.test_dataloader.dataset.update(indices=count, crops_per_photo=3)
    config.test_dataloader.batch_size = 2
    weights = folder / f'alexnet_{get_world_size()}_{get_rank()}.pth'
    torch.manual_seed(0)
    torch.save(alexnet(weights=None).state_dict(), weights)
    config.test_evaluator = [dict(type=name) for name in METRICS] + [dict(type='LPIPS', weights=str(weights))]
    if count > 1:
        config.test_evaluator.append(dict(type='InceptionFID', weights=str(weights)))
    with mock.patch.object(feature_metrics, 'load_inception', lambda path: Colours()):
        runner = runner_of(config, name)
        torch.manual_seed(0)
        for parameter in runner.model.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)
        kept = Figures()
        runner.register_hook(kept)
        runner.test()
    feature_metrics.load_lpips.cache_clear()
    return {name: float(value) for name, value in kept.figures.items()}


def batch_norm_config(work_dir):
    """Stage 2 with batch norm, which is validated after its last step."""
    config = tiny('stage2', work_dir)
    norm = dict(type='BN')
    config.model.encdec.encoder.norm_cfg = norm
    config.model.encdec.decoder.norm_cfg = norm
    config.model.encdec.decoder.fusion.norm_cfg = norm
    return config


def train_and_validate_with_batch_norm(folder):
    """Two steps of stage 2 with batch norm and the validation after them."""
    work_dir = folder / 'batch_norm'
    runner = runner_of(batch_norm_config(work_dir), 'batch_norm')
    trained = []

    class BeforeValidation(Hook):
        priority = 'VERY_HIGH'

        def before_val_epoch(self, runner):
            trained.append(buffers_of(runner.model))

    runner.register_hook(BeforeValidation())
    runner.train()
    history = runner.message_hub.log_scalars
    figures = {name: history[f'val/{name}'].current() for name in ('MAE', 'PSNR', 'SSIM', 'HolePSNR')}
    losses = {name: [*log.data[0]] for name, log in history.items() if name.startswith('train/')}
    return dict(trained=trained[0], validated=buffers_of(runner.model), figures=figures, losses=losses)


def train_baseline(folder, path):
    """Two iterations of a smoke variant and its validation: the model's state after them, and what was logged."""
    config = Config.fromfile(path)
    config.work_dir = str(folder / path.stem)
    config.train_dataloader.batch_size = 2
    config.val_dataloader.dataset.crops_per_photo = 1
    config.train_cfg.update(max_iters=2, val_interval=2)
    # both take longer than the iterations
    config.default_hooks.pop('pictures', None)
    config.default_hooks.checkpoint.save_optimizer = False
    runner = runner_of(config, path.stem)
    runner.train()
    scalars = runner.message_hub.log_scalars
    figures = {name: log.data[0].tolist() for name, log in scalars.items() if name.startswith(('train/loss', 'val/'))}
    return dict(state=runner.model.module.state_dict(), figures=figures, work_dir=config.work_dir)


def train_baselines(folder):
    """All smoke variants, one after the other."""
    return {path.stem: train_baseline(folder, path) for path in SMOKE}


def train_by_strategy(folder):
    """Stage 1 by MMEngine's FlexibleRunner, which has strategies in place of model wrappers."""
    config = tiny('stage1', folder / 'strategy')
    config.train_dataloader.batch_size = 2
    config.runner_type = 'FlexibleRunner'
    wrapper = dict(type='MMDistributedDataParallel', broadcast_buffers=False, device_ids=None)
    config.strategy = dict(type='mmengine.DDPStrategy', model_wrapper=wrapper)
    runner = runner_of(config, 'strategy')
    runner.train()
    return runner.model.module.state_dict()


def train_with_seeds_by_rank(folder):
    """Stage 1, each process with a seed of its own."""
    config = tiny('stage1', folder / 'seeds', iters=1)
    config.train_dataloader.batch_size = 2
    config.randomness = dict(seed=0, diff_rank_seed=True)
    runner = runner_of(config, 'seeds')
    runner.train()
    return runner.model.module.state_dict()
