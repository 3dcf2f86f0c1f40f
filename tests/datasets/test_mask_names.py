"""Names of masks: as the photograph's, or after it; in a folder or beside it; several are several cases."""

import csv

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from cainet_mm.apis import inpaint, pair_files
from cainet_mm.datasets import PhotoDataset, PhotoMaskDataset
from cainet_mm.datasets.preparation import LAYOUTS, prepare

SIZE = (40, 48)
TELEA = ROOT / 'configs/baselines/telea.py'
# photographs, and masks with the number of pixels in their holes
PHOTOS = ('image1.png', 'image2.jpg', 'below/photo.v2.png', 'same.png')
MASKS = {
    'image1_mask001.png': 10,
    'image1_mask002.png': 20,
    'image2_mask.png': 30,
    'below/photo.v2_mask_2.png': 40,
    'below/photo.v2_mask.png': 50,
}
CASES = {
    'image1_mask001.png': 10,
    'image1_mask002.png': 20,
    'image2.jpg': 30,
    'below/photo.v2_mask_2.png': 40,
    'below/photo.v2_mask.png': 50,
    'same.png': 60,
}


def write(folder, masks, photos=()):
    for name in photos:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)).save(folder / name)
    for name, pixels in masks.items():
        hole = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) < pixels
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(hole).save(folder / name)


@pytest.fixture(params=['beside', 'in a folder'])
def folders(request, tmp_path):
    """Photographs, and masks beside them or in a folder of their own; only there can one have the photograph's name."""
    photos = masks = tmp_path / 'photos'
    if request.param == 'in a folder':
        masks = tmp_path / 'masks'
        write(masks, {**MASKS, 'same.bmp': 60})
        write(photos, {}, PHOTOS)
    else:
        write(photos, {**MASKS, 'same-mask.bmp': 60}, PHOTOS)
    return photos, masks


class TestMatching:
    def test_folders_of_photographs_to_fill(self, folders, tmp_path):
        photos, masks = folders
        tasks, unused, _ = pair_files(photos, masks, tmp_path / 'out')
        found = {task.name.as_posix(): np.asarray(Image.open(task.mask)).sum() for task in tasks}
        assert found == CASES and unused == []
        assert all(task.problem is None for task in tasks)
        written = [task.out.relative_to(tmp_path / 'out').as_posix() for task in tasks]
        assert sorted(written) == sorted(name.replace('.jpg', '.png') for name in CASES)

    def test_without_a_folder_of_masks_those_beside_are_taken(self, folders, tmp_path):
        photos, masks = folders
        tasks, _, _ = pair_files(photos, None, tmp_path / 'out')
        if photos == masks:
            assert {task.name.as_posix() for task in tasks} == CASES.keys()
        else:
            assert [task.mask for task in tasks] == [None] * len(PHOTOS)

    def test_data_sets(self, folders):
        photos, masks = folders
        pipeline = [dict(type='LoadPhoto'), dict(type='LoadHole')]
        for test_mode in (False, True):
            dataset = PhotoMaskDataset(
                str(masks), data_root=str(photos), pipeline=pipeline, recursive=True, test_mode=test_mode
            )
            assert {info['case']: info['mask'].sum() for info in map(dataset.__getitem__, range(6))} == CASES
            assert len({dataset.get_data_info(index)['key'] for index in range(len(dataset))}) == len(CASES)

    def test_masks_beside_photographs_are_no_photographs(self, folders):
        dataset = PhotoDataset(data_root=str(folders[0]), recursive=True, pipeline=[])
        assert len(dataset) == len(PHOTOS)

    def test_compare_has_a_row_for_each_mask(self, folders, tmp_path, call_tool):
        photos, masks = folders
        done = call_tool('compare', photos, tmp_path / 'out', '--mask-folder', masks, '--pictures', 0, '--save-images',
                         '--metrics', 'psnr', '--method', 'Telea', TELEA)  # fmt: skip
        assert done.returncode == 0
        with open(tmp_path / 'out/images.csv', newline='') as file:
            shares = {row['image']: float(row['hole_share']) for row in csv.DictReader(file)}
        assert shares == pytest.approx({name: pixels / (SIZE[0] * SIZE[1]) for name, pixels in CASES.items()})
        assert len([*(tmp_path / 'out/images/Telea/configured/composed').rglob('*.png')]) == len(CASES)

    def test_filling_in_python_names_the_cases(self, folders, telea):
        assert inpaint(*folders, model=telea).keys() == CASES.keys()

    def test_a_single_photograph_finds_its_mask_in_a_folder(self, folders):
        photos, masks = folders
        ((task,), _, _) = pair_files(photos / 'image2.jpg', masks)
        assert task.mask == masks / 'image2_mask.png'
        with pytest.raises(ValueError, match='several masks'):
            pair_files(photos / 'image1.png', masks)

    def test_lists_of_a_folder_name_photographs_alone(self, tmp_path):
        write(tmp_path, {'a_mask001.png': 10, 'b-mask.png': 10}, ('a.png', 'b.png', 'c_mask.png'))
        prepared = prepare(LAYOUTS['folder'], tmp_path, num_test=1, min_side=1)
        assert sorted(name for part in prepared for name in part.kept) == ['a.png', 'b.png', 'c_mask.png']
        left_out = (tmp_path / 'lists/left_out.txt').read_text().splitlines()
        assert [line.split('\t')[0] for line in left_out] == ['a_mask001.png', 'b-mask.png']


class TestProblems:
    def test_names_that_were_looked_for_are_said(self, tmp_path):
        write(tmp_path / 'photos', {}, ('a.png', 'b.png'))
        write(tmp_path / 'masks', {'a.png': 10, 'b_hole.png': 10})
        tasks, unused, _ = pair_files(tmp_path / 'photos', tmp_path / 'masks')
        said = [task.problem for task in tasks]
        assert said[0] is None and unused == [tmp_path / 'masks/b_hole.png']
        with pytest.raises(ValueError, match='1 of 2 photographs') as caught:
            PhotoMaskDataset(str(tmp_path / 'masks'), data_root=str(tmp_path / 'photos'), pipeline=[])
        for sentence in (said[1], str(caught.value)):
            assert 'b, b_mask, b_mask_2 or b_mask001' in sentence

    def test_a_photograph_that_is_called_a_mask_has_its_own(self, tmp_path):
        write(tmp_path / 'photos', {}, ('face_mask.png',))
        write(tmp_path / 'masks', {'face_mask.png': 10, 'face_mask_mask2.png': 20})
        tasks, _, _ = pair_files(tmp_path / 'photos', tmp_path / 'masks')
        assert [task.mask.name for task in tasks] == ['face_mask.png', 'face_mask_mask2.png']

    def test_one_mask_for_all_is_not_for_the_masks_beside(self, tmp_path):
        write(tmp_path / 'photos', {'a_mask.png': 10}, ('a.png',))
        write(tmp_path, {'hole.png': 10})
        tasks, unused, _ = pair_files(tmp_path / 'photos', tmp_path / 'hole.png')
        assert [task.photo.name for task in tasks] == ['a.png']
        assert unused == [tmp_path / 'photos/a_mask.png']

    def test_several_files_of_one_name_are_refused(self, tmp_path):
        write(tmp_path / 'photos', {}, ('a.jpg',))
        write(tmp_path / 'masks', {'a_mask1.png': 10, 'a_mask1.bmp': 20, 'a_mask2.png': 10})
        tasks, _, _ = pair_files(tmp_path / 'photos', tmp_path / 'masks')
        assert [task.problem is None for task in tasks] == [False, True]
        assert 'several masks of one name' in tasks[0].problem and 'a_mask1.bmp, a_mask1.png' in tasks[0].problem
