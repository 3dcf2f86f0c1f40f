import importlib.util
import sys

import cv2
import numpy as np
import pytest
from conftest import ROOT
from mmcv.transforms import Compose
from mmengine.config import Config

from cainet_mm.datasets import mask_sets
from cainet_mm.datasets.mask_sets import AREA_RANGES, scale_lengths, write_mask_set

GENERATORS = Config.fromfile(ROOT / 'configs' / '_base_' / 'masks' / 'free_form_256.py')


def write(folder, kind='irregular', **kwargs):
    return write_mask_set(folder, kind, GENERATORS, **{'size': 64, 'count': 5, **kwargs})


def read(folder, name='masks'):
    names = (folder / f'{name}.txt').read_text().splitlines()
    return {name: cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED) for name in names}


def is_rectangle(mask):
    rows, columns = np.nonzero(mask)
    return (mask > 0).sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)


class TestSets:
    @pytest.mark.parametrize('size', [64, 100, 256])
    @pytest.mark.parametrize('kind', ['rectangular', 'irregular'])
    def test_masks_are_black_and_white_and_of_their_kind(self, tmp_path, kind, size):
        write(tmp_path, kind, size=size)
        masks = read(tmp_path)
        assert list(masks) == [f'{number:05d}.png' for number in range(5)]
        for mask in masks.values():
            assert mask.shape == (size, size)
            assert set(np.unique(mask)) == {0, 255}
            assert is_rectangle(mask) == (kind == 'rectangular')

    @pytest.mark.parametrize('kind', mask_sets.KINDS)
    def test_a_larger_count_only_adds_masks(self, tmp_path, kind):
        write(tmp_path / 'few', kind, count=2)
        write(tmp_path / 'many', kind, count=4)
        few, many = read(tmp_path / 'few'), read(tmp_path / 'many')
        assert len(many) == 2 * len(few)
        assert all((many[name] == mask).all() for name, mask in few.items())

    def test_masks_do_not_depend_on_the_random_state_outside_nor_change_it(self, tmp_path):
        np.random.seed(1)
        write(tmp_path / 'first')
        after = np.random.rand()
        np.random.seed(1)
        assert np.random.rand() == after
        write(tmp_path / 'second')
        first, second = read(tmp_path / 'first'), read(tmp_path / 'second')
        assert all((first[name] == second[name]).all() for name in first)

    def test_masks_of_a_set_and_of_other_seeds_differ(self, tmp_path):
        write(tmp_path / 'first')
        write(tmp_path / 'second', seed=1)
        masks = [*read(tmp_path / 'first').values(), *read(tmp_path / 'second').values()]
        assert len({mask.tobytes() for mask in masks}) == 10

    def test_buckets_hold_what_their_names_say(self, tmp_path):
        *lists, everything = write(tmp_path, 'buckets', size=128, count=3)
        for (low, high), masks in zip(AREA_RANGES, lists, strict=True):
            pictures = read(tmp_path, f'{low:02d}-{high:02d}')
            assert len(pictures) == 3
            areas = [(picture > 0).mean() for picture in pictures.values()]
            assert all(low / 100 < area <= high / 100 for area in areas)
            assert areas == pytest.approx(masks.areas)
        assert list(read(tmp_path)) == everything.names == [name for masks in lists for name in masks.names]

    def test_generators_are_scaled_to_the_size(self):
        rectangles = scale_lengths(GENERATORS.rectangles, GENERATORS, 128)
        strokes = scale_lengths(GENERATORS.strokes, GENERATORS, 128)
        assert rectangles[0]['mask_config'] == dict(
            img_shape=(128, 128), max_bbox_shape=64, max_bbox_delta=20, min_margin=10
        )
        assert strokes[0]['mask_config'] == dict(
            img_shape=(128, 128), num_vertices=(4, 12), mean_angle=1.2, angle_range=0.4, brush_width=(6, 20)
        )
        assert scale_lengths(GENERATORS.strokes, GENERATORS, 256) == [dict(part) for part in GENERATORS.strokes]


class TestRefusals:
    @pytest.mark.parametrize(
        ('options', 'said'),
        [
            (dict(kind='round'), "one of rectangular, irregular, buckets, got 'round'"),
            (dict(count=0), 'got 64 and 0'),
            (dict(size=0), 'got 0 and 5'),
            (dict(size=4), '4x4 pixels are too small'),
        ],
    )
    def test_bad_numbers(self, tmp_path, options, said):
        with pytest.raises(ValueError, match=said):
            write(tmp_path, **options)
        assert not list(tmp_path.iterdir())

    def test_generators_that_are_not_square(self, tmp_path):
        with pytest.raises(ValueError, match=r'image_size is \(64, 32\)'):
            write_mask_set(tmp_path, 'irregular', Config(dict(strokes=[], image_size=(64, 32))))

    def test_a_bucket_that_cannot_be_filled(self, tmp_path, monkeypatch):
        monkeypatch.setattr(mask_sets, 'MAX_ATTEMPTS', 3)
        monkeypatch.setattr(mask_sets, 'AREA_RANGES', ((99, 100),))
        with pytest.raises(ValueError, match='3 draws gave no mask with a hole of 99% to 100%'):
            write(tmp_path, 'buckets')


class TestReading:
    @pytest.fixture
    def draw(self, tmp_path):
        """The config's transform that takes a mask from disk, with five masks."""
        write(tmp_path)
        transform = Config.fromfile(ROOT / 'configs/_base_/masks/from_disk_256.py').draw_mask_from_disk
        transform.transforms[0].update(mask_list_file=str(tmp_path / 'masks.txt'), prefix=str(tmp_path))
        return Compose([transform])

    def test_masks_come_as_zeros_and_ones(self, draw, tmp_path):
        mask = draw(dict(key='photo'))['mask']
        assert (mask.shape, mask.dtype) == ((64, 64, 1), np.uint8)
        assert any((mask[..., 0] * 255 == picture).all() for picture in read(tmp_path).values())

    def test_an_image_keeps_its_mask_and_all_masks_are_used(self, draw):
        photos = [f'photo_{number}' for number in range(40)]
        first, second = ([draw(dict(key=photo))['mask'].tobytes() for photo in photos] for _ in range(2))
        assert first == second
        assert len(set(first)) == 5


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'tools')
    spec = importlib.util.spec_from_file_location('tool_make_masks', ROOT / 'tools' / 'make_masks.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['make_masks.py', *map(str, arguments)])
        module.main()

    return run


class TestTool:
    def test_it_writes_a_set_and_a_table(self, tool, capsys, tmp_path):
        tool(tmp_path, '--kind', 'buckets', '--size', 64, '--count', 2, '--seed', 3)
        assert len(read(tmp_path)) == 12
        table = capsys.readouterr().out
        assert '01-10.txt' in table
        assert 'masks.txt' in table

    @pytest.mark.parametrize(
        ('options', 'said'),
        [
            (('--kind', 'round'), '--kind'),
            (('--kind', 'irregular', '--count', '0'), 'count of at least 1'),
            (('--kind', 'irregular', '--generators', 'absent.py'), 'absent.py is not a file'),
            (('--kind', 'irregular', '--generators', str(ROOT / 'configs/_base_/default_runtime.py')), 'strokes'),
        ],
    )
    def test_bad_input_gets_a_sentence(self, tool, capsys, tmp_path, options, said):
        with pytest.raises(SystemExit) as stopped:
            tool(tmp_path, *options)
        assert stopped.value.code == 2
        assert said in capsys.readouterr().err.splitlines()[-1]
