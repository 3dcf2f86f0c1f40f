"""VGGPerceptualLoss against MMagic's PerceptualLoss, on networks that share random weights."""

from types import SimpleNamespace

import pytest
import torch
from mmagic.registry import MODELS
from torch import nn
from torchvision.models import vgg as torchvision_vgg

from cainet_mm.utils import checkpoint_io

# the settings of MMagic's configs
PCONV = dict(vgg_type='vgg16', layer_weights={'4': 1.0, '9': 1.0, '16': 1.0}, perceptual_weight=0.05, style_weight=120)
AOT_GAN = dict(
    vgg_type='vgg19',
    layer_weights={'1': 1.0, '6': 1.0, '11': 1.0, '20': 1.0, '29': 1.0},
    layer_weights_style={'8': 1.0, '17': 1.0, '26': 1.0, '31': 1.0},
    perceptual_weight=0.1,
    style_weight=250,
)
# weights that tell layers apart, and layers that a ReLU follows
UNEVEN = dict(
    vgg_type='vgg16',
    layer_weights={'2': 0.3, '8': 2.0},
    layer_weights_style={'0': 1.5, '8': 0.7, '9': 0.1},
    perceptual_weight=0.6,
    style_weight=30,
)
LAYOUTS = dict(vgg16='D', vgg19='E')


def images(seed, size=(18, 21), requires_grad=False):
    """Two images of noise in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, 3, *size, generator=generator, dtype=torch.float64).mul(2).sub(1).requires_grad_(requires_grad)


@pytest.fixture(scope='module')
def features():
    """torchvision's layers in float64, with weights that float32 can hold; fresh biases would be zero."""
    torch.manual_seed(0)
    networks = {}
    for name, layout in LAYOUTS.items():
        networks[name] = torchvision_vgg.make_layers(torchvision_vgg.cfgs[layout])
        for layer in networks[name]:
            if isinstance(layer, nn.Conv2d):
                layer.bias.data.uniform_(-0.1, 0.1)
        networks[name].double()
    return networks


@pytest.fixture
def weights(features, monkeypatch):
    """Answers for torchvision's downloads, here and in MMagic; lists what was asked for."""
    asked = []

    def load(source, map_location=None, logger=None):
        asked.append(source)
        state = features[source.removeprefix('torchvision://')].state_dict()
        return {f'features.{key}': value for key, value in state.items()}

    def construct(name):
        # MMagic cuts its own piece out of it and freezes that
        return lambda pretrained: SimpleNamespace(features=nn.Sequential(*features[name]))

    monkeypatch.setattr(checkpoint_io.CheckpointLoader, 'load_checkpoint', load)
    for name in LAYOUTS:
        monkeypatch.setattr(torchvision_vgg, name, construct(name))
    return asked


def ours(**settings):
    """The loss in float64."""
    return MODELS.build(dict(type='VGGPerceptualLoss', **settings)).double()


def random_loss(**settings):
    """A loss with random weights, for what does not depend on them."""
    settings = dict(dict(vgg_type='vgg16', layer_weights={'1': 1.0, '4': 1.0}, pretrained=None), **settings)
    return MODELS.build(dict(type='VGGPerceptualLoss', **settings))


# ---------------------------------------------------------------------------------------------------- MMagic's formula


@pytest.mark.parametrize('use_input_norm', [True, False])
@pytest.mark.parametrize('norm_img', [True, False])
@pytest.mark.parametrize('criterion', ['l1', 'mse'])
@pytest.mark.parametrize('settings', [PCONV, AOT_GAN, UNEVEN], ids=['pconv', 'aot_gan', 'uneven'])
def test_values_and_gradient_are_mmagics(settings, criterion, norm_img, use_input_norm, weights):
    settings = dict(settings, criterion=criterion, norm_img=norm_img, use_input_norm=use_input_norm)
    theirs = MODELS.build(
        dict(type='PerceptualLoss', **settings, pretrained=f'torchvision://{settings["vgg_type"]}')
    ).double()
    mine = ours(**settings)
    output, expected_output, target = (images(seed, requires_grad=True) for seed in (1, 1, 2))
    values, expected = mine(output, target), theirs(expected_output, target)
    assert all(value.item() > 0 for value in expected)
    torch.testing.assert_close(values, expected, rtol=1e-10, atol=0)
    sum(values).backward()
    sum(expected).backward()
    torch.testing.assert_close(output.grad, expected_output.grad, rtol=1e-10, atol=1e-12)
    assert target.grad is None


@pytest.mark.parametrize(('norm_img', 'use_input_norm'), [(True, True), (True, False), (False, True), (False, False)])
def test_value_is_the_weighted_sum_of_distances_of_features_and_of_gram_matrices(
    norm_img, use_input_norm, features, weights
):
    """The same, by the formula, since MMagic's class could change."""

    def look(image):
        feature = (image + 1) / 2 if norm_img else image
        if use_input_norm:
            mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).double()[:, None, :, None, None]
            feature = (feature - mean) / std
        seen = []
        for layer in features['vgg16'][:10]:
            feature = feature.clamp(min=0) if isinstance(layer, nn.ReLU) else layer(feature)
            seen.append(feature)
        return seen

    def gram(feature):
        return torch.einsum('nchw,ndhw->ncd', feature, feature) / feature[0].numel()

    output, target = images(1), images(2)
    a, b = look(output), look(target)
    content = 0.3 * (a[2] - b[2]).abs().mean() + 2.0 * (a[8] - b[8]).abs().mean()
    style = sum(w * (gram(a[i]) - gram(b[i])).abs().mean() for i, w in {0: 1.5, 8: 0.7, 9: 0.1}.items())
    perceptual, styled = ours(**UNEVEN, norm_img=norm_img, use_input_norm=use_input_norm)(output, target)
    assert perceptual.item() == pytest.approx(0.6 * content.item(), rel=1e-10)
    assert styled.item() == pytest.approx(30 * style.item(), rel=1e-10)


def test_style_has_the_layers_of_the_content_by_default(weights):
    same = dict(vgg_type='vgg16', layer_weights={'4': 0.5, '9': 2.0})
    output, target = images(1), images(2)
    by_default = ours(**same)(output, target)
    torch.testing.assert_close(by_default, ours(**same, layer_weights_style=same['layer_weights'])(output, target))


def test_equal_images_cost_nothing(weights):
    assert [value.item() for value in ours(**UNEVEN)(images(1), images(1))] == [0, 0]


@pytest.mark.parametrize(('left_out', 'place'), [('perceptual_weight', 0), ('style_weight', 1)])
def test_term_without_weight_is_none_and_the_other_one_unchanged(left_out, place, weights):
    both = ours(**UNEVEN)(images(1), images(2))
    one = ours(**dict(UNEVEN, **{left_out: 0}))(images(1), images(2))
    assert one[place] is None
    assert torch.equal(one[1 - place], both[1 - place])


def test_weights_of_the_terms_are_factors(weights):
    once, more = (ours(**dict(UNEVEN, perceptual_weight=w, style_weight=10 * w)) for w in (1.0, 3.0))
    for value, tripled in zip(once(images(1), images(2)), more(images(1), images(2)), strict=True):
        torch.testing.assert_close(3 * value, tripled)


# -------------------------------------------------------------------------------------------------------- the network


@pytest.mark.parametrize('terms', [{}, dict(style_weight=0), dict(perceptual_weight=0)])
def test_output_and_target_each_pass_the_network_once(terms, monkeypatch):
    loss = random_loss(layer_weights_style={'3': 1.0, '4': 1.0}, **terms)
    passes = []
    handle = loss._network[0].register_forward_hook(
        lambda module, inputs, outputs: passes.append((inputs[0].detach(), outputs[0].requires_grad))
    )
    output, target = images(1, requires_grad=True).float(), images(2).float()
    loss(output, target)
    handle.remove()
    assert len(passes) == 2
    for image, with_gradient in ((target, False), (output, True)):
        assert any(torch.equal(seen, image) and gradient is with_gradient for seen, gradient in passes)


def test_network_is_frozen_no_part_of_the_loss_and_goes_where_it_goes():
    loss = random_loss()
    model = nn.Sequential(loss).train()
    network = loss._network[0]
    assert list(model.parameters()) == list(model.buffers()) == []
    assert model.state_dict() == {}
    assert not any(module.training for module in network.modules())
    model.to(torch.float64)
    assert {value.dtype for value in (*network.parameters(), *network.buffers())} == {torch.float64}
    assert not any(weight.requires_grad for weight in network.parameters())


def test_losses_of_the_same_weights_and_layers_share_a_network():
    first = random_loss()._network[0]
    same = (
        dict(),
        dict(layer_weights={'4': 0.1, '1': 7.0}),
        dict(layer_weights={'4': 1.0}, layer_weights_style={'1': 1.0}),
        dict(criterion='mse', perceptual_weight=2.0, style_weight=0, norm_img=False),
    )
    assert all(random_loss(**settings)._network[0] is first for settings in same)
    other = (dict(layer_weights={'1': 1.0, '3': 1.0}), dict(use_input_norm=False), dict(vgg_type='vgg19'))
    assert not any(random_loss(**settings)._network[0] is first for settings in other)


def test_no_feature_is_overwritten_by_the_relu_behind_it(features, weights):
    """torchvision's ReLUs write into their input, which would make layer 2 the same as layer 3."""
    layers = (0, 2, 3, 5, 7)
    network = ours(vgg_type='vgg16', layer_weights={str(layer): 1.0 for layer in layers})._network[0]
    image = images(1)
    seen = network(image)
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).double()[:, None, :, None, None]
    feature = ((image + 1) / 2 - mean) / std
    for index, layer in enumerate(features['vgg16'][: layers[-1] + 1]):
        feature = feature.clamp(min=0) if isinstance(layer, nn.ReLU) else layer(feature)
        if index in layers:
            torch.testing.assert_close(seen[layers.index(index)], feature, rtol=1e-10, atol=1e-10)
    for index in (0, 1, 3, 4):
        assert seen[index].min() < 0, 'what comes before a ReLU has negative values'


# -------------------------------------------------------------------------------------------------------------- weights


@pytest.mark.parametrize('network', LAYOUTS)
def test_weights_are_torchvisions_of_the_network_unless_others_are_named(network, weights):
    ours(vgg_type=network, layer_weights={'4': 1.0})
    assert weights == [f'torchvision://{network}']


def test_weights_come_from_the_file_that_is_named(features, tmp_path):
    state = {f'features.{key}': value for key, value in features['vgg19'].state_dict().items()}
    torch.save(state, tmp_path / 'vgg19.pth')
    loss = ours(vgg_type='vgg19', layer_weights={'2': 1.0}, pretrained=str(tmp_path / 'vgg19.pth'))
    first, second = (layer for layer in loss._network[0].modules() if isinstance(layer, nn.Conv2d))
    torch.testing.assert_close(first.weight, features['vgg19'][0].weight)
    torch.testing.assert_close(second.bias, features['vgg19'][2].bias)


@pytest.mark.parametrize('last', ['16', '4'], ids=['where the networks differ', 'where they are shaped alike'])
@pytest.mark.parametrize(('network', 'given'), [('vgg19', 'vgg16'), ('vgg16', 'vgg19')])
def test_weights_of_the_other_network_are_refused(network, given, last, weights):
    name = network.upper().replace('VGG', 'VGG-')
    with pytest.raises(ValueError, match=f"'torchvision://{given}' is no checkpoint of a {name}: .*pretrained"):
        random_loss(vgg_type=network, layer_weights={last: 1.0}, pretrained=f'torchvision://{given}')


# ------------------------------------------------------------------------------------------------------- bad arguments


@pytest.mark.parametrize(
    ('settings', 'sentence'),
    [
        (dict(criterion='l3'), "The criterion of a VGGPerceptualLoss is l1 or mse, got 'l3'."),
        (dict(vgg_type='vgg11'), "one of vgg16 or vgg19, got 'vgg11'."),
        (dict(layer_weights={'31': 1.0}), 'vgg16 has the layers 0 to 30; .* got '),
        (dict(layer_weights={'37': 1.0}, vgg_type='vgg19'), 'vgg19 has the layers 0 to 36; .* got '),
        (dict(layer_weights={'-1': 1.0}), 'vgg16 has the layers 0 to 30; .* got '),
        (dict(layer_weights={}), 'vgg16 has the layers 0 to 30; .* got '),
        (dict(layer_weights={'relu1_2': 1.0}), r"by their index in torchvision's features, .* got \['relu1_2'\]"),
        (
            dict(layer_weights_style={'pool3': 1.0}),
            r"by their index in torchvision's features, .* got \['pool3'\]",
        ),
    ],
)
def test_what_is_not_known_is_refused_in_a_sentence(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        random_loss(**settings)


def test_criterion_may_be_written_in_capitals():
    assert random_loss(criterion='MSE').criterion is nn.functional.mse_loss
