"""The critic of stage 2: what Eq. (13) and its gradient penalty ask of it."""

import pytest
import torch
from mmagic.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

TINY = dict(widths=(4, 5, 6), kernel_size=3)


def make_critic(seed=0, **settings):
    torch.manual_seed(seed)
    return MODELS.build(dict(type='CAINetCritic', **{**TINY, **settings})).double()


def images(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=torch.float64) * 2 - 1


def strided(inputs, layer, stride):
    """A zero-padded convolution as a sum over windows."""
    size = layer.weight.shape[-1]
    windows = nn.functional.pad(inputs, (size // 2,) * 4).unfold(2, size, stride).unfold(3, size, stride)
    return torch.einsum('nchwij,ocij->nohw', windows, layer.weight) + layer.bias[:, None, None]


@pytest.mark.parametrize('kernel_size', (3, 5))
@pytest.mark.parametrize('shape', ((2, 3, 16, 16), (1, 3, 11, 17), (3, 3, 8, 5)))
def test_score_is_the_mean_over_patches_of_strided_convolutions_with_leaky_relu(shape, kernel_size):
    critic = make_critic(kernel_size=kernel_size)
    with torch.no_grad():
        for weight in critic.parameters():
            weight.uniform_(-0.3, 0.3)  # fresh biases are zero, which would hide a missing one
    inputs = images(*shape)
    feature = inputs
    for layer in critic.features:
        feature = strided(feature, layer.conv, stride=2)
        feature = torch.where(feature > 0, feature, 0.2 * feature)
    patches = strided(feature, critic.score, stride=1)
    expected = patches.sum((1, 2, 3)) / (patches.shape[2] * patches.shape[3])
    torch.testing.assert_close(critic(inputs), expected[:, None])


@pytest.mark.parametrize('batch', (1, 3))
@pytest.mark.parametrize('size', ((16, 16), (64, 24), (7, 13), (1, 1), (2, 9)))
def test_images_of_any_size_get_one_score_each(size, batch):
    scores = make_critic()(images(batch, 3, *size))
    assert scores.shape == (batch, 1)
    assert scores.isfinite().all()
    if batch > 1:
        assert len(set(scores.flatten().tolist())) == batch


def test_scores_are_not_bounded():
    # a WGAN critic ends in no sigmoid: LeakyReLU is homogeneous, so without biases the score grows as the image does
    critic = make_critic()
    with torch.no_grad():
        for name, weight in critic.named_parameters():
            if name.endswith('bias'):
                weight.zero_()
    inputs = images(2, 3, 16, 16)
    torch.testing.assert_close(critic(inputs * 1e4), critic(inputs) * 1e4)


@pytest.mark.parametrize('training', (True, False))
def test_score_of_a_sample_does_not_depend_on_the_others_in_the_batch(training):
    critic = make_critic().train(training)
    inputs = images(3, 3, 13, 16)
    scores = critic(inputs)
    for index in range(3):
        torch.testing.assert_close(critic(inputs[index : index + 1]), scores[index : index + 1])
    # nor does its gradient, which is what the penalty is on
    others = torch.cat((inputs[:1], images(2, 3, 13, 16, seed=1) * 50))
    gradients = []
    for batch in (inputs, others):
        batch = batch.clone().requires_grad_()
        gradients.append(torch.autograd.grad(critic(batch).sum(), batch)[0][0])
    torch.testing.assert_close(*gradients)


def test_score_is_the_same_in_training_and_in_eval_mode_and_from_call_to_call():
    critic, inputs = make_critic(), images(2, 3, 12, 12)
    scores = critic.train()(inputs)
    assert (critic.train()(inputs) == scores).all()
    assert (critic.eval()(inputs) == scores).all()


def test_there_is_no_norm_layer_and_nothing_but_weights_in_its_state():
    critic = MODELS.build(dict(type='CAINetCritic'))
    norms = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.LocalResponseNorm)
    assert not any(isinstance(module, norms) for module in critic.modules())
    assert list(critic.buffers()) == []
    # and each convolution has the bias that a norm would have taken over
    assert all(layer.bias is not None for layer in critic.modules() if isinstance(layer, nn.Conv2d))


@pytest.mark.parametrize('size', ((16, 16), (13, 19), (32, 8)))
def test_gradient_to_the_image_is_finite_and_reaches_every_pixel(size):
    # stride 2 under kernels of at least 3 leaves no pixel out
    inputs = images(2, 3, *size).requires_grad_()
    make_critic()(inputs).sum().backward()
    assert inputs.grad.isfinite().all()
    assert (inputs.grad != 0).all()


def test_gradient_reaches_every_weight_of_the_critic():
    critic = make_critic()
    critic(images(2, 3, 16, 16)).square().sum().backward()
    for name, weight in critic.named_parameters():
        assert weight.grad.isfinite().all() and weight.grad.abs().sum() > 0, name


def test_default_is_five_convolutions_on_rgb_images():
    critic = MODELS.build(dict(type='CAINetCritic'))
    layers = [layer for layer in critic.modules() if isinstance(layer, nn.Conv2d)]
    assert [(layer.in_channels, layer.out_channels) for layer in layers] == [
        (3, 64),
        (64, 128),
        (128, 256),
        (256, 256),
        (256, 1),
    ]
    assert [layer.kernel_size for layer in layers] == [(5, 5)] * 4 + [(3, 3)]
    assert [layer.stride for layer in layers] == [(2, 2)] * 4 + [(1, 1)]
    slopes = [module.negative_slope for module in critic.modules() if isinstance(module, nn.LeakyReLU)]
    assert slopes == [0.2] * 4


@pytest.mark.parametrize('widths', ((4,), (2, 3, 4, 5, 6)))
@pytest.mark.parametrize('kernel_size', (1, 3, 7))
@pytest.mark.parametrize('in_channels', (1, 3, 4))
def test_widths_kernels_and_channels_are_those_of_the_config(in_channels, widths, kernel_size):
    critic = make_critic(in_channels=in_channels, widths=widths, kernel_size=kernel_size)
    layers = [layer.conv for layer in critic.features]
    assert [layer.in_channels for layer in layers] == [in_channels, *widths[:-1]]
    assert [layer.out_channels for layer in layers] == list(widths)
    assert {layer.kernel_size for layer in layers} == {(kernel_size, kernel_size)}
    inputs = images(2, in_channels, 9, 16)
    # every stage halves, rounding up, whatever the kernel
    feature, size = inputs, (9, 16)
    for layer in critic.features:
        feature, size = layer(feature), tuple((side + 1) // 2 for side in size)
        assert feature.shape[-2:] == size
    assert critic(inputs).shape == (2, 1)


def test_another_activation_can_be_chosen():
    critic = make_critic(act_cfg=dict(type='ELU'))
    assert sum(isinstance(module, nn.ELU) for module in critic.modules()) == 3
    assert not any(isinstance(module, nn.LeakyReLU) for module in critic.modules())
