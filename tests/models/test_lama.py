"""LaMa: its layers against NumPy's Fourier transform, its network and objective against plain formulas."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT, load_tool
from lama_reference import (
    ffc,
    ffc_shapes,
    fourier_unit,
    lama,
    norm,
    norm_shapes,
    published_shapes,
    random_weights,
)
from mmagic.registry import MODELS
from mmengine.config import Config
from mmengine.registry import HOOKS
from torch import nn

from cainet_mm.models.fourier import FourierUnit, MatrixFourierUnit
from cainet_mm.models.losses.high_receptive_field import shared_resnet
from cainet_mm.models.pyramids import Level

SIZES = [(8, 8), (7, 9), (6, 5), (2, 1), (1, 4)]


@pytest.fixture
def tool(monkeypatch):
    return load_tool('convert_lama', monkeypatch)


def build(kind, **options):
    return MODELS.build(dict(type=kind, **options)).double().eval()


def make_inputs(size=(16, 24), seed=0):
    """Masked images in [0, 1] with masks, 1 in the hole."""
    random = torch.Generator().manual_seed(seed)
    mask = (torch.rand(2, 1, *size, generator=random) > 0.7).double()
    return torch.rand(2, 3, *size, generator=random, dtype=torch.float64) * (1 - mask), mask


class TestFourierUnit:
    @pytest.mark.parametrize('size', SIZES)
    @pytest.mark.parametrize('kind', [FourierUnit, MatrixFourierUnit])
    def test_spectrum_is_numpys_and_its_inverse_gives_the_image(self, kind, size):
        unit = kind(3)
        image = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, *size)))
        expected = np.fft.rfftn(image.numpy(), axes=(2, 3), norm='ortho')
        spectrum = unit.to_spectrum(image)
        np.testing.assert_allclose(spectrum[:, 0::2], expected.real, rtol=0, atol=1e-13)
        np.testing.assert_allclose(spectrum[:, 1::2], expected.imag, rtol=0, atol=1e-13)
        torch.testing.assert_close(unit.to_image(spectrum, size), image, rtol=0, atol=1e-13)
        # a spectrum that is none of a real image, as a convolution makes it
        other = torch.from_numpy(np.random.default_rng(1).normal(size=spectrum.shape))
        expected = np.fft.irfftn(
            other[:, 0::2].numpy() + 1j * other[:, 1::2].numpy(), s=size, axes=(2, 3), norm='ortho'
        )
        np.testing.assert_allclose(unit.to_image(other, size), expected, rtol=0, atol=1e-13)

    @pytest.mark.parametrize('size', SIZES[:3])
    def test_unit_is_the_formula(self, size):
        unit = build('FourierUnit', channels=3)
        weights = random_weights({'fu.conv_layer.weight': (6, 6, 1, 1)} | norm_shapes('fu.bn', 6))
        state = {name.replace('fu.', 'mix.').replace('conv_layer', 'conv'): value for name, value in weights.items()}
        unit.load_state_dict(state)
        image = torch.rand(2, 3, *size, dtype=torch.float64)
        with torch.no_grad():
            torch.testing.assert_close(unit(image), fourier_unit(weights, 'fu', image), rtol=0, atol=1e-13)

    def test_half_precision_is_transformed_in_float32(self):
        unit = FourierUnit(4).eval()
        image = torch.rand(1, 4, 12, 10)
        with torch.no_grad(), torch.autocast('cpu', dtype=torch.bfloat16):
            rounded = unit(image.bfloat16())
        assert rounded.dtype == torch.bfloat16
        torch.testing.assert_close(rounded.float(), unit(image), rtol=0.05, atol=0.05)

    def test_a_device_without_the_transform_is_named(self, monkeypatch):
        def fail(*args, **kwargs):
            raise RuntimeError('fft: ATen not compiled with MKL support')

        monkeypatch.setattr(torch.fft, 'rfft2', fail)
        with pytest.raises(RuntimeError, match=r'needs a Fourier transform, .* for cpu \(fft: ATen not'):
            FourierUnit(2)(torch.rand(1, 2, 4, 4))


class TestFastFourierConv:
    def test_branches_are_those_of_the_formula(self, tool):
        conv = build('FastFourierConv', in_channels=8, out_channels=12, ratio_in=0.5, ratio_out=0.75)
        weights = random_weights(ffc_shapes('a', (4, 4), (3, 9)))
        names = {f'a.{public}': ours for public, ours in tool.PARTS.items()}
        parts = {name: name.rsplit('.', 1) for name in weights}
        conv.load_state_dict({f'{names[part]}.{kind}': weights[name] for name, (part, kind) in parts.items()})
        x = torch.rand(2, 8, 9, 6, dtype=torch.float64)
        with torch.no_grad():
            torch.testing.assert_close(conv(x), torch.cat(ffc(weights, 'a', x[:, :4], x[:, 4:]), 1), rtol=0, atol=1e-12)

    def test_what_has_no_channels_is_absent(self):
        names = {name.partition('.')[0] for name in build('FastFourierConv', in_channels=4, out_channels=6, ratio_in=0,
                                                          ratio_out=0).state_dict()}  # fmt: skip
        assert names == {'local_to_local', 'local_norm'}

    def test_a_distant_pixel_is_seen_through_the_global_branch_alone(self):
        torch.manual_seed(0)
        x = torch.rand(1, 32, 32, 32, dtype=torch.float64)
        other = x.clone()
        other[..., 0, 0] += 1
        for ratio, seen in ((0, False), (0.5, True)):
            conv = build('FastFourierConv', in_channels=32, out_channels=32, ratio_in=ratio, ratio_out=ratio)
            assert ((conv(x) != conv(other))[..., 8:24, 8:24].any().item()) == seen

    def test_wrong_settings_are_refused(self):
        with pytest.raises(ValueError, match='has the stride 1, got 2'):
            build('FastFourierConv', in_channels=8, out_channels=8, stride=2)
        with pytest.raises(ValueError, match=r'from 0 to 1, got 1\.5'):
            build('FastFourierConv', in_channels=8, out_channels=8, ratio_in=1.5)


class TestGenerator:
    def make(self, tool, width=4, num_blocks=2, num_downs=3):
        generator = build('LaMaGenerator', width=width, num_blocks=num_blocks, num_downs=num_downs)
        weights = random_weights(published_shapes(width, num_blocks, num_downs))
        generator.load_state_dict({ours: weights[public] for public, ours in tool.public_names(generator).items()})
        return generator, weights

    @pytest.mark.parametrize(('num_blocks', 'num_downs'), [(2, 3), (1, 2)])
    def test_is_the_network_that_plain_functions_write_down(self, tool, num_blocks, num_downs):
        generator, weights = self.make(tool, num_blocks=num_blocks, num_downs=num_downs)
        image, mask = make_inputs()
        with torch.no_grad():
            ours = generator(torch.cat((image, 1 - mask), 1))
        expected = lama(weights, image, mask, num_blocks, num_downs)
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)
        assert expected.std() > 1e-2
        assert (lama(weights, image, 1 - mask, num_blocks, num_downs) - ours).abs().max() > 1e-3, 'the other convention'

    @pytest.mark.parametrize('size', [(9, 23), (15, 16)])
    def test_other_sizes_are_continued_by_reflection(self, tool, size):
        generator, weights = self.make(tool)
        image, mask = make_inputs(size)
        whole = [math.ceil(side / 8) * 8 for side in size]
        padded = [
            torch.from_numpy(np.pad(part, [(0, 0), (0, 0), *((0, w - s) for w, s in zip(whole, size, strict=True))],
                                    mode='reflect'))
            for part in (image.numpy(), mask.numpy())
        ]  # fmt: skip
        with torch.no_grad():
            ours = generator(torch.cat((image, 1 - mask), 1))
        expected = lama(weights, *padded, 2)[..., : size[0], : size[1]]
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)

    def test_images_that_cannot_be_reflected_are_refused(self):
        with pytest.raises(ValueError, match='takes images of 9 pixels a side and more, got 8x40; enlarge them'):
            build('LaMaGenerator', width=4, num_blocks=1)(torch.zeros(1, 4, 8, 40).double())

    @pytest.mark.parametrize(('config', 'millions'), [('lama', 27), ('lama_big', 51)])
    def test_has_as_many_weights_as_published(self, config, millions):
        path = ROOT / f'configs/baselines/{config}_4xb8-500k_places2-256x256.py'
        with torch.device('meta'):
            network = MODELS.build(Config.fromfile(path).model.encdec)
        assert round(sum(weight.numel() for weight in network.parameters()) / 1e6) == millions


def test_critic_is_the_formula_and_hands_out_its_features():
    critic = build('PatchCritic', widths=(4, 6))
    image = torch.rand(2, 3, 16, 20, dtype=torch.float64)
    state = critic.state_dict()
    x, expected = image, []
    for index, stride in enumerate((2, 2, 1)):
        x = F.conv2d(x, state[f'stages.{index}.conv.weight'], state[f'stages.{index}.conv.bias'], stride, 2)
        x = norm(state, f'stages.{index}.bn', x) if index else x
        x = torch.where(x > 0, x, 0.2 * x)
        expected.append(x)
    scores, features = critic(image, return_features=True)
    for ours, true in zip(features, expected, strict=True):
        torch.testing.assert_close(ours, true)
    torch.testing.assert_close(scores, F.conv2d(x, state['score.weight'], state['score.bias'], 1, 2))
    assert torch.equal(critic(image), scores) and scores.shape[1] == 1
    widths = [stage.conv.out_channels for stage in MODELS.build(dict(type='PatchCritic')).stages]
    assert widths == [64, 128, 256, 512, 512]


class TestLosses:
    def test_logistic_loss_takes_the_known_region_of_a_fake_for_true(self):
        loss = MODELS.build(dict(type='LogisticGANLoss', loss_weight=10.0))
        scores = torch.tensor([[[[-1.0, 2.0], [0.5, 3.0]]]]).double()
        mask = torch.zeros(1, 1, 8, 8)
        mask[..., 7, 0] = 1  # one pixel of the lower left score
        softplus = [math.log1p(math.exp(s)) for s in (1, -2, 0.5, -3)]
        assert loss(scores, False, is_disc=True, mask=mask).item() == pytest.approx(sum(softplus) / 4)
        everywhere = [math.log1p(math.exp(s)) for s in (-1, 2, 0.5, 3)]
        assert loss(scores, False, is_disc=True).item() == pytest.approx(sum(everywhere) / 4)
        real = [math.log1p(math.exp(-s)) for s in (-1, 2, 0.5, 3)]
        assert loss(scores, True, is_disc=True, mask=mask).item() == pytest.approx(sum(real) / 4)
        assert loss(scores, True).item() == pytest.approx(10 * sum(real) / 4), 'the weight is that of the generator'

        with pytest.raises(ValueError, match=r'needs a map of scores.*got \(2, 1\)'):
            loss(torch.zeros(2, 1), False, is_disc=True, mask=mask)

    def test_r1_is_the_squared_gradient_of_the_scores_sum(self):
        """Of D(Y) = (w Y, 2 w Y) per sample, the gradient is 3 w at every true image."""
        weight = torch.rand(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)
        real, fake = torch.rand(2, 2, 3, 4, 4, dtype=torch.float64)

        def critic(images):
            score = (weight * images).sum(dim=(1, 2, 3))
            return torch.stack((score, 2 * score), dim=1)

        penalty = MODELS.build(dict(type='R1Penalty', loss_weight=0.5))(critic, real, fake)
        torch.testing.assert_close(penalty, 0.5 * 9 * weight.square().sum())
        penalty.backward()
        torch.testing.assert_close(weight.grad, 9 * weight.detach())

    def test_features_are_compared_by_the_mean_over_layers(self):
        loss = MODELS.build(dict(type='FeatureMatchingLoss', loss_weight=100.0))
        ours, true = [torch.zeros(1, 2, 2), torch.zeros(1, 1)], [torch.full((1, 2, 2), 2.0), torch.ones(1, 1)]
        assert loss(ours, true).item() == pytest.approx(100 * (4 + 1) / 2)

    def test_known_pixels_alone_can_be_compared(self):
        loss = MODELS.build(
            dict(type='MultiScaleLoss', scales=(1,), takes=('outside', 'target'), loss=dict(type='L1Loss'))
        )
        output, target = torch.rand(2, 2, 3, 6, 6)
        mask = (torch.rand(2, 1, 6, 6) > 0.5).float()
        value = loss([output], [Level(target, mask)])
        torch.testing.assert_close(value, ((output - target).abs() * (1 - mask)).mean())


class TestHighReceptiveFieldLoss:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch):
        """One block in each stage: the layout, not the size, is what is looked at."""
        from mmpretrain.models import ResNet

        monkeypatch.setitem(ResNet.arch_settings, 50, (ResNet.arch_settings[50][0], (1, 1, 1, 1)))
        shared_resnet.cache_clear()
        yield
        shared_resnet.cache_clear()

    def public(self, network):
        """A network's weights under the published names of its stem."""
        names = {f'stem.{3 * i}': f'conv{i + 1}' for i in range(3)} | {
            f'stem.{3 * i + 1}': f'bn{i + 1}' for i in range(3)
        }
        weights = {}
        for key, value in network.state_dict().items():
            place, _, kind = key.rpartition('.')
            weights[f'{names.get(place, place)}.{kind}'] = value
        return weights

    def test_weights_come_from_a_path_and_features_at_an_eighth_are_compared(self, tmp_path):
        network = shared_resnet(None).network
        torch.save(self.public(network), tmp_path / 'encoder.pth')
        loss = MODELS.build(
            dict(type='HighReceptiveFieldLoss', weights=str(tmp_path / 'encoder.pth'), loss_weight=30.0)
        )
        output, target = torch.rand(2, 1, 3, 32, 32)
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        features = [network((((image + 1) / 2) - mean) / std) for image in (output, target)]
        assert [feature.shape[-1] for feature in features[0]] == [8, 4, 4, 4]
        expected = 30 * sum((a - b).square().mean() for a, b in zip(*features, strict=True))
        torch.testing.assert_close(loss(output, target), expected)
        assert not list(loss.parameters())
        dilations = [layer[0].conv2.dilation[0] for layer in (network.layer2, network.layer3, network.layer4)]
        assert dilations == [1, 1, 2]

    def test_absent_and_other_weights_are_refused(self, tmp_path):
        with pytest.raises(ValueError, match="cannot read its weights .*absent.pth.*TextureLoss in this loss's place"):
            MODELS.build(dict(type='HighReceptiveFieldLoss', weights=str(tmp_path / 'absent.pth')))
        torch.save(nn.Linear(2, 2).state_dict(), tmp_path / 'other.pth')
        with pytest.raises(ValueError, match=r'no dilated ResNet-50\. Keys missing: stem\.0\.conv\.weight'):
            MODELS.build(dict(type='HighReceptiveFieldLoss', weights=str(tmp_path / 'other.pth')))


class TestTrainingStep:
    def make(self, **changes):
        config = Config.fromfile(ROOT / 'configs/baselines/smoke/lama.py').model
        config.encdec.generator.update(width=4, num_blocks=1)
        config.disc.update(widths=(4, 4), norm_cfg=None)
        config.update(changes)
        torch.manual_seed(0)
        return MODELS.build(config).double()

    def make_level(self):
        target = torch.rand(2, 3, 16, 16, dtype=torch.float64) * 2 - 1
        mask = torch.zeros(2, 1, 16, 16, dtype=torch.float64)
        mask[..., 4:9, 5:12] = 1
        return torch.rand_like(target, requires_grad=True), Level(target, mask)

    @pytest.mark.parametrize('sees', ['output', 'composed'])
    def test_objective_is_lamas_on_images_of_the_unit_range(self, sees):
        """The published formulas and weights, on images in [0, 1], with the critic as a function of these."""
        model = self.make(critic_sees=sees)
        output, (target, mask) = self.make_level()
        y, t = (output + 1) / 2, (target + 1) / 2
        seen = torch.where(mask > 0, y, t) if sees == 'composed' else y

        def critic(unit, **options):
            return model.disc(2 * unit - 1, **options)

        t_leaf = t.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(critic(t_leaf).sum(), t_leaf)
        scores, features = critic(seen, return_features=True)
        true = critic(t, return_features=True)[1]
        hole = F.adaptive_max_pool2d(mask, scores.shape[-2:])
        expected = dict(
            critic_real=F.softplus(-critic(t)).mean(),
            critic_fake=(hole * F.softplus(scores) + (1 - hole) * F.softplus(-scores)).mean(),
            critic_penalty=0.001 * gradient.flatten(1).square().sum(1).mean(),
            loss_l1=10 * ((y - t).abs() * (1 - mask)).mean(),
            loss_adv=10 * F.softplus(-scores).mean(),
            loss_feature_matching=100
            * sum((a - b).square().mean() for a, b in zip(features, true, strict=True))
            / len(true),
        )
        level = Level(target, mask)
        values = {**model.critic_losses([output], [level]), **model.generator_losses([output], [level])}
        assert values.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(values[name], value.detach() if name.startswith('critic') else value, msg=name)

    def test_generator_step_leaves_the_critic_alone(self):
        model = self.make()
        output, level = self.make_level()
        model.disc.requires_grad_(False)
        sum(model.generator_losses([output], [level]).values()).backward()
        assert (output.grad != 0).any() and all(weight.grad is None for weight in model.disc.parameters())

    def test_settings_that_mean_nothing_are_refused(self):
        with pytest.raises(ValueError, match="critic_sees='mask'"):
            self.make(critic_sees='mask')
        with pytest.raises(ValueError, match='take a CAINetInpaintor'):
            self.make(disc=None)
        with pytest.raises(ValueError, match="logged as 'feature_matching'"):
            self.make(losses=dict(feature_matching=dict(type='MultiScaleLoss', scales=(1,), loss=dict(type='L1Loss'))))

    def test_critic_is_not_judged_by_the_slope_and_scores_of_a_wasserstein_critic(self, monkeypatch):
        hook = HOOKS.build(dict(type='CriticHook', interval=1, begin=0))
        seen = {}
        monkeypatch.setattr(hook, '_report', lambda runner, values, problems, advice: seen.update(values))
        names = ('critic_real', 'critic_fake', 'critic_penalty', 'loss_adv', 'loss_l1')
        outputs = {name: torch.tensor(50.0) for name in names}
        hook.after_train_iter(SimpleNamespace(model=self.make(), iter=0), 0, outputs=outputs)
        assert seen == dict(adversarial_share=1.0)
