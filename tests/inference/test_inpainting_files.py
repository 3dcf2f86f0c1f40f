"""Folders of photographs: what is read is not written over, no two results share a name, and no failure ends others."""

import os
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from cainet_mm.apis import inpaint, inpaint_files, pair_files
from cainet_mm.datasets.errors import BadImageError
from cainet_mm.inference import inpainting
from cainet_mm.inference.inpainting import BadImagesError
from cainet_mm.inference.jobs import scale_hole

SIZE = (20, 30)
HOLE = np.zeros(SIZE, bool)
HOLE[5:11, 7:13] = True


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def photo(path, seed=0, size=SIZE):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def mask(path):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(HOLE).save(path)


def contents(place='.'):
    return {str(path): path.read_bytes() for path in Path(place).rglob('*') if path.is_file()}


def pair(*paths, **sides):
    return pair_files(*[None if path is None else Path(path) for path in paths], **sides)


class TestNothingReadIsWrittenOver:
    def test_results_do_not_go_into_the_folder_of_masks(self):
        photo('photos/a.png')
        mask('masks/a.png')
        os.symlink('masks', 'link')
        for out in ('masks', 'masks/../masks', 'link'):
            with pytest.raises(ValueError, match='folders of their own'):
                pair('photos', 'masks', out)

    @pytest.mark.parametrize('batch_size', [1, 8])
    def test_the_mask_of_all_survives_a_photograph_of_its_name(self, telea, batch_size):
        photos = {name: photo(f'photos/{name}', seed) for seed, name in enumerate(('a.png', 'mask.png', 'z.png'))}
        mask('out/mask.png')
        before = contents()
        outcomes = list(inpaint_files(pair('photos', 'out/mask.png', 'out')[0], telea, batch_size=batch_size))
        assert [outcome.problem is None for outcome in outcomes] == [True, False, True]
        assert 'out/mask.png would be written over what is read' in outcomes[1].problem
        assert {path: content for path, content in contents().items() if path in before} == before
        changed = (np.asarray(Image.open('out/z.png')) != photos['z.png']).any(axis=2)
        assert changed[HOLE].any() and not changed[~HOLE].any()

    @pytest.mark.parametrize('side', ['save_raw', 'save_scales'])
    def test_the_network_s_pictures_of_one_photograph_spare_it_and_its_mask(self, side):
        ending = side.removeprefix('save_')
        photo(f'photo.{ending}.png')
        mask(f'mask.{ending}.png')
        for out in ('photo.png', 'mask.png'):
            arguments = f'photo.{ending}.png', f'mask.{ending}.png', out
            assert pair(*arguments)[0][0].outputs == [Path(out)]
            with pytest.raises(ValueError, match='written over'):
                pair(*arguments, **{side: True})

    def test_photographs_and_masks_below_one_folder_survive_results_in_it(self, telea):
        # a result of photos/masks/b.png would be masks/b.png, and one of photos/photos/a.png would be photos/a.png
        for name in ('a.png', 'photos/a.png', 'masks/b.png'):
            photo(f'photos/{name}')
            mask(f'masks/{name}')
        mask('masks/b.png')
        before = contents()
        outcomes = list(inpaint_files(pair('photos', 'masks', '.')[0], telea))
        problems = {str(outcome.task.photo): outcome.problem for outcome in outcomes}
        assert [path for path, problem in problems.items() if problem] == ['photos/masks/b.png', 'photos/photos/a.png']
        assert contents() == before | {'a.png': Path('a.png').read_bytes()}

    def test_results_may_go_into_the_folder_around_the_photographs(self, telea):
        pixels = photo('photos/a.png')
        mask('masks/a.png')
        tasks, unused, others = pair('photos', 'masks', '.')
        assert (unused, others) == ([], [])
        assert [outcome.problem for outcome in inpaint_files(tasks, telea)] == [None]
        np.testing.assert_array_equal(np.asarray(Image.open('a.png')), inpaint(pixels, HOLE, model=telea))

    def test_masks_may_lie_in_the_folder_around_the_photographs(self):
        photo('data/photos/a.png')
        mask('data/a.png')
        (task,), unused, _ = pair('data/photos', 'data', 'out')
        assert (task.mask, unused) == (Path('data/a.png'), [])

    def test_results_in_the_folder_of_masks_are_no_masks(self):
        photo('photos/a.png')
        mask('masks/a.png')
        before = pair('photos', 'masks', 'masks/out')
        photo('masks/out/a.png')
        assert pair('photos', 'masks', 'masks/out') == before


class TestNames:
    @pytest.mark.parametrize(
        'names',
        [
            ('a.png', 'a.jpg', 'a.jpg.png'),
            ('a.png', 'a.jpg', 'a.jpg.png', 'a.jpg.png.png'),
            ('a.jpg', 'a.jpeg', 'a.png', 'a.tif', 'a.bmp'),
            ('a.png', 'a.raw.png', 'a.scales.png', 'a.tif', 'a.jpg', 'a.raw.jpg', 'a.png.raw.png'),
        ],
    )
    @pytest.mark.parametrize('sides', [{}, dict(save_raw=True), dict(save_raw=True, save_scales=True)])
    def test_no_two_files_that_are_written_have_one_name(self, names, sides):
        for name in names:
            photo(f'photos/{name}')
        mask('mask.png')
        tasks, _, _ = pair('photos', 'mask.png', 'out', **sides)
        written = [path for task in tasks for path in task.outputs]
        assert len(set(written)) == len(written) == len(names) * (1 + len(sides))
        for task in tasks:
            if task.photo.suffix != '.jpg' and task.photo.suffix != '.jpeg':
                assert task.out.name == task.photo.name

    def test_every_one_of_them_is_written(self, network):
        names = ('a.png', 'a.tif', 'a.raw.png', 'a.jpg', 'a.jpg.png')
        photos = {name: photo(f'photos/{name}', seed) for seed, name in enumerate(names)}
        mask('mask.png')
        tasks, _, _ = pair('photos', 'mask.png', 'out', save_raw=True, save_scales=True)
        assert all(outcome.problem is None for outcome in inpaint_files(tasks, network))
        assert {path for task in tasks for path in task.outputs} == {Path(path) for path in contents('out')}
        for task in tasks:
            if task.photo.suffix != '.jpg':
                result = np.asarray(Image.open(task.out))
                np.testing.assert_array_equal(result[~HOLE], photos[task.photo.name][~HOLE])

    def test_the_longest_names_have_their_results(self, network):
        for name in ('x' * 251 + '.png', 'x' * 251 + '.jpg', 'x' * 250 + 'y.jpg'):
            photo(f'photos/{name}')
        mask('mask.png')
        tasks, _, _ = pair('photos', 'mask.png', 'out', save_raw=True, save_scales=True)
        assert [outcome.problem for outcome in inpaint_files(tasks, network)] == [None] * 3
        assert len(contents('out')) == len({path for task in tasks for path in task.outputs}) == 9

    def test_plain_names_are_kept_where_they_are_free(self):
        photo('photos/a.jpg')
        mask('mask.png')
        (task,), _, _ = pair('photos', 'mask.png', 'out', save_raw=True, save_scales=True)
        assert task.outputs == [Path('out/a.png'), Path('out/a.raw.png'), Path('out/a.scales.png')]

    @pytest.mark.parametrize(
        ('photos', 'out', 'what'),
        [
            ('photo.png', 'out.xyz', r'out\.xyz has an unknown ending; photographs are written as \.png'),
            ('photo.png', 'mask.png/x.png', r'mask\.png is a file; results need'),
            ('photos', 'photo.png', r'photo\.png is a file; results need'),
            ('photos', 'photo.png/x/y', r'photo\.png is a file; results need'),
        ],
    )
    def test_what_cannot_be_written_is_refused_before_anything_is_filled(self, photos, out, what):
        photo('photo.png')
        photo('photos/a.png')
        mask('mask.png')
        with pytest.raises(ValueError, match=what):
            pair(photos, 'mask.png', out)


def fail_at(model, monkeypatch, seen, error):
    """Has a model fail on every batch with a window that has the colour of a photograph."""
    step = model.test_step

    def test_step(data):
        if any(seen(image) for image in data['inputs']):
            raise error
        return step(data)

    monkeypatch.setattr(model, 'test_step', test_step)


class TestFailures:
    @pytest.mark.parametrize('batch_size', [1, 2, 8])
    @pytest.mark.parametrize(
        ('error', 'what'),
        [
            (cv2.error('(-4:Insufficient memory) Failed to allocate'), 'Insufficient memory'),
            (MemoryError(), 'MemoryError'),
            (KeyError('output'), 'KeyError: output'),
            (AssertionError('odd'), 'AssertionError: odd'),
        ],
    )
    def test_a_failure_of_any_kind_leaves_the_others_their_results(self, telea, monkeypatch, batch_size, error, what):
        for seed, name in enumerate('abcd'):
            photo(f'photos/{name}.png', seed)
        Image.new('RGB', SIZE[::-1]).save('photos/b.png')
        mask('mask.png')
        fail_at(telea, monkeypatch, lambda image: (image == 0).float().mean() > 0.5, error)
        outcomes = list(inpaint_files(pair('photos', 'mask.png', 'out')[0], telea, batch_size=batch_size))
        assert [outcome.problem is None for outcome in outcomes] == [True, False, True, True]
        assert outcomes[1].problem.startswith('The photograph photos/b.png was not filled: ')
        assert what in outcomes[1].problem
        assert sorted(path.name for path in Path('out').iterdir()) == ['a.png', 'c.png', 'd.png']

    @pytest.mark.parametrize('error', [ValueError('odd'), KeyError('odd')])
    def test_reading_may_fail_in_any_way(self, telea, monkeypatch, error):
        for name in 'ab':
            photo(f'photos/{name}.png')
        mask('mask.png')
        read = inpainting.make_job

        def make_job(image, *others):
            if image.name == 'a.png':
                raise error
            return read(image, *others)

        monkeypatch.setattr(inpainting, 'make_job', make_job)
        outcomes = list(inpaint_files(pair('photos', 'mask.png', 'out')[0], telea))
        assert [outcome.problem is None for outcome in outcomes] == [False, True]

    def test_a_sentence_names_the_photograph_even_where_the_reason_has_its_name_by_chance(self, telea):
        photo('a.png')
        mask('mask.png')
        Path('data.png').mkdir()
        (task,), _, _ = pair('a.png', 'mask.png', 'out.png')
        (outcome,) = inpaint_files([type(task)(task.photo, task.mask, Path('data.png'))], telea)
        assert outcome.problem.startswith('The photograph a.png was not filled: ')

    def test_scales_that_cannot_be_written_leave_no_half_of_them_and_no_result(self, network, monkeypatch):
        class Unfinished:
            def save(self, file, kind):
                file.write(b'half')
                raise OSError(28, 'No space left on device')

        photo('photo.png')
        mask('mask.png')
        monkeypatch.setattr(inpainting, 'make_montage', lambda titles, rows: Unfinished())
        before = contents()
        (outcome,) = inpaint_files(pair('photo.png', 'mask.png', 'out.png', save_scales=True)[0], network)
        assert outcome.problem == 'The photograph photo.png was not filled: [Errno 28] No space left on device'
        assert contents() == before

    def test_what_is_written_last_is_the_result(self, network):
        photo('photo.png')
        mask('mask.png')
        Path('out.raw.png').mkdir()
        (outcome,) = inpaint_files(pair('photo.png', 'mask.png', 'out.png', save_raw=True)[0], network)
        assert 'was not filled' in outcome.problem
        assert not Path('out.png').exists()

    def test_without_a_hole_there_are_no_scales_and_a_note_says_so(self, network):
        photo('photo.png')
        Image.new('L', SIZE[::-1]).save('mask.png')
        (outcome,) = inpaint_files(pair('photo.png', 'mask.png', 'out.png', save_scales=True)[0], network)
        assert outcome.problem is None
        assert any('out.scales.png was not written' in note for note in outcome.notes)
        assert not Path('out.scales.png').exists()

    def test_arguments_are_checked_at_once(self, telea):
        with pytest.raises(ValueError, match='batch_size'):
            inpaint_files([], telea, batch_size=0)


class TestFromPython:
    def test_broken_photographs_of_a_folder_leave_the_others_their_results(self, telea):
        photos = {name: photo(f'photos/{name}.png', seed) for seed, name in enumerate('abcd')}
        for name in 'abc':
            mask(f'masks/{name}.png')
        Path('photos/b.png').write_bytes(b'no image')
        with pytest.raises(BadImagesError, match=r'2 of 4 photographs .* photos/b\.png cannot be read') as caught:
            inpaint('photos', 'masks', model=telea)
        assert list(caught.value.problems) == ['b.png', 'd.png']
        assert 'photos/d.png has no mask' in caught.value.problems['d.png']
        assert list(caught.value.results) == ['a.png', 'c.png']
        for name, result in caught.value.results.items():
            np.testing.assert_array_equal(np.asarray(result), inpaint(photos[name[0]], HOLE, model=telea))

    def test_what_belongs_to_no_photograph_gets_a_warning(self, telea):
        photo('photos/a.png')
        Path('photos/note.txt').write_text('x')
        for name in 'az':
            mask(f'masks/{name}.png')
        with pytest.warns(UserWarning) as caught:
            assert list(inpaint('photos', 'masks', model=telea)) == ['a.png']
        said = ' '.join(str(warning.message) for warning in caught)
        assert 'masks/z.png' in said and 'photos/note.txt' in said

    @pytest.mark.parametrize('kind', [list, tuple, np.stack])
    def test_a_bad_one_of_a_list_is_named_and_the_others_are_filled(self, telea, kind):
        images = [photo('a.png', seed) for seed in range(4)]
        holes = [HOLE, HOLE, np.ones(SIZE, bool), HOLE]
        with pytest.raises(BadImagesError, match=r'1 of 4 .*Photograph \[2\] of the list .* all hole') as caught:
            inpaint(kind(images), holes, model=telea)
        results = caught.value.results
        assert [result is None for result in results] == [False, False, True, False]
        for position in (0, 1, 3):
            np.testing.assert_array_equal(results[position], inpaint(images[position], HOLE, model=telea))

    def test_a_bad_path_of_a_list_is_named(self, telea):
        photo('a.png')
        Path('b.png').write_bytes(b'no image')
        with pytest.raises(BadImagesError, match=r'The photograph b\.png cannot be read') as caught:
            inpaint(['a.png', 'b.png'], HOLE, model=telea)
        assert list(caught.value.problems) == [1]

    def test_of_many_problems_the_first_are_said_and_all_are_kept(self, telea):
        with pytest.raises(BadImagesError, match='So it is with 14 more') as caught:
            inpaint([np.zeros((*SIZE, 3), np.uint8)] * 20, np.ones(SIZE, bool), model=telea)
        assert len(caught.value.problems) == 20

    def test_one_photograph_has_a_plain_error(self, telea):
        with pytest.raises(BadImageError, match='all hole') as caught:
            inpaint(np.zeros((*SIZE, 3), np.uint8), np.ones(SIZE, bool), model=telea)
        assert not isinstance(caught.value, BadImagesError)

    def test_another_type_is_refused_before_anything_is_filled(self, telea, monkeypatch):
        monkeypatch.setattr(inpainting, 'make_job', None)
        with pytest.raises(TypeError, match='got int'):
            inpaint([np.zeros((*SIZE, 3), np.uint8), 3], HOLE, model=telea)

    @pytest.mark.parametrize('large', [False, True])
    def test_few_photographs_are_in_memory_at_once(self, telea, monkeypatch, large):
        if large:
            monkeypatch.setattr('cainet_mm.inference.jobs.MAX_PIXELS', 1)
        for number in range(7):
            photo(f'photos/{number}.png', number)
        mask('mask.png')
        read, alive, most = inpainting.make_job, weakref.WeakSet(), []

        class Counted(inpainting.Job):
            __hash__ = object.__hash__

        def make_job(*arguments):
            most.append(len(alive) + 1)
            job = read(*arguments)
            counted = Counted(job.photo, job.hole, job.opaque)
            alive.add(counted)
            return counted

        monkeypatch.setattr(inpainting, 'make_job', make_job)
        assert len(inpaint('photos', 'mask.png', model=telea, batch_size=3)) == 7
        list(inpaint_files(pair('photos', 'mask.png', 'out')[0], telea, batch_size=3))
        assert max(most) == (1 if large else 3)


def test_a_mask_is_scaled_to_photographs_of_another_size_where_that_is_asked_for(telea):
    """One mask for all; at three times its size each of its pixels is a block of three by three."""
    pixels = {name: photo(f'photos/{name}', size=size) for name, size in (('a.png', SIZE), ('b.png', (60, 90)))}
    mask('mask.png')
    plain, fitted = (
        list(inpaint_files(pair('photos', 'mask.png', 'out')[0], telea, fit_mask=fit)) for fit in (False, True)
    )
    assert plain[0].problem is None and '--fit-mask (fit_mask=True), which scales the mask' in plain[1].problem
    assert [outcome.problem for outcome in fitted] == [None, None]
    large = HOLE.repeat(3, axis=0).repeat(3, axis=1)
    changed = (np.asarray(Image.open('out/b.png')) != pixels['b.png']).any(axis=2)
    assert changed[large].mean() > 0.9 and not changed[~large].any()
    small = inpaint(pixels['a.png'], large, model=telea, fit_mask=True)
    assert np.array_equal((small != pixels['a.png']).any(axis=2) | HOLE, HOLE)


@pytest.mark.parametrize('size', [(20, 30), (20, 600), (400, 30), (7, 11)])
def test_no_stroke_of_a_mask_is_lost_where_it_is_scaled(size):
    """Each of its lines of one pixel is a line of one pixel in a smaller one, or of the two that it lies in."""
    hole = np.zeros((200, 300), bool)
    hole[57], hole[:, 123] = True, True
    scaled = scale_hole(hole, size)
    assert scaled.shape == size
    height, width = (max(1, round(side / given)) for side, given in zip(size, hole.shape, strict=True))
    assert height <= scaled.sum(axis=0).min() <= height + 1 and width <= scaled.sum(axis=1).min() <= width + 1
