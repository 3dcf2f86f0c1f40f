"""The paper's numbers, read off the objects that the configs build."""

import re

import numpy as np
import pytest
import torch
from conftest import ROOT, find_configs, without_vgg_weights
from mmagic.models.losses import GANLoss
from mmagic.registry import MODELS
from mmcv.transforms import Compose
from mmengine.config import Config, DictAction
from mmengine.dataset import InfiniteSampler
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image
from torch import nn

from cainet_mm.datasets.preparation import LAYOUTS, prepare
from cainet_mm.inference.loading import without_pretrained
from cainet_mm.models.critics import CAINetCritic
from cainet_mm.models.fusions import DualAttentionFusion, ImageHead
from cainet_mm.models.losses import SampleGradientPenalty
from cainet_mm.models.pyramids import build_pyramid

FOLDER = ROOT / 'configs' / 'cainet'
STAGE1 = FOLDER / 'cainet_stage1_4xb32-2000k_imagenet-256x256.py'
PLACES2 = FOLDER / 'cainet_stage2_4xb8-500k_places2-256x256.py'
STAGE2 = {
    'places2': PLACES2,
    'celeba-hq': FOLDER / 'cainet_stage2_4xb8-200k_celeba-hq-256x256.py',
    'paris-streetview': FOLDER / 'cainet_stage2_4xb8-200k_paris-streetview-256x256.py',
    'imagenet': FOLDER / 'cainet_stage2_4xb8-500k_imagenet-256x256.py',
}
ABLATIONS = FOLDER / 'ablations'
TRAINED = (STAGE1, *STAGE2.values(), *find_configs('cainet/ablations'))


def load(path):
    config = Config.fromfile(path)
    without_vgg_weights(config.model)
    return config


def build_model(path):
    init_default_scope('mmagic')
    return MODELS.build(without_pretrained(load(path).model))


@pytest.fixture(scope='module')
def stage1():
    return build_model(STAGE1)


@pytest.fixture(scope='module')
def stage2():
    return build_model(PLACES2).eval()


@pytest.fixture(scope='module')
def outputs(stage2):
    with torch.no_grad():
        return stage2.generator(torch.zeros(1, 4, 256, 256))


def differences(ours, theirs, path=''):
    """The keys at which two configs differ, with both values."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        found = {}
        for key in {*ours, *theirs}:
            found |= differences(ours.get(key), theirs.get(key), f'{path}.{key}' if path else key)
        return found
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        found = {}
        for index, pair in enumerate(zip(ours, theirs, strict=True)):
            found |= differences(*pair, f'{path}.{index}')
        return found
    return {} if ours == theirs else {path: (ours, theirs)}


def is_rectangle(mask):
    rows, columns = np.nonzero(mask[..., 0])
    return mask.sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)


class TestStage1:
    def test_temperature(self, stage1):
        positive, negative = torch.tensor([[0.7]]), torch.tensor([[0.1, -0.2, 0.3]])
        logits = torch.cat((positive, negative), 1).double() / 0.07
        expected = -logits.log_softmax(1)[0, 0].item()
        assert stage1.head.loss(positive, negative).item() == pytest.approx(expected, rel=1e-4)

    def test_queue(self, stage1):
        assert (stage1.queue_len, *stage1.queue.shape) == (65536, 128, 65536)

    def test_the_key_encoder_keeps_nine_tenths_of_itself(self):
        config = load(STAGE1)
        config.model.backbone.widths = (8,) * 8
        config.model.neck.in_channels = 8
        model = MODELS.build(config.model)
        for parameter in (*model.backbone.parameters(), *model.neck.parameters()):
            nn.init.zeros_(parameter)
        for parameter in model.encoder_k.parameters():
            nn.init.ones_(parameter)
        model.encoder_k.steps.fill_(1)  # at step 0 it starts as a copy
        with torch.no_grad():
            model.loss([torch.zeros(2, 4, 256, 256)] * 2, [])
        for parameter in model.encoder_k.parameters():
            assert torch.allclose(parameter, torch.tensor(0.9))

    def test_projection_is_pooling_and_one_linear_layer(self, stage1):
        feature = torch.randn(2, 512, 3, 3)
        linear = [module for module in stage1.neck.modules() if isinstance(module, nn.Linear)]
        assert [(layer.in_features, layer.out_features) for layer in linear] == [(512, 128)]
        assert torch.allclose(stage1.neck((feature,))[0], linear[0](feature.mean((2, 3))), atol=1e-5)

    def test_sgd(self, stage1):
        optimizer = build_optim_wrapper(stage1, load(STAGE1).optim_wrapper).optimizer
        assert isinstance(optimizer, torch.optim.SGD)
        assert {group['lr'] for group in optimizer.param_groups} == {0.015}
        trained = {id(parameter) for group in optimizer.param_groups for parameter in group['params']}
        assert {id(parameter) for parameter in stage1.backbone.parameters()} <= trained

    def test_the_global_batch_divides_the_queue(self):
        config = load(STAGE1)
        assert config.model.queue_len % config.auto_scale_lr.base_batch_size == 0


class TestStage2Losses:
    @pytest.fixture
    def off_by_one(self, outputs):
        """Outputs of 1 at every scale, where the truth is 0."""
        sizes = [output.shape[-2:] for output in outputs]
        pyramid = build_pyramid(torch.zeros(1, 3, 256, 256), torch.ones(1, 1, 256, 256), sizes)
        return [torch.ones_like(output) for output in outputs], pyramid

    def test_structure_scales_and_weight(self, stage2, off_by_one):
        assert stage2.losses['rec'].scales == (1, 2, 3, 4, 5, 6)
        assert stage2.losses['rec'](*off_by_one).item() == pytest.approx(6)

    def test_texture_scales_and_weights(self, stage2):
        texture = stage2.losses['texture']
        assert texture.scales == (1, 2, 3)
        assert (texture.loss.perceptual_weight, texture.loss.style_weight) == (0.1, 240)

    def test_vgg_layers_are_the_first_three_poolings(self, stage2):
        (network,) = stage2.losses['texture'].loss._network
        kinds = [[type(layer) for layer in block] for block in network.blocks]
        assert all(block[-1] is nn.MaxPool2d and block.count(nn.MaxPool2d) == 1 for block in kinds)
        assert [block.count(nn.Conv2d) for block in kinds] == [2, 2, 3]
        with torch.no_grad():
            shapes = [tuple(feature.shape[1:]) for feature in network(torch.zeros(1, 3, 32, 32))]
        assert shapes == [(64, 16, 16), (128, 8, 8), (256, 4, 4)]

    def test_total_variation_scales_and_weight(self, stage2, off_by_one):
        assert stage2.losses['tv'].scales == (1, 2, 3)
        images, pyramid = off_by_one
        # the left half 0, the right half 1: one step of 1 in each row
        halves = [torch.cat((torch.zeros_like(i[..., ::2]), torch.ones_like(i[..., ::2])), -1) for i in images]
        expected = 0.1 * np.mean([1 / image.shape[-1] for image in halves[:3]])
        assert stage2.losses['tv'](halves, pyramid).item() == pytest.approx(expected)

    def test_no_other_loss(self, stage2):
        assert stage2.losses.keys() == {'rec', 'texture', 'tv'}

    def test_adversarial_scales_and_weight(self, stage2):
        assert isinstance(stage2.disc, CAINetCritic)
        assert isinstance(stage2.loss_gan, GANLoss)
        assert stage2.critic_scales == (1, 2, 3)
        scores = torch.tensor([[2.0], [4.0]])
        assert stage2.loss_gan(scores, True, is_disc=False).item() == pytest.approx(-0.001 * 3)
        assert stage2.loss_gan(scores, True, is_disc=True).item() == pytest.approx(-3)
        assert stage2.loss_gan(scores, False, is_disc=True).item() == pytest.approx(3)

    def test_gradient_penalty(self, stage2):
        assert isinstance(stage2.loss_gp, SampleGradientPenalty)
        images = torch.rand(2, 3, 4, 4)
        # a critic without slope misses the norm of 1 by 1
        assert stage2.loss_gp(lambda image: 0 * image.sum((1, 2, 3)), images, images).item() == pytest.approx(10)


class TestStage2Network:
    def test_six_images_from_full_size_down(self, outputs):
        assert [tuple(image.shape) for image in outputs] == [(1, 3, 256 >> k, 256 >> k) for k in range(6)]

    def test_every_scale_has_a_dual_attention_fusion(self, stage2):
        fusions = stage2.generator.decoder.fusions
        assert len(fusions) == 6
        assert all(isinstance(fusion, DualAttentionFusion) for fusion in fusions)

    def test_a_is_three_3x3_convolutions_on_both_images(self, stage2):
        for fusion in stage2.generator.decoder.fusions:
            layers = [module for module in fusion.attend.modules() if isinstance(module, nn.Conv2d)]
            assert [layer.kernel_size for layer in layers] == [(3, 3)] * 3
            assert (layers[0].in_channels, layers[-1].out_channels) == (6, 3)

    def test_the_gate_sees_a_feature_by_its_means(self, stage2):
        attention = stage2.generator.decoder.fusions[2].channel_attention
        reduced = attention.squeeze.out_channels
        assert reduced < attention.squeeze.in_channels == attention.excite.out_channels
        assert attention.squeeze.kernel_size == attention.excite.kernel_size == (1, 1)
        feature = torch.rand(1, attention.squeeze.in_channels, 4, 4) + 0.5
        descriptor = feature.double().mean((2, 3))
        down, up = (layer.weight.double()[..., 0, 0] for layer in (attention.squeeze, attention.excite))
        hidden = (descriptor @ down.T + attention.squeeze.bias).relu()
        gate = (hidden @ up.T + attention.excite.bias).sigmoid()
        assert torch.allclose(attention(feature).double(), feature * gate[..., None, None], atol=1e-5)

    def test_stage_1_trains_this_very_encoder(self, stage1, stage2):
        shapes = [
            {key: tuple(value.shape) for key, value in encoder.state_dict().items()}
            for encoder in (stage1.backbone, stage2.generator.encoder)
        ]
        assert shapes[0] == shapes[1]

    def test_adam_for_generator_and_critic(self, stage2):
        wrappers = build_optim_wrapper(stage2, load(PLACES2).optim_wrapper)
        assert isinstance(wrappers, OptimWrapperDict)
        for name, module in (('generator', stage2.generator), ('disc', stage2.disc)):
            optimizer = wrappers[name].optimizer
            assert isinstance(optimizer, torch.optim.Adam)
            assert {group['lr'] for group in optimizer.param_groups} == {1e-4}
            trained = {id(parameter) for group in optimizer.param_groups for parameter in group['params']}
            assert trained == {id(parameter) for parameter in module.parameters()}


def test_every_data_set_trains_the_same_model():
    models = [load(path).model for path in STAGE2.values()]
    assert all(differences(model, models[0]) == {} for model in models)
    encoder = models[0].encdec.encoder
    stage1 = load(STAGE1)
    assert stage1.train_cfg.max_iters == 2_000_000
    assert encoder.init_cfg == dict(
        type='Pretrained', checkpoint=f'{stage1.work_dir}/iter_2000000.pth', prefix='backbone.'
    )


class TestData:
    """The data sets of the configs, on pictures laid out as they are distributed and prepared by the tool."""

    @pytest.fixture(params=STAGE2)
    def root(self, request, tmp_path):
        source = LAYOUTS[request.param]
        random = np.random.default_rng(0)
        for part in source.parts:
            folder = tmp_path / part.folders[0] / 'some_class'
            folder.mkdir(parents=True)
            for number, size in enumerate([(300, 280, 3), (256, 256, 3), (400, 536, 3)]):
                Image.fromarray(random.integers(0, 256, size, np.uint8)).save(folder / f'picture {number}.png')
        prepare(source, tmp_path, num_test=1, any_number=True)
        self.name = request.param
        return str(tmp_path)

    def datasets(self, config, root):
        for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            if name in config:
                config[name].dataset.data_root = root
                yield DATASETS.build(config[name].dataset)

    def test_stage_2_gets_256x256_pictures_and_masks(self, root):
        for dataset in self.datasets(load(STAGE2[self.name]), root):
            for index in range(len(dataset)):
                packed = dataset[index]
                sample = packed['data_samples']
                assert packed['inputs'].shape == sample.gt_img.shape == (3, 256, 256)
                assert sample.mask.shape == (1, 256, 256)
                assert set(sample.mask.unique().tolist()) == {0, 1}

    @pytest.mark.parametrize('root', ['imagenet'], indirect=True)
    def test_stage_1_gets_256x256_pictures_under_two_masks(self, root):
        (dataset,) = self.datasets(load(STAGE1), root)
        packed = dataset[0]
        assert packed['inputs'].shape == (3, 256, 256)
        masks = packed['data_samples'].mask_q, packed['data_samples'].mask_k
        assert all(mask.shape == (1, 256, 256) for mask in masks)
        assert (masks[0] != masks[1]).any()

    def test_test_pictures_and_masks_are_the_same_every_time(self, root):
        *_, dataset = self.datasets(load(STAGE2[self.name]), root)
        first, second = dataset[0], dataset[0]
        assert (first['inputs'] == second['inputs']).all()

    @pytest.mark.parametrize('root', ['places2'], indirect=True)
    @pytest.mark.parametrize('kind', ['rectangular', 'irregular'])
    def test_each_half_of_table_1_has_its_kind_of_mask(self, root, kind):
        config = load(FOLDER / 'evaluation' / f'places2_{kind}.py')
        *_, dataset = self.datasets(config, root)
        masks = [dataset[index]['data_samples'].mask.permute(1, 2, 0).numpy() for index in range(len(dataset))]
        assert all(is_rectangle(mask) == (kind == 'rectangular') for mask in masks)

    def test_the_lists_and_folders_are_those_of_the_tool(self, root):
        config = load(STAGE2[self.name])
        assert config.train_dataloader.dataset.ann_file == 'lists/train.txt'
        assert config.test_dataloader.dataset.ann_file == config.val_dataloader.dataset.ann_file == 'lists/test.txt'


@pytest.fixture(scope='module')
def masks():
    init_default_scope('mmagic')
    draw = Compose([load(PLACES2).draw_mask])
    np.random.seed(0)
    return [draw({})['mask'] for _ in range(400)]


class TestMasks:
    def test_full_size_zeros_and_ones(self, masks):
        assert all(mask.shape == (256, 256, 1) and set(np.unique(mask)) == {0, 1} for mask in masks)

    def test_both_kinds_half_and_half(self, masks):
        # 0.1 is four standard deviations
        assert np.mean([is_rectangle(mask) for mask in masks]) == pytest.approx(0.5, abs=0.1)

    @pytest.mark.parametrize('name', ['draw_query_mask', 'draw_key_mask'])
    def test_stage_1_draws_from_the_same_mixture(self, name):
        assert load(STAGE1)[name].transforms == load(PLACES2).draw_mask.transforms

    def test_the_pipelines_draw_from_the_mixture(self):
        assert load(PLACES2).draw_mask in load(PLACES2).train_dataloader.dataset.pipeline
        for name in ('draw_query_mask', 'draw_key_mask'):
            assert load(STAGE1)[name] in load(STAGE1).train_dataloader.dataset.pipeline


class TestAblations:
    """Table II: nothing but the part in question differs from the full method."""

    def changes(self, name):
        path = ABLATIONS / f'cainet_stage2-{name}_4xb8-500k_places2-256x256.py'
        return differences(load(path).to_dict(), load(PLACES2).to_dict())

    NO_CONTRASTIVE = 'model.encdec.encoder.init_cfg'
    NO_DAF = 'model.encdec.decoder.fusion.type'

    def test_the_four_rows(self):
        pretrained = load(PLACES2).model.encdec.encoder.init_cfg.to_dict()
        contrastive = {self.NO_CONTRASTIVE: (None, pretrained)}
        fusion = {self.NO_DAF: ('ImageHead', 'DualAttentionFusion')}
        assert self.changes('scratch') == contrastive
        assert self.changes('no-daf') == fusion
        assert self.changes('scratch-no-daf') == contrastive | fusion
        assert len(find_configs('cainet/ablations')) == 3

    def test_without_daf_every_scale_has_a_plain_head(self, stage2):
        model = build_model(ABLATIONS / 'cainet_stage2-scratch-no-daf_4xb8-500k_places2-256x256.py')
        fusions = model.generator.decoder.fusions
        assert [type(fusion) for fusion in fusions] == [ImageHead] * 6
        assert all(set(dict(fusion.named_parameters())) == {'to_image.weight', 'to_image.bias'} for fusion in fusions)
        assert model.generator.encoder.init_cfg is None

        def without_fusions(state):
            return {key: value.shape for key, value in state.items() if '.fusions.' not in key}

        assert without_fusions(model.state_dict()) == without_fusions(stage2.state_dict())


@pytest.mark.parametrize('path', sorted((FOLDER / 'evaluation').glob('*.py')), ids=lambda path: path.stem)
def test_evaluations_change_the_test_masks_and_report_the_raw_output(path):
    changed = differences(load(path).to_dict(), load(PLACES2).to_dict())
    changed = {key for key in changed if key not in ('mask_folder', 'draw_mask_from_disk', 'test_masks')}
    assert changed - {'model.test_cfg.compose'} == {
        key for key in changed if key.startswith('test_dataloader.dataset.pipeline.3.transforms.0')
    }
    assert load(path).model.test_cfg.compose is False
    assert load(path).test_masks is None, 'compared under these masks alone'


@pytest.mark.parametrize('path', TRAINED, ids=lambda path: path.stem)
class TestTraining:
    def test_the_rates_are_for_four_gpus_with_the_loaders_batch(self, path):
        config = load(path)
        assert config.auto_scale_lr == dict(enable=False, base_batch_size=4 * config.train_dataloader.batch_size)

    def test_batches_never_end_and_checkpoints_come_by_the_clock(self, path):
        config = load(path)
        assert config.train_dataloader.sampler == dict(type=InfiniteSampler.__name__, shuffle=True)
        checkpoint = config.default_hooks.checkpoint
        assert (checkpoint.by_epoch, config.train_cfg.max_iters % checkpoint.interval) == (False, 0)
        assert 'save_best' not in checkpoint, 'the test photographs must not choose a checkpoint'


def readings():
    """Every row of the README's tables of open points that has values for --cfg-options."""
    _, stage1, stage2 = re.split(r'### Stage [12]\n', (FOLDER / 'README.md').read_text(encoding='utf-8'))
    for name, text in (('stage1', stage1), ('stage2', stage2)):
        for row in re.findall(r'^\| (.+?) \| .+ \| (.+?) \|$', text, re.MULTILINE):
            options = re.findall(r'`([\w.]+)=([^`]+)`', row[1])
            if options:
                yield pytest.param(name, dict(options), id=f'{name}: {row[0]}')


def look_up(config, key):
    for part in key.split('.'):
        config = config[int(part)] if isinstance(config, list) else config.get(part)
    return config


@pytest.mark.parametrize('path', [ROOT / 'configs' / 'README.md', FOLDER / 'README.md'])
def test_the_readmes_name_files_that_exist(path):
    text = path.read_text(encoding='utf-8')
    named = set(re.findall(r'(?<![\w/])(?:configs|tools)/[\w/-]+\.(?:py|sh)\b', text))
    assert len(named) > 3
    assert [name for name in named if not (ROOT / name).is_file()] == []
    inside = re.findall(r'(?<!\[)`((?:cainet|ablations|quickstart|_base_)/[\w/-]+\.py|cainet_[\w-]+\.py)`', text)
    inside += re.findall(r'\]\(([^)]+)\)', text)
    assert [name for name in inside if not (path.parent / name).is_file()] == []


@pytest.mark.parametrize(('name', 'options'), readings())
def test_every_other_reading_in_the_readme_builds(name, options):
    config = load(STAGE1 if name == 'stage1' else PLACES2)
    for key in options:
        # building finds unknown keys of the model, but of nothing else
        assert key.startswith('model.') or look_up(config, key) is not None, key
    encoder = config.model.backbone if name == 'stage1' else config.model.encdec.encoder
    encoder.widths = (8,) * 8
    if name == 'stage1':
        config.model.neck.in_channels = 8
        options = {key: '8' if key == 'model.neck.in_channels' else value for key, value in options.items()}
    config.merge_from_dict({key: DictAction._parse_iterable(value) for key, value in options.items()})
    if 'model.backbone.widths' in options:
        config.model.neck.in_channels = config.model.backbone.widths[-1]
    model = MODELS.build(without_pretrained(config.model))
    assert build_optim_wrapper(model, config.optim_wrapper)
    Compose(config.train_dataloader.dataset.pipeline)
    if name == 'stage2':
        sample = torch.rand(2, 4, 64, 64)
        outputs = model.generator(sample)
        pyramid = build_pyramid(sample[:, :3], sample[:, 3:].round(), [output.shape[-2:] for output in outputs])
        assert sum(model.critic_losses(outputs, pyramid).values()).isfinite()
        assert sum(loss for loss in model.generator_losses(outputs, pyramid).values()).isfinite()
    else:
        assert model.neck(model.backbone(torch.rand(2, 4, 64, 64)))[0].shape == (2, 128)
