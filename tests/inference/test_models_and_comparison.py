"""Models from configs, and methods compared on a test set."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from conftest import ROOT, tiny
from mmagic.structures import DataSample
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from cainet_mm.apis import evaluate_method, inpaint, load_model
from cainet_mm.inference.loading import load_inpaintor, without_pretrained

CONFIGS = {
    'nothing.py': 'x = 1',
    'number.py': 'model = 3',
    'untyped.py': 'model = dict(method="telea")',
    'syntax.py': 'model = dict(',
    'fails.py': 'x = 1 / 0',
    'orphan.py': '_base_ = ["absent.py"]',
    'unknown.py': 'model = dict(type="Nonsense")',
    'argument.py': 'model = dict(type="CAINetInpaintor", nonsense=3)',
}
INPAINTORS = [ROOT / 'configs/quickstart/stage2.py', *sorted((ROOT / 'configs/baselines/smoke').glob('*.py'))]
PRETRAINED = dict(type='Pretrained', checkpoint='absent.pth')
MAE = [dict(type='MAE')]


def make_loader(count, batch_size=3, size=(20, 17)):
    """Photographs of known pixels as the pipelines pack them: BGR, the hole of the input at mid-grey."""
    random = np.random.default_rng(count)
    packed = []
    for number in range(count):
        photo = torch.from_numpy(random.integers(0, 256, (3, *size)).astype(np.float32))
        mask = torch.zeros(1, *size)
        mask[:, 4:11, 2 + number % 4 : 9 + number % 4] = 1
        metainfo = dict(gt_path=f'photo {number}', gt_channel_order='BGR', gt_color_type='color')
        sample = DataSample(gt_img=photo, mask=mask, metainfo=metainfo)
        packed.append(dict(inputs=torch.where(mask > 0, 127.5, photo), data_samples=sample))
    # the data preprocessor changes samples in place
    return DataLoader([deepcopy(one) for one in packed], batch_size, collate_fn=pseudo_collate), packed


def rgb(sample):
    """The true image of a packed sample, (H, W, 3), uint8."""
    return sample['data_samples'].gt_img.flip(0).permute(1, 2, 0).numpy().astype(np.uint8)


def hole_of(sample):
    return sample['data_samples'].mask[0].numpy() == 1


@pytest.fixture
def mean_colour():
    return load_model(ROOT / 'configs/baselines/mean_colour.py')


@pytest.fixture
def inpaintor(tmp_path):
    torch.manual_seed(0)
    return load_model(tiny('stage2', tmp_path))


class TestWithoutPretrained:
    def test_every_pretrained_init_cfg_goes_and_nothing_else(self):
        config = ConfigDict(
            encdec=dict(encoder=dict(init_cfg=PRETRAINED, widths=(8, 8)), decoder=dict(init_cfg=dict(type='Xavier'))),
            parts=[dict(init_cfg=PRETRAINED), 3],
            pair=(dict(init_cfg=None), dict(checkpoint='kept')),
        )
        stripped = without_pretrained(config)
        assert isinstance(stripped, ConfigDict)
        assert stripped == dict(
            encdec=dict(encoder=dict(init_cfg=None, widths=(8, 8)), decoder=dict(init_cfg=dict(type='Xavier'))),
            parts=[dict(init_cfg=None), 3],
            pair=(dict(init_cfg=None), dict(checkpoint='kept')),
        )

    def test_config_itself_is_left_as_it_was(self):
        config = ConfigDict(encoder=dict(init_cfg=PRETRAINED))
        without_pretrained(config)
        assert config.encoder.init_cfg == PRETRAINED

    def test_model_whose_pretrained_weights_are_gone_loads_its_own_checkpoint(self, tmp_path, inpaintor):
        torch.save(dict(state_dict=inpaintor.state_dict()), tmp_path / 'stage2.pth')
        config = tiny('stage2', tmp_path)
        config.model.encdec.encoder.init_cfg = PRETRAINED
        torch.manual_seed(1)
        loaded = load_model(config, tmp_path / 'stage2.pth')
        loaded.init_weights()
        expected = inpaintor.generator.encoder.state_dict()
        assert all(torch.equal(value, expected[key]) for key, value in loaded.generator.encoder.state_dict().items())


class TestLoadModel:
    def test_model_is_in_eval_mode(self, inpaintor, mean_colour):
        assert not any(module.training for model in (inpaintor, mean_colour) for module in model.modules())

    @pytest.mark.parametrize('device', ['abacus', 'cuda:99', 'mps:7'])
    def test_a_device_that_is_absent_gets_a_sentence(self, device):
        with pytest.raises(ValueError, match=f'^The device {device} cannot be used: .'):
            load_model(ROOT / 'configs/baselines/telea.py', device=device)

    def test_config_is_a_path_or_a_config(self):
        path = ROOT / 'configs/baselines/telea.py'
        assert load_model(str(path)).method == load_model(Config.fromfile(path)).method == 'telea'

    @pytest.fixture
    def files(self, tmp_path, monkeypatch, inpaintor):
        monkeypatch.chdir(tmp_path)
        tiny('stage2', tmp_path).dump('tiny.py')
        for name, text in CONFIGS.items():
            (tmp_path / name).write_text(text)
        torch.save(dict(state_dict=inpaintor.state_dict()), 'tiny.pth')
        torch.save([1, 2], 'list.pth')
        torch.save(torch.zeros(3), 'tensor.pth')
        torch.save(dict(state_dict=torch.zeros(3)), 'state_tensor.pth')
        torch.save(dict(state_dict=dict(a=torch.zeros(1), b=3)), 'number.pth')
        torch.save(dict(state_dict={1: torch.zeros(1)}), 'keys.pth')
        (tmp_path / 'cut.pth').write_bytes((tmp_path / 'tiny.pth').read_bytes()[:20000])
        (tmp_path / 'empty.pth').write_bytes(b'')
        return tmp_path

    @pytest.mark.parametrize(
        ('checkpoint', 'what'),
        [
            ('list.pth', 'has a list where weights are expected'),
            ('tensor.pth', 'has a Tensor where weights are expected'),
            ('state_tensor.pth', 'has a Tensor where weights are expected'),
            ('number.pth', "has a int as 'b' where weights are expected"),
            ('keys.pth', 'has a Tensor as 1 where weights are expected'),
            ('cut.pth', 'cannot be read'),
            ('empty.pth', 'cannot be read'),
        ],
    )
    @pytest.mark.parametrize('config', ['tiny.py', None])
    def test_a_checkpoint_that_is_none_is_named(self, files, config, checkpoint, what):
        with pytest.raises(ValueError, match=f'{checkpoint}. ({what}|holds no config)'):
            load_model(config, checkpoint)

    @pytest.mark.parametrize(
        ('config', 'what'),
        [
            ('nothing.py', 'has no model'),
            ('number.py', 'has no model'),
            ('untyped.py', 'has no model'),
            ('syntax.py', r'cannot be read \(SyntaxError: '),
            ('fails.py', r'cannot be read \(ZeroDivisionError: division by zero\)'),
            ('orphan.py', r'cannot be read \(.*absent\.py'),
            ('unknown.py', 'has a model that cannot be built .*Nonsense'),
            ('argument.py', 'has a model that cannot be built .*nonsense'),
        ],
    )
    @pytest.mark.parametrize('load', [load_model, load_inpaintor])
    def test_a_config_that_makes_no_model_is_named(self, files, load, config, what):
        with pytest.raises(ValueError, match=f'^The config .{config}. {what}'):
            load(config, 'tiny.pth')

    def test_stage_1_is_a_model_and_no_inpaintor(self, tmp_path):
        config = tiny('stage1', tmp_path)
        model = load_model(config)
        torch.save(dict(state_dict=model.state_dict()), tmp_path / 'stage1.pth')
        with pytest.raises(ValueError, match=r'stage1\.pth is of a SiameseMoCo, which fills no holes'):
            load_inpaintor(config, tmp_path / 'stage1.pth')

    def test_a_config_of_an_installed_package_is_found(self):
        assert load_model('cainet_mm::baselines/telea.py').method == 'telea'

    def test_a_device_without_numbers_is_refused(self):
        with pytest.raises(ValueError, match='The device meta cannot be used'):
            load_model(ROOT / 'configs/baselines/telea.py', device='meta')

    @pytest.mark.slow
    @pytest.mark.parametrize('path', INPAINTORS, ids=lambda path: f'{path.parent.name}/{path.stem}')
    def test_every_kind_of_inpaintor_loads_its_checkpoint_and_fills(self, path, tmp_path):
        torch.manual_seed(0)
        model = load_inpaintor(path)
        with torch.no_grad():
            # statistics and biases, too, are those of the checkpoint
            for value in [*model.parameters(), *model.buffers()]:
                if value.is_floating_point():
                    value.add_(torch.rand_like(value), alpha=0.01)
        torch.save(dict(state_dict=model.state_dict(), optimizer={}, meta=dict(iter=1)), tmp_path / 'iter_1.pth')
        torch.manual_seed(1)
        loaded = load_inpaintor(path, tmp_path / 'iter_1.pth')
        expected = model.state_dict()
        assert loaded.state_dict().keys() == expected.keys()
        assert all(torch.equal(value, expected[key]) for key, value in loaded.state_dict().items())
        image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
        hole = np.zeros((50, 70), bool)
        hole[10:25, 20:44] = True
        filled = inpaint(image, hole, model=loaded)
        # where weights lie in memory may change the order in which they are summed
        np.testing.assert_allclose(filled.astype(int), inpaint(image, hole, model=model), rtol=0, atol=1)
        np.testing.assert_array_equal(filled[~hole], image[~hole])
        assert (filled[hole] != image[hole]).any()

    def test_there_is_one_of_every_kind(self):
        assert {path.stem for path in INPAINTORS} >= {
            'stage2', 'pconv', 'deepfillv1', 'deepfillv2', 'global_local', 'aot_gan', 'dfnet', 'lbam', 'lama'
        }  # fmt: skip


class TestEvaluateMethod:
    @pytest.mark.parametrize('batch_size', [1, 3, 5])
    def test_metrics_are_those_of_every_image_however_they_are_batched(self, mean_colour, batch_size):
        loader, packed = make_loader(5, batch_size)
        expected = []
        for sample in packed:
            photo, hole = rgb(sample).astype(float), hole_of(sample)
            filled = photo.copy()
            filled[hole] = photo[~hole].mean(axis=0).round()
            expected.append(np.abs(photo - filled).mean() / 255)
        figures = evaluate_method(mean_colour, loader, MAE).metrics
        assert figures == {'MAE': pytest.approx(np.mean(expected), rel=1e-5)}

    def test_pictures_are_rgb_with_a_grey_hole_and_the_answer_in_it(self, mean_colour):
        loader, packed = make_loader(2)
        pictures = evaluate_method(mean_colour, loader, MAE, num_pictures=2).pictures
        assert [picture.name for picture in pictures] == ['photo 0', 'photo 1']
        for picture, sample in zip(pictures, packed, strict=True):
            photo, hole = rgb(sample), hole_of(sample)
            np.testing.assert_array_equal(picture.truth, photo)
            np.testing.assert_array_equal(picture.masked[~hole], photo[~hole])
            assert (picture.masked[hole] == 128).all()
            np.testing.assert_array_equal(picture.final[~hole], photo[~hole])
            assert (picture.final[hole] == photo[~hole].mean(axis=0).round()).all()
            assert picture.scales == []

    @pytest.mark.parametrize(
        ('total', 'wanted', 'kept'),
        [(7, 3, [0, 3, 6]), (5, 2, [0, 4]), (4, 1, [0]), (3, 0, []), (3, 9, [0, 1, 2])],
    )
    def test_pictures_are_spread_evenly_over_the_test_set_in_its_order(self, mean_colour, total, wanted, kept):
        loader, _ = make_loader(total)
        pictures = evaluate_method(mean_colour, loader, MAE, num_pictures=wanted).pictures
        assert [picture.name for picture in pictures] == [f'photo {number}' for number in kept]

    def test_scales_are_the_generator_s_images_of_that_photograph_coarsest_first(self, inpaintor):
        loader, packed = make_loader(4, batch_size=3)
        pictures = evaluate_method(inpaintor, loader, MAE, num_pictures=4).pictures
        for picture, sample in zip(pictures, packed, strict=True):
            assert [image.shape for image in picture.scales] == [
                (1, 1, 3), (2, 2, 3), (3, 3, 3), (5, 5, 3), (10, 9, 3), (20, 17, 3)
            ]  # fmt: skip
            mask = sample['data_samples'].mask[None]
            photo = sample['data_samples'].gt_img.flip(0)[None] / 127.5 - 1
            with torch.no_grad():
                outputs = inpaintor.generator(torch.cat((photo * (1 - mask), mask), dim=1))
            for image, output in zip(picture.scales, reversed(outputs), strict=True):
                expected = ((output[0] + 1) * 127.5).clamp(0, 255).permute(1, 2, 0).numpy()
                # other batch sizes add up in another order, which normalisation over a few values amplifies
                assert np.abs(image - expected).max() <= 2
            hole = hole_of(sample)
            np.testing.assert_array_equal(picture.final[~hole], rgb(sample)[~hole])
            np.testing.assert_array_equal(picture.final[hole], picture.scales[-1][hole])

    def test_progress_is_told_after_each_batch(self, mean_colour):
        seen = []
        evaluate_method(mean_colour, make_loader(7, batch_size=3)[0], MAE, on_batch=seen.append)
        assert seen == [3, 3, 1]

    def test_model_is_left_without_hooks_even_after_an_error(self, inpaintor):
        def fail(number):
            raise KeyboardInterrupt

        evaluate_method(inpaintor, make_loader(2)[0], MAE)
        with pytest.raises(KeyboardInterrupt):
            evaluate_method(inpaintor, make_loader(2)[0], MAE, on_batch=fail)
        assert not inpaintor.generator._forward_hooks
