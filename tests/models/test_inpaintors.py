"""Stage 2's objective and its training step."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from mmagic.engine.optimizers import MultiOptimWrapperConstructor
from mmagic.registry import MODELS
from mmagic.structures import DataSample
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS

from cainet_mm.models.pyramids import build_pyramid

STRUCTURE, TEXTURE = (1, 2, 3), (1, 2)  # P and Q of these tests


def model_config(**changes):
    config = dict(
        type='CAINetInpaintor',
        data_preprocessor=dict(type='DataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, output_channel_order='RGB'),
        encdec=dict(
            type='CAINetEncoderDecoder',
            encoder=dict(type='CAINetEncoder', widths=(6, 8, 8), kernels=(3, 3, 3)),
            decoder=dict(
                type='CAINetDecoder', num_scales=3, fusion=dict(type='DualAttentionFusion', hidden_channels=4)
            ),
        ),
        losses=dict(
            rec=dict(
                type='MultiScaleLoss',
                scales=STRUCTURE,
                loss=dict(type='L1Loss', loss_weight=6.0, reduction='mean'),
            ),
            texture=dict(
                type='MultiScaleLoss',
                scales=TEXTURE,
                loss=dict(type='TextureLoss', vgg=None, perceptual_weight=0.1, style_weight=240.0),
            ),
            tv=dict(
                type='MultiScaleLoss',
                scales=TEXTURE,
                takes=('output', 'mask'),
                loss=dict(type='DilatedTVLoss', loss_weight=0.1),
            ),
        ),
        disc=dict(type='CAINetCritic', widths=(4, 4), kernel_size=3),
        loss_gan=dict(type='GANLoss', gan_type='wgan', loss_weight=0.001),
        loss_gp=dict(type='SampleGradientPenalty', loss_weight=10.0),
        critic_scales=TEXTURE,
    )
    config.update(changes)
    return config


WITHOUT_CRITIC = dict(disc=None, loss_gan=None, loss_gp=None)


def make_model(**changes):
    torch.manual_seed(0)
    return MODELS.build(model_config(**changes)).train()


def make_batch(size=(24, 24), batch_size=3):
    """A batch as MMagic's pipelines give it: uint8 range, BGR, hole grey."""
    torch.manual_seed(sum(size))
    samples, inputs = [], []
    for _ in range(batch_size):
        truth = torch.randint(0, 256, (3, *size)).float()
        mask = torch.zeros(1, *size)
        mask[:, size[0] // 4 : size[0] // 2 + 1, size[1] // 4 : size[1] // 2 + 1] = 1
        sample = DataSample()
        sample.set_metainfo(dict(gt_channel_order='BGR', gt_color_type='color'))
        sample.set_data(dict(gt_img=truth, mask=mask))
        samples.append(sample)
        inputs.append(truth * (1 - mask) + 127.5 * mask)
    return dict(inputs=inputs, data_samples=samples)


def make_wrappers(model, kind='OptimWrapper', lr=1e-3, **options):
    parts = {'generator': 1, 'disc': 1} if model.with_gan else {'generator': 1}
    config = {name: dict(type=kind, optimizer=dict(type='SGD', lr=lr), **options) for name in parts}
    return MultiOptimWrapperConstructor(config)(model)


def outputs_and_pyramid(model, dtype=torch.float64):
    """Outputs that can be differentiated by, and targets and masks of the three scales."""
    torch.manual_seed(1)
    sizes = [(21, 24), (11, 12), (6, 6)]
    outputs = [torch.rand(2, 3, *size, dtype=dtype).requires_grad_() for size in sizes]
    mask = torch.zeros(2, 1, *sizes[0], dtype=dtype)
    mask[..., 5:15, 6:13] = 1
    return outputs, build_pyramid(torch.rand(2, 3, *sizes[0], dtype=dtype), mask, sizes)


def snapshot(module):
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def changed(module, before):
    return [name for name, value in module.named_parameters() if not torch.equal(value, before[name])]


class TestObjective:
    def test_eq_14_to_16_total_is_the_hand_weighted_sum_over_p_and_q(self):
        model = make_model().double()
        outputs, pyramid = outputs_and_pyramid(model)
        vgg = deepcopy(model.losses['texture'].loss._network[0]).double()

        def texture_terms(output, target):
            perceptual = style = 0
            for ours, true in zip(vgg(output), vgg(target), strict=True):
                perceptual += (ours - true).abs().mean() / 3
                channels, pixels = ours.shape[1], ours.shape[2] * ours.shape[3]
                gram = [torch.einsum('ncij,ndij->ncd', f, f) / (channels * pixels) for f in (ours, true)]
                style += (gram[0] - gram[1]).abs().mean() / 3
            return perceptual, style

        structure = sum(
            6 * (outputs[k - 1] - pyramid[k - 1].target).abs().mean() for k in STRUCTURE
        ) / len(STRUCTURE)  # fmt: skip
        texture = adversarial = 0
        for k in TEXTURE:
            output, (target, mask) = outputs[k - 1], pyramid[k - 1]
            perceptual, style = texture_terms(output, target)
            region = F.max_pool2d(mask, 3, 1, 1).expand_as(output).bool()
            both_across, both_down = region[..., 1:] & region[..., :-1], region[..., 1:, :] & region[..., :-1, :]
            variation = output.diff(dim=-1)[both_across].abs().sum() + output.diff(dim=-2)[both_down].abs().sum()
            adversarial += 0.001 * -model.disc(output).mean() / len(TEXTURE)
            texture += (0.1 * perceptual + 240 * style + 0.1 * variation / region.sum()) / len(TEXTURE)

        terms = model.generator_losses(outputs, pyramid)
        assert terms.keys() == {'loss_rec', 'loss_perceptual', 'loss_style', 'loss_tv', 'loss_adv'}
        # it is too small to be seen in the total
        torch.testing.assert_close(terms['loss_adv'], adversarial)
        torch.testing.assert_close(
            model.parse_losses(terms)[0], structure + texture + adversarial, check_dtype=False, rtol=1e-5, atol=0
        )

    def test_eq_13_critic_scores_real_images_high_and_the_generator_s_low(self):
        model = make_model().double()
        outputs, pyramid = outputs_and_pyramid(model)
        losses = model.critic_losses(outputs, pyramid)
        real = sum(model.disc(pyramid[k - 1].target).mean() for k in TEXTURE) / len(TEXTURE)
        fake = sum(model.disc(outputs[k - 1]).mean() for k in TEXTURE) / len(TEXTURE)
        torch.testing.assert_close(losses['critic_real'], -real)
        torch.testing.assert_close(losses['critic_fake'], fake)

    def test_eq_13_penalty_is_the_mean_over_the_critic_s_scales(self, monkeypatch):
        model = make_model().double()
        outputs, pyramid = outputs_and_pyramid(model)
        monkeypatch.setattr(torch, 'rand', lambda *size, **kwargs: torch.full(size, 0.25, **kwargs))
        expected = []
        for k in TEXTURE:
            # Y' = t Y + (1 - t) Y^
            between = (0.25 * pyramid[k - 1].target + 0.75 * outputs[k - 1]).detach().requires_grad_()
            (gradient,) = torch.autograd.grad(model.disc(between).sum(), between)
            expected.append(10 * (gradient.flatten(1).norm(dim=1) - 1).square().mean())
        penalty = model.critic_losses(outputs, pyramid)['critic_penalty']
        torch.testing.assert_close(penalty, sum(expected) / len(TEXTURE), check_dtype=False, rtol=1e-5, atol=0)

    def test_training_the_critic_on_two_sets_parts_their_scores(self):
        model = make_model()
        outputs, pyramid = outputs_and_pyramid(model, torch.float32)
        optimizer = torch.optim.Adam(model.disc.parameters(), lr=1e-2)
        for _ in range(60):
            optimizer.zero_grad()
            losses = model.critic_losses(outputs, pyramid)
            sum(losses.values()).backward()
            optimizer.step()
        assert -losses['critic_real'] > losses['critic_fake'] + 0.05

    def test_each_term_reaches_the_generator(self):
        model = make_model()
        outputs, pyramid = outputs_and_pyramid(model, torch.float32)
        for name, term in model.generator_losses(outputs, pyramid).items():
            gradients = torch.autograd.grad(term, outputs, retain_graph=True, allow_unused=True)
            reached = {k for k, gradient in enumerate(gradients, start=1) if gradient is not None and gradient.any()}
            assert reached == set(STRUCTURE if name == 'loss_rec' else TEXTURE), name

    @pytest.mark.parametrize('scales', [(1,), (2, 3), (3,)])
    def test_critic_and_losses_look_at_the_scales_that_they_are_told(self, scales):
        losses = model_config()['losses']
        losses['texture'] = None
        for loss in (losses['rec'], losses['tv']):
            loss['scales'] = scales
        model = make_model(losses=losses, critic_scales=scales)
        outputs, pyramid = outputs_and_pyramid(model, torch.float32)
        total = sum(model.generator_losses(outputs, pyramid).values())
        gradients = torch.autograd.grad(total, outputs, allow_unused=True)
        assert tuple(k for k, gradient in enumerate(gradients, start=1) if gradient is not None) == scales


class TestStep:
    def test_updates_generator_and_critic_and_reports_each_term(self):
        model, batch = make_model(), make_batch()
        before = snapshot(model)
        logged = model.train_step(batch, make_wrappers(model))
        assert {name.split('.')[0] for name in changed(model, before)} == {'generator', 'disc'}
        assert not any(value.requires_grad for value in logged.values())
        terms = ('rec', 'perceptual', 'style', 'tv', 'adv')
        assert logged['loss'].item() == pytest.approx(sum(logged[f'loss_{term}'].item() for term in terms), rel=1e-5)

    def test_generator_s_update_gives_the_critic_no_gradient_and_the_reverse(self):
        model, batch = make_model(), make_batch()
        wrappers = make_wrappers(model)
        seen = {}

        def spy(name):
            step = wrappers[name].step

            def stepped(*args, **kwargs):
                seen[name] = {
                    part: any(p.grad is not None and p.grad.any() for p in getattr(model, part).parameters())
                    for part in ('generator', 'disc')
                }
                # what the other one's update starts from is clean
                step(*args, **kwargs)
                model.zero_grad()

            wrappers[name].step = stepped

        spy('generator')
        spy('disc')
        model.train_step(batch, wrappers)
        assert seen == {
            'disc': {'generator': False, 'disc': True},
            'generator': {'generator': True, 'disc': False},
        }

    def test_nothing_is_computed_twice(self):
        model, batch = make_model(), make_batch()
        calls = dict(generator=0, vgg=0)
        scored = []
        model.generator.register_forward_hook(lambda *_: calls.update(generator=calls['generator'] + 1))
        vgg = model.losses['texture'].loss._network[0]
        handle = vgg.register_forward_hook(lambda *_: calls.update(vgg=calls['vgg'] + 1))
        model.disc.register_forward_hook(lambda _, inputs, __: scored.append(len(inputs[0])))
        model.train_step(batch, make_wrappers(model))
        handle.remove()
        # per scale: real and fake together and the penalty's image for the critic, the output for the generator
        assert calls == dict(generator=1, vgg=2 * len(TEXTURE))
        assert sorted(scored) == sorted([6, 3, 3] * len(TEXTURE))

    def test_critic_may_be_updated_more_often(self):
        model, batch = make_model(train_cfg=dict(disc_step=3)), make_batch()
        wrappers = make_wrappers(model)
        updates = []
        for _ in range(6):
            before = snapshot(model)
            model.train_step(batch, wrappers)
            updates.append({name.split('.')[0] for name in changed(model, before)})
        assert updates == [{'disc'}, {'disc'}, {'disc', 'generator'}] * 2

    def test_penalty_at_intervals_counts_as_often_in_the_mean(self):
        batch, logged = make_batch(), {}
        for interval in (1, 3):
            model = make_model(train_cfg=dict(penalty_interval=interval))
            penalised = []
            model.loss_gp.register_forward_hook(lambda *_, seen=penalised: seen.append(len(logged)))
            # weights stay, and so does the penalty but for where between real and fake it is taken
            torch.manual_seed(0)
            wrappers = make_wrappers(model, lr=0)
            logged[interval] = [model.train_step(batch, wrappers)['critic_penalty'].item() for _ in range(6)]
            assert len(penalised) == 6 // interval * len(TEXTURE)
        assert [value == 0 for value in logged[3]] == [True, True, False] * 2
        assert sum(logged[3]) == pytest.approx(sum(logged[1]), rel=0.02)

    def test_intervals_of_penalty_and_generator_are_counted_apart(self):
        model, batch = make_model(train_cfg=dict(disc_step=2, penalty_interval=3)), make_batch()
        wrappers = make_wrappers(model)
        steps = [model.train_step(batch, wrappers) for _ in range(12)]
        assert ['loss_adv' in step for step in steps] == [False, True] * 6
        assert [step['critic_penalty'].item() > 0 for step in steps] == [False, False, True] * 4

    def test_trains_without_a_critic_under_one_wrapper_or_several(self):
        for make in (
            make_wrappers,
            lambda model: OPTIM_WRAPPERS.build(
                dict(type='OptimWrapper', optimizer=torch.optim.SGD(model.parameters(), lr=1e-3))
            ),
        ):
            model = make_model(**WITHOUT_CRITIC)
            before = snapshot(model)
            assert 'loss_adv' not in model.train_step(make_batch(), make(model))
            assert changed(model, before)

    def test_gradients_are_accumulated_for_both(self):
        model = make_model(losses=dict(rec=model_config()['losses']['rec']))
        wrappers = make_wrappers(model, accumulative_counts=2)
        for wrapper in wrappers.values():
            wrapper.initialize_count_status(model, 0, 4)
        moved = []
        for size in ((24, 24), (17, 22)):
            before = snapshot(model)
            model.train_step(make_batch(size), wrappers)
            moved.append({name.split('.')[0] for name in changed(model, before)})
        assert moved == [set(), {'generator', 'disc'}]

    def test_accumulated_gradient_is_the_mean_of_the_batches(self):
        moves = []
        for sizes, count in ([((24, 24),), 1], [((17, 22),), 1], [((24, 24), (17, 22)), 2]):
            model = make_model(**WITHOUT_CRITIC)
            wrappers = make_wrappers(model, accumulative_counts=count)
            wrappers['generator'].initialize_count_status(model, 0, len(sizes))
            before = snapshot(model)
            for size in sizes:
                model.train_step(make_batch(size), wrappers)
            moves.append([value - before[name] for name, value in model.named_parameters()])
        for first, second, both in zip(*moves, strict=True):
            torch.testing.assert_close(both, (first + second) / 2, rtol=1e-3, atol=1e-6)

    def test_gradients_are_clipped_for_both(self):
        model = make_model()
        before = snapshot(model)
        model.train_step(make_batch(), make_wrappers(model, lr=1.0, clip_grad=dict(max_norm=1e-3)))
        for part in ('generator', 'disc'):
            moves = [
                (value - before[f'{part}.{name}']).flatten() for name, value in getattr(model, part).named_parameters()
            ]
            assert torch.cat(moves).norm().item() == pytest.approx(1e-3, rel=1e-2)

    def test_bfloat16_steps_stay_close_to_float32(self):
        losses = {}
        for kind, options in dict(OptimWrapper={}, CPUAmpOptimWrapper=dict(even_if_slow=True)).items():
            model = make_model()
            wrappers = make_wrappers(model, kind, lr=1e-3, **options)
            torch.manual_seed(0)
            losses[kind] = torch.stack([model.train_step(make_batch(), wrappers)['loss'] for _ in range(4)])
        assert losses['CPUAmpOptimWrapper'].dtype == torch.float32
        assert not torch.equal(*losses.values()), 'autocast was on'
        torch.testing.assert_close(*losses.values(), rtol=0.03, atol=0)


class TestPrediction:
    @pytest.mark.parametrize('size', [(24, 24), (17, 29)])
    def test_known_pixels_are_put_back_exactly_unless_told_otherwise(self, size):
        for compose in (True, False):
            model = make_model(test_cfg=dict(compose=compose)).eval()
            batch = make_batch(size)
            known = torch.stack([sample.mask for sample in batch['data_samples']]).expand(-1, 3, -1, -1) == 0
            truth = torch.stack([sample.gt_img for sample in batch['data_samples']])
            with torch.no_grad():
                samples = model.test_step(batch)
            image, raw, composed = (
                torch.stack([sample.output.get(name) for sample in samples])
                for name in ('pred_img', 'fake_res', 'fake_img')
            )
            assert image.shape == truth.shape
            assert (image.min(), image.max()) >= (0, 0)
            assert image.max() <= 255
            # 8-bit levels are the same bits again; on the way through [-1, 1] they leave them by rounding alone
            torch.testing.assert_close(composed[known], truth[known], rtol=0, atol=1e-4)
            assert torch.equal(composed[known].round(), truth[known])
            assert (raw[known] - truth[known]).abs().max() > 1
            torch.testing.assert_close(composed[~known], raw[~known], rtol=0, atol=0)
            assert torch.equal(image, composed if compose else raw)

    def test_prediction_is_what_the_generator_put_out_in_bgr(self):
        model = make_model().eval()
        batch = make_batch()
        seen = []
        model.generator.register_forward_hook(lambda _, inputs, outputs: seen.append((inputs[0], outputs[0])))
        truth = torch.stack([sample.gt_img for sample in batch['data_samples']])
        with torch.no_grad():
            samples = model.test_step(batch)
        (inputs, output), = seen  # fmt: skip
        hole = inputs[:, 3:]
        # BGR in [0, 255] went in as RGB in [-1, 1] with 0 in the hole
        torch.testing.assert_close(inputs[:, :3], (truth.flip(1) / 127.5 - 1) * (1 - hole))
        raw = torch.stack([sample.output.fake_res for sample in samples])
        torch.testing.assert_close(raw, ((output.flip(1) + 1) * 127.5).clamp(0, 255), rtol=0, atol=1e-3)


class TestBadInput:
    def test_scale_that_the_generator_lacks(self):
        losses = dict(rec=dict(model_config()['losses']['rec'], scales=(1, 4)))
        with pytest.raises(ValueError, match=r'rec asks for the scales \(1, 4\), but the generator returns 3'):
            make_model(losses=losses)
        with pytest.raises(ValueError, match=r'critic asks for the scales \(5,\)'):
            make_model(critic_scales=(5,))

    @pytest.mark.parametrize('left_out', ['loss_gan', 'loss_gp'])
    def test_critic_without_its_losses(self, left_out):
        with pytest.raises(ValueError, match='trains a critic .* with loss_gan and loss_gp'):
            make_model(**{left_out: None})

    @pytest.mark.parametrize('train_cfg', [dict(disc_step=0), dict(penalty_interval=0), dict(start_iter=5)])
    def test_train_cfg_that_it_does_not_know(self, train_cfg):
        with pytest.raises(ValueError, match='takes disc_step and penalty_interval, numbers from 1 up'):
            make_model(train_cfg=train_cfg)

    def test_test_cfg_that_it_does_not_know(self):
        with pytest.raises(ValueError, match="takes compose alone, true or false, got {'compos': False}"):
            make_model(test_cfg=dict(compos=False))

    def test_critic_under_the_optimizer_of_the_generator(self):
        model = make_model()
        with pytest.raises(ValueError, match='with a critic takes two optimizers, got one'):
            model.train_step(make_batch(), OptimWrapper(torch.optim.SGD(model.parameters(), 0.1)))

    @pytest.mark.parametrize('scales', [(), (1, 1), (0, 1)])
    def test_critic_scales_that_are_no_set_of_scales(self, scales):
        with pytest.raises(ValueError, match='critic_scales takes a set of different scales'):
            make_model(critic_scales=scales)
