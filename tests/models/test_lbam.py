"""LBAM: its parts against plain functions, its masks, its objective in this package's units, and its training."""

import json
import math

import pytest
import torch
from conftest import ROOT
from lbam_reference import RANGES, gaussian, lbam, random_weights
from mmagic.registry import MODELS
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from cainet_mm.models.inpaintors import name_terms
from cainet_mm.models.losses.vgg import FrozenVGG
from cainet_mm.models.pyramids import Level

WIDTHS = (3, 4, 5)
SETTINGS = [(1.1, 2.0, 1.0, 1.0), (1.1, 1.0, 0.5, 0.5), (6.0, 0.1, 2.0, 0.5), (1.01, 3.0, 0.5, 2.0)]


def make_activation(a=1.1, mu=2.0, sigma1=1.0, sigma2=1.0):
    settings = dict(type='AsymmetricGaussian', a=a, mu=mu, sigma1=sigma1, sigma2=sigma2)
    return MODELS.build(settings).double()


def make_generator(widths=WIDTHS, seed=0):
    """A generator with the weights of the reference, put in place by hand."""
    generator = MODELS.build(dict(type='LBAMGenerator', widths=widths)).double()
    weights = random_weights(widths, seed)
    state = {}
    for index in range(len(widths)):
        parts = [
            (f'ec{index + 1}.conv.maskConv', f'ec{index + 1}.conv.activationFuncG_A', f'encoder.{index}.attention')
        ]
        state[f'encoder.{index}.conv.weight'] = weights[f'ec{index + 1}.conv.conv.weight']
        if index < len(widths) - 1:
            reverse = f'reverseConv{index + 1}'
            parts.append((f'{reverse}.reverseMaskConv', f'{reverse}.activationFuncG_A', f'reverse.{index}'))
            state[f'decoder.{index}.conv.weight'] = weights[f'dc{index + 1}.conv.weight']
        for conv, activation, ours in parts:
            state[f'{ours}.mask_conv.weight'] = weights[f'{conv}.weight']
            state.update({f'{ours}.activation.{name}': weights[f'{activation}.{name}'] for name in RANGES})
    state['to_image.weight'] = weights[f'dc{len(widths)}.weight']
    generator.load_state_dict(state)
    return generator, weights


def make_inputs(size=(16, 24), seed=0):
    """Masked images in [0, 1] with masks, 1 where known: a rectangle and some lone pixels are hole."""
    random = torch.Generator().manual_seed(seed)
    known = (torch.rand(2, 1, *size, generator=random) > 0.05).double()
    known[..., size[0] // 4 : size[0] // 2, size[1] // 4 : size[1] // 2] = 0
    return torch.rand(2, 3, *size, generator=random, dtype=torch.float64) * known, known


class TestAsymmetricGaussian:
    @pytest.mark.parametrize('settings', SETTINGS)
    def test_formula_on_both_sides(self, settings):
        x = torch.linspace(-4, 6, 401, dtype=torch.float64)
        activation = make_activation(*settings)
        with torch.no_grad():
            torch.testing.assert_close(activation(x), gaussian(x, *(p.item() for p in activation.parameters())))

    @pytest.mark.parametrize('settings', SETTINGS)
    def test_continuous_at_mu_with_its_maximum_there_and_the_limits_0_and_1(self, settings):
        activation = make_activation(*settings)
        mu = activation.mu.item()
        left, middle, right, far_left, far_right = activation(
            torch.tensor([mu - 1e-7, mu, mu + 1e-7, mu - 20, mu + 20], dtype=torch.float64)
        ).tolist()
        assert middle == pytest.approx(settings[0], rel=1e-7)
        assert left == pytest.approx(middle, abs=1e-10) and right == pytest.approx(middle, abs=1e-10)
        assert left < middle and right < middle
        assert far_left == pytest.approx(0, abs=1e-12) and far_right == pytest.approx(1, abs=1e-12)

    @pytest.mark.parametrize('name', RANGES)
    @pytest.mark.parametrize('side', (0, 1))
    def test_numbers_out_of_range_count_as_the_border_s_and_keep_its_gradient(self, name, side):
        border = float(RANGES[name][side])
        activation = make_activation(2.0, 1.0, 1.0, 1.0)
        getattr(activation, name).data.fill_(border + (-0.4, 0.4)[side])
        beyond = getattr(activation, name).item()
        numbers = dict(a=2.0, mu=1.0, sigma1=1.0, sigma2=1.0)
        x = torch.linspace(-2, 4, 61, dtype=torch.float64) + 0.003

        torch.testing.assert_close(activation.eval()(x), gaussian(x, **{**numbers, name: border}))
        assert getattr(activation, name).item() == beyond, 'in eval mode, weights stay as they are'
        activation.train()(x).sum().backward()
        assert getattr(activation, name).item() == border
        step = 1e-6
        above, below = (gaussian(x, **{**numbers, name: border + sign * step}).sum() for sign in (1, -1))
        slope = ((above - below) / (2 * step)).item()
        assert abs(slope) > 1e-2
        assert getattr(activation, name).grad.item() == pytest.approx(slope, rel=1e-5)

    def test_a_border_of_single_precision_keeps_its_gradient(self):
        # 1.01 and 0.1 are no float32
        activation = MODELS.build(dict(type='AsymmetricGaussian'))
        for name in RANGES:
            getattr(activation, name).data.fill_(-1.0)
        activation(torch.linspace(-2, 4, 61)).sum().backward()
        assert all(number.grad.abs() > 1e-2 for number in activation.parameters())

    def test_a_second_forward_pass_leaves_the_graph_of_the_first_alone(self):
        activation = make_activation()
        first = activation(torch.linspace(-2, 4, 61, dtype=torch.float64)).sum()
        activation(torch.zeros(3, dtype=torch.float64))
        first.backward()
        assert activation.a.grad != 0

    def test_a_start_out_of_range_is_refused(self):
        with pytest.raises(ValueError, match=r'a of an AsymmetricGaussian is between 1\.01 and 6\.0, got 0\.5'):
            MODELS.build(dict(type='AsymmetricGaussian', a=0.5))


class TestGenerator:
    @pytest.mark.parametrize('widths', ((3, 4), (3, 4, 5), (5, 4, 3, 2)))
    def test_is_the_network_that_plain_functions_write_down(self, widths):
        generator, weights = make_generator(widths)
        image, known = make_inputs((16, 32))
        # an eval pass first: training puts the numbers that are out of range back
        for mode in (False, True):
            with torch.no_grad():
                ours = generator.train(mode)(torch.cat((image, known), 1))
            torch.testing.assert_close(ours, lbam(weights, image, known, len(widths)), rtol=1e-10, atol=1e-12)
        flipped = lbam(weights, image, 1 - known, len(widths))
        assert (ours - flipped).abs().max() > 1e-3, 'the other convention gives other images'

    @pytest.mark.parametrize('size', ((15, 24), (9, 17), (3, 1), (8, 8)))
    def test_any_size_is_continued_as_a_hole(self, size):
        generator, weights = make_generator()
        image, known = make_inputs(size)
        whole = [math.ceil(side / 8) * 8 for side in size]
        padded = [torch.zeros(2, channels, *whole, dtype=torch.float64) for channels in (3, 1)]
        for target, source in zip(padded, (image, known), strict=True):
            target[..., : size[0], : size[1]] = source
        expected = lbam(weights, *padded, 3)[..., : size[0], : size[1]]
        with torch.no_grad():
            torch.testing.assert_close(generator(torch.cat((image, known), 1)), expected, rtol=1e-10, atol=1e-12)

    def test_encoder_attends_to_what_is_known_and_decoder_to_the_hole(self):
        # without biases, nothing known leaves no mask in the encoder: the attention is g_A(0) everywhere
        generator, _ = make_generator()
        attentions = {}
        for name in ('encoder.0.attention', 'reverse.0'):
            generator.get_submodule(name).register_forward_hook(
                lambda module, args, outputs, name=name: attentions.update({name: outputs[0]})
            )
        for known in (0.0, 1.0):
            inputs = torch.cat((torch.zeros(1, 3, 16, 16), torch.full((1, 1, 16, 16), known)), 1).double()
            generator.eval()(inputs)
            nothing, something = ('encoder.0.attention', 'reverse.0')[:: 1 if known == 0 else -1]
            activation = generator.get_submodule(nothing).activation
            at_zero = activation(torch.zeros((), dtype=torch.float64)).item()
            assert (attentions[nothing] - at_zero).abs().max() < 1e-12
            assert attentions[something].std() > 1e-3

    def test_gradient_is_finite_and_reaches_every_weight(self):
        # the mask's update has an infinite slope at 0, and a mask is 0 wherever all is hole
        generator, _ = make_generator()
        for activation in (module for module in generator.modules() if hasattr(module, 'sigma2')):
            activation.mu.data.fill_(0.1)  # so that there are values on either side of it
        image, known = make_inputs((16, 16))
        known[..., :10] = 0
        generator(torch.cat((image * known, known), 1)).square().sum().backward()
        for name, weight in generator.named_parameters():
            assert weight.grad.isfinite().all() and weight.grad.abs().sum() > 0, name

    def test_starts_from_the_published_distribution_and_numbers(self):
        generator = MODELS.build(dict(type='LBAMGenerator', widths=(16, 24, 32)))
        generator.init_weights()
        for name, weight in generator.named_parameters():
            if name.endswith('.weight'):
                assert weight.std().item() == pytest.approx(0.02, rel=0.1), name
                assert abs(weight.mean().item()) < 0.003, name
        for stages, start in ((generator.encoder, (1.1, 2.0, 1.0, 1.0)), (generator.reverse, (1.1, 1.0, 0.5, 0.5))):
            for stage in stages:
                activation = getattr(stage, 'attention', stage).activation
                assert [p.item() for p in activation.parameters()] == pytest.approx(start)

    def test_there_is_nothing_but_convolutions_without_bias_and_activations(self):
        leaves = [module for module in make_generator()[0].modules() if not list(module.children())]
        assert {type(module).__name__ for module in leaves} == {'Conv2d', 'ConvTranspose2d', 'AsymmetricGaussian'}
        assert all(getattr(module, 'bias', None) is None for module in leaves)

    def test_one_stage_is_refused(self):
        with pytest.raises(ValueError, match=r'at least two stages, got \(8,\)'):
            MODELS.build(dict(type='LBAMGenerator', widths=(8,)))


def model_config(**changes):
    config = Config.fromfile(ROOT / 'configs/_base_/models/lbam.py').model
    config.encdec.generator.widths = WIDTHS
    config.disc.column.update(widths=(4, 4), kernel_size=3)
    for name in ('texture_output', 'texture_composed'):
        config.losses[name].loss.vgg = None
    config.update(changes)
    return config


def make_model(**changes):
    torch.manual_seed(0)
    return MODELS.build(model_config(**changes)).double().train()


def make_level(size=(16, 20), seed=1):
    """An output and its level: a target in [-1, 1] and a mask, 1 in the hole."""
    torch.manual_seed(seed)
    output, target = (torch.rand(2, 3, *size, dtype=torch.float64) * 2 - 1 for _ in range(2))
    mask = torch.zeros(2, 1, *size, dtype=torch.float64)
    mask[0, :, 3:9, 4:15] = 1
    mask[1, :, :2] = 1
    return output, Level(target, mask)


class TestWholeModel:
    def test_what_is_in_the_hole_cannot_change_the_answer_but_what_is_known_can(self):
        model = make_model().eval()
        generator, _ = make_generator()
        model.generator.generator.load_state_dict(generator.state_dict())
        output, (image, mask) = make_level()
        inputs = torch.cat((image * (1 - mask), mask), 1)
        (answer,) = model.generator(inputs)
        (other,) = model.generator(torch.cat((torch.where(mask > 0, output, image), mask), 1))
        assert torch.equal(answer, other)
        (other,) = model.generator(torch.cat((torch.where(mask > 0, inputs[:, :3], output), mask), 1))
        assert (answer - other).abs().max() > 1e-3
        # the wrapper brings it to [0, 1] and 1 = known, and back
        expected = generator(torch.cat(((image + 1) / 2 * (1 - mask), 1 - mask), 1)) * 2 - 1
        torch.testing.assert_close(answer, expected)


class TestObjective:
    def test_l1_counts_the_hole_six_times_and_the_rest_once_on_images_in_0_to_1(self):
        output, level = make_level()
        terms = make_model().generator_losses([output], [level])
        ours, true = (output + 1) / 2, (level.target + 1) / 2
        hole = ((ours - true).abs() * level.mask).mean()
        valid = ((ours - true).abs() * (1 - level.mask)).mean()
        torch.testing.assert_close(terms['loss_l1_output'] + terms['loss_l1_composed'], 6 * hole + valid)

    def test_texture_is_the_sum_over_three_layers_on_output_and_on_composite(self):
        model = make_model()
        output, level = make_level()
        terms = model.generator_losses([output], [level])
        composed = output * level.mask + level.target * (1 - level.mask)
        network = model.losses['texture_output'].loss._network[0]
        assert isinstance(network, FrozenVGG)
        for name, image in (('output', output), ('composed', composed)):
            perceptual = style = 0
            for ours, true in zip(network(image), network(level.target), strict=True):
                perceptual += 0.01 * (ours - true).abs().mean()
                size = ours[0].numel()
                gram = [torch.einsum('ncij,ndij->ncd', f, f) / size for f in (ours, true)]
                style += 120 * (gram[0] - gram[1]).abs().mean()
            torch.testing.assert_close(terms[f'loss_texture_{name}_perceptual'], perceptual)
            torch.testing.assert_close(terms[f'loss_texture_{name}_style'], style)
        assert len(terms) == 7, 'two of L1, two times two of texture, and the critic'

    def test_adversary_is_the_published_one_of_images_in_0_to_1(self):
        # A critic D of images in [0, 1] is 2 D((y + 1) / 2) on [-1, 1]: it has D's gradients, which the penalty keeps
        # at 1. With it, the published objective comes out, the critic's doubled as a whole.
        model = make_model()
        column = nn.Sequential(nn.Conv2d(3, 2, 3).double(), nn.Tanh(), nn.Flatten(), nn.Linear(504, 1).double())

        class OnUnitRange(nn.Module):
            def forward(self, inputs):
                return 2 * column((inputs[:, :3] + 1) / 2)

        model.disc = OnUnitRange()
        output, level = make_level()
        fake, real = (output + 1) / 2, (level.target + 1) / 2
        torch.testing.assert_close(model.generator_losses([output], [level])['loss_adv'], -0.1 * column(fake).mean())
        torch.manual_seed(3)
        ours = sum(model.critic_losses([output], [level]).values())
        torch.manual_seed(3)
        share = torch.rand(2, 1, 1, 1, dtype=torch.float64)
        between = (share * real + (1 - share) * fake).requires_grad_()
        (gradient,) = torch.autograd.grad(column(between).sum(), between, create_graph=True)
        penalty = 10 * (gradient.flatten(1).norm(dim=1) - 1).square().mean()
        torch.testing.assert_close(ours, 2 * (column(fake).mean() - column(real).mean() + penalty))

    def test_an_optimiser_s_step_raises_true_scores_above_the_generator_s(self):
        model = make_model()
        output, level = make_level()

        def margin():
            with torch.no_grad():
                return (model.score(level.target, level.mask) - model.score(output, level.mask)).mean().item()

        optimiser, before = torch.optim.Adam(model.disc.parameters(), lr=1e-2, betas=(0.5, 0.9)), margin()
        for _ in range(20):
            optimiser.zero_grad()
            sum(model.critic_losses([output], [level]).values()).backward()
            optimiser.step()
        assert margin() > before + 0.5
        # and the generator's step raises the score of its images
        output.requires_grad_()
        (slope,) = torch.autograd.grad(model.generator_losses([output], [level])['loss_adv'], output)
        with torch.no_grad():
            assert model.score(output - slope, level.mask).mean() > model.score(output, level.mask).mean()


class LinearCritic(nn.Module):
    """Scores images and masks by one weight for each of their values; notes what it was given."""

    def __init__(self, channels, size):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, *size, dtype=torch.float64))
        self.seen = []

    def forward(self, inputs):
        self.seen.append(inputs.detach())
        return (inputs * self.weight).sum((1, 2, 3))[:, None]


class TestCriticWithMask:
    @pytest.mark.parametrize('with_mask', (True, False))
    def test_penalty_is_on_the_gradient_by_the_image_alone(self, with_mask):
        model = make_model(disc_input_with_mask=with_mask)
        output, level = make_level()
        model.disc = LinearCritic(4 if with_mask else 3, output.shape[-2:])
        losses = model.critic_losses([output], [level])
        expected = model.loss_gp.loss_weight * (model.disc.weight[:3].norm() - 1).square()
        torch.testing.assert_close(losses['critic_penalty'], expected)
        losses['critic_penalty'].backward()
        assert model.disc.weight.grad[:3].abs().min() > 0
        if with_mask:
            assert (model.disc.weight.grad[3] == 0).all()

    def test_every_image_comes_with_its_own_mask(self):
        model = make_model()
        output, level = make_level()
        model.disc = LinearCritic(4, output.shape[-2:])
        model.critic_losses([output], [level])
        model.generator_losses([output], [level])
        together, between, generated = model.disc.seen
        assert torch.equal(together, torch.cat([torch.cat((image, level.mask), 1) for image in (level.target, output)]))
        assert torch.equal(between[:, 3:], level.mask)
        assert torch.equal(generated, torch.cat((output, level.mask), 1))


class TestTwoColumnCritic:
    def make(self):
        torch.manual_seed(0)
        column = dict(type='CAINetCritic', widths=(4, 5), kernel_size=3)
        return MODELS.build(dict(type='TwoColumnCritic', column=column)).double()

    @pytest.mark.parametrize('size', ((16, 20), (7, 13), (1, 1)))
    def test_score_is_the_sum_of_a_column_on_what_is_known_and_one_on_the_hole(self, size):
        critic = self.make()
        image, known = make_inputs(size)
        image = image + 0.1
        expected = critic.known(torch.where(known > 0, image, 0.0)) + critic.hole(torch.where(known > 0, 0.0, image))
        scores = critic(torch.cat((image, 1 - known), 1))
        assert scores.shape == (2, 1)
        torch.testing.assert_close(scores, expected)

    @pytest.mark.parametrize(('muted', 'seen'), [('hole', 'known'), ('known', 'hole')])
    def test_a_column_sees_its_region_alone(self, muted, seen):
        critic = self.make()
        getattr(critic, muted).requires_grad_(False)
        for weight in getattr(critic, muted).parameters():
            weight.zero_()
        image, known = make_inputs()
        image = image.clone().requires_grad_()
        critic(torch.cat((image, 1 - known), 1)).sum().backward()
        region = (known if seen == 'known' else 1 - known).expand_as(image) > 0
        assert (image.grad[~region] == 0).all()
        assert (image.grad[region] != 0).all()

    def test_columns_have_weights_of_their_own(self):
        critic = self.make()
        assert not any(
            torch.equal(ours, theirs)
            for ours, theirs in zip(critic.known.parameters(), critic.hole.parameters(), strict=True)
            if ours.dim() > 1
        )

    def test_an_image_without_mask_is_refused(self):
        with pytest.raises(ValueError, match='4 channels, got 3; set disc_input_with_mask=True'):
            self.make()(torch.zeros(1, 3, 8, 8).double())


class TestNamesOfTerms:
    def test_terms_keep_their_names_unless_those_clash(self):
        assert name_terms(dict(rec=1, texture=dict(perceptual=2, style=3), adv=4)) == dict(
            rec=1, perceptual=2, style=3, adv=4
        )
        assert name_terms(dict(a=dict(style=1, tv=2), b=dict(style=3))) == dict(a_style=1, tv=2, b_style=3)
        assert name_terms(dict(style=1, a=dict(style=2))) == dict(style=1, a_style=2)

    def test_no_term_is_lost_in_silence(self):
        with pytest.raises(ValueError, match=r"a_style, a, b are called 'a_style'; rename a loss"):
            name_terms(dict(a_style=1, a=dict(style=2), b=dict(style=3)))
        with pytest.raises(ValueError, match="logs its term as 'adv'"):
            make_model(losses=dict(adv=dict(type='MultiScaleLoss', scales=(1,), loss=dict(type='L1Loss'))))


def test_a_loss_can_take_the_composite():
    loss = MODELS.build(
        dict(
            type='MultiScaleLoss',
            scales=(1,),
            takes=('composed', 'target'),
            loss=dict(type='MSELoss', loss_weight=1.0, reduction='sum'),
        )
    )
    output, level = make_level()
    output.requires_grad_()
    value = loss([output], [level])
    torch.testing.assert_close(value, ((output - level.target) * level.mask).square().sum())
    value.backward()
    hole = level.mask.expand_as(output) > 0
    assert (output.grad[hole] != 0).all() and (output.grad[~hole] == 0).all()


def smoke(work_dir, iters):
    config = Config.fromfile(ROOT / 'configs/baselines/smoke/lbam.py')
    config.work_dir = str(work_dir)
    config.train_dataloader.batch_size = 2
    config.val_dataloader.dataset.crops_per_photo = config.test_dataloader.dataset.crops_per_photo = 1
    config.train_cfg.update(max_iters=iters, val_interval=iters)
    config.default_hooks.checkpoint.interval = 1
    config.default_hooks.logger.interval = 1
    config.default_hooks.pop('pictures', None)
    config.experiment_name = f'lbam_{iters}'
    return config


def test_smoke_config_trains_saves_resumes_and_tests(tmp_path):
    Runner.from_cfg(smoke(tmp_path, 2)).train()
    config = smoke(tmp_path, 3)
    config.resume = True
    runner = Runner.from_cfg(config)
    runner.train()
    assert runner.iter == 3
    logs = max(tmp_path.glob('*/vis_data/scalars.json')).read_text().splitlines()
    steps = [entry for entry in map(json.loads, logs) if 'loss' in entry]
    assert [entry['step'] for entry in steps] == [3]
    names = {name for name in steps[0] if name.startswith(('loss_', 'critic_'))}
    assert names == {'loss_l1_output', 'loss_l1_composed', 'loss_adv', 'critic_real', 'critic_fake', 'critic_penalty'}
    before, after = (
        CheckpointLoader.load_checkpoint(str(tmp_path / f'iter_{step}.pth'), map_location='cpu')['state_dict']
        for step in (2, 3)
    )
    assert before.keys() == after.keys()
    # a bias of the scores cancels between true images and others; sigma2 waits for values above mu
    assert not [key for key in before if key.endswith('.weight') and torch.equal(before[key], after[key])]

    config = smoke(tmp_path / 'tested', 3)
    config.load_from = str(tmp_path / 'iter_3.pth')
    Runner.from_cfg(config).test()
    (tested,) = (tmp_path / 'tested').glob('*/*.json')
    validated = [entry for entry in map(json.loads, logs) if 'HolePSNR' in entry][-1]
    assert json.loads(tested.read_text())['HolePSNR'] == pytest.approx(validated['HolePSNR'], abs=1e-3)
