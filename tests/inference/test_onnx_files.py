"""ONNX files in the place of networks."""

import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import make_onnx
from PIL import Image

from cainet_mm.apis import inpaint, load_inpaintor

pytest.importorskip('onnxruntime', reason='onnxruntime is not installed (requirements/optional.txt)')
pytest.importorskip('onnx', reason='onnx is not installed (requirements/optional.txt)')

# Of what is known, hidden behind 0, a 1x1 convolution sees nothing: its bias is the colour of the hole.
COLOUR = (1.0, -0.6, 0.2)


@pytest.fixture
def file(tmp_path):
    return make_onnx(tmp_path / 'file.onnx', np.zeros((3, 3, 1, 1)), COLOUR, trained_at='32x32')


def windows(count, size):
    random = np.random.default_rng(0)
    images = [torch.from_numpy(random.uniform(0, 255, (3, size, size)).astype(np.float32)) for _ in range(count)]
    masks = [torch.from_numpy(random.uniform(size=(1, size, size)) > 0.5).float() for _ in range(count)]
    return dict(inputs=images, data_samples=[SimpleNamespace(mask=mask) for mask in masks])


@pytest.mark.parametrize('fixed', [False, True])
def test_windows_come_back_filled_as_from_a_network(file, tmp_path, fixed):
    if fixed:
        file = make_onnx(file, np.zeros((3, 3, 1, 1)), COLOUR, size=(1, 24, 24))
    model = load_inpaintor(None, file)
    assert model.cfg.image_size == (24 if fixed else 32)
    data = windows(3, 24)
    for window, sample, answer in zip(data['inputs'], data['data_samples'], model.test_step(data), strict=True):
        # BGR in [0, 255]
        colour = ((torch.tensor(COLOUR[::-1]) + 1) * 127.5)[:, None, None]
        wanted = torch.where(sample.mask > 0.5, colour, window)
        torch.testing.assert_close(answer.output.fake_res, wanted, rtol=0, atol=1e-4)


def test_a_photograph_of_any_size_is_filled_from_the_command_line(file, tmp_path, monkeypatch, call_tool):
    monkeypatch.chdir(tmp_path)
    # of the hole's own colour, so that nothing is shifted to meet what is around it
    photo = np.broadcast_to(np.uint8([255, 51, 153]), (70, 45, 3)).copy()
    hole = np.zeros((70, 45), bool)
    hole[20:40, 10:30] = True
    Image.fromarray(np.where(hole[..., None], 0, photo).astype(np.uint8)).save('photo.png')
    Image.fromarray(hole).save('mask.png')
    done = call_tool('inpaint', 'photo.png', 'mask.png', '-o', 'out.png', '--checkpoint', 'file.onnx')
    assert done.returncode == 0, done.stderr
    assert 'Network: file.onnx, by ONNX Runtime on cpu' in done.stdout
    np.testing.assert_array_equal(np.asarray(Image.open('out.png')), photo)
    np.testing.assert_array_equal(inpaint('photo.png', 'mask.png', model=load_inpaintor(None, file)), photo)
    for options, says in (
        (('--raw',), "--raw shows the network's own image"),
        (('--save-scales',), 'has no generator with several scales'),
        (('--device', 'mps'), 'cannot compute on mps; use --device cpu'),
    ):
        done = call_tool('inpaint', 'photo.png', 'mask.png', '-o', 'new.png', '--checkpoint', 'file.onnx', *options)
        assert done.returncode == 2
        assert says in done.stderr
    assert not (tmp_path / 'new.png').exists()


def test_what_is_no_such_file_gets_a_sentence(tmp_path, monkeypatch):
    import onnx

    with pytest.raises(FileNotFoundError, match='absent.onnx'):
        load_inpaintor(None, tmp_path / 'absent.onnx')
    (tmp_path / 'text.onnx').write_text('no network')
    with pytest.raises(ValueError, match='is no ONNX file that can be run'):
        load_inpaintor(None, tmp_path / 'text.onnx')
    oblong = make_onnx(tmp_path / 'oblong.onnx', np.zeros((3, 3, 1, 1)), COLOUR, size=(1, 24, 32))
    with pytest.raises(ValueError, match='takes 24x32 alone, and windows are square'):
        load_inpaintor(None, oblong)
    model = onnx.load(str(oblong))
    model.graph.input.reverse()
    onnx.save(model, str(oblong))
    with pytest.raises(ValueError, match='has other inputs or outputs'):
        load_inpaintor(None, oblong)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None if name == 'onnxruntime' else find(name))
    with pytest.raises(ModuleNotFoundError, match='pip install onnxruntime'):
        load_inpaintor(None, oblong)
