"""Networks that have a name: listed, found, filled with; what is missing is said with what to do."""

import os
from copy import deepcopy

import numpy as np
import pytest
import torch

from cainet_mm.apis import find_model, inpaint, list_models, load_model
from cainet_mm.inference import zoo


@pytest.fixture
def photo():
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    hole = np.zeros((90, 120), bool)
    hole[30:50, 40:75] = True
    return pixels, hole


def test_the_default_fills_bit_for_bit_as_the_model_it_was_published_from_at_float16(shipped, photo):
    model = deepcopy(shipped[0])
    exact = inpaint(*photo, model=model)
    for weight in model.state_dict().values():
        if weight.is_floating_point():
            weight.copy_(weight.half())
    expected = inpaint(*photo, model=model)
    assert (expected != exact).any()
    for filled in (inpaint(*photo), inpaint(*photo, model=load_model('cainet-photos'))):
        np.testing.assert_array_equal(filled, expected)
    assert {weight.dtype for weight in load_model('cainet-photos').parameters()} == {torch.float32}


def test_what_is_listed_is_what_was_noted(shipped):
    first, *others = list_models()
    assert (first.name, first.path, first.megabytes) == ('cainet-photos', shipped[1], shipped[1].stat().st_size / 1e6)
    assert first.metrics == {'PSNR in the hole': '17.25'}
    assert first.notes == {'licence': 'Apache-2.0', 'metrics.PSNR in the hole': '17.25'}
    assert [model.name for model in others] == ['cainet-texture', 'lama', 'migan', 'dfnet', 'lbam']
    assert all(model.path is None and model.megabytes is None and not model.metrics for model in others)
    assert all(model.description and '\n' not in model.description for model in (first, *others))


def test_the_users_newest_file_goes_before_the_packages(shipped, tmp_path):
    users = tmp_path / 'users'
    users.mkdir()
    names = ('cainet-photos.pth', 'cainet-photos-0123abcd.safetensors')
    for age, name in enumerate((*names, 'cainet-photos-notes.pth', 'cainet-photos.txt')):
        (users / name).write_text('damaged')
        os.utime(users / name, (1000 + age, 1000 + age))
    assert find_model('cainet-photos') == users / names[1]
    # it is listed all the same
    assert (list_models()[0].path, list_models()[0].notes) == (users / names[1], {})
    with pytest.raises(ValueError, match='cannot be read'):
        load_model('cainet-photos')


def test_a_name_without_a_file_says_where_it_belongs_and_what_makes_it(tmp_path, monkeypatch):
    monkeypatch.delenv('CAINET_MM_WEIGHTS', raising=False)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.setattr(zoo, 'PACKAGE_FOLDER', tmp_path / 'package')
    with pytest.raises(FileNotFoundError) as raised:
        load_model('dfnet')
    file = tmp_path / 'cainet_mm/dfnet'
    for part in ('dfnet.safetensors or dfnet.pth', f' {tmp_path}/cainet_mm ', f'convert_dfnet.py PUBLIC {file}.pth'):
        assert part in str(raised.value)
    with pytest.raises(FileNotFoundError, match='comes with the package; install'):
        inpaint(np.zeros((20, 20, 3), np.uint8), np.eye(20, dtype=bool))


def test_an_unknown_name_lists_the_nearest_first():
    with pytest.raises(ValueError, match="no network named 'lamma'; the nearest names are lama, "):
        load_model('lamma')
