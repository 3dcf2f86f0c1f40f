"""MI-GAN: its network against plain functions of the public weights, and what it takes."""

import numpy as np
import pytest
import torch
from conftest import ROOT, load_tool
from lama_reference import random_weights
from migan_reference import migan, published_shapes
from mmagic.registry import MODELS
from mmengine.config import Config

from cainet_mm.apis import export, inpaint, load_model

SIZES = dict(size=16, channels=128, widest=12)


@pytest.fixture
def thin(monkeypatch):
    """A thin network, and its weights under the public names."""
    tool = load_tool('convert_migan', monkeypatch)
    generator = MODELS.build(dict(type='MIGANGenerator', **SIZES)).double().eval()
    weights = random_weights(published_shapes(**SIZES))
    generator.load_state_dict({ours: weights[public] for public, ours in tool.public_names(generator).items()})
    return generator, weights


@pytest.fixture
def model():
    """A model around a thin network, with a config."""
    config = Config.fromfile(ROOT / 'configs/baselines/migan_256.py')
    config.model.encdec.update(SIZES)
    config.image_size = (16, 16)
    return load_model(config)


def test_is_the_network_that_plain_functions_write_down(thin):
    generator, weights = thin
    image = torch.rand(2, 3, 16, 16, dtype=torch.float64) * 2 - 1
    mask = (torch.rand(2, 1, 16, 16) > 0.6).double()
    with torch.no_grad():
        (ours,) = generator(torch.cat((image, mask), 1))
    expected = migan(weights, image, 1 - mask)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)
    assert expected.std() > 1e-2
    assert (migan(weights, image, mask) - ours).abs().max() > 1e-3, 'the other convention gives other images'


@pytest.mark.parametrize('size', [256, 512])
def test_has_the_published_names_shapes_and_number_of_weights(size, monkeypatch):
    tool = load_tool('convert_migan', monkeypatch)
    with torch.device('meta'):
        generator = MODELS.build(Config.fromfile(ROOT / f'configs/baselines/migan_{size}.py').model.encdec)
    state = generator.state_dict()
    names = tool.public_names(generator)
    assert {public: tuple(state[ours].shape) for public, ours in names.items()} == published_shapes(size)
    assert round(sum(weight.numel() for weight in generator.parameters()) / 1e6) == 6


def test_up_and_down_sampling_keep_a_constant_image():
    """The filters that a network starts from have the sums that their sampling needs."""
    generator = MODELS.build(dict(type='MIGANGenerator', **SIZES))
    up = generator.decoder['16']['upsample'](torch.ones(1, 3, 8, 8))
    torch.testing.assert_close(up[..., 2:-2, 2:-2], torch.ones(1, 3, 12, 12))
    down = generator.encoder['16']['conv2'].downsample(torch.ones(1, 8, 16, 16))
    torch.testing.assert_close(down[..., 1:-1, 1:-1], torch.ones(1, 8, 6, 6))


def test_other_sizes_are_refused_and_photographs_of_any_size_are_filled_in_windows(model):
    with pytest.raises(ValueError, match=r'takes images of 16x16 pixels alone, got 16x24.*work_size=16'):
        model.generator(torch.zeros(1, 4, 16, 24))
    with pytest.raises(ValueError, match='power of two from 8 up, got 24'):
        MODELS.build(dict(type='MIGANGenerator', size=24))
    photo = np.random.default_rng(0).integers(0, 256, (40, 9, 3), np.uint8)
    hole = np.zeros((40, 9), bool)
    hole[5:33, 2:6] = True
    filled = inpaint(photo, hole, model=model)
    assert (filled[~hole] == photo[~hole]).all() and (filled[hole] != photo[hole]).any()
    with pytest.raises(ValueError, match='takes images of 16x16 pixels alone, got 32x32'):
        inpaint(photo, hole, model=model, work_size=32)


def test_is_exported_at_its_size(model, tmp_path):
    pytest.importorskip('onnxruntime', reason='export to ONNX is optional')
    with pytest.raises(ValueError, match='takes images of 16x16 pixels alone.*one fixed size'):
        export(model, tmp_path / 'migan.pt', 'torchscript')
    exported = export(model, tmp_path / 'migan.onnx', fixed=True)
    assert exported.metadata['sizes'] == '1 image of 16x16 (height x width) alone'
    assert exported.difference <= exported.allowed
