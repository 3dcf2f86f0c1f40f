"""The losses, Eq. (9)-(13) and the mean over scales of Eq. (16), against formulas written out from the paper."""

import math

import pytest
import torch
from mmagic.registry import MODELS
from torch import nn
from torchvision.models import vgg16

from cainet_mm.models.losses import MultiScaleLoss, texture, vgg
from cainet_mm.models.pyramids import Level

SIZES = ((2, 3, 8, 8), (1, 3, 9, 13), (3, 3, 17, 10))
WHERE_TO_PUT_WEIGHTS = "to the path of torchvision's vgg16-397923af.pth"


def images(*shape, seed=0, dtype=torch.float64):
    """Noise in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=torch.float64).mul(2).sub(1).to(dtype)


# ------------------------------------------------------------------------------------------------------- Eq. (9), (16)


class Named(nn.Module):
    """A loss that tells what it was handed: a fixed value per call, and what came in."""

    def __init__(self, values):
        super().__init__()
        self.values = list(values)
        self.seen = []

    def forward(self, *args):
        self.seen.append(args)
        return self.values[len(self.seen) - 1]


def pyramid_of(sizes, batch=2, seed=0):
    """Outputs and levels of noise, each scale another."""
    outputs = [images(batch, 3, *size, seed=seed + 10 * i) for i, size in enumerate(sizes)]
    levels = [
        Level(
            images(batch, 3, *size, seed=seed + 10 * i + 1), (images(batch, 1, *size, seed=seed + 10 * i + 2) > 0) * 1.0
        )
        for i, size in enumerate(sizes)
    ]
    return outputs, levels


@pytest.mark.parametrize('batch', (1, 3))
@pytest.mark.parametrize('scales', ((1,), (1, 2, 3), (3, 1), (2, 4)))
def test_eq_9_and_16_structure_loss_is_the_weighted_mean_over_p_of_mean_absolute_differences(scales, batch):
    outputs, levels = pyramid_of(((8, 13), (4, 7), (2, 4), (1, 2)), batch)
    loss = MODELS.build(
        dict(type='MultiScaleLoss', loss=dict(type='L1Loss', loss_weight=6.0, reduction='mean'), scales=scales)
    )
    expected = 0.0
    for scale in scales:
        difference = (outputs[scale - 1] - levels[scale - 1].target).abs()
        expected += 6.0 * difference.sum().item() / difference.numel() / len(scales)
    assert loss(outputs, levels).item() == pytest.approx(expected, rel=1e-12)


def test_eq_9_and_16_only_the_scales_of_p_get_a_gradient():
    outputs, levels = pyramid_of(((8, 8), (4, 4), (2, 2)))
    outputs = [output.requires_grad_() for output in outputs]
    MODELS.build(dict(type='MultiScaleLoss', loss=dict(type='L1Loss'), scales=(1, 3)))(outputs, levels).backward()
    assert outputs[1].grad is None
    for index in (0, 2):
        # |P| = 2 and a mean over the pixels: the sign of the difference, divided by both
        sign = (outputs[index].detach() - levels[index].target).sign()
        torch.testing.assert_close(outputs[index].grad, sign / outputs[index].numel() / 2)


def test_eq_16_mean_is_over_q_also_for_several_terms_at_once():
    outputs, levels = pyramid_of(((8, 8), (4, 4), (2, 2)))
    loss = MultiScaleLoss(dict(type='L1Loss'), scales=(1, 2, 3))
    loss.loss = Named(
        dict(perceptual=torch.tensor(p), style=torch.tensor(s)) for p, s in ((1.0, 10.0), (2.0, 40.0), (6.0, 100.0))
    )
    values = loss(outputs, levels)
    assert {name: value.item() for name, value in values.items()} == {'perceptual': 3.0, 'style': 50.0}


@pytest.mark.parametrize('takes', (('output', 'target'), ('output', 'mask'), ('mask', 'target', 'output'), ('target',)))
def test_wrapped_loss_is_handed_what_takes_names_in_that_order_at_the_right_scale(takes):
    outputs, levels = pyramid_of(((8, 8), (4, 4), (2, 2)))
    loss = MultiScaleLoss(dict(type='L1Loss'), scales=(3, 1), takes=takes)
    loss.loss = Named(torch.ones(2))
    loss(outputs, levels)
    for scale, seen in zip((3, 1), loss.loss.seen, strict=True):
        level = dict(output=outputs[scale - 1], target=levels[scale - 1].target, mask=levels[scale - 1].mask)
        assert len(seen) == len(takes)
        assert all(got is level[name] for got, name in zip(seen, takes, strict=True))


def test_default_scales_are_p_of_the_paper():
    loss = MultiScaleLoss(dict(type='L1Loss'))
    assert loss.scales == (1, 2, 3, 4, 5, 6)
    assert loss.takes == ('output', 'target')


@pytest.mark.parametrize('scales', ((), (0, 1), (-1,), (1, 2, 1)))
def test_a_set_of_scales_that_is_none_is_refused(scales):
    with pytest.raises(ValueError, match=r'MultiScaleLoss takes a set of different scales, counted from 1') as error:
        MultiScaleLoss(dict(type='L1Loss'), scales=scales)
    assert str(scales) in str(error.value)


def test_something_unknown_to_hand_over_is_refused():
    with pytest.raises(ValueError, match=r"can hand over 'output', 'composed', 'target' and 'mask'.*\['edges'\]"):
        MultiScaleLoss(dict(type='L1Loss'), takes=('output', 'edges'))


# ------------------------------------------------------------------------------------------------------ Eq. (10), (11)


@pytest.fixture(scope='module')
def vggs():
    """The loss's network, built once, and torchvision's own with the same weights, both in float64."""
    torch.manual_seed(0)
    network = vgg.FrozenVGG(None)
    reference = vgg16(weights=None).features
    ours = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    theirs = [layer for layer in reference if isinstance(layer, nn.Conv2d)]
    assert len(ours) == 7
    for own, other in zip(ours, theirs[:7], strict=True):
        # fresh biases are zero, which would hide a missing one
        own.bias.data.uniform_(-0.1, 0.1)
        other.load_state_dict(own.state_dict())
    return network.double(), reference.double().eval()


@pytest.fixture
def texture_loss(vggs, monkeypatch):
    """Builds a loss on that network."""
    monkeypatch.setattr(texture, 'shared_vgg', lambda weights: vggs[0])
    return lambda **settings: MODELS.build(dict(type='TextureLoss', vgg=None, **settings))


def texture_by_hand(reference, output, target):
    """Eq. (10) and (11) without weights, through all of torchvision's VGG-16, in float64."""
    normalise = dict(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    mean, std = (torch.tensor(normalise[key], dtype=torch.float64)[:, None, None] for key in ('mean', 'std'))
    pools = []
    for image in (output, target):
        feature = ((image + 1) * 0.5 - mean) / std  # [-1, 1] to [0, 1] to what the network was trained on
        pools.append([])
        for layer in reference:
            if len(pools[-1]) == 3:
                break
            feature = layer(feature)
            if isinstance(layer, nn.MaxPool2d):
                pools[-1].append(feature.detach().clone())
    perceptual = style = 0.0
    for ours, true in zip(*pools, strict=True):
        batch, channels, height, width = ours.shape
        perceptual += (true - ours).abs().sum().item() / ours.numel() / 3
        for index in range(batch):
            grams = [
                torch.einsum('cij,dij->cd', feature[index], feature[index]) / (channels * height * width)
                for feature in (ours, true)
            ]
            style += (grams[1] - grams[0]).abs().sum().item() / (channels * channels) / batch / 3
    return perceptual, style


@pytest.mark.parametrize('shape', SIZES)
def test_eq_10_and_11_perceptual_and_style_loss_are_those_of_torchvisions_vgg16(shape, vggs, texture_loss):
    output, target = images(*shape, seed=1), images(*shape, seed=2) * 0.5
    perceptual, style = texture_by_hand(vggs[1], output, target)
    losses = texture_loss(perceptual_weight=1.0, style_weight=1.0)(output, target)
    assert set(losses) == {'perceptual', 'style'}
    assert losses['perceptual'].item() == pytest.approx(perceptual, rel=1e-7)  # mean and std are kept in float32
    assert losses['style'].item() == pytest.approx(style, rel=1e-7)
    assert perceptual > 1e-3 and style > 1e-5


def test_eq_15_weights_of_the_texture_terms_are_those_of_the_paper(vggs, texture_loss):
    output, target = images(2, 3, 8, 11, seed=1), images(2, 3, 8, 11, seed=2)
    perceptual, style = texture_by_hand(vggs[1], output, target)
    losses = texture_loss()(output, target)
    assert losses['perceptual'].item() == pytest.approx(0.1 * perceptual, rel=1e-7)
    assert losses['style'].item() == pytest.approx(240 * style, rel=1e-7)


def test_eq_10_and_11_equal_images_cost_nothing(texture_loss):
    output = images(2, 3, 9, 8)
    assert {name: value.item() for name, value in texture_loss()(output, output.clone()).items()} == {
        'perceptual': 0.0,
        'style': 0.0,
    }


def test_eq_11_is_blind_to_where_a_texture_lies_and_eq_10_is_not(texture_loss):
    # a flipped picture has flipped features only for symmetric kernels: make the gram matrix itself the subject
    feature = images(2, 5, 4, 7)
    torch.testing.assert_close(texture.gram_matrix(feature.flip(-1)), texture.gram_matrix(feature))
    torch.testing.assert_close(texture.gram_matrix(feature.roll(2, -2)), texture.gram_matrix(feature))
    output = images(1, 3, 16, 16)
    assert texture_loss()(output.roll(8, -1), output)['perceptual'] > 1e-3


@pytest.mark.parametrize('term', ('perceptual', 'style'))
def test_the_output_gets_the_gradient_and_the_target_none(term, vggs, texture_loss):
    output = images(2, 3, 9, 16, seed=1).requires_grad_()
    target = images(2, 3, 9, 16, seed=2).requires_grad_()
    texture_loss()(output, target)[term].backward()
    assert target.grad is None
    assert output.grad.isfinite().all()
    # 9 pixels are pooled to 4 to 2 to 1: the loss sees everything but perhaps the last row
    assert (output.grad[..., :8, :] != 0).float().mean() > 0.95
    assert all(weight.grad is None for weight in vggs[0].parameters())


def test_gradient_points_from_the_output_to_the_target(texture_loss):
    output, target = images(1, 3, 16, 16, seed=1).requires_grad_(), images(1, 3, 16, 16, seed=2)
    loss = texture_loss()
    before = sum(loss(output, target).values())
    before.backward()
    with torch.no_grad():
        after = sum(loss(output - 1e-3 * output.grad / output.grad.norm(), target).values())
    assert after < before


@pytest.mark.parametrize('size', ((7, 64), (64, 7), (1, 1)))
def test_images_too_small_for_three_poolings_get_a_sentence(size, texture_loss):
    with pytest.raises(ValueError, match=r'TextureLoss needs images of at least 8x8 pixels') as error:
        texture_loss()(images(1, 3, *size), images(1, 3, *size))
    assert str(size) in str(error.value)


def test_gram_matrix_stays_float32_under_mixed_precision():
    feature = images(2, 6, 20, 9, dtype=torch.float32)
    expected = torch.einsum('ncij,ndij->ncd', feature.double(), feature.double()) / (6 * 20 * 9)
    with torch.autocast('cpu', torch.bfloat16):
        assert (feature @ feature.transpose(-1, -2)).dtype == torch.bfloat16  # what would happen without care
        gram = texture.gram_matrix(feature)
    assert gram.dtype == torch.float32
    torch.testing.assert_close(gram.double(), expected, rtol=1e-5, atol=1e-7)


def test_gram_matrix_of_large_half_precision_features_does_not_overflow():
    # 64 * 64 products of 100 * 100 are far outside of float16
    gram = texture.gram_matrix(torch.full((1, 2, 64, 64), 100.0, dtype=torch.float16))
    torch.testing.assert_close(gram, torch.full((1, 2, 2), 5000.0))


def test_texture_loss_works_under_mixed_precision(vggs, monkeypatch):
    network = vgg.FrozenVGG(None)
    network.load_state_dict(vggs[0].state_dict())
    monkeypatch.setattr(texture, 'shared_vgg', lambda weights: network)
    loss = MODELS.build(dict(type='TextureLoss', vgg=None, perceptual_weight=1.0, style_weight=1.0))
    output, target = images(2, 3, 16, 16, seed=1), images(2, 3, 16, 16, seed=2) * 0.5
    perceptual, style = texture_by_hand(vggs[1], output, target)
    with torch.autocast('cpu', torch.bfloat16):
        losses = loss(output.float().requires_grad_(), target.float())
    assert losses['perceptual'].dtype == losses['style'].dtype == torch.float32
    assert losses['perceptual'].item() == pytest.approx(perceptual, rel=0.05)
    assert losses['style'].item() == pytest.approx(style, rel=0.05)


# --------------------------------------------------------------------------------------------------- VGG-16's own life


def test_vgg_is_frozen_and_no_part_of_the_loss():
    loss = MODELS.build(dict(type='TextureLoss', vgg=None))
    other = MODELS.build(dict(type='TextureLoss', vgg=None, style_weight=0.0))
    network = loss._network[0]
    assert other._network[0] is network  # 7 MB that are not had once per loss
    loss.train()
    nn.ModuleList([loss]).train()
    assert not any(module.training for module in network.modules())
    assert not any(weight.requires_grad for weight in network.parameters())
    assert list(loss.parameters()) == list(loss.buffers()) == []
    assert loss.state_dict() == {}
    # and it goes where the loss goes, also as a part of something larger
    model = nn.Sequential(loss).to(torch.float64)
    assert {weight.dtype for weight in (*network.parameters(), *network.buffers())} == {torch.float64}
    model.to(torch.bfloat16)
    assert {weight.dtype for weight in (*network.parameters(), *network.buffers())} == {torch.bfloat16}
    # neither conversion has made it trainable again
    assert not any(weight.requires_grad for weight in network.parameters())


def state_of(network):
    """A torchvision state_dict with the weights of the loss's network, and a classifier that takes no space."""
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    indices = [index for index, layer in enumerate(vgg_layers()) if isinstance(layer, nn.Conv2d)]
    state = {}
    for index, layer in zip(indices, convolutions, strict=False):
        state[f'features.{index}.weight'] = layer.weight.detach().float()
        state[f'features.{index}.bias'] = layer.bias.detach().float()
    for index in indices[len(convolutions) :]:
        state[f'features.{index}.weight'] = torch.zeros(()).expand(512, 512, 3, 3)
        state[f'features.{index}.bias'] = torch.zeros(512)
    state['classifier.0.weight'] = torch.zeros(()).expand(4096, 25088)
    return state


def vgg_layers():
    """VGG-16's convolutions by number, as its paper has them, with a ReLU after each."""
    layers = []
    for convolutions in (2, 2, 3, 3, 3):
        layers += [nn.Conv2d(1, 1, 1), nn.ReLU()] * convolutions + [nn.MaxPool2d(2)]
    return layers


@pytest.mark.parametrize('form', ('full', 'state_dict', 'features'))
def test_weights_load_from_a_local_file(form, vggs, tmp_path):
    state = state_of(vggs[0])
    saved = {
        'full': state,
        'state_dict': dict(state_dict=state, meta=dict(epoch=3)),
        'features': {key.removeprefix('features.'): value for key, value in state.items() if 'features' in key},
    }[form]
    torch.save(saved, tmp_path / 'vgg.pth')
    network = MODELS.build(dict(type='TextureLoss', vgg=str(tmp_path / 'vgg.pth')))._network[0]
    output = images(1, 3, 9, 8)
    for ours, true in zip(network.double()(output), vggs[0](output), strict=True):
        torch.testing.assert_close(ours, true)
    assert not any(weight.requires_grad for weight in network.parameters())


def test_losses_of_other_weights_have_another_network(vggs, tmp_path):
    torch.save(state_of(vggs[0]), tmp_path / 'vgg.pth')
    build = lambda name: MODELS.build(dict(type='TextureLoss', vgg=name))._network[0]  # noqa: E731
    first = build(str(tmp_path / 'vgg.pth'))
    assert build(str(tmp_path / 'vgg.pth')) is first
    assert build(None) is not first


@pytest.mark.parametrize(
    'source', ('no/such/vgg16.pth', 'http://127.0.0.1:9/vgg16.pth', 'nowhere://host/vgg16.pth', 'torchvision://vgg61')
)
def test_weights_that_cannot_be_had_say_where_to_put_them(source):
    with pytest.raises(ValueError) as error:
        MODELS.build(dict(type='TextureLoss', vgg=source))
    assert 'cannot be read from' in str(error.value) and source in str(error.value)
    assert WHERE_TO_PUT_WEIGHTS in str(error.value)


def no_state_dict(folder):
    torch.save([1, 2, 3], folder / 'other.pth')


def other_keys(folder):
    torch.save({'conv1.weight': torch.zeros(64, 3, 7, 7)}, folder / 'other.pth')


def other_shapes(folder):
    state = state_of(vgg.FrozenVGG(None))
    torch.save(state | {'features.7.weight': torch.zeros(128, 128, 1, 1)}, folder / 'other.pth')


def no_checkpoint(folder):
    (folder / 'other.pth').write_text('<html>404</html>')


@pytest.mark.parametrize('write', (no_state_dict, other_keys, other_shapes, no_checkpoint))
def test_a_file_that_is_no_vgg_says_where_to_put_the_right_one(write, tmp_path):
    write(tmp_path)
    with pytest.raises(ValueError) as error:
        MODELS.build(dict(type='TextureLoss', vgg=str(tmp_path / 'other.pth')))
    assert WHERE_TO_PUT_WEIGHTS in str(error.value)
    assert 'other.pth' in str(error.value)


def test_the_first_weight_that_does_not_fit_is_named(tmp_path):
    other_shapes(tmp_path)
    with pytest.raises(ValueError, match=r'is no checkpoint of a VGG-16: features\.7\.weight'):
        MODELS.build(dict(type='TextureLoss', vgg=str(tmp_path / 'other.pth')))


# ------------------------------------------------------------------------------------------------------------ Eq. (12)


def tv_by_hand(output, mask):
    """Eq. (12) without weight, pixel by pixel."""
    output, mask = output.detach().double(), mask.double()
    batch, channels, height, width = output.shape
    total, count = 0.0, 0
    for n in range(batch):
        hole = {(i, j) for i in range(height) for j in range(width) if mask[n, 0, i, j] == 1}
        region = {
            (i + di, j + dj)
            for i, j in hole
            for di in (-1, 0, 1)
            for dj in (-1, 0, 1)
            if 0 <= i + di < height and 0 <= j + dj < width
        }
        count += len(region) * channels
        for i, j in region:
            for other in ((i, j + 1), (i + 1, j)):
                if other in region:
                    total += sum(abs(output[n, c][other] - output[n, c, i, j]).item() for c in range(channels))
    return total / count if count else 0.0


def sparse_mask(batch, height, width, share=0.06, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mask = (torch.rand(batch, 1, height, width, generator=generator) < share).double()
    mask[0, 0, 0, width - 1] = 1  # a corner too
    return mask


@pytest.mark.parametrize('shape', ((2, 3, 8, 8), (1, 3, 9, 13), (3, 1, 11, 6), (1, 3, 1, 7), (1, 3, 6, 1)))
def test_eq_12_total_variation_is_the_mean_over_the_hole_dilated_by_one_pixel(shape):
    batch, _, height, width = shape
    output, mask = images(*shape, seed=3), sparse_mask(batch, height, width)
    value = MODELS.build(dict(type='DilatedTVLoss', loss_weight=1.0))(output, mask).item()
    assert value == pytest.approx(tv_by_hand(output, mask), rel=1e-12)
    assert value > 0.01
    assert MODELS.build(dict(type='DilatedTVLoss'))(output, mask).item() == pytest.approx(0.1 * value, rel=1e-12)


def test_eq_12_mean_is_over_the_batch_not_over_its_samples():
    # one sample with a hole, one without: the second brings neither differences nor pixels
    output, mask = images(2, 3, 7, 7), torch.zeros(2, 1, 7, 7)
    mask[0, 0, 3, 3] = 1
    loss = MODELS.build(dict(type='DilatedTVLoss'))
    torch.testing.assert_close(loss(output, mask), loss(output[:1], mask[:1]))


def test_eq_12_differences_outside_of_the_dilated_hole_cost_nothing_and_those_inside_do():
    mask = torch.zeros(1, 1, 9, 9)
    mask[0, 0, 4, 4] = 1  # the region is rows and columns 3 to 5
    loss = MODELS.build(dict(type='DilatedTVLoss', loss_weight=1.0))
    noise_outside = images(1, 3, 9, 9)
    noise_outside[..., 3:6, 3:6] = 0.3
    # also the step from a pixel in the region to one outside of it costs nothing
    assert loss(noise_outside, mask).item() == 0.0
    step_at_the_rim = torch.zeros(1, 3, 9, 9)
    step_at_the_rim[..., 5:] = 1.0  # between columns 4 and 5: the hole and its rim
    assert loss(step_at_the_rim, mask).item() == pytest.approx(3 / 9)  # three differences, nine pixels
    assert loss(step_at_the_rim.mT, mask).item() == pytest.approx(3 / 9)


def test_eq_12_a_pixel_that_touches_the_hole_by_a_corner_is_in_the_region():
    mask = torch.zeros(1, 1, 5, 5)
    mask[0, 0, 2, 2] = 1
    output = torch.zeros(1, 1, 5, 5)
    output[0, 0, 1, 1] = 1.0  # differs from (1, 2) and (2, 1), both in the region
    assert MODELS.build(dict(type='DilatedTVLoss', loss_weight=1.0))(output, mask).item() == pytest.approx(2 / 9)


def test_a_batch_without_hole_costs_nothing_and_has_a_finite_gradient():
    output = images(2, 3, 6, 5).requires_grad_()
    value = MODELS.build(dict(type='DilatedTVLoss'))(output, torch.zeros(2, 1, 6, 5))
    value.backward()
    assert value.item() == 0.0
    assert (output.grad == 0).all()


@pytest.mark.parametrize(
    'dtype', (torch.bool, torch.uint8, torch.int64, torch.bfloat16, torch.float16, torch.float32, torch.float64)
)
def test_mask_of_any_type_gives_the_same_total_variation(dtype):
    output, mask = images(2, 3, 9, 8), sparse_mask(2, 9, 8)
    loss = MODELS.build(dict(type='DilatedTVLoss'))
    torch.testing.assert_close(loss(output, mask.to(dtype)), loss(output, mask))


@pytest.mark.parametrize('dtype', (torch.bfloat16, torch.float16))
def test_total_variation_of_a_large_half_precision_image_is_summed_in_float32(dtype):
    # a checkerboard of +-2 over 128x128x3 values: sums of 2 * 4 * 48768, far outside of float16, exact in float32
    rows, columns = torch.meshgrid(torch.arange(128), torch.arange(128), indexing='ij')
    output = (((rows + columns) % 2) * 4.0 - 2).expand(1, 3, 128, 128).to(dtype)
    value = MODELS.build(dict(type='DilatedTVLoss', loss_weight=1.0))(output, torch.ones(1, 1, 128, 128))
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(2 * 4 * 127 / 128, rel=1e-6)


def test_gradient_of_total_variation_reaches_every_pixel_of_the_region_and_no_other():
    output, mask = images(1, 3, 9, 10).requires_grad_(), torch.zeros(1, 1, 9, 10)
    mask[0, 0, 3, 2] = 1
    MODELS.build(dict(type='DilatedTVLoss'))(output, mask).backward()
    inside = torch.zeros(9, 10, dtype=torch.bool)
    inside[2:5, 1:4] = True
    assert (output.grad[..., ~inside] == 0).all()
    # a pixel between a lower and a higher neighbour has gradient zero, so ask for the region's sum per row and column
    assert (output.grad[..., 2:5, 1:4] != 0).any(dim=-1).all() and (output.grad[..., 2:5, 1:4] != 0).any(dim=-2).all()


# ------------------------------------------------------------------------------------------------------------ Eq. (13)


class Linear(nn.Module):
    """D(x) = <w, x>, whose gradient is w everywhere."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, inputs):
        return (inputs * self.weight).flatten(1).sum(1, keepdim=True)


class Quadratic(nn.Module):
    """D(x) = s |x|^2 / 2, whose gradient is s x. Remembers where it was asked."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale, dtype=torch.float64))

    def forward(self, inputs):
        self.seen = inputs.detach()
        return self.scale.to(inputs.dtype) * inputs.square().flatten(1).sum(1) / 2


def penalty(**settings):
    return MODELS.build(dict(type='SampleGradientPenalty', **settings))


@pytest.mark.parametrize('shape', ((2, 3, 4, 4), (1, 3, 5, 7), (4, 1, 3, 2)))
@pytest.mark.parametrize('length', (0.25, 1.0, 3.0))
def test_eq_13_penalty_of_a_linear_critic_is_lambda_times_the_squared_distance_of_its_norm_from_one(shape, length):
    weight = images(*shape[1:], seed=5)
    critic = Linear(weight / weight.square().sum().sqrt() * length)
    real, fake = images(*shape, seed=6), images(*shape, seed=7)
    assert penalty()(critic, real, fake).item() == pytest.approx(10 * (length - 1) ** 2, abs=1e-12)
    assert penalty(loss_weight=2.5)(critic, real, fake).item() == pytest.approx(2.5 * (length - 1) ** 2, abs=1e-12)


def test_eq_13_norm_is_over_all_pixels_and_channels_of_a_sample():
    # 3 * 4 * 3 values of 1/6 have norm 1 together; at each pixel the norm is sqrt(3)/6, in each channel sqrt(1/3)
    critic = Linear(torch.full((3, 4, 3), 1 / 6, dtype=torch.float64))
    assert penalty()(critic, images(2, 3, 4, 3), images(2, 3, 4, 3, seed=1)).item() == pytest.approx(0, abs=1e-12)


def fix_shares(monkeypatch, shares):
    """Make torch.rand draw from a list, whatever shape it is asked for."""
    asked = []

    def rand(*shape, **kwargs):
        shape = torch.Size(shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)
        asked.append(shape)
        return torch.tensor(shares, dtype=kwargs.get('dtype')).repeat(shape.numel())[: shape.numel()].view(shape)

    monkeypatch.setattr(torch, 'rand', rand)
    return asked


def test_eq_13_samples_have_a_norm_each_and_lie_between_real_and_fake(monkeypatch):
    real, fake = images(3, 3, 3, 5, seed=1), images(3, 3, 3, 5, seed=2) * 0.2
    shares = (0.125, 0.5, 0.875)
    critic = Quadratic(0.7)
    asked = fix_shares(monkeypatch, shares)
    value = penalty()(critic, real, fake).item()
    assert [shape.numel() for shape in asked] == [3]
    expected = 0.0
    for t, y, y_hat in zip(shares, real, fake, strict=True):
        between = t * y + (1 - t) * y_hat
        norm = math.sqrt(sum((0.7 * v) ** 2 for v in between.flatten().tolist()))
        expected += 10 * (norm - 1) ** 2 / 3
    assert value == pytest.approx(expected, rel=1e-12)


def test_eq_13_t_is_the_share_of_the_real_image(monkeypatch):
    fix_shares(monkeypatch, (0.25, 0.75))
    critic = Quadratic()
    penalty()(critic, torch.ones(2, 3, 2, 2), torch.zeros(2, 3, 2, 2))
    assert critic.seen[:, 0, 0, 0].tolist() == [0.25, 0.75]


def test_eq_13_each_sample_draws_one_share_of_its_own():
    torch.manual_seed(0)
    critic = Quadratic()
    shares = []
    for _ in range(25):
        penalty()(critic, torch.ones(8, 3, 2, 3), torch.zeros(8, 3, 2, 3))
        assert (critic.seen == critic.seen[:, :1, :1, :1]).all()  # the same at all pixels and channels
        shares += critic.seen[:, 0, 0, 0].tolist()
    assert len(set(shares)) == 200
    # uniform on [0, 1]: mean 1/2 and variance 1/12, within four standard errors
    assert 0 <= min(shares) < 0.05 and 0.95 < max(shares) <= 1
    assert sum(shares) / 200 == pytest.approx(0.5, abs=0.082)


def test_no_gradient_reaches_the_images_and_one_reaches_the_critic():
    real, fake = images(2, 3, 4, 4, seed=1).requires_grad_(), images(2, 3, 4, 4, seed=2).requires_grad_()
    critic = Quadratic()
    penalty()(critic, real, fake * 2).backward()
    assert real.grad is None and fake.grad is None
    assert critic.scale.grad.isfinite() and critic.scale.grad != 0


def test_eq_13_gradient_of_a_linear_critics_penalty_is_the_analytic_one():
    weight = images(3, 4, 5, seed=5)
    critic = Linear(weight)
    penalty()(critic, images(2, 3, 4, 5, seed=1), images(2, 3, 4, 5, seed=2)).backward()
    norm = weight.square().sum().sqrt()
    torch.testing.assert_close(critic.weight.grad, 2 * 10 * (norm - 1) * weight / norm)


def test_every_weight_of_a_real_critic_gets_a_finite_gradient():
    torch.manual_seed(0)
    critic = MODELS.build(dict(type='CAINetCritic', widths=(4, 6), kernel_size=3))
    penalty()(
        critic, images(2, 3, 8, 9, dtype=torch.float32), images(2, 3, 8, 9, seed=1, dtype=torch.float32)
    ).backward()
    gradients = {name: weight.grad for name, weight in critic.named_parameters()}
    # LeakyReLU is linear between its kinks, so the input's gradient hangs on no bias
    assert all(
        gradient.isfinite().all() and gradient.abs().sum() > 0
        for name, gradient in gradients.items()
        if name.endswith('weight')
    )


def test_a_critic_without_slope_has_a_finite_gradient():
    # the norm has no derivative at 0
    critic = Linear(torch.zeros(3, 4, 4, dtype=torch.float64))
    value = penalty()(critic, images(2, 3, 4, 4), images(2, 3, 4, 4, seed=1))
    value.backward()
    assert value.item() == 10.0
    assert critic.weight.grad.isfinite().all()


def test_score_may_be_a_number_a_column_or_a_map_of_patches_whose_mean_counts():
    real, fake = images(2, 3, 4, 4, seed=1), images(2, 3, 4, 4, seed=2)
    weight = images(3, 4, 4)
    critics = (
        lambda x: (x * weight).sum((1, 2, 3)),
        lambda x: (x * weight).sum((1, 2, 3))[:, None],
        # as in the loss of WGAN, which takes the mean: of sixteen patches, sixteen times as high
        lambda x: 16 * (x * weight).sum(1, keepdim=True),
    )
    values = [penalty()(critic, real, fake).item() for critic in critics]
    assert values == pytest.approx([values[0]] * 3)


def test_mask_that_mmagic_hands_over_changes_nothing():
    critic = Linear(images(3, 4, 4))
    real, fake = images(2, 3, 4, 4, seed=1), images(2, 3, 4, 4, seed=2)
    assert penalty()(critic, real, fake, mask=torch.zeros(2, 1, 4, 4)) == penalty()(critic, real, fake)


@pytest.mark.parametrize('dtype', (torch.float32, torch.bfloat16))
def test_penalty_is_computed_in_float32_under_mixed_precision(dtype):
    torch.manual_seed(0)
    critic = MODELS.build(dict(type='CAINetCritic', widths=(4, 6), kernel_size=3))
    real, fake = images(2, 3, 8, 8, dtype=dtype), images(2, 3, 8, 8, seed=1, dtype=dtype)
    torch.manual_seed(1)
    expected = penalty()(critic, real.float(), fake.float())
    torch.manual_seed(1)
    with torch.autocast('cpu', torch.bfloat16):
        assert critic(real).dtype == torch.bfloat16  # what would happen without care
        value = penalty()(critic, real, fake)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=0)
