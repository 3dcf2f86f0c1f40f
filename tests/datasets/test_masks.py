"""One reader of masks: the same file is the same hole for every tool, of the right size, or an error that says why."""

import csv
import json
import re

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT, tiny
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import DATASETS
from PIL import Image

from cainet_mm.apis import inpaint, load_model
from cainet_mm.datasets import BadImageError, BadMaskError, LoadHoleFromSet, read_hole
from cainet_mm.inference.jobs import make_job

SIZE = (64, 80)
HOLE = np.zeros(SIZE, bool)
HOLE[10:40, 20:50] = True
TELEA = ROOT / 'configs/baselines/telea.py'


def two(dark, bright, dtype=np.uint8):
    return np.where(HOLE, bright, dark).astype(dtype)


def smooth(dark, bright):
    """A hole whose borders fall between pixels: a quarter, a half and three quarters at them."""
    large = cv2.resize(HOLE.astype(np.float32), (SIZE[1] * 4, SIZE[0] * 4), interpolation=cv2.INTER_NEAREST)
    return cv2.resize(np.roll(large, (1, 1), (0, 1)), SIZE[::-1], interpolation=cv2.INTER_AREA) * (bright - dark) + dark


def with_alpha(colours, alpha):
    return Image.fromarray(np.dstack((*[colours] * 3, alpha)))


def palette(dark, bright):
    image = Image.fromarray(HOLE.astype(np.uint8) * 7)
    image.putpalette([*dark, *[0, 0, 0] * 6, *bright])
    return image


def turned():
    """As a camera that was held upright writes it: EXIF says how to turn it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return Image.fromarray(np.rot90(two(0, 255), 1)), dict(exif=exif)


def deep_colour():
    return cv2.imencode('.png', np.dstack([two(0, 65535, np.uint16)] * 3))[1].tobytes()


WHITE = np.full(SIZE, 255, np.uint8)
# ending of the file, and the image, with options of saving where it has some
KINDS = {
    '1 bit': ('.png', Image.fromarray(HOLE)),
    '0 and 255': ('.png', two(0, 255)),
    '0 and 1': ('.png', two(0, 1)),
    '90 and 200': ('.png', two(90, 200)),
    '0 and 100': ('.bmp', two(0, 100)),
    'palette': ('.png', palette((0, 0, 0), (255, 255, 255))),
    'palette of dark colours': ('.png', palette((0, 0, 0), (128, 0, 0))),
    'colour': ('.png', np.dstack([two(0, 255)] * 3)),
    'red on black': ('.png', np.dstack((two(0, 255), two(0, 0), two(0, 0)))),
    'CMYK': ('.tif', Image.fromarray(np.dstack([two(0, 255)] * 3)).convert('CMYK')),
    'white on transparent': ('.png', with_alpha(WHITE, two(0, 255))),
    'white on black, opaque': ('.webp', with_alpha(two(0, 255), WHITE), dict(lossless=True)),
    'white on black, all transparent': ('.png', with_alpha(two(0, 255), WHITE * 0)),
    '16 bits': ('.png', two(0, 65535, np.uint16)),
    '16 bits, 0 and 1': ('.tif', two(0, 1, np.uint16)),
    '16 bits of colour': ('.png', deep_colour()),
    'float in [0, 1]': ('.tif', two(0, 1, np.float32)),
    'float in [0, 255]': ('.tif', two(0, 255, np.float32)),
    '32 bits': ('.tif', two(0, 1, np.int32)),
    'antialiased': ('.png', smooth(0, 255).round().astype(np.uint8)),
    'antialiased, 30 and 120': ('.png', smooth(30, 120).round().astype(np.uint8)),
    'antialiased float': ('.tif', smooth(0, 1).astype(np.float32)),
    'JPEG': ('.jpg', two(0, 255), dict(quality=75)),
    'JPEG of 90 and 200': ('.jpg', two(90, 200), dict(quality=50)),
    'JPEG of colour': ('.jpg', np.dstack([two(0, 255)] * 3), dict(quality=95)),
    'orientation of a JPEG': ('.jpg', turned()[0], turned()[1]),
    'orientation of a PNG': ('.png', turned()[0], turned()[1]),
    'orientation of a TIFF': ('.tif', turned()[0], turned()[1]),
}
LABELS = HOLE.astype(np.uint8)
LABELS[45:60, 5:30] = 2
COLOURS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], np.uint8)[LABELS]


def write(path, image, options=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(image, bytes):
        path.write_bytes(image)
    else:
        image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
        image.save(path, **(options or {}))
    return path


def photo(path, size=SIZE, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    return write(path, pixels)


class TestKinds:
    @pytest.mark.parametrize('kind', KINDS)
    def test_every_tool_sees_the_same_hole(self, tmp_path, kind):
        ending, *content = KINDS[kind]
        image = photo(tmp_path / 'photos/a.png')
        mask = write(tmp_path / f'masks/a{ending}', *content)
        (tmp_path / 'masks.txt').write_text(mask.name)
        pipeline = [dict(type='LoadPhoto'), dict(type='LoadHole')]
        folders = dict(data_root=str(tmp_path / 'photos'), mask_root=str(tmp_path / 'masks'))
        dataset = DATASETS.build(dict(type='PhotoMaskDataset', test_mode=True, pipeline=pipeline, **folders))
        drawn = LoadHoleFromSet(str(tmp_path / 'masks.txt'), str(mask.parent))(dict(gt=np.zeros((*SIZE, 3))))
        holes = dict(
            reader=read_hole(mask),
            opened=read_hole(Image.open(mask.open('rb'))),
            inpaint=make_job(image, mask).hole,
            folder=dataset[0]['mask'][..., 0] > 0,
            set=drawn['mask'][..., 0] > 0,
            inverted=~read_hole(mask, invert=True),
        )
        assert {name: hole.sum() for name, hole in holes.items()} == dict.fromkeys(holes, 900)
        for name, hole in holes.items():
            np.testing.assert_array_equal(hole, HOLE, err_msg=name)

    def test_arrays_are_read_as_files_are(self):
        for array in (HOLE, two(0, 1), two(0, 255)[..., None], two(0.2, 0.4, float), np.dstack([two(0, 9)] * 3)):
            np.testing.assert_array_equal(read_hole(array), HOLE)
        assert not read_hole(np.zeros(SIZE, np.uint8)).any()
        assert read_hole(np.ones(SIZE, np.uint8)).all() and read_hole(WHITE).all()

    @pytest.mark.parametrize('quality', [5, 20, 50, 80, 100])
    def test_noise_of_jpegs_is_no_hole_and_no_ambiguity(self, tmp_path, quality):
        random = np.random.default_rng(quality)
        for _ in range(8):
            drawn = np.zeros((120, 150), np.uint8)
            for points in random.integers(0, 120, (3, 4, 1, 2), np.int32):
                cv2.polylines(drawn, [points], False, 255, int(random.integers(3, 30)))
            hole = read_hole(write(tmp_path / 'mask.jpg', drawn, dict(quality=quality)))
            assert (hole != (drawn > 0)).mean() < 0.02


class TestAmbiguous:
    @pytest.mark.parametrize(
        ('image', 'values', 'hint'),
        [
            (LABELS, '0 1 2', '--hole-value 2'),
            (LABELS * 120, '0 120 240', '--hole-value 240'),
            (np.array([0, 1, 255], np.uint8)[LABELS], '0 1 255', '--hole-value 255'),
            (COLOURS, '0,0,0 0,255,0 255,0,0', 'hole_value=(255,0,0)'),
            (np.full(SIZE, 128, np.uint8), '128', '--hole-value 128'),
            (np.random.default_rng(0).integers(126, 131, SIZE).astype(np.uint8), '126 127 128 129 130', '--invert'),
            (with_alpha(WHITE * 0, two(0, 255)), 'alpha 255', '--hole-value 255'),
        ],
    )
    def test_the_values_and_the_way_out_are_named(self, tmp_path, image, values, hint):
        mask = write(tmp_path / 'mask.png', image)
        with pytest.raises(BadImageError, match=re.escape(str(mask))) as caught:
            read_hole(mask)
        assert values in str(caught.value) and hint in str(caught.value)

    def test_a_photograph_is_no_mask(self, tmp_path):
        with pytest.raises(BadImageError, match='as a photograph has'):
            read_hole(photo(tmp_path / 'photo.png'))

    def test_a_value_says_what_is_meant(self, tmp_path):
        labels = Image.fromarray(LABELS)
        labels.putpalette([0, 0, 0, 192, 128, 128, 255, 255, 0])
        for name, image, value in (('grey', LABELS, 1), ('palette', labels, 1), ('colour', COLOURS, (255, 0, 0))):
            mask = write(tmp_path / f'{name}.png', image)
            np.testing.assert_array_equal(read_hole(mask, value), HOLE, err_msg=name)
            np.testing.assert_array_equal(read_hole(mask, value, invert=True), ~HOLE, err_msg=name)
        black = with_alpha(WHITE * 0, two(0, 255))
        np.testing.assert_array_equal(read_hole(black, 255), HOLE)
        np.testing.assert_array_equal(read_hole(black, 0), ~HOLE)

    def test_python_and_configs_take_it_too(self, tmp_path, telea):
        image, mask = photo(tmp_path / 'photo.png'), write(tmp_path / 'mask.png', LABELS)
        filled = np.asarray(inpaint(image, mask, model=telea, hole_value=1))
        np.testing.assert_array_equal((filled != np.asarray(Image.open(image))).any(axis=2) & ~HOLE, False)
        load = Compose([dict(type='LoadPhoto'), dict(type='LoadHole', hole_value=1, invert=True)])
        loaded = load(dict(gt_path=str(image), mask_path=str(mask)))['mask']
        np.testing.assert_array_equal(loaded[..., 0], ~HOLE)


@pytest.fixture
def sets(tmp_path):
    """Three photographs, one of another size, and masks under the same names."""
    for number, size in enumerate((SIZE, SIZE, (80, 64))):
        photo(tmp_path / f'photos/{number}.png', size, number)
        write(tmp_path / f'masks/{number}.png', HOLE.T if number == 2 else HOLE)
    return tmp_path


def rows_of(path):
    with open(path, newline='') as file:
        return list(csv.DictReader(file))


class TestCompare:
    def compare(self, call_tool, sets, *options):
        return call_tool('compare', sets / 'photos', sets / 'out', '--mask-folder', sets / 'masks',
                         '--pictures', 0, '--metrics', 'psnr', '--method', 'Telea', TELEA, *options)  # fmt: skip

    def test_an_image_without_a_hole_is_named_and_counts_for_nothing(self, call_tool, sets):
        write(sets / 'masks/1.png', np.zeros(SIZE, np.uint8))
        done = self.compare(call_tool, sets)
        assert done.returncode == 0 and 'left out of everything: 1.png' in done.stdout
        rows = rows_of(sets / 'out/images.csv')
        assert [row['image'] for row in rows] == ['0.png', '2.png']
        (mean,) = [row['mean'] for row in rows_of(sets / 'out/table.csv')
                   if (row['holes'], row['image'], row['figure']) == ('all', 'composed', 'PSNR')]  # fmt: skip
        assert float(mean) == pytest.approx(np.mean([float(row['composed/PSNR']) for row in rows]))
        assert '1.png' in (sets / 'out/table.md').read_text()

    def test_no_hole_anywhere_is_an_error(self, call_tool, sets):
        for number in range(3):
            write(sets / f'masks/{number}.png', np.zeros((80, 64) if number == 2 else SIZE, np.uint8))
        done = self.compare(call_tool, sets)
        assert done.returncode == 2 and 'None of the 3 masks' in done.stderr and '--invert' in done.stderr

    def test_a_hole_that_a_crop_cuts_off_is_none(self, call_tool, sets):
        # of 80 columns the middle 64 are kept
        write(sets / 'masks/0.png', np.pad(np.zeros((64, 76), bool), ((0, 0), (0, 4)), constant_values=True))
        done = self.compare(call_tool, sets, '--image-size', 64)
        assert done.returncode == 0 and 'left out of everything: 0.png' in done.stdout
        assert [row['image'] for row in rows_of(sets / 'out/images.csv')] == ['1.png', '2.png']

    def test_ambiguous_masks_and_what_is_meant(self, call_tool, sets):
        write(sets / 'masks/1.png', LABELS)
        done = self.compare(call_tool, sets)
        assert done.returncode == 2 and 'masks/1.png' in done.stderr and 'its values are 0 1 2' in done.stderr
        for number in (0, 2):
            write(sets / f'masks/{number}.png', LABELS.T if number == 2 else LABELS)
        assert self.compare(call_tool, sets, '--hole-value', 2).returncode == 0
        shares = [float(row['hole_share']) for row in rows_of(sets / 'out/images.csv')]
        assert shares == pytest.approx([15 * 25 / (64 * 80)] * 3)

    def test_an_all_hole_mask_is_a_hole(self, call_tool, sets):
        write(sets / 'masks/1.png', WHITE)
        done = call_tool('compare', sets / 'photos', sets / 'out', '--mask-folder', sets / 'masks', '--pictures', 0,
                         '--metrics', 'psnr', '--method', 'mean', TELEA.with_name('mean_colour.py'))  # fmt: skip
        assert done.returncode == 0
        assert float(rows_of(sets / 'out/images.csv')[1]['hole_share']) == 1


def test_inpaint_takes_values_from_the_command_line(call_tool, tmp_path):
    image, mask = photo(tmp_path / 'photo.png'), write(tmp_path / 'mask.png', LABELS)
    run = (image, mask, '-o', tmp_path / 'out.png', '--config', TELEA)
    refused = call_tool('inpaint', *run)
    assert refused.returncode == 1 and 'its values are 0 1 2' in refused.stderr
    assert call_tool('inpaint', *run, '--hole-value', '1').returncode == 0
    changed = (np.asarray(Image.open(tmp_path / 'out.png')) != np.asarray(Image.open(image))).any(axis=2)
    assert not (changed & ~HOLE).any() and changed[HOLE].mean() > 0.9


class TestTestTool:
    @pytest.fixture
    def run(self, call_tool, sets):
        """Tests a tiny network on the photographs."""
        torch.manual_seed(0)
        config = tiny('stage2', sets / 'work')
        torch.save(dict(state_dict=load_model(config).state_dict()), sets / 'tiny.pth')
        pipeline = [dict(type='LoadPhoto'), dict(type='LoadHole'), dict(type='GetMaskedImage'), dict(type='PackInputs')]

        def run(batch_size=4, **options):
            dataset = dict(
                type='PhotoMaskDataset', data_root=str(sets / 'photos'), mask_root=str(sets / 'masks'), test_mode=True,
                pipeline=pipeline,
            )  # fmt: skip
            config.test_dataloader = dict(config.test_dataloader, batch_size=batch_size, dataset=dataset | options)
            config.dump(sets / 'config.py')
            done = call_tool('test', sets / 'config.py', sets / 'tiny.pth', '--out', sets / 'figures.json')
            return done, json.loads((sets / 'figures.json').read_text()) if done.returncode == 0 else None

        return run

    def test_batches_of_differing_sizes_give_the_figures_of_single_images(self, run):
        (_, alone), (_, together) = run(batch_size=1), run(batch_size=4)
        assert together.keys() == alone.keys() and together == pytest.approx(alone, rel=1e-4)
        assert np.isfinite(list(alone.values())).all()

    def test_an_image_without_a_hole_is_in_no_mean(self, run, sets):
        write(sets / 'masks/1.png', np.zeros(SIZE, np.uint8))
        done, figures = run()
        assert done.returncode == 0 and np.isfinite(list(figures.values())).all()

    def test_a_hole_that_the_pipeline_loses_is_an_error(self, run, sets):
        # of 80 columns the middle 64 are kept
        write(sets / 'masks/1.png', np.pad(np.zeros((64, 76), bool), ((0, 0), (0, 4)), constant_values=True))
        done, _ = run(pipeline=[
            dict(type='LoadPhoto'), dict(type='LoadHole'),
            dict(type='Crop', keys=['gt', 'mask'], crop_size=(64, 64), random_crop=False),
            dict(type='GetMaskedImage'), dict(type='PackInputs'),
        ])  # fmt: skip
        assert done.returncode == 1 and '1.png has no hole' in done.stderr

    def test_a_mask_of_a_set_of_another_size_is_blamed_itself(self, run, sets):
        write(sets / 'set/small.png', np.eye(32, dtype=bool))
        (sets / 'set/masks.txt').write_text('small.png\n')
        draw = dict(type='LoadHoleFromSet', mask_list_file=str(sets / 'set/masks.txt'), prefix=str(sets / 'set'))
        done, _ = run(pipeline=[dict(type='LoadPhoto'), draw, dict(type='GetMaskedImage'), dict(type='PackInputs')])
        assert done.returncode == 1
        (said,) = [line for line in done.stderr.splitlines() if 'stopped:' in line]
        assert 'small.png is 32x32 pixels' in said and '0.png 64x80' in said and 'masks.txt' in said


def test_a_training_blames_the_mask_of_a_set_not_the_photograph(tmp_path):
    photo(tmp_path / 'photos/a.png')
    write(tmp_path / 'set/small.png', np.eye(32, dtype=bool))
    (tmp_path / 'set/masks.txt').write_text('small.png\n')
    transform = Config.fromfile(ROOT / 'configs/_base_/masks/from_disk_256.py').draw_mask_from_disk
    transform.transforms[0].update(mask_list_file=str(tmp_path / 'set/masks.txt'), prefix=str(tmp_path / 'set'))
    photos = dict(type='PhotoDataset', data_root=str(tmp_path / 'photos'), pipeline=[dict(type='LoadPhoto'), transform])
    dataset = DATASETS.build(dict(type='ResumableDataset', dataset=photos))
    with pytest.raises(BadMaskError, match=r'The mask .*small\.png is 32x32 pixels and its photograph .*a\.png 64x80'):
        dataset[0, 0]


@pytest.mark.parametrize('mode', ['set', 'bbox'])
def test_so_are_masks_that_mmagic_loads_or_draws(tmp_path, mode):
    photo(tmp_path / 'photos/a.png')
    write(tmp_path / 'set/small.png', np.eye(32, dtype=bool))
    (tmp_path / 'set/masks.txt').write_text('small.png\n')
    options = dict(
        set=dict(mask_list_file=str(tmp_path / 'set/masks.txt'), prefix=str(tmp_path / 'set'), io_backend='local',
                 color_type='grayscale', file_client_kwargs=dict(backend='local')),
        bbox=dict(img_shape=(32, 32), max_bbox_shape=8, max_bbox_delta=2, min_margin=2),
    )  # fmt: skip
    load = dict(type='LoadMask', mask_mode=mode, mask_config=options[mode])
    photos = dict(
        type='PhotoDataset', data_root=str(tmp_path / 'photos'),
        pipeline=[dict(type='LoadPhoto'), load, dict(type='GetMaskedImage'), dict(type='PackInputs')],
    )  # fmt: skip
    trained = DATASETS.build(dict(type='ResumableDataset', dataset=photos))
    tested = DATASETS.build(dict(photos, test_mode=True))
    for dataset, place in ((trained, (0, 0)), (tested, 0)):
        with pytest.raises(BadMaskError, match=r'The mask .* for .*a\.png is 32x32 pixels and the image, .* 64x80'):
            dataset[place]
