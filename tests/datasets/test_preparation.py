import errno
import importlib.util
import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from mmengine.config import Config
from PIL import Image

from cainet_mm.datasets import PhotoDataset
from cainet_mm.datasets.preparation import (
    LAYOUTS,
    Layout,
    Part,
    PreparationError,
    divide,
    find_problem,
    prepare,
)
from cainet_mm.utils.photo_paths import find_files

SMALL = Layout('Small set', (Part('train', ('train', 'training')), Part('test', ('test',))), min_side=32)
POOL = Layout('Pool', (Part('all', ('',)),), min_side=32)


def picture_bytes(kind='PNG', size=(48, 40), seed=0):
    picture = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8))
    content = io.BytesIO()
    picture.save(content, kind)
    return content.getvalue()


def put(path, content=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture_bytes() if content is None else content)


@pytest.fixture
def root(tmp_path):
    """A data set with three images for training and two for test."""
    for name in ('train/b/2.png', 'train/a/10.jpg', 'train/a/9.JPEG', 'test/1.png', 'test/0.png'):
        put(tmp_path / name, picture_bytes('PNG' if name.endswith('png') else 'JPEG'))
    return tmp_path


def read(root, name):
    return (root / 'lists' / f'{name}.txt').read_text().splitlines()


def pool(tmp_path, count):
    for number in range(count):
        put(tmp_path / f'{number}.png')
    return tmp_path


class TestLists:
    def test_they_name_images_below_the_folder_in_sorted_order(self, root):
        prepare(SMALL, root)
        assert read(root, 'train') == ['train/a/10.jpg', 'train/a/9.JPEG', 'train/b/2.png']
        assert read(root, 'test') == ['test/0.png', 'test/1.png']
        assert read(root, 'left_out') == []

    def test_a_data_set_reads_them(self, root):
        put(root / 'train' / 'a name with blanks.png')
        prepare(SMALL, root)
        dataset = PhotoDataset(data_root=str(root), ann_file='lists/train.txt', pipeline=[dict(type='LoadPhoto')])
        assert len(dataset) == 4
        assert dataset[0]['key'] == 'train/a name with blanks'
        assert all(dataset[index]['gt'].shape == (48, 40, 3) for index in range(4))

    def test_labels_of_other_projects_lists_are_left_out(self, root):
        (root / 'labelled.txt').write_text('train/b/2.png 17\n/test/0.png (48,40,3)\n')
        dataset = PhotoDataset(data_root=str(root), ann_file='labelled.txt', pipeline=[dict(type='LoadPhoto')])
        assert [dataset.get_data_info(index)['key'] for index in range(2)] == ['test/0', 'train/b/2']

    def test_hidden_files_other_files_and_what_lies_beside_are_no_images(self, root):
        for name in ('train/._10.jpg', 'train/.cache/x.png', 'train/labels.txt', 'other/x.png'):
            put(root / name)
        prepare(SMALL, root)
        assert len(read(root, 'train')) == 3

    def test_a_folder_that_cannot_be_read_is_not_passed_over(self, root, monkeypatch):
        scan = os.scandir
        closed = sorted(path for path in root.rglob('*') if path.is_dir())[-1]

        def refuse(path):
            if Path(path) == closed:
                raise PermissionError(errno.EACCES, 'Permission denied', str(path))
            return scan(path)

        monkeypatch.setattr(os, 'scandir', refuse)
        with pytest.raises(PermissionError, match=f"Permission denied: '{closed}'"):
            find_files(root, [root / 'lists'])

    def test_linked_folders_are_followed_once(self, root, tmp_path_factory):
        elsewhere = tmp_path_factory.mktemp('elsewhere')
        put(elsewhere / 'far.png')
        (root / 'train' / 'link').symlink_to(elsewhere)
        (root / 'train' / 'circle').symlink_to(root / 'train')
        prepare(SMALL, root)
        assert read(root, 'train') == ['train/a/10.jpg', 'train/a/9.JPEG', 'train/b/2.png', 'train/link/far.png']

    def test_the_first_folder_that_exists_is_taken(self, root):
        put(root / 'training' / 'x.png')
        prepare(SMALL, root)
        assert len(read(root, 'train')) == 3
        (root / 'train').rename(root / 'moved')
        prepare(SMALL, root)
        assert read(root, 'train') == ['training/x.png']

    def test_they_can_go_elsewhere(self, root, tmp_path_factory):
        lists = tmp_path_factory.mktemp('lists')
        prepare(SMALL, root, lists / 'new')
        assert not (root / 'lists').exists()
        dataset = PhotoDataset(data_root=str(root), ann_file=str(lists / 'new' / 'test.txt'))
        assert len(dataset) == 2

    def test_images_among_the_lists_are_not_taken_for_the_data(self, tmp_path):
        pool(tmp_path, 4)
        put(tmp_path / 'lists' / 'sample.png')
        prepare(POOL, tmp_path, num_test=1)
        assert len(read(tmp_path, 'train')) + len(read(tmp_path, 'test')) == 4

    @pytest.mark.parametrize('workers', [1, 4])
    def test_any_number_of_workers_gives_the_same(self, tmp_path, workers):
        pool(tmp_path, 40)
        put(tmp_path / '7.png', b'broken')
        prepare(POOL, tmp_path, num_test=0.25, workers=workers)
        assert (len(read(tmp_path, 'train')), len(read(tmp_path, 'test'))) == (29, 10)
        assert [line.split('\t')[0] for line in read(tmp_path, 'left_out')] == ['7.png']

    def test_progress_is_told(self, root):
        told = []
        prepare(SMALL, root, track=lambda images, name, total: told.append((name, total)) or images)
        assert told == [('train', 3), ('test', 2)]


class TestBadImages:
    @pytest.mark.parametrize(
        ('content', 'said'),
        [
            (b'', 'cannot be decoded'),
            (b'no picture', 'cannot be decoded'),
            (picture_bytes('JPEG', (200, 200))[:-400], 'truncated'),
            (picture_bytes('PNG', (200, 200))[:-400], 'truncated'),
            (picture_bytes(size=(31, 60)), 'is 31x60 pixels, smaller than 32'),
        ],
    )
    def test_they_are_named_with_the_reason_and_left_out(self, root, content, said):
        put(root / 'train' / 'bad.png', content)
        train, test = prepare(SMALL, root)
        assert len(train.kept) == len(read(root, 'train')) == 3
        (line,) = read(root, 'left_out')
        assert line.startswith('train/bad.png\t')
        assert said in line
        assert (len(train.bad), len(test.bad)) == (1, 0)

    def test_headers_alone_do_not_show_that_a_file_was_cut_off(self, root):
        put(root / 'train' / 'cut.jpg', picture_bytes('JPEG', (200, 200))[:-400])
        prepare(SMALL, root, headers_only=True)
        assert len(read(root, 'train')) == 4

    def test_the_smallest_side_can_be_chosen(self, root):
        put(root / 'train' / 'small.png', picture_bytes(size=(20, 20)))
        prepare(SMALL, root, min_side=20)
        assert len(read(root, 'train')) == 4

    @pytest.mark.parametrize('name', [b'two\nlines.png', b'latin-\xe9.png'])
    def test_names_that_no_list_can_hold(self, root, name):
        try:
            (root / 'train' / os.fsdecode(name)).write_bytes(picture_bytes())
        except OSError:
            pytest.skip('the file system refuses the name')
        prepare(SMALL, root)
        assert len(read(root, 'train')) == 3
        assert 'has a name that no list can hold' in (root / 'lists' / 'left_out.txt').read_text()

    def test_a_good_image_has_no_problem(self, root):
        assert find_problem(root / 'train' / 'b' / '2.png', 40) is None

    def test_a_list_of_bad_images_only_is_refused(self, root):
        for name in ('0.png', '1.png'):
            put(root / 'test' / name, b'broken')
        with pytest.raises(PreparationError, match=r'None of the 2 images for test\.txt .* test/0\.png, cannot be'):
            prepare(SMALL, root)
        assert not (root / 'lists').exists()


class TestRefusals:
    def test_an_absent_folder(self, tmp_path):
        with pytest.raises(PreparationError, match='nowhere is no folder; give the one into which Small set'):
            prepare(SMALL, tmp_path / 'nowhere')

    def test_an_absent_part(self, root):
        (root / 'train').rename(root / 'moved')
        with pytest.raises(PreparationError, match='has none of the folders train, training, .* train images'):
            prepare(SMALL, root)

    def test_an_empty_part(self, root):
        for path in (root / 'test').iterdir():
            path.unlink()
        with pytest.raises(PreparationError, match=r'test has no images; accepted are the endings \.bmp, \.jpeg'):
            prepare(SMALL, root)

    def test_another_number_of_images_unless_told_otherwise(self, root):
        exact = Layout('Exact', (Part('train', ('train',), (4, 2_000)), Part('test', ('test',), (2,))), min_side=32)
        with pytest.raises(PreparationError, match=r"has 4 or 2,000 images in its part 'train', but 3 .*--any-number"):
            prepare(exact, root)
        assert not (root / 'lists').exists()
        prepare(exact, root, any_number=True)
        assert len(read(root, 'train')) == 3


class TestDivision:
    NAMES = [f'{number:05d}.png' for number in range(30_000)]

    def test_celeba_hq_gives_2000_of_its_30000_images_to_test(self):
        source = LAYOUTS['celeba-hq']
        assert source.parts[0].counts == (30_000,)
        lists = divide(self.NAMES, source.num_test, seed=0)
        assert (len(lists['train']), len(lists['test'])) == (28_000, 2_000)
        assert sorted(lists['train'] + lists['test']) == self.NAMES

    def test_the_draw_is_the_same_for_ever(self):
        # a change here would change the test set of everyone who prepares the data again
        assert divide(self.NAMES[:20], 4, seed=0)['test'] == ['00001.png', '00008.png', '00018.png', '00019.png']

    def test_another_seed_draws_others(self):
        assert divide(self.NAMES, 0.1, seed=0) != divide(self.NAMES, 0.1, seed=1)

    def test_a_bad_image_does_not_change_who_is_drawn(self, tmp_path):
        pool(tmp_path, 20)
        prepare(POOL, tmp_path, num_test=0.5)
        drawn = read(tmp_path, 'test')
        put(tmp_path / drawn[0], b'broken')
        prepare(POOL, tmp_path, num_test=0.5)
        assert read(tmp_path, 'test') == drawn[1:]

    @pytest.mark.parametrize('num_test', [0, 20, 21, 0.001, 0.999])
    def test_both_lists_need_an_image(self, num_test):
        with pytest.raises(PreparationError, match='both need at least one'):
            divide(self.NAMES[:20], num_test, seed=0)


class TestWriting:
    def test_nothing_is_written_before_all_is_verified(self, root):
        prepare(SMALL, root)
        before = {path.name: path.read_text() for path in (root / 'lists').iterdir()}
        put(root / 'train' / 'new.png')
        for path in (root / 'test').iterdir():
            path.write_bytes(b'broken')
        with pytest.raises(PreparationError):
            prepare(SMALL, root)
        assert {path.name: path.read_text() for path in (root / 'lists').iterdir()} == before


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'tools')
    spec = importlib.util.spec_from_file_location('tool_prepare_data', ROOT / 'tools' / 'prepare_data.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['prepare_data.py', *map(str, arguments)])
        module.main()

    run.roots = module.ROOTS
    return run


class TestTool:
    def refusal(self, tool, capsys, *arguments):
        with pytest.raises(SystemExit) as stopped:
            tool(*arguments)
        assert stopped.value.code == 2
        return capsys.readouterr().err.splitlines()[-1]

    def test_a_folder_of_photographs(self, tool, capsys, tmp_path):
        pool(tmp_path, 10)
        put(tmp_path / '3.png', b'broken')
        tool('folder', tmp_path, '--test-share', '0.2', '--seed', '5', '--min-side', '32', '--workers', '2')
        table = capsys.readouterr().out
        assert 'seed 5' in table
        assert str(tmp_path / 'lists' / 'left_out.txt') in table
        assert len(read(tmp_path, 'train')) + len(read(tmp_path, 'test')) == 9
        assert sum(int(line.split('|')[2]) for line in table.splitlines() if 'lists/t' in line) == 9

    def test_bad_input_gets_a_sentence(self, tool, capsys, tmp_path):
        assert 'nowhere is no folder' in self.refusal(tool, capsys, 'places2', tmp_path / 'nowhere')
        assert 'has none of the folders' in self.refusal(tool, capsys, 'places2', tmp_path)
        assert 'has no images' in self.refusal(tool, capsys, 'folder', tmp_path)
        pool(tmp_path, 3)
        assert '30,000 images' in self.refusal(tool, capsys, 'celeba-hq', tmp_path)
        assert 'smaller than 256' in self.refusal(tool, capsys, 'folder', tmp_path, '--test-share', '0.4')

    @pytest.mark.parametrize('option', [('--test-share', '1'), ('--workers', '0'), ('--min-side', '-1')])
    def test_numbers_out_of_range_are_refused(self, tool, capsys, tmp_path, option):
        assert option[0] in self.refusal(tool, capsys, 'folder', tmp_path, *option)

    def test_its_folders_are_those_of_the_configs(self, tool):
        assert tool.roots.keys() == LAYOUTS.keys()
        for root in filter(None, tool.roots.values()):
            config = Config.fromfile(ROOT / 'configs' / '_base_' / 'datasets' / f'{Path(root).name}.py')
            assert {config[f'{name}_dataloader'].dataset.data_root for name in ('train', 'val', 'test')} == {root}
