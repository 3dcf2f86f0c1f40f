"""The methods that CAINet is compared with: smoke variants through the Runner, and the configs for Places2."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from conftest import ROOT, find_configs, read_log, train, weights_of, without_vgg_weights
from mmagic.registry import MODELS
from mmagic.structures import DataSample
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader

from cainet_mm.apis import evaluate_method, load_model
from cainet_mm.inference.loading import without_pretrained

BASELINES = ROOT / 'configs' / 'baselines'
SMOKE = sorted((BASELINES / 'smoke').glob('*.py'))
VARIANTS = ('lama_big_', 'lama_large-masks_')
PLACES2 = [path for path in find_configs('baselines', '*_places2-*.py') if not path.name.startswith(VARIANTS)]
CAINET = ROOT / 'configs/cainet/cainet_stage2_4xb8-500k_places2-256x256.py'


def of_each(paths):
    return pytest.mark.parametrize('path', paths, ids=lambda path: path.stem)


# ------------------------------------------------------------------------------------------------------ smoke variants


def cut(path, work_dir, iters):
    """A smoke config cut down to seconds: batches of 2, 1 crop of a photo, each step in the log."""
    config = Config.fromfile(path)
    config.work_dir = str(work_dir)
    config.train_dataloader.batch_size = 2
    for loader in (config.val_dataloader, config.test_dataloader):
        loader.dataset.crops_per_photo = 1
    config.train_cfg.update(max_iters=iters, val_interval=2)
    config.default_hooks.checkpoint.interval = 2  # and the last step's
    config.default_hooks.logger.interval = 1
    # curves take longer than the iterations
    config.default_hooks.pop('pictures', None)
    return config


def is_step(entry):
    return any(name.startswith('loss') for name in entry)


@pytest.fixture
def plain_config_text(monkeypatch):
    """Leaves the text of a config as it is: MMEngine lays it out ten times a run, which takes longer than the steps."""
    monkeypatch.setattr('mmengine.config.config.FormatCode', lambda text, **_: (text, True))


@of_each(SMOKE)
@pytest.mark.usefixtures('plain_config_text')
def test_smoke_variant_trains_validates_resumes_and_is_tested(path, tmp_path):
    train(cut(path, tmp_path, iters=2), f'{path.stem}_interrupted')
    log = read_log(tmp_path)
    steps = [entry for entry in log if is_step(entry)]
    assert [entry['step'] for entry in steps] == [1, 2]
    values = [value for entry in steps for name, value in entry.items() if name.startswith('loss')]
    assert np.isfinite(values).all()
    (validated,) = (entry for entry in log if 'HolePSNR' in entry)
    assert {'MAE', 'PSNR', 'SSIM', 'HolePSNR'} <= validated.keys()

    # the weights that were validated, tested in another process's way: by their file
    config = cut(path, tmp_path, iters=2)
    model = load_model(config, tmp_path / 'iter_2.pth')
    loader = Runner.build_dataloader(config.test_dataloader)
    tested = evaluate_method(model, loader, config.test_evaluator, rounded=False).metrics
    assert tested.keys() == {'MAE', 'PSNR', 'SSIM', 'HolePSNR'}
    assert tested == {name: pytest.approx(validated[name], rel=1e-4) for name in tested}

    config = cut(path, tmp_path, iters=3)
    config.resume = True
    assert train(config, f'{path.stem}_resumed').iter == 3
    assert [entry['step'] for entry in read_log(tmp_path) if is_step(entry)] == [3]
    before, after = weights_of(tmp_path / 'iter_2.pth'), weights_of(tmp_path / 'iter_3.pth')
    assert before.keys() == after.keys()
    for part in {key.partition('.')[0] for key in before}:
        # each network that there is learns; batch norm's statistics alone are no learning
        learned = [key for key in before if key.startswith(f'{part}.') and key.endswith(('weight', 'bias', '_orig'))]
        assert any(not torch.equal(before[key], after[key]) for key in learned), part


# ------------------------------------------------------------------------------------------------------------- Places2


@pytest.fixture(scope='module')
def built():
    """Builds the model of a config at paper size, once."""
    models = {}

    def build(path):
        if path not in models:
            config = Config.fromfile(path).model
            without_vgg_weights(config)
            models[path] = MODELS.build(without_pretrained(config))
        return models[path]

    return build


def test_there_is_a_smoke_variant_of_every_baseline_that_learns():
    assert {path.stem for path in SMOKE} == {path.stem.split('_')[0].replace('-', '_') for path in PLACES2}
    assert {path.stem for path in SMOKE} >= {'pconv', 'deepfillv1', 'deepfillv2', 'global_local', 'aot_gan'}


def local_size_of(config):
    """The window of the local critic, if the model has one."""
    return config.model.get('train_cfg', {}).get('local_size')


@of_each(PLACES2)
class TestPlaces2:
    def test_all_but_the_method_is_cainets(self, path):
        ours, theirs = Config.fromfile(path).to_dict(), Config.fromfile(CAINET).to_dict()
        pipeline = ours['train_dataloader']['dataset']['pipeline']
        ours['train_dataloader']['dataset']['pipeline'] = [step for step in pipeline if step['type'] != 'HoleBox']
        own = {'model', 'model_wrapper_cfg', 'optim_wrapper', 'param_scheduler', 'stage1_checkpoint', '_pipeline'}
        shared = (ours.keys() | theirs.keys()) - own
        assert shared >= {
            'train_dataloader',
            'val_dataloader',
            'test_dataloader',
            'val_evaluator',
            'test_evaluator',
            'val_cfg',
            'test_cfg',
            'test_masks',
            'image_size',
            'train_cfg',
            'auto_scale_lr',
            'default_hooks',
        }
        assert {key: ours.get(key) for key in shared} == {key: theirs.get(key) for key in shared}
        assert theirs['train_cfg']['max_iters'] == 500_000
        assert theirs['train_cfg']['val_interval'] == 10_000

    def test_models_with_a_local_critic_get_its_window_last_in_training_and_the_others_none(self, path):
        config = Config.fromfile(path)
        local_size = local_size_of(config)
        types = [step.type for step in config.train_dataloader.dataset.pipeline]
        assert types.count('HoleBox') == (local_size is not None)
        if local_size is not None:
            *_, window, last = config.train_dataloader.dataset.pipeline
            assert (window.type, last.type) == ('HoleBox', 'PackInputs')
            assert tuple(window.size) == tuple(local_size) == (128, 128)
        for loader in (config.val_dataloader, config.test_dataloader):
            assert 'HoleBox' not in {step.type for step in loader.dataset.pipeline}

    def test_images_are_rgb_from_minus_one_to_one(self, path, built):
        photo = torch.randint(0, 256, (3, 8, 8)).float()
        mask = torch.zeros(1, 8, 8)
        metainfo = dict(gt_channel_order='BGR', gt_color_type='color')
        sample = DataSample(gt_img=photo.clone(), mask=mask, metainfo=metainfo)
        preprocessor = deepcopy(built(path).data_preprocessor)
        data = preprocessor(dict(inputs=[photo.clone()], data_samples=[sample]), training=True)
        expected = (photo.flip(0) / 127.5 - 1)[None]
        torch.testing.assert_close(data['inputs'], expected)
        torch.testing.assert_close(data['data_samples'].gt_img, expected)
        assert preprocessor.output_channel_order == 'RGB'

    def test_critics_take_the_sizes_that_the_config_gives_them(self, path, built):
        config = Config.fromfile(path)
        if config.model.get('disc') is None:
            pytest.skip('has no critic')
        critic = deepcopy(built(path).disc).to('meta')
        channels = 3 + config.model.get('disc_input_with_mask', False)
        images = torch.empty(2, channels, *config.image_size, device='meta')
        local_size = local_size_of(config)
        if local_size is not None:
            images = images, torch.empty(2, channels, *local_size, device='meta')
        scores = critic(images)
        for score in scores if isinstance(scores, tuple) else (scores,):
            assert len(score) == 2, 'one score, or one map of scores, for each image'

    def test_inference_asks_for_no_weights_of_a_perceptual_loss(self, path, monkeypatch):
        def refuse(source, *args, **kwargs):
            raise AssertionError(f'{source} was asked for')

        monkeypatch.setattr(CheckpointLoader, 'load_checkpoint', refuse)
        assert not load_model(path).training

    def test_every_perceptual_loss_reads_weights_that_one_can_name(self, path):
        def types(config):
            for value in config.values():
                if isinstance(value, dict):
                    yield value.get('type')
                    yield from types(value)

        assert 'PerceptualLoss' not in set(types(Config.fromfile(path).model))


def without_scopes(config):
    """A config without the notes in it that say which package a part was inherited from."""
    return {
        key: without_scopes(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if key != '_scope_'
    }


@pytest.mark.parametrize(
    ('name', 'original', 'own'),
    [
        ('aot-gan', 'aot_gan/aot-gan_smpgan_4xb4_places-512x512', {}),
        ('pconv_stage1', 'partial_conv/pconv_stage1_8xb12_places-256x256', dict(disc_step=0)),
        ('deepfillv1', 'deepfillv1/deepfillv1_8xb2_places-256x256', {}),
        ('deepfillv2', 'deepfillv2/deepfillv2_8xb2_places-256x256', {}),
        (
            'global-local',
            'global_local/gl_8xb12_places-256x256',
            dict(disc_step=1, start_iter=0, iter_tc=-1, iter_td=-1, local_size=(128, 128)),
        ),
    ],
)
def test_method_is_mmagics_but_for_the_channel_order_and_the_type_of_the_perceptual_loss(name, original, own):
    ours = Config.fromfile(BASELINES / f'{name}_4xb8-500k_places2-256x256.py')
    theirs = get_config(f'mmagic::{original}.py')
    model, expected = without_scopes(ours.model), without_scopes(theirs.model)
    if 'loss_composed_percep' in expected:
        assert model['loss_composed_percep'].pop('type') == 'VGGPerceptualLoss'
        assert expected['loss_composed_percep'].pop('type') == 'PerceptualLoss'
    for config in (model, expected):
        del config['data_preprocessor']
    if own:
        expected['train_cfg'] = own
    assert model == expected
    assert without_scopes(ours.optim_wrapper) == without_scopes(theirs.optim_wrapper)


def test_pconvs_encoder_learns_its_batch_norm(built):
    encoder = built(BASELINES / 'pconv_stage1_4xb8-500k_places2-256x256.py').generator.encoder
    encoder.train()
    norms = [module for module in encoder.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    assert norms
    assert all(norm.training and norm.weight.requires_grad for norm in norms)


@pytest.mark.parametrize(('name', 'iters'), [('500k', 500_000), ('200k', 200_000)])
def test_cainets_schedules_are_the_length_that_all_share_and_its_own_rates(name, iters):
    length = Config.fromfile(ROOT / f'configs/_base_/schedules/iterations_{name}.py').to_dict()
    assert length == dict(
        train_cfg=dict(type='ResumableTrainLoop', max_iters=iters, val_interval=10_000),
        auto_scale_lr=dict(enable=False, base_batch_size=32),
    )
    schedule = Config.fromfile(ROOT / f'configs/_base_/schedules/adam_wgan_{name}.py').to_dict()
    optimizers = schedule.pop('optim_wrapper')
    assert schedule == length
    assert optimizers['constructor'] == 'MultiOptimWrapperConstructor'
    assert optimizers['generator']['optimizer'] == dict(type='Adam', lr=1e-4, betas=(0.9, 0.999))
    assert optimizers['disc']['optimizer'] == dict(type='Adam', lr=1e-4, betas=(0.5, 0.9))
