"""tools/inpaint.py: files in, files out, nothing refused silently."""

import pickle
import re
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from conftest import ROOT, tiny
from PIL import Image

from cainet_mm.apis import inpaint, load_model

TELEA = str(ROOT / 'configs/baselines/telea.py')


@pytest.fixture
def run(tmp_path, monkeypatch, call_tool):
    """Runs the tool in the test's folder."""
    monkeypatch.chdir(tmp_path)
    return partial(call_tool, 'inpaint')


def make_photo(path, seed=0, size=(30, 24)):
    path.parent.mkdir(exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.fixture
def mask(tmp_path):
    hole = np.zeros((30, 24), bool)
    hole[8:15, 5:16] = True
    Image.fromarray(hole).save(tmp_path / 'mask.png')
    return hole


def test_98_good_photographs_and_2_broken_ones(tmp_path, run, mask):
    photos = {f'photo_{number:03d}.png': None for number in range(100)}
    for number, name in enumerate(photos):
        photos[name] = make_photo(tmp_path / 'photos' / name, number)
    (tmp_path / 'photos/photo_017.png').write_bytes(b'no image')
    make_photo(tmp_path / 'photos/photo_042.png', size=(30, 25))
    (tmp_path / 'photos/moving.gif').write_bytes(b'')
    done = run('photos', 'mask.png', '-o', 'out', '--config', TELEA)
    assert done.returncode == 1
    assert '98 of 100 photographs' in done.stdout
    assert '1 files are no photographs by their endings and were left alone, such as photos/moving.gif' in done.stdout
    sentences = [line for line in done.stderr.splitlines() if line.startswith('The photograph')]
    assert len(sentences) == 2
    assert 'photo_017.png cannot be read' in sentences[0]
    assert 'photo_042.png has 30x25 pixels' in sentences[1]
    results = sorted(path.name for path in (tmp_path / 'out').iterdir())
    assert results == sorted(set(photos) - {'photo_017.png', 'photo_042.png'})
    for name in results:
        result = np.asarray(Image.open(tmp_path / 'out' / name))
        np.testing.assert_array_equal(result[~mask], photos[name][~mask])


def test_one_photograph_with_a_network_its_raw_image_and_its_scales(tmp_path, run, mask):
    torch.manual_seed(0)
    config = tiny('stage2', tmp_path)
    config.dump(tmp_path / 'tiny.py')
    model = load_model(config)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'weights.pth')
    pixels = make_photo(tmp_path / 'photo.png')
    arguments = ('photo.png', 'mask.png', '-o', 'out.png', '--config', 'tiny.py')
    done = run(*arguments, '--checkpoint', 'weights.pth', '--raw', '--save-scales')
    assert done.returncode == 0, done.stderr
    result = np.asarray(Image.open(tmp_path / 'out.png'))
    np.testing.assert_array_equal(result, inpaint(pixels, mask, model=model))
    raw = np.asarray(Image.open(tmp_path / 'out.raw.png'))
    assert raw.shape == pixels.shape
    assert (raw[~mask] != pixels[~mask]).mean() > 0.5
    assert Image.open(tmp_path / 'out.scales.png').width > 7 * 64
    assert not list(tmp_path.glob('.*'))

    without = run(*arguments)
    assert without.returncode == 2
    assert '--checkpoint has to name' in without.stderr


class Payload:
    def __reduce__(self):
        return exec, ('open("executed", "w").close()',)


def test_nothing_in_a_checkpoint_is_executed(tmp_path, run, mask):
    tiny('stage2', tmp_path).dump(tmp_path / 'tiny.py')
    make_photo(tmp_path / 'photo.png')
    torch.save(dict(state_dict=Payload()), tmp_path / 'zip.pth')
    (tmp_path / 'plain.pth').write_bytes(pickle.dumps(Payload()))
    for checkpoint in ('zip.pth', 'plain.pth'):
        done = run('photo.png', 'mask.png', '-o', 'out.png', '--config', 'tiny.py', '--checkpoint', checkpoint)
        assert done.returncode == 2
        assert 'Traceback' not in done.stderr
        assert not (tmp_path / 'executed').exists()
        assert not (tmp_path / 'out.png').exists()


@pytest.mark.parametrize(
    ('arguments', 'what'),
    [
        (('absent.png', 'mask.png', '-o', 'out.png', '--config', TELEA), 'no photograph at absent.png'),
        (('photo.png', 'mask.png', '-o', 'photo.png', '--config', TELEA), 'written over'),
        (('photo.png', 'mask.png', '-o', 'out.png', '--config', 'absent.py'), '--config absent.py is not a file'),
        (('photo.png', 'mask.png', '-o', 'out.png', '--config', TELEA, '--save-scales'), 'no generator with several'),
        (
            ('photo.png', 'mask.png', '-o', 'out.png', '--config', TELEA, '--checkpoint', 'http://localhost/a.pth'),
            "a.pth' cannot be fetched",
        ),
    ],
)
def test_arguments_that_do_not_fit_get_a_sentence(tmp_path, run, mask, arguments, what):
    make_photo(tmp_path / 'photo.png')
    done = run(*arguments)
    assert done.returncode == 2
    assert what in done.stderr
    assert 'Traceback' not in done.stderr
    assert not (tmp_path / 'out.png').exists()


@pytest.mark.slow
def test_it_runs_by_itself_from_any_folder(tmp_path, mask):
    make_photo(tmp_path / 'photo.png')
    command = [sys.executable, str(ROOT / 'tools/inpaint.py'), 'photo.png', 'mask.png', '-o', 'out', '--config', TELEA]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert '1/1' in done.stderr
    assert (tmp_path / 'out/photo.png').is_file()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='other systems do not tell how much memory was held')
def test_memory_grows_with_the_photograph_alone(tmp_path):
    config = tiny('stage2', tmp_path)
    config.dump(tmp_path / 'tiny.py')
    torch.save(dict(state_dict=load_model(config).state_dict()), tmp_path / 'weights.pth')
    gigabytes = []
    for number, (height, width) in enumerate([(60, 80), (3000, 4000)]):
        Image.radial_gradient('L').resize((width, height)).convert('RGB').save(tmp_path / f'{number}.png')
        hole = np.zeros((height, width), bool)
        # most of it, and as far from any known pixel as can be
        hole[height // 30 :] = True
        Image.fromarray(hole).save(tmp_path / f'mask_{number}.png')
        photo = (f'{number}.png', f'mask_{number}.png', '-o', f'out_{number}.png')
        command = [
            sys.executable,
            ROOT / 'tools/inpaint.py',
            *photo,
            '--config',
            'tiny.py',
            '--checkpoint',
            'weights.pth',
        ]
        done = subprocess.run(list(map(str, command)), cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        gigabytes.append(float(re.search(r'at most (\d+\.\d+) GB', done.stdout)[1]))
    # an image in floats would take 12 bytes of every pixel, a network's features at full size hundreds
    assert gigabytes[1] - gigabytes[0] < 80 * 12e6 / 1e9
