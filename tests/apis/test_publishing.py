"""Checkpoints to hand on: weights, config and hash, and nothing that could run."""

import hashlib
import re

import pytest
import torch
from conftest import tiny
from mmengine.config import Config

from cainet_mm.apis import load_model, publish


@pytest.fixture
def trained(tmp_path):
    """A tiny model, and its checkpoint as training leaves it."""
    torch.manual_seed(0)
    config = tiny('stage2', tmp_path)
    model = load_model(config)
    checkpoint = tmp_path / 'iter_9.pth'
    torch.save(dict(state_dict=model.state_dict(), optimizer=dict(step=9), meta=dict(iter=9)), checkpoint)
    return config, model, checkpoint


def answer(model):
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        return model.generator(torch.rand(1, 4, 32, 32, generator=generator))[0]


@pytest.mark.parametrize('half', [False, True])
def test_published_file_needs_no_config_and_answers_as_the_checkpoint(half, trained, tmp_path):
    config, model, checkpoint = trained
    path = publish(checkpoint, config, tmp_path / 'new/cainet.pth', half=half)
    loaded = load_model(None, path)
    assert all(weight.dtype == torch.float32 for weight in loaded.parameters())
    if half:
        torch.testing.assert_close(answer(loaded), answer(model), rtol=0, atol=0.02)
        assert not torch.equal(answer(loaded), answer(model))
    else:
        assert torch.equal(answer(loaded), answer(model))
    assert tuple(loaded.cfg.image_size) == tuple(config.image_size)


def test_name_holds_the_hash_of_the_file_and_nothing_is_left_beside_it(trained, tmp_path):
    path = publish(trained[2], trained[0], tmp_path / 'out/cainet.pth')
    (digest,) = re.fullmatch(r'cainet-([0-9a-f]{8})\.pth', path.name).groups()
    assert hashlib.sha256(path.read_bytes()).hexdigest().startswith(digest)
    assert list(path.parent.iterdir()) == [path]


def test_what_only_training_needs_stays_behind(trained, tmp_path):
    config, model, checkpoint = trained
    content = torch.load(publish(checkpoint, config, tmp_path / 'cainet.pth'), weights_only=True)
    assert content.keys() == {'state_dict', 'meta'}
    assert content['state_dict'].keys() == {key for key in model.state_dict() if not key.startswith('disc.')}
    assert any(key.startswith('disc.') for key in model.state_dict())


def test_config_is_data_that_nobody_executes(trained, tmp_path):
    config, _, checkpoint = trained
    marker = tmp_path / 'executed'
    config.model.note = f"'+__import__('pathlib').Path({str(marker)!r}).touch()+'"
    path = publish(checkpoint, config, tmp_path / 'cainet.pth')
    with pytest.raises(TypeError, match='note'):
        load_model(None, path)
    assert not marker.exists()


def test_file_without_a_config_gets_a_sentence(trained, tmp_path):
    with pytest.raises(ValueError, match='holds no config; give the one that it was trained with'):
        load_model(None, trained[2])
    with pytest.raises(ValueError, match='needs a config'):
        load_model(None)
    with pytest.raises(FileNotFoundError, match=r'absent\.pth'):
        load_model(None, tmp_path / 'absent.pth')
    with pytest.raises(FileNotFoundError, match=r'absent\.pth'):
        publish(tmp_path / 'absent.pth', Config(), tmp_path / 'out.pth')
