"""What is a photograph, and which one: in folders and lists, for every tool alike."""

import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from PIL import Image

from cainet_mm.apis import pair_files
from cainet_mm.datasets import BadImageError, LoadHoleFromSet, LoadPhoto, PhotoDataset, read_hole
from cainet_mm.datasets.preparation import LAYOUTS, prepare
from cainet_mm.utils.photo_paths import _add_heif, find_files, read_list, read_names, short_name

NAMES = ['a.PNG', 'b.JpG', 'c.jpeg', 'd.webp', 'e.Tiff', 'f.tif', 'g.bmp', 'h.ppm', 'i.pgm', 'link/deep/j.WEBP']
HEIC = b'\0\0\0\x18ftypheic' + bytes(100)


@pytest.fixture
def folder(tmp_path):
    """Photographs of all endings, one in a linked folder that leads back, and what is none."""
    root = tmp_path / 'photos'
    (tmp_path / 'elsewhere/deep').mkdir(parents=True)
    root.mkdir()
    (root / 'link').symlink_to(tmp_path / 'elsewhere')
    (tmp_path / 'elsewhere/back').symlink_to(root)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8))
    for name in (*NAMES, '.ipynb_checkpoints/a.png', '__MACOSX/a.png', '._a.png', 'notes.txt'):
        (root / name).parent.mkdir(exist_ok=True)
        picture.save(root / name, 'PNG')
    return root


def names_of(dataset, folder):
    return [
        Path(dataset.get_data_info(index)['gt_path']).relative_to(folder).as_posix() for index in range(len(dataset))
    ]


def test_every_tool_takes_the_same_files_and_says_what_it_leaves(folder, tmp_path, monkeypatch):
    said = []
    for module in ('photos', 'preparation'):
        monkeypatch.setattr(f'cainet_mm.datasets.{module}.print_log', lambda message, *_: said.append(message))
    dataset = PhotoDataset(data_root=str(folder), recursive=True, test_mode=True)
    assert names_of(dataset, folder) == NAMES
    tasks, _, others = pair_files(folder, None, tmp_path / 'out')
    assert [task.name.as_posix() for task in tasks] == NAMES
    lists = prepare(LAYOUTS['folder'], folder, tmp_path / 'lists', num_test=2, min_side=1)
    assert sorted(name for one in lists for name in one.kept) == NAMES
    assert len(said) == 2
    for line in said:
        assert f'1 files are no photographs by their endings and were left alone, such as {folder}/notes.txt' in line
        assert '3 images or folders are hidden and were left alone' in line
    assert {path.name for path in others} == {'notes.txt', '.ipynb_checkpoints', '__MACOSX', '._a.png'}


def test_folders_below_that_are_not_asked_for_are_counted(folder):
    found = find_files(folder, recursive=False)
    assert [path.name for path in found.images] == NAMES[:-1]
    assert f'1 folders below were not asked for (recursive=True) and were left alone, such as {folder}/link' in (
        found.left_alone()
    )


class TestLists:
    @pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig'])
    @pytest.mark.parametrize('end', ['\n', '\r\n', ' \t\n', '\t\r\n'])
    def test_they_are_read_as_people_write_them(self, tmp_path, encoding, end):
        text = end.join(('ä b.jpg', 'sub/c.png', '', 'sub/d\u2028e.JPEG 17', 'f.webp\t(48,40,3)', ''))
        (tmp_path / 'list.txt').write_bytes(text.encode(encoding))
        expected = ['ä b.jpg', 'sub/c.png', 'sub/d\u2028e.JPEG', 'f.webp']
        assert read_names(tmp_path / 'list.txt', str(tmp_path)) == expected

    @pytest.mark.parametrize('encoding', ['utf-16', 'utf-16-le', 'utf-32', 'latin-1'])
    def test_another_encoding_is_an_error(self, tmp_path, encoding):
        (tmp_path / 'list.txt').write_bytes('a.jpg\nbär.jpg\n'.encode(encoding))
        what = 'line 2 has the byte 0xe4' if encoding == 'latin-1' else 'UTF-16'
        with pytest.raises(ValueError, match=rf'The list .*list\.txt .*{what}.* Save it as UTF-8'):
            read_list(tmp_path / 'list.txt')

    def test_one_image_has_one_name_and_one_mask_however_it_is_spelled(self, tmp_path, monkeypatch):
        root = tmp_path / 'photos'
        (root / 'sub').mkdir(parents=True)
        (tmp_path / 'other').symlink_to(root)
        for name in ('sub/a.png', 'sub\\b.png'):
            Image.new('RGB', (48, 40)).save(root / name)
        spellings = ('sub/a.png', './sub/a.png', 'sub/../sub//a.png', 'sub\\a.png', f'{root}/sub/a.png', '/sub/a.png',
                     ' sub/a.png', '../photos/sub/a.png', f'{tmp_path}/other/sub/a.png')  # fmt: skip
        (root / 'list.txt').write_text('\n'.join((*spellings, 'sub\\b.png')))
        monkeypatch.chdir(tmp_path)
        draw = dict(type='SeededByImage', transforms=[lambda results: dict(results, drawn=np.random.rand())])
        dataset = PhotoDataset(
            data_root='photos', ann_file='list.txt', pipeline=[dict(type='LoadPhoto'), draw], test_mode=True
        )
        infos = [dataset[index] for index in range(len(dataset))]
        assert [info['key'] for info in infos] == ['sub/a'] * len(spellings) + ['sub\\b']
        assert len({info['drawn'] for info in infos[:-1]}) == 1
        # the mask that this image has had from the first version on
        expected = np.random.RandomState(1117548947).rand()
        assert infos[0]['drawn'] == expected

    def test_an_image_outside_of_the_folder_is_the_one_that_is_named(self, tmp_path):
        (tmp_path / 'photos').mkdir()
        cv2.imwrite(str(tmp_path / 'far.png'), np.full((8, 8, 3), 7, np.uint8))
        (tmp_path / 'photos/list.txt').write_text(f'{tmp_path}/far.png\n../far.png\n')
        dataset = PhotoDataset(
            data_root=str(tmp_path / 'photos'), ann_file='list.txt', pipeline=[dict(type='LoadPhoto')], test_mode=True
        )
        assert [dataset[index]['key'] for index in range(2)] == ['../far', '../far']
        assert dataset[0]['gt'].max() == 7

    def test_lists_of_masks_too(self, tmp_path):
        (tmp_path / 'list.txt').write_bytes(f'\ufeffa\\b.png \r\n{tmp_path}/c.png\r\n'.encode())
        masks = LoadHoleFromSet(str(tmp_path / 'list.txt'), str(tmp_path)).masks
        assert masks == [f'{tmp_path}/a/b.png', f'{tmp_path}/c.png']


class TestFormats:
    @pytest.mark.parametrize('name', ['x.heic', 'x.jpg'])
    def test_heic_that_cannot_be_read_names_the_package(self, tmp_path, monkeypatch, name):
        _add_heif.cache_clear()
        monkeypatch.setitem(sys.modules, 'pillow_heif', None)
        (tmp_path / name).write_bytes(HEIC)
        for read in (read_hole, lambda path: LoadPhoto()._load_image(str(path))):
            with pytest.raises(BadImageError, match=rf'{name}.* is HEIC, .*pip install pillow-heif'):
                read(tmp_path / name)

    def test_heic_is_opened_where_the_package_is(self, tmp_path, monkeypatch):
        package = ModuleType('pillow_heif')
        package.register_heif_opener = lambda: called.append(True)
        called = []
        _add_heif.cache_clear()
        monkeypatch.setitem(sys.modules, 'pillow_heif', package)
        (tmp_path / 'x.heic').write_bytes(HEIC)
        with pytest.raises(BadImageError):
            read_hole(tmp_path / 'x.heic')
        _add_heif.cache_clear()
        assert called == [True]

    def test_what_opencv_cannot_decode_pillow_does(self, tmp_path, monkeypatch):
        path = tmp_path / 'x.png'
        cv2.imwrite(str(path), np.full((8, 9, 3), (1, 2, 3), np.uint8))
        monkeypatch.setattr('mmcv.imfrombytes', lambda *_, **__: None)
        image = LoadPhoto()._load_image(str(path))
        assert image.shape == (8, 9, 3) and image[0, 0].tolist() == [1, 2, 3]


def test_long_names_are_cut_to_what_a_file_system_holds_and_stay_different():
    names = [short_name('ä' * 126 + end, '.raw.png') for end in 'ab']
    assert all(len(name.encode()) <= 255 and name.endswith('.raw.png') for name in names)
    assert len({*names}) == 2
    assert short_name('a' * 251, '.png') == 'a' * 251 + '.png'
