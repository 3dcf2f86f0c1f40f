"""Published test masks: the same as a test under them sees, by names alone, and their hashes."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from cainet_mm.apis import loader_from_config
from cainet_mm.datasets import SeededByImage
from cainet_mm.datasets.test_masks import draw_test_masks, read_hashes

QUICKSTART = ROOT / 'configs/quickstart/stage2.py'
HASHES = ROOT / 'configs/_base_/masks/hashes'


@pytest.mark.parametrize('seed', [0, 7])
def test_they_are_the_masks_that_a_comparison_fills(seed):
    config = Config.fromfile(QUICKSTART)
    (step,) = (step for step in config.test_dataloader.dataset.pipeline if step.type == 'SeededByImage')
    step.seed = seed
    drawn = dict(draw_test_masks(config))
    for kind in ('rectangular', 'irregular'):
        loader = loader_from_config(config, kind, batch_size=1, num_workers=0)
        for sample in loader.dataset:
            mask = sample['data_samples'].mask.numpy().squeeze()
            assert np.array_equal(drawn[f'{kind}/{Path(sample["data_samples"].gt_path).stem}'], mask * 255)
    assert len(drawn) == 2 * len(loader.dataset) == 48


def test_the_published_list_holds_and_files_have_its_hashes(tmp_path, call_tool):
    listed = HASHES / 'quickstart_64.txt'
    done = call_tool('test_masks', QUICKSTART, tmp_path / 'out', '--check', listed)
    assert not done.returncode, done.stderr
    hashes = read_hashes(listed)
    files = {path.relative_to(tmp_path / 'out').with_suffix('').as_posix(): path for path in tmp_path.rglob('*.png')}
    assert files.keys() == hashes.keys()
    for name, path in files.items():
        # without a function of this package
        assert hashlib.sha256(np.asarray(Image.open(path)).tobytes()).hexdigest() == hashes[name]


def test_names_do_without_photographs_and_widths_differ(tmp_path, call_tool):
    names = tmp_path / 'names.txt'
    names.write_text(''.join(f'folder/photo {number}.v2.jpg\n' for number in range(40)))
    config = ROOT / 'configs/_base_/masks/widths_256.py'
    init_default_scope('mmagic')
    drawn = dict(draw_test_masks(Config.fromfile(config), names))
    shares = {}
    for kind in ('thin', 'medium', 'thick'):
        masks = [mask for name, mask in drawn.items() if name.startswith(f'{kind}/folder/photo ')]
        assert len(masks) == 40 and {value for mask in masks for value in np.unique(mask)} == {0, 255}
        shares[kind] = np.mean(masks) / 255
    assert shares['thin'] < shares['thick'] and shares['medium'] < shares['thick']
    done = call_tool('test_masks', config, tmp_path / 'out', '--names', names, '--masks', 'thin')
    assert not done.returncode and len(list((tmp_path / 'out/thin/folder').iterdir())) == 40


@pytest.mark.parametrize(
    ('names', 'arguments', 'code', 'what'),
    [
        ('a.png\n', ['--masks', 'round'], 2, 'are rectangular, irregular'),
        ('../a.png\n', [], 2, "name '../a' leads out of its folder"),
        ('a.png\n', ['--check', 'names.txt'], 2, 'is no list of hashes'),
        ('a.png\n', ['--check', HASHES / 'quickstart_64.txt'], 1, '50 masks are not those of'),
    ],
)
def test_what_does_not_fit_writes_nothing(names, arguments, code, what, tmp_path, monkeypatch, call_tool):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'names.txt').write_text(names)
    done = call_tool('test_masks', QUICKSTART, 'out', '--names', 'names.txt', *arguments)
    assert done.returncode == code and what in done.stderr, done.stderr
    assert not (tmp_path / 'out').exists()


def test_the_type_of_the_seeded_step_may_be_the_class():
    config = Config.fromfile(QUICKSTART)
    (step,) = (step for step in config.test_dataloader.dataset.pipeline if step.type == 'SeededByImage')
    step.seed = 7
    expected = dict(draw_test_masks(config))
    step.type = SeededByImage
    drawn = dict(draw_test_masks(config))
    assert all(np.array_equal(drawn[name], mask) for name, mask in expected.items())
