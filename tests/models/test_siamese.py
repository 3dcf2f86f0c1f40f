"""Stage 1: the Siamese network, its key encoder and its queue."""

import copy
import inspect
from collections import deque

import pytest
import torch
from mmagic.registry import MODELS
from mmagic.structures import DataSample
from torch import nn

from cainet_mm.models import SiameseMoCo

TAU, M = 0.07, 0.9
LINEAR = dict(type='mmpretrain.LinearNeck', in_channels=6, out_channels=5, gap_dim=2, norm_cfg=None)
MLP = dict(type='mmpretrain.MoCoV2Neck', in_channels=6, hid_channels=7, out_channels=5)
PREPROCESSOR = dict(type='TwoMaskPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, output_channel_order='RGB')


def make_model(queue_len=12, neck=LINEAR, norm_cfg=dict(type='BN'), momentum=1 - M, temperature=TAU):
    """A model of two stages in float64, so that a formula and the model differ by rounding alone."""
    torch.manual_seed(0)
    config = dict(
        type='SiameseMoCo',
        data_preprocessor=PREPROCESSOR,
        backbone=dict(type='CAINetEncoder', widths=(4, 6), kernels=(5, 3), norm_cfg=norm_cfg, out_indices=(1,)),
        neck=neck,
        head=dict(
            type='mmpretrain.ContrastiveHead',
            temperature=temperature,
            loss=dict(type='mmpretrain.CrossEntropyLoss', loss_weight=1.0),
        ),
        queue_len=queue_len,
        feat_dim=5,
        momentum=momentum,
    )
    return MODELS.build(copy.deepcopy(config)).double().train()


def make_views(batch, height=9, width=7, seed=1):
    """Two maskings of the same random images, as the data preprocessor hands them over."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(batch, 3, height, width, generator=generator, dtype=torch.float64) * 2 - 1
    views = []
    for _ in range(2):
        mask = (torch.rand(batch, 1, height, width, generator=generator) < 0.3).double()
        views.append(torch.cat((images * (1 - mask), mask), dim=1))
    return views


def projection(backbone, neck, view):
    """z of a view: global average pool and linear layer(s) written out, then divided by its length."""
    z = backbone(view)[-1].mean(dim=(2, 3))
    if hasattr(neck, 'mlp'):
        first, _, last = neck.mlp
        z = torch.clamp(z @ first.weight.T + first.bias, min=0) @ last.weight.T + last.bias
    else:
        z = z @ neck.fc.weight.T + neck.fc.bias
    return z / z.square().sum(dim=1, keepdim=True).sqrt()


def info_nce(query, key, queue, tau=TAU):
    """Eq. (1), sample by sample and key by key; the queue holds one key in each column."""
    losses = []
    for q, k in zip(query, key, strict=True):
        positive = torch.exp(q @ k / tau)
        negatives = sum(torch.exp(q @ queue[:, i] / tau) for i in range(queue.shape[1]))
        losses.append(-torch.log(positive / (positive + negatives)))
    return sum(losses) / len(losses)


def step(model, views, lr=0.0):
    """One step of training by plain SGD; returns what the model reports."""
    results = model.loss(list(views), [])
    model.zero_grad()
    results['loss'].backward()
    with torch.no_grad():
        for parameter in (*model.backbone.parameters(), *model.neck.parameters()):
            parameter -= lr * parameter.grad
    return results


def online(model):
    """The parameters of E_q and its projection."""
    return [parameter.detach().clone() for part in (model.backbone, model.neck) for parameter in part.parameters()]


def averaged(model):
    """The parameters of E_k and its projection, in the same order."""
    return [parameter.detach().clone() for parameter in model.encoder_k.module.parameters()]


def all_equal(first, second):
    return len(first) == len(second) and all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


class TestInfoNCE:
    @pytest.mark.parametrize('neck', [LINEAR, MLP], ids=['linear', 'mlp'])
    @pytest.mark.parametrize(
        ('batch', 'queue_len', 'height', 'width'),
        [(4, 12, 9, 7), (3, 3, 16, 16), (2, 64, 5, 11), (1, 7, 13, 6), (1, 1, 8, 8)],
    )
    def test_eq_1_loss_is_the_negative_log_share_of_the_positive_among_all_keys(
        self, batch, queue_len, height, width, neck
    ):
        model = make_model(queue_len, neck)
        query_view, key_view = make_views(batch, height, width)
        # at the first step E_k is E_q, and batch norm in training looks at its batch alone
        encoder = copy.deepcopy((model.backbone, model.neck))
        expected = info_nce(projection(*encoder, query_view), projection(*encoder, key_view), model.queue.clone())
        loss = model.loss([query_view, key_view], [])['loss']
        torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-12)

    @pytest.mark.parametrize('tau', [0.07, 0.2, 1.0])
    def test_eq_1_temperature_divides_every_similarity(self, tau):
        model = make_model(temperature=tau)
        views = make_views(4)
        encoder = copy.deepcopy((model.backbone, model.neck))
        query, key = (projection(*encoder, view) for view in views)
        expected = info_nce(query, key, model.queue.clone(), tau)
        torch.testing.assert_close(model.loss(views, [])['loss'], expected, rtol=1e-10, atol=1e-12)

    def test_eq_1_against_a_queue_of_real_keys_after_several_steps(self):
        model = make_model(queue_len=8)
        for seed in range(4):
            step(model, make_views(4, seed=seed), lr=0.05)
        query_view, key_view = make_views(4, seed=9)
        key_encoder = copy.deepcopy(model.encoder_k.module)
        with torch.no_grad():
            for theta_k, theta_q in zip(key_encoder.parameters(), online(model), strict=True):
                theta_k.copy_(M * theta_k + (1 - M) * theta_q)
        query = projection(*copy.deepcopy((model.backbone, model.neck)), query_view)
        expected = info_nce(query, projection(*key_encoder, key_view), model.queue.clone())
        torch.testing.assert_close(model.loss([query_view, key_view], [])['loss'], expected, rtol=1e-10, atol=1e-12)

    def test_images_of_batch_two_and_only_one_pixel_have_a_finite_loss(self):
        assert step(make_model(), make_views(2, 1, 1))['loss'].isfinite()

    def test_positive_first_is_the_share_of_queries_whose_positive_beats_the_whole_queue(self):
        # group norm, so that a view is encoded the same whatever else is in its batch
        model = make_model(norm_cfg=dict(type='GN', num_groups=1))
        query_view, key_view = make_views(4)
        # the last query and its key see the same view: similarity 1, which nothing in the queue reaches
        key_view[3] = query_view[3]
        query = projection(model.backbone, model.neck, query_view).detach()
        # the first three queries meet themselves in the queue
        model.queue[:, 5:8] = query[:3].T
        assert model.loss([query_view, key_view], [])['positive_first'].item() == 0.25

    def test_positive_first_is_one_where_the_queue_points_away_and_zero_where_it_holds_the_queries(self):
        for sign, share in ((-1, 1.0), (1, 0.0)):
            model = make_model(queue_len=4)
            views = make_views(4)
            encoder = copy.deepcopy((model.backbone, model.neck))
            model.queue.copy_(sign * projection(*encoder, views[0]).detach().T)
            assert model.loss(views, [])['positive_first'].item() == share


class TestKeyEncoder:
    def test_eq_2_every_parameter_of_the_key_encoder_is_the_moving_average_of_the_query_encoder(self):
        model = make_model()
        step(model, make_views(4), lr=0.1)
        expected = averaged(model)
        for seed in range(2, 7):
            theta_q = online(model)
            expected = [M * k + (1 - M) * q for k, q in zip(expected, theta_q, strict=True)]
            step(model, make_views(4, seed=seed), lr=0.1)
            assert not all_equal(theta_q, online(model))
            torch.testing.assert_close(averaged(model), expected, rtol=1e-10, atol=1e-12)
        # the two encoders have parted, so the equations above said something
        assert not all_equal(averaged(model), online(model))

    def test_eq_2_momentum_is_one_minus_m(self):
        # MMEngine's convention: near momentum=1 E_k becomes E_q, near 0 it stays where it was
        for momentum in (1 - 1e-9, 1e-9):
            model = make_model(momentum=momentum)
            step(model, make_views(4), lr=0.1)
            before, theta_q = averaged(model), online(model)
            step(model, make_views(4, seed=2))
            expected = theta_q if momentum > 0.5 else before
            torch.testing.assert_close(averaged(model), expected, rtol=1e-6, atol=1e-8)

    def test_eq_2_m_is_nine_tenths_by_default(self):
        parameters = inspect.signature(SiameseMoCo).parameters
        model = make_model(momentum=parameters['momentum'].default)
        step(model, make_views(4), lr=0.1)
        expected = [0.9 * k + 0.1 * q for k, q in zip(averaged(model), online(model), strict=True)]
        step(model, make_views(4, seed=2))
        torch.testing.assert_close(averaged(model), expected, rtol=1e-10, atol=1e-12)

    def test_key_encoder_starts_as_a_copy_of_the_query_encoder(self):
        model = make_model()
        with torch.no_grad():
            # as after init_weights, which draws the two encoders apart
            for parameter in (*model.backbone.parameters(), *model.neck.parameters()):
                parameter.add_(torch.randn_like(parameter))
        assert not all_equal(averaged(model), online(model))
        theta_q = online(model)
        step(model, make_views(4))
        assert all_equal(averaged(model), theta_q)

    def test_key_encoder_is_not_copied_again_at_the_second_step(self):
        model = make_model()
        step(model, make_views(4), lr=0.1)
        step(model, make_views(4, seed=2))
        assert not all_equal(averaged(model), online(model))

    def test_keys_are_computed_by_the_key_encoder_after_its_update(self):
        model = make_model()
        step(model, make_views(4), lr=0.5)
        views = make_views(4, seed=2)
        key_encoder = copy.deepcopy(model.encoder_k.module)
        stale = projection(*key_encoder, views[1])
        with torch.no_grad():
            for theta_k, theta_q in zip(key_encoder.parameters(), online(model), strict=True):
                theta_k.copy_(M * theta_k + (1 - M) * theta_q)
        fresh = projection(*key_encoder, views[1])
        step(model, views)
        torch.testing.assert_close(model.queue[:, 4:8], fresh.T, rtol=1e-10, atol=1e-12)
        assert not torch.allclose(model.queue[:, 4:8], stale.T, rtol=1e-4)

    @pytest.mark.parametrize('momentum', [0, -0.1, 1, 1.1])
    def test_momentum_out_of_range_is_refused(self, momentum):
        with pytest.raises(ValueError, match=rf'takes the momentum .* as 1 - m, above 0 and below 1, got {momentum}\.'):
            make_model(momentum=momentum)


class TestGradient:
    def test_query_side_gets_a_gradient_and_the_key_side_none(self):
        model = make_model()
        query_view, key_view = make_views(4)
        # asking for the gradient of the views shows that keys are cut off, even from what is before the encoder
        query_view.requires_grad_()
        key_view.requires_grad_()
        step(model, (query_view, key_view))
        for part in (model.backbone, model.neck):
            for name, parameter in part.named_parameters():
                # batch norm takes the mean of its input away, and with it the bias before it
                assert parameter.grad is not None, name
                assert parameter.grad.abs().max() > 0 or name == 'stages.1.conv.bias', name
        assert query_view.grad.abs().max() > 0
        assert key_view.grad is None
        assert all(parameter.grad is None for parameter in model.encoder_k.parameters())
        assert not any(parameter.requires_grad for parameter in model.encoder_k.parameters())
        assert not model.queue.requires_grad
        assert model.queue.grad is None

    @pytest.mark.parametrize('queue_len', [4, 12])
    def test_gradient_is_that_of_a_reference_whose_queue_is_a_copy(self, queue_len):
        # with a queue of one batch, every key leaves in the step, so the order of gradient and queue would show
        model = make_model(queue_len)
        for seed in (1, 2):
            views = make_views(4, seed=seed)
            key_encoder = copy.deepcopy(model.encoder_k.module)
            query_encoder = copy.deepcopy(nn.ModuleList((model.backbone, model.neck)))
            with torch.no_grad():
                share = 1 if seed == 1 else 1 - M
                for theta_k, theta_q in zip(key_encoder.parameters(), online(model), strict=True):
                    theta_k.copy_((1 - share) * theta_k + share * theta_q)
                key = projection(*key_encoder, views[1])
            query_encoder.zero_grad()
            info_nce(projection(*query_encoder, views[0]), key, model.queue.clone()).backward()
            expected = [parameter.grad for parameter in query_encoder.parameters()]
            step(model, views)
            gradient = [parameter.grad for part in (model.backbone, model.neck) for parameter in part.parameters()]
            torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-12)
            with torch.no_grad():
                for parameter in model.backbone.parameters():
                    parameter.add_(0.1 * torch.randn_like(parameter))

    def test_keys_enter_the_queue_with_the_gradient_and_not_before(self):
        model = make_model()
        before = model.queue.clone()
        loss = model.loss(make_views(4), [])['loss']
        assert torch.equal(model.queue, before)
        assert model.queue_ptr.item() == 0
        loss.backward()
        assert not torch.equal(model.queue[:, :4], before[:, :4])
        assert torch.equal(model.queue[:, 4:], before[:, 4:])
        assert model.queue_ptr.item() == 4

    @pytest.mark.parametrize('training', [True, False])
    def test_keys_enter_at_once_where_no_gradient_is_computed(self, training):
        model = make_model().train(training)
        before = model.queue.clone()
        views = make_views(4)
        encoder = copy.deepcopy((model.backbone, model.neck))
        with torch.no_grad():
            loss = model.loss(views, [])['loss']
            query, key = (projection(*encoder, view) for view in views)
        torch.testing.assert_close(loss, info_nce(query, key, before), rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(model.queue[:, :4], key.T, rtol=1e-10, atol=1e-12)
        assert torch.equal(model.queue[:, 4:], before[:, 4:])
        assert model.queue_ptr.item() == 4


class TestQueue:
    def test_starts_with_unit_vectors(self):
        queue = make_model(queue_len=30).queue
        assert queue.shape == (5, 30)
        torch.testing.assert_close(queue.square().sum(dim=0), torch.ones(30, dtype=torch.float64), rtol=1e-5, atol=0)

    @pytest.mark.parametrize(
        'batches', [(2, 2, 2, 2, 2), (6, 6), (1,) * 8, (2, 3, 3, 6, 1, 3)], ids=['even', 'whole', 'single', 'changing']
    )
    def test_is_first_in_first_out_over_the_wrap_around(self, batches):
        # changing: a run resumed with another batch size, whose batches lie across the end of the queue
        model = make_model(queue_len=6, norm_cfg=dict(type='GN', num_groups=1))
        expected = deque(model.queue.T.clone(), maxlen=6)
        entered = 0
        for seed, batch in enumerate(batches):
            views = make_views(batch, seed=seed)
            step(model, views)
            # the weights stand still (lr=0), so E_k is E_q all the time
            expected.extend(projection(model.backbone, model.neck, views[1]).detach())
            entered += batch
            pointer = model.queue_ptr.item()
            assert pointer == entered % 6
            oldest_first = torch.roll(model.queue, -pointer, dims=1).T
            torch.testing.assert_close(oldest_first, torch.stack(list(expected)), rtol=1e-8, atol=1e-10)

    def test_holds_unit_vectors_after_every_step(self):
        model = make_model(queue_len=4)
        for seed in range(3):
            step(model, make_views(2, seed=seed), lr=0.1)
        torch.testing.assert_close(model.queue.square().sum(dim=0), torch.ones(4, dtype=torch.float64))

    def test_queue_pointer_and_key_encoder_go_on_after_a_checkpoint(self, tmp_path):
        model = make_model()
        for seed in range(2):
            step(model, make_views(4, seed=seed), lr=0.1)
        torch.save(model.state_dict(), tmp_path / 'checkpoint.pth')
        resumed = make_model()
        resumed.load_state_dict(torch.load(tmp_path / 'checkpoint.pth', weights_only=True))
        assert resumed.queue_ptr.item() == 8
        assert torch.equal(resumed.queue, model.queue)
        for seed in range(2, 4):
            for either in (model, resumed):
                step(either, make_views(4, seed=seed), lr=0.1)
            assert resumed.queue_ptr.item() == model.queue_ptr.item() == (seed + 1) * 4 % 12
            assert torch.equal(resumed.queue, model.queue)
            # in particular, E_k was not copied from E_q once more
            assert all_equal(averaged(resumed), averaged(model))

    def test_batch_that_does_not_divide_the_queue_is_refused(self):
        model = make_model(queue_len=12)
        before = model.queue.clone()
        with pytest.raises(ValueError, match='queue of 12 keys is not divided by the batch of 5 .*drop_last=True'):
            model.loss(make_views(5), [])
        with pytest.raises(ValueError, match='queue of 12 keys is not divided by the batch of 13'):
            model.loss(make_views(13), [])
        assert torch.equal(model.queue, before)
        assert model.queue_ptr.item() == 0

    def test_neck_of_another_width_than_the_queue_is_refused(self):
        model = make_model(neck=dict(LINEAR, out_channels=4))
        with pytest.raises(ValueError, match='returns 4 numbers for an image, but feat_dim is 5'):
            model.loss(make_views(4), [])


class TestTwoMaskPreprocessor:
    def make_batch(self, batch=3, height=5, width=7):
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (batch, 3, height, width), generator=generator, dtype=torch.uint8)
        masks = (torch.rand(2, batch, 1, height, width, generator=generator) < 0.4).float()
        samples = [DataSample(mask_q=mask_q, mask_k=mask_k) for mask_q, mask_k in zip(*masks, strict=True)]
        return images, masks, dict(inputs=list(images), data_samples=samples)

    @pytest.mark.parametrize('batch', [1, 3])
    def test_views_are_the_same_rgb_image_with_zero_in_each_hole_and_then_the_mask(self, batch):
        images, masks, data = self.make_batch(batch)
        views = MODELS.build(PREPROCESSOR)(data, training=True)['inputs']
        assert len(views) == 2
        blue, green, red = (images[:, channel].double() for channel in range(3))
        for view, mask in zip(views, masks, strict=True):
            assert view.shape == (batch, 4, 5, 7)
            hole = mask[:, 0] == 1
            assert hole.any()
            for channel, colour in enumerate((red, green, blue)):
                expected = torch.where(hole, torch.zeros_like(colour), colour / 127.5 - 1)
                torch.testing.assert_close(view[:, channel].double(), expected, rtol=0, atol=1e-6)
            assert torch.equal(view[:, 3], mask[:, 0])

    def test_mask_keys_name_the_masks_of_the_query_and_of_the_key(self):
        _, masks, data = self.make_batch()
        views = MODELS.build(dict(PREPROCESSOR, mask_keys=('mask_k', 'mask_q')))(data)['inputs']
        assert torch.equal(views[0][:, 3:], masks[1])
        assert torch.equal(views[1][:, 3:], masks[0])

    def test_samples_without_a_mask_are_refused(self):
        _, _, data = self.make_batch()
        for sample in data['data_samples']:
            del sample.mask_k
        with pytest.raises(ValueError, match='takes the masks mask_q, mask_k from the data samples, which lack mask_k'):
            MODELS.build(PREPROCESSOR)(data)

    def test_loss_from_photographs_is_that_of_views_made_by_hand(self):
        images, masks, data = self.make_batch(batch=4)
        model = make_model().float()
        rgb = images.flip(1).float() / 127.5 - 1
        by_hand = [torch.cat((rgb * (1 - mask), mask), dim=1) for mask in masks]
        expected = copy.deepcopy(model).loss(by_hand, [])['loss']
        prepared = model.data_preprocessor(data, training=True)
        torch.testing.assert_close(model(**prepared, mode='loss')['loss'], expected)
