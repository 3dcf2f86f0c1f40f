"""DFNet as a config of our parts: its public weights give its published images."""

import sys

import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT, load_tool, without_vgg_weights
from dfnet_reference import KERNELS, WIDTHS, dfnet, published_shapes, random_weights
from mmagic.registry import MODELS
from mmengine.config import Config

from cainet_mm.apis import load_model
from cainet_mm.deploy.conversion import rename_strictly
from cainet_mm.models.losses.vgg import VGG16_POOLS, shared_vgg
from cainet_mm.models.pyramids import build_pyramid

FULL = ROOT / 'configs/baselines/dfnet_4xb8-500k_places2-256x256.py'
THIN_KERNELS, THIN_WIDTHS, THIN_SCALES = (7, 5, 3, 3), (6, 8, 10, 12), 3


@pytest.fixture
def tool(monkeypatch):
    return load_tool('convert_dfnet', monkeypatch)


@pytest.fixture
def thin(tmp_path):
    """A config of DFNet with few and thin layers, and public weights for it."""
    config = Config.fromfile(FULL)
    parts = config.model.encdec.generator
    parts.encoder.update(kernels=THIN_KERNELS, widths=THIN_WIDTHS)
    parts.decoder.num_scales = THIN_SCALES
    without_vgg_weights(config.model)
    config.dump(tmp_path / 'thin.py')
    weights = random_weights(published_shapes(THIN_KERNELS, THIN_WIDTHS, THIN_SCALES))
    return tmp_path / 'thin.py', weights


@pytest.fixture
def convert(tool, monkeypatch, thin, tmp_path):
    def run(weights, *options):
        torch.save(weights, tmp_path / 'public.pth')
        arguments = [tmp_path / 'public.pth', tmp_path / 'out.pth', '--config', thin[0], *options]
        monkeypatch.setattr(sys, 'argv', ['convert_dfnet.py', *map(str, arguments)])
        tool.main()
        return tmp_path / 'out.pth'

    return run


@pytest.fixture
def refusal(convert, capsys):
    def run(weights):
        with pytest.raises(SystemExit) as stopped:
            convert(weights)
        assert stopped.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return run


def example(size=(32, 48)):
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(2, 3, *size, generator=generator)
    known = (torch.rand(2, 1, *size, generator=generator) > 0.3).float()
    return image, known


def ask(model, image, known):
    """The generator's images in [0, 1], from an image whose hole is filled with mid-grey, as pipelines do."""
    masked = (image * 2 - 1) * known
    with torch.no_grad():
        return [(output + 1) / 2 for output in model.generator(torch.cat((masked, 1 - known), 1))]


def first_convolution(kernel):
    """The convolution of an encoder as DFNet's config makes it, of one stage."""
    encoder = Config.fromfile(FULL).model.encdec.generator.encoder
    return MODELS.build(dict(encoder, in_channels=2, widths=(3,), kernels=(kernel,))).stages[0].conv.double()


@pytest.mark.parametrize(('kernel', 'before', 'after'), [(7, 2, 3), (5, 1, 2), (3, 0, 1)])
@pytest.mark.parametrize('size', [(8, 12), (64, 2)])
def test_padding_is_tensorflows(kernel, before, after, size):
    conv = first_convolution(kernel)
    x = torch.randn(2, 2, *size).double()
    expected = F.conv2d(F.pad(x, (before, after, before, after)), conv.weight, conv.bias, stride=2)
    torch.testing.assert_close(conv(x), expected)


@pytest.mark.parametrize('kernel', [7, 5, 3])
@pytest.mark.parametrize('size', [(9, 13), (21, 34), (1, 1)])
def test_padding_of_odd_sizes_is_tensorflows_too(kernel, size):
    """TensorFlow's rule: as many outputs as strides begin, and of an odd padding the larger half behind."""
    conv = first_convolution(kernel)
    x = torch.randn(2, 2, *size).double()
    padding = []
    for length in reversed(size):
        total = max((-(-length // 2) - 1) * 2 + kernel - length, 0)
        padding += [total // 2, total - total // 2]
    expected = F.conv2d(F.pad(x, padding), conv.weight, conv.bias, stride=2)
    assert expected.shape[-2:] == tuple(-(-length // 2) for length in size)
    torch.testing.assert_close(conv(x), expected)


def test_the_default_model_has_the_published_names_and_shapes(tool):
    config = Config.fromfile(FULL)
    with torch.device('meta'):
        generator = MODELS.build(config.model.encdec).generator
    published = published_shapes(KERNELS, WIDTHS, 6)
    plain = tool.plain_names(published)
    names, ours = tool.public_names(generator), generator.state_dict()
    assert len(plain) == len(published)
    assert {name: tuple(ours[new].shape) for name, new in names.items()} == plain
    assert len(names) == len(ours)


def test_the_default_model_puts_out_the_images_of_the_public_network_to_the_last_digits(tool):
    generator = MODELS.build(Config.fromfile(FULL).model.encdec).eval()
    weights = random_weights(published_shapes(KERNELS, WIDTHS, 6))
    renamed = rename_strictly(
        tool.plain_names(weights), tool.public_names(generator.generator), generator.generator, 'public'
    )
    generator.generator.load_state_dict(renamed)
    image, known = (value[:1].double() for value in example((256, 256)))
    with torch.no_grad():
        ours = generator.double()(torch.cat(((image * 2 - 1) * known, 1 - known), 1))
        theirs = dfnet(
            {name: value.double() for name, value in weights.items()}, image * known, known, len(WIDTHS), scales=6
        )
    assert [len(output[0, 0]) for output in ours] == [256, 128, 64, 32, 16, 8]
    for one, other in zip(ours, theirs, strict=True):
        assert other.std() > 1e-2
        torch.testing.assert_close((one + 1) / 2, other, rtol=0, atol=1e-12)


def test_public_weights_give_the_images_of_the_public_network(convert, thin):
    config, weights = thin
    model = load_model(config, convert(weights))
    image, known = example()
    theirs = dfnet({name: value.double() for name, value in weights.items()}, (image * known).double(), known.double(),
                   len(THIN_KERNELS), THIN_SCALES)  # fmt: skip
    ours = ask(model, image, known)
    assert [tuple(output.shape[-2:]) for output in ours] == [(32, 48), (16, 24), (8, 12)]
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other.float(), rtol=0, atol=2e-5)
        assert one.min() >= 0 and one.max() <= 1 and one.std() > 1e-2


def test_flipped_mask_gives_other_images(convert, thin):
    config, weights = thin
    model = load_model(config, convert(weights))
    image, known = example()
    assert (ask(model, image, known)[0] - ask(model, image, 1 - known)[0]).abs().max() > 0.05


def test_what_is_under_the_hole_cannot_matter(convert, thin):
    config, weights = thin
    model = load_model(config, convert(weights))
    image, known = example()
    other = torch.where(known > 0, image, torch.rand_like(image))
    for one, another in zip(ask(model, image, known), ask(model, other, known), strict=True):
        assert torch.equal(one, another)


def test_any_size_works(convert, thin):
    config, weights = thin
    outputs = ask(load_model(config, convert(weights)), *example((21, 34)))
    assert [tuple(output.shape[-2:]) for output in outputs] == [(21, 34), (11, 17), (6, 9)]


def test_names_without_the_padding_layer_are_the_same(convert, thin):
    config, weights = thin
    first = torch.load(convert(weights), weights_only=True)['state_dict']
    renamed = {f'module.{name.replace(".conv.1.", ".conv.")}': value for name, value in weights.items()}
    again = torch.load(convert(dict(state_dict=renamed), '--force'), weights_only=True)['state_dict']
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_nothing_is_lost_on_the_way(convert, thin):
    weights = thin[1]
    converted = torch.load(convert(weights), weights_only=True)['state_dict']
    assert len(converted) == len(weights)
    assert sorted(value.double().sum().item() for value in converted.values()) == sorted(
        value.double().sum().item() for value in weights.values()
    )


def test_weights_that_do_not_fit_are_told_in_a_sentence(refusal, thin):
    weights = thin[1]
    missing = {name: value for name, value in weights.items() if not name.startswith('de_2.decode.0')}
    assert 'missing: de_2.decode.0.weight, de_2.decode.0.bias' in refusal(missing)
    assert 'left over: disc.weight' in refusal({**weights, 'disc.weight': torch.zeros(1)})
    reshaped = {**weights, 'en_0.encode.0.conv.1.weight': torch.zeros(6, 3, 7, 7)}
    assert 'of another shape: en_0.encode.0.weight (checkpoint (6, 3, 7, 7), module (6, 4, 7, 7))' in refusal(reshaped)


def test_convolution_under_two_names_is_told_in_a_sentence(refusal, thin):
    weights = thin[1]
    double = {**weights, 'en_1.encode.0.conv.weight': weights['en_1.encode.0.conv.1.weight'] + 1}
    assert 'twice, as en_1.encode.0.conv.1.weight and as en_1.encode.0.conv.weight' in refusal(double)


def test_config_of_another_method_is_refused(tool, monkeypatch, capsys, tmp_path):
    (tmp_path / 'public.pth').touch()
    arguments = [
        tmp_path / 'public.pth',
        tmp_path / 'out.pth',
        '--config',
        FULL.with_name('lbam_4xb8-500k_places2-256x256.py'),
    ]
    monkeypatch.setattr(sys, 'argv', ['convert_dfnet.py', *map(str, arguments)])
    with pytest.raises(SystemExit):
        tool.main()
    assert 'is not one of DFNet; take dfnet_4xb8-500k_places2-256x256.py' in capsys.readouterr().err


def test_objective_is_the_published_one_of_images_in_0_to_1():
    """6 L1 over six scales and 0.1 total variation in the hole over three, computed here for images in [0, 1]."""
    config = Config.fromfile(FULL)
    config.model.losses.texture = None
    model = MODELS.build(config.model)
    generator = torch.Generator().manual_seed(0)
    sizes = [64 // 2**scale for scale in range(6)]
    target = torch.rand(2, 3, 64, 64, generator=generator)
    mask = (torch.rand(2, 1, 64, 64, generator=generator) > 0.7).float()
    outputs = [torch.rand(2, 3, size, size, generator=generator) for size in sizes]
    pyramid = build_pyramid(2 * target - 1, mask, [(size, size) for size in sizes], model.downscale_mode)
    terms = model.generator_losses([2 * output - 1 for output in outputs], pyramid)
    expected_l1 = expected_tv = 0
    for scale, (output, size) in enumerate(zip(outputs, sizes, strict=True)):
        true = F.interpolate(target, size=(size, size), mode='bilinear', align_corners=False)
        expected_l1 += 6 * (output - true).abs().mean() / 6
        if scale < 3:
            hole = F.adaptive_max_pool2d(mask, size)
            down = (output[..., 1:, :] - output[..., :-1, :]).abs()
            across = (output[..., 1:] - output[..., :-1]).abs()
            for change, region in ((down, hole[..., :-1, :]), (across, hole[..., :-1])):
                expected_tv += 0.1 * (change * region).sum() / (3 * region.sum()) / 3
    torch.testing.assert_close(terms['loss_rec'], expected_l1, rtol=1e-5, atol=0)
    torch.testing.assert_close(terms['loss_tv'], expected_tv, rtol=1e-5, atol=0)


def test_texture_terms_are_sums_over_the_layers_of_vgg_and_means_over_three_scales():
    """0.1 perceptual and 240 style, computed here for images in [0, 1]."""
    config = Config.fromfile(FULL).model
    without_vgg_weights(config)
    loss = MODELS.build(config.losses.texture).double()
    layers = torch.nn.Sequential(*(layer for block in shared_vgg(None).blocks for layer in block))
    assert len(layers) == VGG16_POOLS[-1] + 1

    def features(image):
        mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).double()[..., None, None]
        image = (image - mean) / std
        for index, layer in enumerate(layers):
            image = layer(image)
            if isinstance(layer, torch.nn.MaxPool2d):
                assert index in VGG16_POOLS
                yield image

    def gram(feature):
        return torch.einsum('nchw,ndhw->ncd', feature, feature) / feature[0].numel()

    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 3, 64, 64, generator=generator).double()
    sizes = [64 // 2**scale for scale in range(6)]
    outputs = [torch.rand(2, 3, size, size, generator=generator).double() for size in sizes]
    pyramid = build_pyramid(2 * target - 1, target[:, :1], [(size, size) for size in sizes], 'bilinear')
    terms = loss([2 * output - 1 for output in outputs], pyramid)
    expected = dict(perceptual=0, style=0)
    for output, size in zip(outputs[:3], sizes, strict=False):
        true = F.interpolate(target, size=(size, size), mode='bilinear', align_corners=False)
        for ours, theirs in zip(features(output), features(true), strict=True):
            expected['perceptual'] += 0.1 * (ours - theirs).abs().mean() / 3
            expected['style'] += 240 * (gram(ours) - gram(theirs)).abs().mean() / 3
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-6, atol=0)


def test_one_adam_of_1e_4_trains_the_generator_alone():
    config = Config.fromfile(FULL)
    assert config.model.get('disc') is None
    wrappers = {name: value for name, value in config.optim_wrapper.items() if name != 'constructor'}
    assert wrappers == dict(generator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4)))
