"""The comparison from the command line: figures that can be checked, failures that stop nobody else."""

import csv
import hashlib
import json
import runpy
import sys

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT, tiny
from mmengine.config import Config
from mmengine.registry import DATASETS
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from cainet_mm.apis import config_of_folder, load_model, publish
from cainet_mm.datasets.transforms import SeededByImage
from cainet_mm.evaluation.comparison import path_below
from cainet_mm.evaluation.test_sets import loader_from_config

TELEA = ROOT / 'configs/baselines/telea.py'
MEAN = ROOT / 'configs/baselines/mean_colour.py'


@pytest.fixture
def compare(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ROOT / 'tools')
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'no_weights'))

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['compare.py', *map(str, arguments)])
        try:
            runpy.run_path(str(ROOT / 'tools/compare.py'), run_name='__main__')
        except SystemExit as stopped:
            return stopped.code
        return 0

    return run


@pytest.fixture
def refusal(compare, capsys):
    def run(*arguments):
        assert compare(*arguments) == 2
        return capsys.readouterr().err.splitlines()[-1]

    return run


@pytest.fixture
def ours(tmp_path):
    """A tiny untrained CAINet, config and checkpoint."""
    torch.manual_seed(0)
    config = tiny('stage2', tmp_path)
    torch.save(dict(state_dict=load_model(config).state_dict()), tmp_path / 'ours.pth')
    config.dump(tmp_path / 'ours.py')
    return tmp_path / 'ours.py', tmp_path / 'ours.pth'


@pytest.fixture
def folder(tmp_path):
    """Three photographs, one of another size, with masks under the same names."""
    random = np.random.default_rng(0)
    for number, size in enumerate(((40, 48), (40, 48), (52, 36))):
        photo = cv2.resize(random.integers(0, 256, (6, 6, 3), np.uint8), size[::-1])
        mask = np.zeros(size, np.uint8)
        mask[8 : 18 + number, 10:24] = 255
        for kind, image in (('photos', photo), ('masks', mask)):
            (tmp_path / kind / 'below').mkdir(parents=True, exist_ok=True)
            name = f'below/{number}' if number == 2 else str(number)
            cv2.imwrite(str(tmp_path / kind / f'{name}.png'), image)
    return tmp_path / 'photos', tmp_path / 'masks'


def rows_of(path):
    with open(path, newline='') as file:
        return list(csv.DictReader(file))


def test_metrics_are_those_of_scikit_image_on_the_written_pngs(compare, ours, tmp_path):
    out = tmp_path / 'out'
    assert (
        compare(ours[0], out, '--save-images', '--pictures', 0, '--method', 'Telea', TELEA, '--method', 'ours', *ours)
        == 0
    )
    config = Config.fromfile(ours[0])
    checked = 0
    for row in rows_of(out / 'images.csv'):
        samples = [entry['data_samples'] for entry in loader_from_config(config, row['masks']).dataset]
        (sample,) = [entry for entry in samples if entry.metainfo['gt_path'] == row['image']]
        truth = sample.gt_img.permute(1, 2, 0).numpy().astype(np.uint8)
        hole = sample.mask[0].numpy() > 0
        assert float(row['hole_share']) == pytest.approx(hole.mean())
        for image in ('composed', 'raw'):
            path = out / 'images' / row['method'] / row['masks'] / image / row['image']
            answer = cv2.imread(str(path))
            if image == 'composed':
                assert np.array_equal(answer[~hole], truth[~hole])
            score, score_map = structural_similarity(
                truth, answer, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
                data_range=255, full=True,
            )  # fmt: skip
            expected = dict(
                MAE=np.abs(truth.astype(float) - answer).mean() / 255,
                PSNR=peak_signal_noise_ratio(truth, answer, data_range=255),
                SSIM=score,
                HoleMAE=np.abs(truth.astype(float) - answer)[hole].mean() / 255,
                HolePSNR=peak_signal_noise_ratio(truth[hole], answer[hole], data_range=255),
                HoleSSIM=score_map[hole].mean(),
            )
            for name, value in expected.items():
                assert float(row[f'{image}/{name}']) == pytest.approx(value, abs=1e-5), (row['method'], image, name)
                checked += 1
    assert checked == 2 * 2 * 3 * 2 * 6  # methods, kinds of masks, photographs, images, figures


def test_a_network_may_be_named(compare, refusal, folder, shipped, tmp_path):
    arguments = (folder[0], tmp_path / 'out', '--mask-folder', folder[1], '--metrics', 'l1', '--pictures', 0)
    telea = ('--method', 'Telea', TELEA)
    assert compare(*arguments, *telea, '--method', 'ours', 'cainet-photos') == 0
    method = json.loads((tmp_path / 'out/report.json').read_text())['methods']['ours']
    digest = hashlib.sha256(shipped[1].read_bytes()).hexdigest()
    assert method == dict(config=None, checkpoint=str(shipped[1]), sha256=digest)
    assert "no network named 'cainet-fotos'" in refusal(*arguments, *telea, '--method', 'ours', 'cainet-fotos')


@pytest.mark.parametrize('ending', ['pth', 'safetensors'])
def test_a_published_file_brings_its_config(compare, refusal, ours, folder, tmp_path, ending):
    published = publish(ours[1], ours[0], tmp_path / f'mine.{ending}')
    arguments = (folder[0], tmp_path / 'out', '--mask-folder', folder[1], '--metrics', 'l1', '--pictures', 0)
    assert compare(*arguments, '--method', 'mine', published) == 0
    method = json.loads((tmp_path / 'out/report.json').read_text())['methods']['mine']
    assert method['checkpoint'] == str(published) and len(method['sha256']) == 64
    assert 'the published file of mine, absent.pth is not a file' in refusal(
        *arguments, '--method', 'mine', 'absent.pth'
    )


def test_metrics_are_the_same_to_the_last_digit(compare, ours, tmp_path):
    written = []
    for number, options in enumerate((('--batch-size', 1), ('--batch-size', 3), ('--batch-size', 2, '--workers', 2))):
        out = tmp_path / f'out_{number}'
        assert compare(ours[0], out, '--pictures', 0, *options, '--method', 'ours', *ours) == 0
        written.append([(out / name).read_bytes() for name in ('table.csv', 'images.csv', 'table.md')])
    assert written[0] == written[1] == written[2]


def test_method_that_fails_is_a_row_and_the_others_go_on(compare, ours, tmp_path):
    out = tmp_path / 'out'
    code = compare(
        ours[0], out, '--pictures', 1, '--masks', 'irregular', '--method', 'Telea', TELEA,
        '--method', 'other', ROOT / 'configs/baselines/smoke/dfnet.py', ours[1], '--failed', 'lost', 'no time',
        '--reference', 'Telea',
    )  # fmt: skip
    assert code == 1
    text = (out / 'table.md').read_text()
    assert 'other failed: WeightsError: The checkpoint' in text and 'lost failed: no time' in text
    assert {row['method'] for row in rows_of(out / 'images.csv')} == {'Telea'}
    report = json.loads((out / 'report.json').read_text())
    assert report['failures'].keys() == {'other', 'lost'} and report['costs'].keys() == {'Telea'}
    assert len(report['methods']['other']['sha256']) == 64
    for name in ('montage.png', 'zooms.png', 'plot.png', 'costs.csv', 'report.html'):
        assert (out / name).stat().st_size > 50


def test_folder_with_masks_of_its_own_is_a_test_set(compare, folder, tmp_path):
    out = tmp_path / 'out'
    assert compare(folder[0], out, '--mask-folder', folder[1], '--method', 'mean', MEAN) == 0
    rows = rows_of(out / 'images.csv')
    assert [row['image'] for row in rows] == ['0.png', '1.png', 'below/2.png']
    shares = [10 * 14 / (40 * 48), 11 * 14 / (40 * 48), 12 * 14 / (52 * 36)]
    assert [float(row['hole_share']) for row in rows] == pytest.approx(shares)


def test_folder_without_masks_gets_some_of_each_kind(compare, folder, tmp_path):
    out = tmp_path / 'out'
    assert compare(folder[0], out, '--image-size', 32, '--method', 'mean', MEAN) == 0
    rows = rows_of(out / 'images.csv')
    assert [row['masks'] for row in rows] == ['rectangular'] * 3 + ['irregular'] * 3
    assert all(0 < float(row['hole_share']) < 1 for row in rows)


def test_photographs_that_differ_in_their_ending_have_files_of_their_own(compare, tmp_path):
    (tmp_path / 'photos').mkdir()
    for name in ('a.png', 'a.jpg', 'A.PNG'):
        cv2.imwrite(str(tmp_path / 'photos' / name), np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8))
    given = ('--image-size', 32, '--masks', 'rectangular', '--save-images', '--method', 'mean', MEAN)
    assert compare(tmp_path / 'photos', tmp_path / 'out', *given) == 0
    written = (tmp_path / 'out/images/mean/rectangular/raw').iterdir()
    assert sorted(path.name for path in written) == ['A.PNG', 'a.jpg.png', 'a.png']


def test_answers_stay_below_their_folder(compare, folder, tmp_path):
    """Absolute names, which a list may have, wrote the answers over the photographs."""
    photos = sorted(folder[0].rglob('*.png'))
    (tmp_path / 'list.txt').write_text('\n'.join(map(str, photos)))
    config = config_of_folder(folder[0], image_size=32)
    config.test_dataloader.dataset.update(data_root='', ann_file=str(tmp_path / 'list.txt'))
    config.dump(tmp_path / 'absolute.py')
    before = {path: path.read_bytes() for path in tmp_path.rglob('*.*') if path.is_file()}
    out = tmp_path / 'a/b/c/out'
    given = ('--masks', 'rectangular', '--save-images', '--pictures', 0, '--method', '../../../mean', MEAN)
    assert compare(tmp_path / 'absolute.py', out, *given) == 0
    after = {path: path.read_bytes() for path in tmp_path.rglob('*.*') if path.is_file()}
    written = after.keys() - before.keys()
    assert {path: after[path] for path in before} == before
    assert all(out in path.parents for path in written)
    assert sum('raw' in path.parts for path in written) == len(photos)


def test_names_that_lead_out_of_a_folder_are_distinct():
    names = ['a.png', '/a.png', '../a.png', '../../a.png', 'b/../a.png', '..', '/', 'b/a.png']
    paths = [path_below(name).as_posix() for name in names]
    assert len(set(paths)) == len(names) and (paths[0], paths[-1]) == ('a.png', 'b/a.png')
    assert not any(path.startswith('/') or '..' in path.split('/') for path in paths)


def test_images_of_endings_that_are_put_together_have_files_of_their_own(compare, tmp_path):
    (tmp_path / 'photos').mkdir()
    for name in ('a.jpg', 'a.jpg.png'):
        cv2.imwrite(str(tmp_path / 'photos' / name), np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8))
    given = ('--image-size', 32, '--masks', 'rectangular', '--save-images', '--method', 'mean', MEAN)
    assert compare(tmp_path / 'photos', tmp_path / 'out', *given) == 0
    written = (tmp_path / 'out/images/mean/rectangular/raw').iterdir()
    assert sorted(path.name for path in written) == ['a.jpg.png', 'a.jpg.png.png']


class TestNotes:
    """What stands over the tables."""

    def notes(self, compare, folder, tmp_path, *arguments, code=0):
        given = (folder[0], tmp_path / 'out', '--metrics', 'psnr', '--pictures', 0, *arguments)
        assert compare(*given) == code
        return (tmp_path / 'out/table.md').read_text().partition('\n## ')[0]

    def test_cases_of_one_photograph_are_counted(self, compare, folder, tmp_path):
        given = ('--mask-folder', folder[1], '--method', 'mean', MEAN)
        assert '\n3 images. In brackets' in self.notes(compare, folder, tmp_path, *given)
        for name in ('0', '1', 'below/2'):
            mask = (folder[1] / f'{name}.png').rename(folder[1] / f'{name}_mask001.png')
            cv2.imwrite(str(folder[1] / f'{name}_mask002.png'), cv2.flip(cv2.imread(str(mask)), -1))
        text = self.notes(compare, folder, tmp_path, *given)
        assert '\n6 cases of 3 photographs. In brackets: 95 % intervals by bootstrap over the photographs.' in text

    def test_photographs_that_were_enlarged_are_named(self, compare, folder, tmp_path):
        text = self.notes(compare, folder, tmp_path, '--image-size', 38, '--method', 'mean', MEAN)
        assert '1 of 3 images are of photographs smaller than 38x38 pixels, and were enlarged: below/2.png' in text
        assert 'smaller --image-size' in text
        assert 'enlarged' not in self.notes(compare, folder, tmp_path, '--image-size', 36, '--method', 'mean', MEAN)

    def test_images_that_are_filled_without_error_are_named(self, compare, folder, tmp_path):
        cv2.imwrite(str(folder[0] / '1.png'), np.full((40, 48, 3), 200, np.uint8))
        text = self.notes(compare, folder, tmp_path, '--mask-folder', folder[1], '--method', 'mean', MEAN)
        assert 'PSNR is infinite there and in the means: 1.png by mean.' in text
        assert '| inf |' in ' '.join((tmp_path / 'out/table.md').read_text().split())

    def test_a_reference_that_failed_is_named(self, compare, folder, tmp_path):
        given = ('--mask-folder', folder[1], '--method', 'mean', MEAN, '--failed', 'lost', 'no time')
        text = self.notes(compare, folder, tmp_path, *given, '--reference', 'lost', code=1)
        assert 'There are no differences, since the reference, lost, failed.' in text


def test_costs_name_the_size_that_was_measured(compare, folder, tmp_path):
    assert compare(folder[0], tmp_path / 'out', '--image-size', 32, '--pictures', 0, '--method', 'mean', MEAN) == 0
    for name in ('costs.md', 'report.html'):
        text = (tmp_path / 'out' / name).read_text()
        assert 'height x width' in text and '32x32' in text


def test_pictures_are_of_images_with_a_hole(compare, folder, tmp_path):
    """The hole of the first photograph is taken off with its border."""
    photos, masks = folder
    mask = np.zeros((40, 48), np.uint8)
    mask[:, :2] = 255
    cv2.imwrite(str(masks / '0.png'), mask)
    out = tmp_path / 'out'
    given = ('--mask-folder', masks, '--image-size', 32, '--pictures', 1, '--method', 'mean', MEAN)
    assert compare(photos, out, *given) == 0
    assert [row['image'] for row in rows_of(out / 'images.csv')] == ['1.png', 'below/2.png']
    assert (out / 'montage.png').is_file()


class TestBadInput:
    def test_files_and_names(self, refusal, ours, tmp_path):
        out = tmp_path / 'out'
        telea = ('--method', 'Telea', TELEA)
        assert 'DATA, which is a config or a folder' in refusal(tmp_path / 'absent', out, *telea)
        assert 'the checkpoint of ours, absent.pth is not a file' in refusal(
            ours[0], out, '--method', 'ours', ours[0], 'absent.pth'
        )
        assert 'a different NAME' in refusal(ours[0], out, *telea, *telea)
        assert '--reference x is none of the methods Telea' in refusal(ours[0], out, *telea, '--reference', 'x')
        assert '--metrics knows l1, psnr, ssim, lpips, fid, got sharpness' in refusal(
            ours[0], out, *telea, '--metrics', 'sharpness'
        )
        assert 'kinds of masks irregular, rectangular, configured; got' in refusal(
            ours[0], out, *telea, '--masks', 'round'
        )
        assert '--pictures takes a number from 0 up, got -1' in refusal(ours[0], out, *telea, '--pictures', -1)
        assert 'has no test_dataloader' in refusal(ROOT / 'configs/quickstart/stage1.py', out, *telea)
        assert 'are for a folder' in refusal(ours[0], out, *telea, '--image-size', 64)
        assert not out.exists()

    def test_why_no_method_could_be_run_is_a_sentence(self, refusal, ours, tmp_path):
        (tmp_path / 'bad.py').write_text('model = dict(type="Nonsense")')
        sentence = refusal(ours[0], tmp_path / 'out', '--method', 'bad', tmp_path / 'bad.py')
        assert 'no method could be run. bad: ValueError: The config' in sentence and sentence.endswith(').')

    def test_weights_that_are_not_there(self, refusal, ours, tmp_path):
        sentence = refusal(ours[0], tmp_path / 'out', '--metrics', 'lpips', '--method', 'Telea', TELEA)
        assert 'LPIPS needs the weights alexnet-owt-7be5be79.pth, which are not at' in sentence

    def test_masks_that_do_not_fit(self, compare, refusal, folder, tmp_path, capsys):
        photos, masks = folder
        run = (photos, tmp_path / 'out', '--mask-folder', masks, '--method', 'mean', MEAN)
        cv2.imwrite(str(masks / '1.png'), np.zeros((9, 9), np.uint8))
        assert compare(*run) == 2
        error = capsys.readouterr().err
        assert 'is 9x9 pixels and its photograph' in error and '40x48' in error
        (masks / '1.png').write_bytes(b'nothing')
        assert compare(*run) == 2
        assert 'cannot be read as an image' in capsys.readouterr().err
        (masks / '1.png').unlink()
        assert '1 of 3 photographs' in refusal(*run)
        assert 'The folder of masks' in refusal(photos, tmp_path / 'out', '--mask-folder', tmp_path / 'none',
                                                '--method', 'mean', MEAN)  # fmt: skip

    def test_folder_without_photographs(self, refusal, tmp_path):
        (tmp_path / 'empty').mkdir()
        assert 'names no images' in refusal(tmp_path / 'empty', tmp_path / 'out', '--method', 'mean', MEAN)


def test_masks_of_a_kind_are_of_that_kind(ours):
    config = Config.fromfile(ours[0])
    for kind, rectangular in (('rectangular', True), ('irregular', False)):
        masks = [entry['data_samples'].mask[0] for entry in loader_from_config(config, kind).dataset]
        filled = []
        for mask in masks:
            rows, columns = mask.nonzero(as_tuple=True)
            box = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            filled.append(bool((box > 0).all()))
        assert all(filled) if rectangular else not any(filled)


def test_types_may_be_classes(ours):
    """As pure Python configs have them."""
    config = Config.fromfile(ours[0])
    (step,) = [step for step in config.test_dataloader.dataset.pipeline if step.type == 'SeededByImage']
    step.type = SeededByImage
    assert len(loader_from_config(config, 'irregular').dataset) > 0


def test_masks_of_jpegs_are_cut_at_half(tmp_path):
    mask = np.zeros((32, 32), np.uint8)
    mask[8:24, 8:24] = 255
    for name in ('photos', 'masks'):
        (tmp_path / name).mkdir()
    cv2.imwrite(str(tmp_path / 'photos/a.png'), np.zeros((32, 32, 3), np.uint8))
    cv2.imwrite(str(tmp_path / 'masks/a.jpg'), mask, [cv2.IMWRITE_JPEG_QUALITY, 30])
    dataset = DATASETS.build(
        dict(type='PhotoMaskDataset', data_root=str(tmp_path / 'photos'), mask_root=str(tmp_path / 'masks'),
             ann_file='', test_mode=True,
             pipeline=[dict(type='LoadPhoto'), dict(type='LoadHole')])
    )  # fmt: skip
    loaded = dataset[0]['mask']
    assert loaded.shape == (32, 32, 1)
    assert (loaded[..., 0] != (mask > 0)).mean() < 0.02
