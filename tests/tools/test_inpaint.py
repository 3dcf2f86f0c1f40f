"""tools/inpaint.py: files in, files out, nothing refused silently."""

import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from functools import partial
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import warm
from conftest import ROOT, tiny
from PIL import Image

from cainet_mm.apis import inpaint, load_model, publish
from cainet_mm.inference import inpainting

TELEA = str(ROOT / 'configs/baselines/telea.py')
(SHIPPED,) = (ROOT / 'cainet_mm/weights').glob('cainet-photos-*.safetensors')


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


def test_where_no_network_is_named_the_one_of_the_package_fills(tmp_path, shipped, run, mask):
    pixels = make_photo(tmp_path / 'photo.png')
    done = run('photo.png', 'mask.png', '-o', 'out.png')
    assert done.returncode == 0, done.stderr
    assert f'Network: cainet-photos ({shipped[1]})\n' in done.stdout
    expected = inpaint(pixels, mask, model=load_model(None, shipped[1]))
    np.testing.assert_array_equal(np.asarray(Image.open('out.png')), expected)
    assert run('photo.png', 'mask.png', '-o', 'named.png', '--model', 'cainet-photos').returncode == 0
    assert Path('named.png').read_bytes() == Path('out.png').read_bytes()


def test_a_hole_value_that_no_pixel_has_is_said(tmp_path, run, mask):
    make_photo(tmp_path / 'photo.png')
    given = ('photo.png', 'mask.png', '-o', 'out.png', '--config', TELEA, '--hole-value', 254)
    done = run(*given)
    assert done.returncode == 0 and 'no pixel of its mask has the value 254' in done.stdout
    assert 'out.png is unchanged' in done.stdout
    done = run(*given, '--invert')
    assert done.returncode == 1 and 'is all hole: no pixel of its mask has the value 254' in done.stderr


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
        (('photo.png', 'mask.png', '-o', 'out.xyz', '--config', TELEA), 'out.xyz has an unknown ending'),
        (('photo.png', 'mask.png', '-o', 'photo.png/out.png', '--config', TELEA), 'photo.png is a file; results need'),
        (('photo.png', 'mask.png', '-o', 'out.png', '--config', 'cainet_mm::absent.py'), 'absent.py'),
        (('photo.png', 'mask.png', '-o', 'out.png', '--config', TELEA, '--device', 'meta'), 'device meta cannot'),
        (('photos', 'masks', '-o', 'masks', '--config', TELEA), 'need folders of their own'),
        (('photo.png', 'mask.png', '-o', 'out.png', '--config', TELEA, '--model', 'lama'), '--model names a network'),
        (('photo.png', 'mask.png', '-o', 'out.png', '--model', 'lama'), 'tools/convert_lama.py'),
        (('photo.png', 'mask.png', '-o', 'out.png', '--model', 'cainet-foto'), 'nearest names are cainet-photos,'),
    ],
)
def test_arguments_that_do_not_fit_get_a_sentence(tmp_path, shipped, run, mask, arguments, what):
    make_photo(tmp_path / 'photo.png')
    make_photo(tmp_path / 'photos/a.png')
    make_photo(tmp_path / 'masks/a.png')
    done = run(*arguments)
    assert done.returncode == 2
    assert what in done.stderr
    assert 'Traceback' not in done.stderr
    assert not (tmp_path / 'out.png').exists()


@pytest.fixture
def weights(tmp_path):
    """A tiny network's config and checkpoints, and some that are broken."""
    torch.manual_seed(0)
    for stage in ('stage1', 'stage2'):
        config = tiny(stage, tmp_path)
        config.dump(tmp_path / f'{stage}.py')
        torch.save(dict(state_dict=load_model(config).state_dict()), tmp_path / f'{stage}.pth')
    (tmp_path / 'cut.pth').write_bytes((tmp_path / 'stage2.pth').read_bytes()[:20000])
    torch.save([1, 2], tmp_path / 'list.pth')
    torch.save(dict(state_dict=dict(a=3)), tmp_path / 'number.pth')
    (tmp_path / 'nothing.py').write_text('x = 1')
    (tmp_path / 'syntax.py').write_text('model = dict(')
    (tmp_path / 'unknown.py').write_text('model = dict(type="Nonsense")')
    (tmp_path / 'argument.py').write_text('model = dict(type="CAINetInpaintor", nonsense=3)')


@pytest.mark.parametrize(
    ('config', 'checkpoint', 'what'),
    [
        ('stage2.py', 'cut.pth', "'cut.pth' cannot be read"),
        ('stage2.py', 'list.pth', "'list.pth' has a list where weights are expected"),
        ('stage2.py', 'number.pth', "'number.pth' has a int as 'a'"),
        ('stage1.py', 'stage1.pth', 'stage1.pth is of a SiameseMoCo, which fills no holes'),
        ('nothing.py', 'stage2.pth', "'nothing.py' has no model"),
        ('syntax.py', 'stage2.pth', "'syntax.py' cannot be read (SyntaxError"),
        ('unknown.py', 'stage2.pth', "'unknown.py' has a model that cannot be built"),
        ('argument.py', 'stage2.pth', "'argument.py' has a model that cannot be built"),
    ],
)
def test_a_config_or_checkpoint_that_does_not_work_gets_a_sentence(run, mask, weights, config, checkpoint, what):
    make_photo(Path('photo.png'))
    done = run('photo.png', 'mask.png', '-o', 'out.png', '--config', config, '--checkpoint', checkpoint)
    assert done.returncode == 2
    (line,) = (line for line in done.stderr.splitlines() if line.startswith('inpaint.py: error: '))
    assert what in line


def test_a_config_may_be_that_of_the_installed_package(tmp_path, run, mask):
    make_photo(tmp_path / 'photo.png')
    done = run('photo.png', 'mask.png', '-o', 'out.png', '--config', 'cainet_mm::baselines/telea.py')
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'out.png').is_file()


def test_results_may_go_into_the_folder_around(tmp_path, run, mask):
    make_photo(tmp_path / 'photos/a.png')
    done = run('photos', 'mask.png', '-o', '.', '--config', TELEA)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'a.png').is_file()


@pytest.mark.parametrize(('number', 'status'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_folder_that_is_interrupted_says_what_was_done_and_what_was_not(
    tmp_path, run, mask, monkeypatch, number, status
):
    for name in range(9):
        make_photo(tmp_path / f'photos/{name}.png', name)
    (tmp_path / 'photos/1.png').write_bytes(b'no image')
    write = inpainting.write_image

    def interrupt(image, path):
        if path.name == '5.png':
            os.kill(os.getpid(), number)
        write(image, path)

    monkeypatch.setattr(inpainting, 'write_image', interrupt)
    before = signal.getsignal(signal.SIGTERM)
    done = run('photos', 'mask.png', '-o', 'out', '--config', TELEA, '--batch-size', '3')
    assert done.returncode == status
    assert '4 of 9 photographs have their result in out' in done.stdout
    assert 'photos/1.png cannot be read' in done.stderr
    assert 'Stopped: 4 of 9 photographs were not begun, or not finished.' in done.stderr
    assert 'Traceback' not in done.stderr
    assert sorted(os.listdir(tmp_path / 'out')) == ['0.png', '2.png', '3.png', '4.png']
    assert signal.getsignal(signal.SIGTERM) == before


def test_an_interruption_before_the_first_photograph_gets_a_sentence(tmp_path, run, mask, monkeypatch):
    make_photo(tmp_path / 'photo.png')
    monkeypatch.setattr(
        'cainet_mm.inference.loading.load_inpaintor', lambda *files: os.kill(os.getpid(), signal.SIGTERM)
    )
    done = run('photo.png', 'mask.png', '-o', 'out.png', '--config', TELEA)
    assert done.returncode == 143
    assert done.stderr.strip() == 'Stopped before a photograph was begun.'


@pytest.mark.slow
def test_it_runs_by_itself_from_any_folder(tmp_path, mask):
    make_photo(tmp_path / 'photo.png')
    command = [sys.executable, str(ROOT / 'tools/inpaint.py'), 'photo.png', 'mask.png', '-o', 'out', '--config', TELEA]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert '1/1' in done.stderr
    assert (tmp_path / 'out/photo.png').is_file()


def test_other_networks_get_the_whole_import(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'tools')
    from _light import needs_no_more

    config = tiny('stage2', tmp_path)
    config.model.encdec.decoder.fusion = dict(type='ImageHead')
    torch.save(dict(state_dict=load_model(config).state_dict()), tmp_path / 'iter.pth')
    other = publish(tmp_path / 'iter.pth', config, tmp_path / 'other.safetensors')
    (tmp_path / 'damaged.safetensors').write_bytes(SHIPPED.read_bytes()[:50])
    files = (other, tmp_path / 'iter.pth', tmp_path / 'damaged.safetensors', tmp_path / 'absent.safetensors', None)
    assert needs_no_more(SHIPPED) and not any(map(needs_no_more, files))


@pytest.mark.parametrize('named', [False, True])
def test_the_network_that_comes_along_fills_without_what_it_does_not_need(tmp_path, mask, named):
    pixels = make_photo(tmp_path / 'photo.png')
    checkpoint = ['--checkpoint', shutil.copy(SHIPPED, tmp_path / 'own.safetensors')] if named else []
    code = f"""
import runpy, sys
sys.path.insert(0, {str(ROOT / 'tools')!r})
sys.argv = ['inpaint.py', 'photo.png', 'mask.png', '-o', 'out.png', *{list(map(str, checkpoint))!r}]
try:
    runpy.run_path({str(ROOT / 'tools/inpaint.py')!r}, run_name='__main__')
except SystemExit as ended:
    assert not ended.code
print([name for name in ('torchvision', 'transformers', 'diffusers', 'scipy', 'face_alignment') if name in sys.modules])
from cainet_mm.models import AttentionHead
try:
    AttentionHead(8, attention='se')
except RuntimeError as error:
    print(error)
import scipy
print(scipy.__version__)
"""
    done = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    left_out, refusal, version = done.stdout.splitlines()[-3:]
    assert left_out == '[]'
    assert 'was not imported, since only the shipped network was to fill' in refusal
    assert version == metadata.version('scipy')
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / 'out.png')), inpaint(pixels, mask))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='other systems do not tell how much memory was held')
def test_memory_grows_with_the_photograph_alone(tmp_path):
    config = tiny('stage2', tmp_path)
    config.dump(tmp_path / 'tiny.py')
    torch.save(dict(state_dict=load_model(config).state_dict()), tmp_path / 'weights.pth')

    def gigabytes(height, width, hole):
        Image.radial_gradient('L').resize((width, height)).convert('RGB').save(tmp_path / 'photo.png')
        Image.fromarray(hole > 0).save(tmp_path / 'mask.png')
        network = ('--config', 'tiny.py', '--checkpoint', 'weights.pth')
        tool = str(ROOT / 'tools/inpaint.py')
        command = [warm.python(), tool, 'photo.png', 'mask.png', '-o', 'out.png', *network]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return float(re.search(r'at most (\d+\.\d+) GB', done.stdout)[1])

    most, thin = np.zeros((2, 1500, 2000), np.uint8)
    # most of it, and as far from any known pixel as can be
    most[100:] = 1
    cv2.line(thin, (0, 0), (1999, 1499), 1, 5)
    # enough of it to take as much at once
    least = gigabytes(600, 800, most[98:698, :800])
    for hole in (most, thin):
        # an image in floats would take 12 bytes of every pixel, a network's features at full size hundreds
        assert gigabytes(1500, 2000, hole) - least < 60 * (3e6 - 0.48e6) / 1e9
