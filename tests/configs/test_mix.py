"""Parts in other people's configs, theirs in ours: each recipe is trained, saved, loaded and asked."""

import os
import subprocess

import cv2
import mmpretrain
import numpy as np
import pytest
import torch
import warm
from conftest import ROOT, tiny
from mmagic.apis import MMagicInferencer, init_model
from mmagic.registry import MODELS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from cainet_mm.apis import describe_complexity, load_model

MIX = ROOT / 'configs' / 'mix'
PRE_TRAINING = ['moco_aot_gan', 'moco_deepfill', 'moco_pconv', 'moco_resnet50', 'moco_swin']
GOES_ON = {
    'aot_gan_from_moco': 'moco_aot_gan',
    'deepfillv2_from_moco': 'moco_deepfill',
    'pconv_from_moco': 'moco_pconv',
}
RECIPES = [
    'aot_gan_daf',
    'cainet_on_aot_gan',
    'deepfillv2_daf',
    'global_local_daf',
    'pconv_daf',
    'cainet_fourier_encoder',
    'cainet_lama_critic',
    'cainet_multi_layer_critic',
    'cainet_patch_critic',
    'deepfillv1_sample_penalty',
    'deepfillv2_cainet_losses',
    'global_local_cainet_critic',
    'lama_daf',
    'one_stage_cainet_losses',
    'pure_python',
]


def test_every_recipe_is_tried():
    tried = {*PRE_TRAINING, *GOES_ON, *RECIPES, 'linear_probe', 'pure_python_model'}
    assert tried == {path.stem for path in MIX.glob('*.py')}


def shortened(name, work_dir, batch_size=2):
    """A recipe as its config says, for two iterations."""
    config = Config.fromfile(MIX / f'{name}.py')
    config.work_dir = str(work_dir)
    config.experiment_name = f'{name}_{work_dir.name}'
    config.train_dataloader.batch_size = batch_size
    config.train_cfg.max_iters = 2
    if 'val_interval' in config.train_cfg:
        config.train_cfg.val_interval = 2
        config.val_dataloader.dataset.crops_per_photo = 1
    # the state of Adam is twice as large as a network, and takes as long to write as to train
    config.default_hooks.checkpoint.update(interval=2, save_optimizer=False)
    config.default_hooks.logger.interval = 1
    # curves take longer than the iterations
    config.default_hooks.pop('pictures', None)
    return config


def train(config, *hooks):
    runner = Runner.from_cfg(config)
    for hook in hooks:
        runner.register_hook(hook)
    runner.train()
    return runner


class Start(Hook):
    """Keeps the weights before the first iteration."""

    def before_train(self, runner):
        self.weights = {key: value.clone() for key, value in runner.model.state_dict().items()}


def predictions(model, config):
    samples = []
    for batch in Runner.build_dataloader(config.val_dataloader):
        samples += model.test_step(batch)
    return torch.stack([sample.output.fake_res for sample in samples])


@pytest.fixture(scope='module')
def pre_trained(tmp_path_factory):
    """Checkpoints of two iterations of contrastive pre-training, by the name of the recipe."""
    made = {}

    def get(name):
        if name not in made:
            work_dir = tmp_path_factory.mktemp(name)
            model = train(shortened(name, work_dir, batch_size=4)).model
            made[name] = model, work_dir / 'iter_2.pth'
        return made[name]

    return get


class TestPreTraining:
    @pytest.mark.parametrize('name', PRE_TRAINING)
    def test_encoder_learns_and_its_checkpoint_loads(self, name, pre_trained):
        model, checkpoint = pre_trained(name)
        torch.manual_seed(3)
        fresh = load_model(MIX / f'{name}.py')
        start = {key: value.clone() for key, value in fresh.backbone.state_dict().items()}
        loaded = load_model(MIX / f'{name}.py', checkpoint)
        view = torch.rand(2, 4, 64, 64)
        with torch.no_grad():
            ours, theirs = (each.eval().backbone(view)[-1] for each in (model, loaded))
        assert torch.equal(ours, theirs)
        assert any(not torch.equal(start[key], value) for key, value in loaded.backbone.state_dict().items())
        assert loaded.queue_ptr.item() == 8

    @pytest.mark.parametrize('name', GOES_ON)
    def test_inpaintor_starts_from_the_weights_bit_for_bit_and_trains(self, name, pre_trained, tmp_path):
        encoder, checkpoint = pre_trained(GOES_ON[name])
        config = shortened(name, tmp_path)
        (hook,) = config.custom_hooks
        hook.checkpoint = str(checkpoint)
        started = {}

        class Look(HOOKS.get('LoadPartHook')):
            def before_train_iter(self, runner, *args, **kwargs):
                if runner.iter == 0:
                    part = runner.model.get_submodule(self.part)
                    started.update({key: value.clone() for key, value in part.state_dict().items()})

        HOOKS.register_module(name='Look', force=True, module=Look)
        hook.type = 'Look'
        train(config)
        saved = encoder.backbone.encoder.state_dict()
        assert started.keys() == saved.keys()
        assert all(torch.equal(started[key], saved[key]) for key in saved)
        after = load_model(MIX / f'{name}.py', tmp_path / 'iter_2.pth').get_submodule(hook.part).state_dict()
        assert any(not torch.equal(after[key], saved[key]) for key in saved)

    def test_resumed_run_keeps_its_own_weights(self, pre_trained, tmp_path):
        config = shortened('aot_gan_from_moco', tmp_path)
        config.custom_hooks[0].checkpoint = str(pre_trained('moco_aot_gan')[1])
        train(config)
        trained = load_model(MIX / 'aot_gan_from_moco.py', tmp_path / 'iter_2.pth').generator.encoder.state_dict()
        config = shortened('aot_gan_from_moco', tmp_path)
        config.custom_hooks[0].checkpoint = 'gone.pth'
        config.update(resume=True, experiment_name='resumed')
        config.train_cfg.max_iters = 3
        config.optim_wrapper.generator.optimizer.lr = 0.0
        config.pop('param_scheduler')
        runner = Runner.from_cfg(config)
        runner.train()
        assert runner.iter == 3
        assert trained.keys() == runner.model.generator.encoder.state_dict().keys()


class TestViewEncoder:
    def build(self, **kwargs):
        return MODELS.build(dict(type='ViewEncoder', **kwargs)).eval()

    @pytest.mark.parametrize(
        ('form', 'encoder', 'given'),
        [
            ('view', dict(type='DeepFillEncoder'), 5),
            ('view_with_ones', dict(type='AOTEncoder'), 4),
            ('pair', dict(type='AOTEncoder'), 4),
            ('view', dict(type='mmpretrain.ResNet', depth=18), 3),
        ],
    )
    def test_stem_of_other_channels_is_refused_when_it_is_built(self, form, encoder, given):
        with pytest.raises(ValueError, match=rf'first convolution of \w+ takes {given}\. Set its in_channels'):
            self.build(form=form, encoder=encoder)

    def test_unknown_form_is_refused(self):
        with pytest.raises(ValueError, match="forms view, view_with_ones, pair, got 'image'"):
            self.build(form='image', encoder=dict(type='AOTEncoder'))

    def test_encoder_sees_what_its_inpaintor_hands_over(self):
        """The encoders' inputs, against the code of MMagic's inpaintors."""
        view = torch.rand(2, 4, 32, 32) * 2 - 1
        view[:, 3] = (view[:, 3] > 0).float()
        view[:, :3] *= 1 - view[:, 3:]
        image, mask = view[:, :3], view[:, 3:]
        expected = dict(
            aot=(dict(hole_value=1.0), dict(type='AOTEncoder'), (torch.cat((image + mask, mask), 1),)),
            deepfill=(
                dict(form='view_with_ones'),
                dict(type='DeepFillEncoder'),
                (torch.cat((image, torch.ones_like(mask), mask), 1),),
            ),
            pconv=(dict(form='pair'), dict(type='PConvEncoder'), (image, 1 - mask.expand(-1, 3, -1, -1))),
        )
        for options, encoder, inputs in expected.values():
            backbone = self.build(encoder=encoder, **options)
            seen = []
            backbone.encoder.register_forward_pre_hook(lambda module, args, seen=seen: seen.extend(args))
            with torch.no_grad():
                (feature,) = backbone(view)
                direct = backbone.encoder(*inputs)
            assert all(torch.equal(one, other) for one, other in zip(seen, inputs, strict=False))
            assert torch.equal(feature, direct['out'] if isinstance(direct, dict) else direct)


class TestRecipes:
    @pytest.mark.parametrize('name', RECIPES)
    def test_recipe_trains_saves_loads_and_answers(self, name, tmp_path):
        config = shortened(name, tmp_path)
        start = Start()
        runner = train(config, start)
        trained = runner.model.state_dict()
        # PConv has no critic
        for part in ('generator.', *(['disc.'] if runner.model.with_gan else [])):
            assert any(
                not torch.equal(start.weights[key], value) for key, value in trained.items() if key.startswith(part)
            )
        loaded = load_model(config, tmp_path / 'iter_2.pth')
        with torch.no_grad():
            answers = [predictions(model.eval(), config) for model in (runner.model, loaded)]
        # of 255; some recipes train in another memory layout, which rounds otherwise
        torch.testing.assert_close(*answers, rtol=0, atol=0.05)
        assert answers[0].isfinite().all()

    def test_texture_loss_as_a_pair_is_that_of_names(self):
        torch.manual_seed(0)
        images = torch.rand(2, 1, 3, 16, 16)
        named, paired = (
            MODELS.build(dict(type='TextureLoss', vgg=None, as_pair=as_pair))(*images) for as_pair in (False, True)
        )
        assert torch.equal(torch.stack(paired), torch.stack((named['perceptual'], named['style'])))

    def test_one_image_is_brought_to_the_scales(self):
        """The loss of MMagic's call against scales that are computed here."""
        torch.manual_seed(0)
        output, target = torch.rand(2, 2, 3, 20, 14, dtype=torch.float64)
        mask = (torch.rand(2, 1, 20, 14) > 0.8).double()
        loss = MODELS.build(
            dict(
                type='MultiScaleLoss',
                scales=(1, 3),
                takes=('output', 'target', 'mask'),
                loss=dict(type='L1Loss', loss_weight=2.0),
            )
        )
        expected = 0
        for size in ((20, 14), (5, 4)):
            ours, true = (nn.functional.adaptive_avg_pool2d(image, size) for image in (output, target))
            hole = nn.functional.adaptive_max_pool2d(mask, size).expand_as(ours)
            expected += 2 * (ours - true).abs()[hole > 0].mean() / 2
        torch.testing.assert_close(loss(output, target, weight=mask), expected, rtol=1e-6, atol=0)

    @pytest.mark.parametrize(
        ('takes', 'given', 'absent'),
        [(('output', 'mask'), dict(), 'mask'), (('composed', 'target'), dict(mask=None), 'target and mask')],
    )
    def test_place_that_does_not_give_what_the_loss_takes_is_refused(self, takes, given, absent):
        loss = MODELS.build(dict(type='MultiScaleLoss', scales=(1,), takes=takes, loss=dict(type='L1Loss')))
        with pytest.raises(ValueError, match=f'was called without {absent}. Set takes'):
            loss(torch.rand(1, 3, 8, 8), **given)

    def test_each_critic_of_the_pair_sees_its_image(self):
        critic = dict(type='CAINetCritic', widths=(4,), kernel_size=3)
        pair = MODELS.build(dict(type='GlobalLocalCritic', global_critic=critic, local_critic=critic))
        image, window = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 8, 8)
        expected = torch.cat((pair.global_critic(image), pair.local_critic(window)), dim=1)
        assert torch.equal(pair((image, window)), expected)


@pytest.mark.slow
class TestLinearProbe:
    @pytest.fixture
    def probe(self, tmp_path):
        """Photographs of two colours, a folder each, and a stage 1 of two steps."""
        for split in ('train', 'val'):
            for number, colour in enumerate(((200, 40, 40), (40, 40, 200))):
                folder = tmp_path / 'data' / split / f'class_{number}'
                folder.mkdir(parents=True)
                for index in range(4):
                    noise = np.random.default_rng(index).integers(-30, 30, (48, 48, 3))
                    image = (np.array(colour) + noise).clip(0, 255).astype(np.uint8)
                    cv2.imwrite(str(folder / f'{index}.png'), image)
        stage1 = tiny('stage1', tmp_path / 'stage1')
        train(stage1)
        config = Config.fromfile(MIX / 'linear_probe.py')
        config.model.backbone.update(widths=(8,) * 6, kernels=(3,) * 6, out_indices=(5,))
        config.model.backbone.norm_cfg = stage1.model.backbone.norm_cfg
        config.model.backbone.init_cfg.checkpoint = str(tmp_path / 'stage1' / 'iter_2.pth')
        config.model.head.update(in_channels=8, num_classes=2)
        for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
            loader.update(batch_size=4, num_workers=0, persistent_workers=False)
            loader.dataset.data_root = str(tmp_path / 'data')
        config.train_cfg.max_epochs = 2
        config.default_hooks.checkpoint.interval = 2
        config.dump(tmp_path / 'probe.py')
        return tmp_path

    def test_mmpretrains_tools_train_it_and_the_encoder_stays_as_it_was(self, probe):
        tool = os.path.join(os.path.dirname(mmpretrain.__file__), '.mim', 'tools', 'train.py')
        # MMPretrain imports only once this package has been imported
        start = (
            "import sys, runpy, cainet_mm; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
        )
        done = subprocess.run(
            [warm.python(), '-c', start, tool, str(probe / 'probe.py'), '--work-dir', str(probe / 'work')],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert 'accuracy/top1' in done.stdout + done.stderr
        trained, before = (
            CheckpointLoader.load_checkpoint(str(probe / path), map_location='cpu')['state_dict']
            for path in ('work/epoch_2.pth', 'stage1/iter_2.pth')
        )
        encoder = [key for key in trained if key.startswith('backbone.')]
        assert encoder
        assert all(torch.equal(trained[key], before[key]) for key in encoder)


class TestDoors:
    @pytest.fixture
    def trained(self, tmp_path):
        """A config file and a checkpoint of a tiny CAINet."""
        config = tiny('stage2', tmp_path)
        train(config)
        config.dump(tmp_path / 'tiny.py')
        return str(tmp_path / 'tiny.py'), str(tmp_path / 'iter_2.pth')

    def test_mmagics_apis_run_it(self, trained, tmp_path):
        photo = np.random.default_rng(0).integers(0, 256, (40, 52, 3), np.uint8)
        hole = np.zeros((40, 52), np.uint8)
        hole[10:20, 12:30] = 255
        paths = [str(tmp_path / name) for name in ('photo.png', 'mask.png', 'out.png')]
        cv2.imwrite(paths[0], photo)
        cv2.imwrite(paths[1], hole)
        # the name stands for the task; config and checkpoint are those that are given
        inferencer = MMagicInferencer('global_local', model_config=trained[0], model_ckpt=trained[1], device='cpu')
        inferencer.infer(img=paths[0], mask=paths[1], result_out_dir=paths[2])
        answer = cv2.imread(paths[2])
        assert np.array_equal(answer[hole == 0], photo[hole == 0])
        assert not np.array_equal(answer[hole > 0], photo[hole > 0])

        model = init_model(*trained, device='cpu')
        ours = load_model(*trained).state_dict()
        assert all(torch.equal(value, ours[key]) for key, value in model.state_dict().items())

    def test_moving_average_is_kept_by_mmengines_hook_and_loads(self, tmp_path):
        config = tiny('stage2', tmp_path)
        config.custom_hooks = [dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.5)]
        runner = train(config)
        checkpoint = CheckpointLoader.load_checkpoint(str(tmp_path / 'iter_2.pth'), map_location='cpu')
        averaged = load_model(config, tmp_path / 'iter_2.pth').state_dict()
        plain = runner.model.state_dict()
        moved = [key for key, value in plain.items() if not torch.equal(value, averaged[key])]
        assert 'ema_state_dict' in checkpoint and moved

    def test_tensorboard_is_a_line_of_the_config(self, tmp_path):
        pytest.importorskip('tensorboard', reason='tensorboard is optional')
        config = tiny('stage2', tmp_path)
        config.visualizer.vis_backends = [dict(type='TensorboardVisBackend')]
        train(config)
        assert list(tmp_path.rglob('events.out.tfevents.*'))

    @pytest.mark.parametrize(
        'path', sorted((ROOT / 'configs/baselines/smoke').glob('*.py')), ids=lambda path: path.stem
    )
    def test_operations_of_every_baseline_are_counted(self, path):
        counted = describe_complexity(load_model(path), (64, 64))
        assert counted['flops'] > 1e6 and counted['params'] > 1e4

    def test_operations_are_those_of_the_encoder_in_stage_1(self):
        """A convolution of k x k with c inputs and outputs of d x h x w takes k k c d h w multiply-adds."""
        config = Config.fromfile(ROOT / 'configs/quickstart/stage1.py')
        config.model.backbone.update(widths=(8, 16), kernels=(3, 3), norm_cfg=None, act_cfg=None)
        counted = describe_complexity(load_model(config), (32, 32))
        assert counted['flops'] == 9 * 4 * 8 * 16 * 16 + 9 * 8 * 16 * 8 * 8
