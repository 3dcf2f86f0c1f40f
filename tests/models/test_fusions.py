"""The dual attention fusion, Eq. (3)-(8), and what can stand in its place, against formulas from the paper."""

import math

import pytest
import torch
from mmagic.registry import MODELS
from mmengine.model import BaseModule
from torch import nn

# batch, channels of the feature, its size, size of the masked image; odd, not divisible, batch 1, and the finest scale
CASES = (
    (2, 5, (4, 4), (8, 8)),
    (1, 4, (3, 5), (11, 17)),
    (3, 8, (2, 1), (7, 4)),
    (2, 6, (5, 7), (5, 7)),
)


def noise(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def build(kind, seed=0, **settings):
    """A module in float64 with random numbers everywhere: fresh biases, norm weights and W_C would hide mistakes."""
    module = MODELS.build(dict(type=kind, **settings)).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=generator, dtype=torch.float64) * 0.5)
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_(generator=generator)
                layer.running_var.uniform_(0.5, 2, generator=generator)
    return module


# --------------------------------------------------------------------------------------------- the formulas in float64


def convolve(inputs, layer):
    """A zero-padded convolution as a sum over windows."""
    size = layer.weight.shape[-1]
    windows = nn.functional.pad(inputs, (size // 2,) * 4).unfold(2, size, 1).unfold(3, size, 1)
    result = torch.einsum('nchwij,ocij->nohw', windows, layer.weight)
    return result if layer.bias is None else result + layer.bias[:, None, None]


def sigmoid(inputs):
    return 1 / (1 + torch.exp(-inputs))


def hidden_layer(inputs, module):
    """Convolution, batch norm with the batch's own statistics where it trains, LeakyReLU(0.2)."""
    result = convolve(inputs, module.conv)
    if module.with_norm:
        norm = module.norm
        if module.training:
            mean = result.mean((0, 2, 3))
            variance = (result - mean[:, None, None]).square().mean((0, 2, 3))
        else:
            mean, variance = norm.running_mean, norm.running_var
        result = (result - mean[:, None, None]) / torch.sqrt(variance + 1e-5)[:, None, None]
        result = result * norm.weight[:, None, None] + norm.bias[:, None, None]
    return torch.where(result > 0, result, 0.2 * result)


def down_by_hand(image, size, mode):
    """The mean of the pixels that a coarse pixel covers, or the four around its centre."""
    height, width = image.shape[-2:]
    if (height, width) == tuple(size):
        return image
    result = torch.empty(*image.shape[:2], *size, dtype=image.dtype)
    for i in range(size[0]):
        for j in range(size[1]):
            if mode == 'area':
                rows = slice(i * height // size[0], math.ceil((i + 1) * height / size[0]))
                columns = slice(j * width // size[1], math.ceil((j + 1) * width / size[1]))
                result[..., i, j] = image[..., rows, columns].mean((2, 3))
            else:
                y = min(max((i + 0.5) * height / size[0] - 0.5, 0), height - 1)
                x = min(max((j + 0.5) * width / size[1] - 0.5, 0), width - 1)
                top, left = int(y), int(x)
                bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
                upper = image[..., top, left] * (left + 1 - x) + image[..., top, right] * (x - left)
                lower = image[..., bottom, left] * (left + 1 - x) + image[..., bottom, right] * (x - left)
                result[..., i, j] = upper * (top + 1 - y) + lower * (y - top)
    return result


def gate_by_hand(feature, gate):
    """Eq. (3)-(5)."""
    z = feature.sum((2, 3)) / (feature.shape[2] * feature.shape[3])
    squeeze, excite = (layer.weight[:, :, 0, 0] for layer in (gate.squeeze, gate.excite))
    hidden = torch.einsum('oc,nc->no', squeeze, z) + gate.squeeze.bias
    hidden = torch.where(hidden > 0, hidden, torch.zeros_like(hidden))
    omega = sigmoid(torch.einsum('co,no->nc', excite, hidden) + gate.excite.bias)
    return feature * omega[:, :, None, None]


def fusion_by_hand(feature, masked, fusion, mode):
    """Eq. (6)-(8): alpha, W_D F, x'_q and the blend; W_C where the paper puts it, before the down-scaling."""
    known = down_by_hand(convolve(masked, fusion.from_input), feature.shape[-2:], mode)
    restored = convolve(gate_by_hand(feature, fusion.channel_attention), fusion.to_image)
    hidden = torch.cat((restored, known), dim=1)
    for layer in fusion.attend[:-1]:
        hidden = hidden_layer(hidden, layer)
    alpha = sigmoid(convolve(hidden, fusion.attend[-1]))
    return alpha, restored, known, alpha * restored + (1 - alpha) * known


# ---------------------------------------------------------------------------------------------------- channel attention


@pytest.mark.parametrize('reduction', (1, 2, 16))
@pytest.mark.parametrize(('batch', 'channels', 'size', '_'), CASES)
def test_eq_3_to_5_channels_are_scaled_by_the_gate_of_their_means(batch, channels, size, _, reduction):
    gate = build('ChannelAttention', channels=channels, reduction=reduction)
    feature = noise(batch, channels, *size)
    torch.testing.assert_close(gate(feature), gate_by_hand(feature, gate))


def test_eq_4_units_below_zero_add_nothing_to_the_gate():
    gate = build('ChannelAttention', channels=6)
    with torch.no_grad():
        gate.squeeze.bias.fill_(-1e3)
    feature = noise(2, 6, 3, 3)
    expected = feature * sigmoid(gate.excite.bias)[:, None, None]
    torch.testing.assert_close(gate(feature), expected)


def test_eq_4_hidden_layer_has_c_over_r_units_but_never_fewer_than_four():
    hidden = {
        (channels, reduction): MODELS.build(
            dict(type='ChannelAttention', channels=channels, reduction=reduction)
        ).squeeze.out_channels
        for channels, reduction in ((512, 16), (128, 16), (64, 8), (64, 16), (32, 16), (4, 16))
    }
    assert hidden == {(512, 16): 32, (128, 16): 8, (64, 8): 8, (64, 16): 4, (32, 16): 4, (4, 16): 4}
    narrow = MODELS.build(dict(type='ChannelAttention', channels=32, min_hidden=1))
    assert narrow.squeeze.out_channels == 2


def test_eq_5_gate_is_one_number_in_0_to_1_per_channel_and_sample():
    gate = build('ChannelAttention', channels=5)
    feature = noise(3, 5, 4, 3)
    ratio = gate(feature) / feature
    assert ((ratio > 0) & (ratio < 1)).all()
    torch.testing.assert_close(ratio, ratio[..., :1, :1].expand_as(ratio))
    assert len(ratio[..., 0, 0].flatten().tolist()) == len(set(ratio[..., 0, 0].flatten().tolist())) == 15


@pytest.mark.parametrize('reduction', (0, -4))
def test_reduction_below_one_is_refused(reduction):
    with pytest.raises(ValueError, match=f'ChannelAttention needs a reduction of at least 1, got {reduction}'):
        MODELS.build(dict(type='ChannelAttention', channels=8, reduction=reduction))


# -------------------------------------------------------------------------------------------------------------- fusion


def make_fusion(channels, seed=0, **settings):
    return build('DualAttentionFusion', seed, in_channels=channels, **{'hidden_channels': 3, **settings})


@pytest.mark.parametrize('mode', ('area', 'bilinear'))
@pytest.mark.parametrize('training', (False, True))
@pytest.mark.parametrize(('batch', 'channels', 'size', 'full'), CASES)
def test_eq_6_to_8_parts_and_blend_are_those_of_the_formulas(batch, channels, size, full, training, mode):
    fusion = make_fusion(channels, downscale_mode=mode).train(training)
    feature, masked = noise(batch, channels, *size, seed=1), noise(batch, 3, *full, seed=2)
    # by hand first: a pass in training mode moves the running statistics
    *parts, blend = fusion_by_hand(feature, masked, fusion, mode)
    for ours, expected in zip(fusion.decompose(feature, masked), parts, strict=True):
        torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(fusion(feature, masked), blend)


@pytest.mark.parametrize('alpha_channels', (1, 3))
@pytest.mark.parametrize('norm_cfg', (None, dict(type='BN')))
def test_eq_7_alpha_has_one_map_or_one_per_channel(alpha_channels, norm_cfg):
    fusion = make_fusion(5, alpha_channels=alpha_channels, norm_cfg=norm_cfg).eval()
    feature, masked = noise(2, 5, 3, 4), noise(2, 3, 7, 8)
    *parts, blend = fusion_by_hand(feature, masked, fusion, 'area')
    alpha = fusion.decompose(feature, masked)[0]
    assert alpha.shape == (2, alpha_channels, 3, 4)
    assert ((alpha > 0) & (alpha < 1)).all()
    torch.testing.assert_close(alpha, parts[0])
    assert fusion(feature, masked).shape == (2, 3, 3, 4)
    torch.testing.assert_close(fusion(feature, masked), blend)


@pytest.mark.parametrize('channels', (1, 2))
def test_images_of_other_channels_can_be_fused(channels):
    fusion = make_fusion(4, image_channels=channels, alpha_channels=channels).eval()
    feature, masked = noise(1, 4, 3, 2), noise(1, channels, 6, 5)
    torch.testing.assert_close(fusion(feature, masked), fusion_by_hand(feature, masked, fusion, 'area')[-1])


@pytest.mark.parametrize('mode', ('area', 'bilinear'))
def test_eq_6_w_c_after_the_down_scaling_is_w_c_before_it(mode):
    # said of the weights alone, on sizes that do not divide each other: a 1x1 convolution commutes with averaging
    fusion = make_fusion(4, downscale_mode=mode)
    masked = noise(2, 3, 11, 9)
    before = down_by_hand(convolve(masked, fusion.from_input), (4, 5), mode)
    after = convolve(down_by_hand(masked, (4, 5), mode), fusion.from_input)
    torch.testing.assert_close(after, before)
    torch.testing.assert_close(fusion.decompose(noise(2, 4, 4, 5), masked)[2], before)


def test_eq_6_at_the_finest_scale_the_image_is_taken_as_it_is():
    fusion = MODELS.build(dict(type='DualAttentionFusion', in_channels=4, downscale_mode='bilinear')).double()
    masked = noise(2, 3, 5, 7)
    assert (fusion.decompose(noise(2, 4, 5, 7), masked)[2] == masked).all()


def push_alpha(fusion, bias):
    """Saturate the sigmoid of Eq. (7)."""
    with torch.no_grad():
        fusion.attend[-1].weight.zero_()
        fusion.attend[-1].bias.fill_(bias)


@pytest.mark.parametrize('alpha_channels', (1, 3))
def test_eq_8_alpha_of_one_gives_the_restored_image_and_alpha_of_zero_the_known_one(alpha_channels):
    fusion = make_fusion(5, alpha_channels=alpha_channels).eval()
    feature, masked = noise(2, 5, 3, 5), noise(2, 3, 9, 10)
    _, restored, known, _ = fusion_by_hand(feature, masked, fusion, 'area')
    push_alpha(fusion, 50.0)
    torch.testing.assert_close(fusion(feature, masked), restored)
    push_alpha(fusion, -50.0)
    torch.testing.assert_close(fusion(feature, masked), known)


@pytest.mark.parametrize('mode', ('area', 'bilinear'))
def test_eq_8_a_fresh_fusion_with_alpha_of_zero_passes_the_image_through(mode):
    fusion = MODELS.build(dict(type='DualAttentionFusion', in_channels=4, downscale_mode=mode)).double()
    push_alpha(fusion, -50.0)
    masked = noise(2, 3, 10, 7)
    torch.testing.assert_close(fusion(noise(2, 4, 4, 3), masked), down_by_hand(masked, (4, 3), mode))
    torch.testing.assert_close(fusion(noise(2, 4, 10, 7), masked), masked)


def test_eq_7_a_is_three_3x3_convolutions_on_both_images():
    fusion = MODELS.build(dict(type='DualAttentionFusion', in_channels=64))
    layers = [layer for layer in fusion.attend.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.kernel_size for layer in layers] == [(3, 3)] * 3
    assert [(layer.in_channels, layer.out_channels) for layer in layers] == [(6, 32), (32, 32), (32, 3)]
    others = (fusion.to_image, fusion.from_input)
    assert [layer.kernel_size for layer in others] == [(1, 1)] * 2


def is_identity(layer):
    image = noise(1, 3, 4, 4).to(layer.weight.dtype)
    return bool((layer(image) == image).all())


def test_w_c_starts_as_identity_and_is_learned():
    fusion = MODELS.build(dict(type='DualAttentionFusion', in_channels=4))
    assert is_identity(fusion.from_input)
    assert fusion.from_input.weight.requires_grad and fusion.from_input.bias.requires_grad


XAVIER = dict(type='Xavier', layer='Conv2d', distribution='uniform', bias=0.3)


class Surrounding(BaseModule):
    """A model with something to say on convolutions."""

    def __init__(self, child):
        super().__init__(init_cfg=XAVIER)
        self.child = child


@pytest.mark.parametrize('where', ('its own', 'its parent', 'a decoder', 'a generator'))
def test_w_c_is_the_identity_after_init_weights_whoever_says_xavier(where):
    fusion = dict(type='DualAttentionFusion', in_channels=4)
    decoder = dict(type='CAINetDecoder', skip_channels=(4, 4, 6), num_scales=2, fusion=fusion)
    if where == 'its own':
        model = MODELS.build(dict(fusion, init_cfg=XAVIER))
    elif where == 'its parent':
        model = Surrounding(MODELS.build(fusion))
    elif where == 'a decoder':
        model = MODELS.build(dict(decoder, init_cfg=XAVIER))
    else:
        model = Surrounding(MODELS.build(decoder))
    model.init_weights()
    fusions = [module for module in model.modules() if hasattr(module, 'from_input')]
    assert len(fusions) == (1 if 'decoder' not in where and 'generator' not in where else 2)
    for module in fusions:
        assert is_identity(module.from_input)
        # the others did what they were told
        assert (module.to_image.bias == 0.3).all()


@pytest.mark.parametrize('alpha_channels', (0, 2, 4))
def test_another_number_of_alpha_maps_is_refused(alpha_channels):
    with pytest.raises(ValueError, match=rf'one alpha map per image channel \(3\).*alpha_channels={alpha_channels}'):
        MODELS.build(dict(type='DualAttentionFusion', in_channels=4, alpha_channels=alpha_channels))


@pytest.mark.parametrize('kind', ('DualAttentionFusion', 'AlphaFusion'))
def test_another_down_scaling_is_refused(kind):
    fusion = MODELS.build(dict(type=kind, in_channels=4, downscale_mode='nearest'))
    with pytest.raises(ValueError, match="down-scaling mode is 'bilinear' or 'area', got 'nearest'"):
        fusion(torch.zeros(2, 4, 2, 2), torch.zeros(2, 3, 4, 4))


@pytest.mark.parametrize('kind', ('DualAttentionFusion', 'AlphaFusion'))
def test_gradient_reaches_the_feature_and_the_weights_both_through_the_blend_and_through_alpha(kind):
    fusion = build(kind, in_channels=4)
    feature, masked = noise(2, 4, 4, 3).requires_grad_(), noise(2, 3, 8, 6)
    fusion(feature, masked).square().sum().backward()
    assert (feature.grad.abs() > 0).all()
    for name, weight in fusion.named_parameters():
        # batch norm takes the mean away, and a convolution's bias with it: ConvModule has none there
        assert weight.grad is not None and weight.grad.abs().sum() > 0, name
    # through alpha alone
    feature.grad = None
    fusion.decompose(feature, masked)[0].square().sum().backward()
    assert (feature.grad.abs() > 0).all()
    # through the restored image alone
    feature.grad = None
    fusion.decompose(feature, masked)[1].square().sum().backward()
    assert (feature.grad.abs() > 0).all()


# --------------------------------------------------------------------------------------------- what stands in its place


def alpha_fusion_by_hand(feature, masked, fusion, low, high, mode):
    """DFNet's block."""
    restored = low + (high - low) * sigmoid(convolve(feature, fusion.to_image))
    known = down_by_hand(masked, feature.shape[-2:], mode)
    hidden = torch.cat((known, restored), dim=1)
    for layer in fusion.attend[:-1]:
        hidden = hidden_layer(hidden, layer)
    alpha = sigmoid(convolve(hidden, fusion.attend[-1]))
    return alpha, restored, known, alpha * restored + (1 - alpha) * known


@pytest.mark.parametrize(('mode', 'image_range'), (('area', (-1.0, 1.0)), ('bilinear', (0.0, 2.5))))
@pytest.mark.parametrize('training', (False, True))
@pytest.mark.parametrize(('batch', 'channels', 'size', 'full'), CASES)
def test_alpha_fusion_is_dfnets_block(batch, channels, size, full, training, mode, image_range):
    fusion = build(
        'AlphaFusion', in_channels=channels, hidden_channels=4, image_range=image_range, downscale_mode=mode
    ).train(training)
    feature, masked = noise(batch, channels, *size, seed=1), noise(batch, 3, *full, seed=2)
    *parts, blend = alpha_fusion_by_hand(feature, masked, fusion, *image_range, mode)
    for ours, expected in zip(fusion.decompose(feature, masked), parts, strict=True):
        torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(fusion(feature, masked), blend)


def test_alpha_fusion_has_a_1x1_a_3x3_and_a_1x1_convolution():
    fusion = MODELS.build(dict(type='AlphaFusion', in_channels=64))
    layers = [layer for layer in fusion.attend.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.kernel_size[0] for layer in layers] == [1, 3, 1]
    assert [(layer.in_channels, layer.out_channels) for layer in layers] == [(6, 32), (32, 3), (3, 3)]


@pytest.mark.parametrize('image_range', ((-1.0, 1.0), (0.0, 255.0)))
def test_alpha_fusion_keeps_the_range_of_images_and_reaches_its_ends(image_range):
    low, high = image_range
    fusion = build('AlphaFusion', in_channels=4, image_range=image_range)
    masked = (low + (high - low) * torch.rand(2, 3, 6, 6)).double()
    for scale in (1, 1e3):
        blend = fusion(noise(2, 4, 3, 3) * scale, masked)
        assert ((blend >= low) & (blend <= high)).all()
    restored = fusion.decompose(noise(2, 4, 3, 3) * 1e3, masked)[1]
    assert restored.min().item() == pytest.approx(low, abs=1e-6) and restored.max().item() == pytest.approx(high)


@pytest.mark.parametrize('image_range', ((1.0, -1.0), (0.0, 0.0)))
def test_an_empty_range_of_images_is_refused(image_range):
    with pytest.raises(ValueError, match=r'AlphaFusion takes the range of images as \(lowest, highest\)'):
        MODELS.build(dict(type='AlphaFusion', in_channels=4, image_range=image_range))


@pytest.mark.parametrize(('batch', 'channels', 'size', 'full'), CASES)
def test_image_head_is_a_1x1_convolution_that_looks_at_the_feature_alone(batch, channels, size, full):
    head = build('ImageHead', in_channels=channels)
    feature = noise(batch, channels, *size)
    image = head(feature, noise(batch, 3, *full))
    expected = (
        torch.einsum('oc,nchw->nohw', head.to_image.weight[:, :, 0, 0], feature) + head.to_image.bias[:, None, None]
    )
    torch.testing.assert_close(image, expected)
    assert (head(feature, noise(batch, 3, *full, seed=9)) == image).all()
    assert len(list(head.parameters())) == 2


@pytest.mark.parametrize(
    'fusion',
    (
        dict(type='DualAttentionFusion', alpha_channels=1, hidden_channels=4, reduction=2),
        dict(type='AlphaFusion', hidden_channels=4),
        dict(type='ImageHead'),
    ),
    ids=lambda fusion: fusion['type'],
)
@pytest.mark.parametrize('batch', (1, 2))
def test_each_stands_in_the_decoder_by_name(fusion, batch):
    torch.manual_seed(0)
    decoder = MODELS.build(dict(type='CAINetDecoder', skip_channels=(4, 5, 6, 8), num_scales=2, fusion=fusion)).eval()
    sizes = ((9, 13), (5, 7), (3, 4), (2, 2))
    skips = [torch.randn(batch, width, *size) for width, size in zip((4, 5, 6, 8), sizes, strict=True)]
    outputs = decoder(skips, skips[0][:, :3])
    assert [type(module).__name__ for module in decoder.fusions] == [fusion['type']] * 2
    assert [module.to_image.in_channels for module in decoder.fusions] == [4, 5]
    assert [tuple(output.shape) for output in outputs] == [(batch, 3, 9, 13), (batch, 3, 5, 7)]
    # what a fusion gets is the feature of its own scale and the masked image
    for index in (0, 1):
        feature, masked = torch.randn(batch, 4 + index, *sizes[index]), skips[0][:, :3]
        assert decoder.fusions[index](feature, masked).shape == (batch, 3, *sizes[index])
