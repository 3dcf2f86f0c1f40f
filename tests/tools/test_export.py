"""tools/export.py: a file from the command line, or a clear error."""

import importlib.util
import subprocess
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import warm
from conftest import ROOT, tiny

from cainet_mm import apis
from cainet_mm.apis import Exported, load_model, publish

TELEA = ROOT / 'configs/baselines/telea.py'


@pytest.fixture
def run(call_tool):
    """Runs the tool."""
    return partial(call_tool, 'export')


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A config, a training checkpoint and a published file of one network."""
    folder = tmp_path_factory.mktemp('trained')
    config = tiny('stage2', folder)
    config.dump(folder / 'config.py')
    torch.manual_seed(0)
    checkpoint = folder / 'iter_9.pth'
    torch.save(dict(state_dict=load_model(config).state_dict(), meta=dict(iter=9)), checkpoint)
    return folder / 'config.py', checkpoint, publish(checkpoint, config, folder / 'cainet.pth')


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ('onnx', 'onnxruntime')),
    reason='onnx and onnxruntime are not installed (requirements/optional.txt)',
)
def test_checkpoint_and_published_file_give_the_same_onnx(trained, run, tmp_path):
    import onnxruntime

    config, checkpoint, published = trained
    answers = []
    image = np.random.default_rng(0).uniform(-1, 1, (2, 3, 45, 70)).astype(np.float32)
    for number, source in enumerate([(config, checkpoint), ('-', published)]):
        out = tmp_path / f'{number}.onnx'
        done = run(*source, out, '--size', 48, 40)
        assert done.returncode == 0, done.stderr
        assert f'{out}: ' in done.stdout
        assert 'any number of images of any height and width.' in done.stdout
        assert 'Largest difference from PyTorch: ' in done.stdout
        assert '1x48x40, 1x49x42, 3x64x64, 1x67x101' in done.stdout
        session = onnxruntime.InferenceSession(str(out), providers=['CPUExecutionProvider'])
        answers.append(session.run(None, {'image': image, 'mask': np.ones((2, 1, 45, 70), np.float32)})[0])
    np.testing.assert_array_equal(*answers)


@pytest.mark.slow
def test_torchscript_with_one_size_and_scales_from_the_shell(trained, tmp_path):
    out = tmp_path / 'new/cainet.pt'
    options = ['--format', 'torchscript', '--fixed', '--size', '32', '48', '--scales', '--no-check']
    command = [warm.python(), '-W', 'ignore', str(ROOT / 'tools/export.py'), '-', str(trained[2]), str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 'It takes 1 image of 32x48 (height x width) alone.\nIt was not compared with PyTorch.' in done.stdout
    filled, first, *coarser = torch.jit.load(str(out))(torch.zeros(1, 3, 32, 48), torch.ones(1, 1, 32, 48))
    assert torch.equal(filled, first)
    assert [tuple(scale.shape[-2:]) for scale in coarser[:2]] == [(16, 24), (8, 12)]
    assert [path.name for path in out.parent.iterdir()] == ['cainet.pt']


def test_the_network_that_comes_with_the_package_is_the_default(shipped, trained, run, tmp_path, monkeypatch):
    asked = []

    def note(model, out, kind, **options):
        asked.append((next(model.generator.parameters()), out, kind, options['size']))
        Path(out).touch()
        return Exported(Path(out), '', dict(sizes=''))

    monkeypatch.setattr(apis, 'export', note)
    out, options = tmp_path / 'out.pt', ('--size', 32, 48, '--format', 'torchscript')
    # options may stand before, between and after the files
    for arguments in (
        (out, *options),
        (*options, '--model', 'cainet-photos', out),
        ('-', *options, shipped[1], out),
        (*options, *trained[:2], out),
    ):
        done = run(*arguments)
        assert done.returncode == 0, done.stderr
    assert all(one[1:] == (str(out), 'torchscript', [32, 48]) for one in asked)
    ours, theirs = (next(model.generator.parameters()) for model in (shipped[0], load_model(*trained[:2])))
    assert all(torch.equal(one[0], ours.half().float()) for one in asked[:3])
    assert torch.equal(asked[3][0], theirs)


def test_what_does_not_fit_gets_a_sentence(shipped, trained, run, tmp_path):
    config, checkpoint, published = trained
    for arguments, says in (
        ((tmp_path / 'absent.py', checkpoint, 'out.onnx'), 'absent.py is not a file'),
        ((config, published, tmp_path / 'out.pth', '--format', 'torchscript'), 'ends in .pt, got out.pth'),
        (('-', checkpoint, tmp_path / 'out.pt', '--format', 'torchscript'), 'holds no config'),
        ((TELEA, checkpoint, tmp_path / 'out.pt', '--format', 'torchscript'), 'left over'),
        ((checkpoint, 'out.pt'), 'the files are [CONFIG CHECKPOINT] OUT, got'),
        ((config, checkpoint, 'out.pt', '--model', 'cainet-photos'), '--model names a network by itself'),
        (('out.pt', '--model', 'lama'), "The network 'lama' has no file here"),
    ):
        done = run(*arguments)
        assert done.returncode == 2, arguments
        assert says in done.stderr
        assert 'Traceback' not in done.stderr
        assert done.stderr.count('\n') == 1
    assert not list(tmp_path.iterdir())
