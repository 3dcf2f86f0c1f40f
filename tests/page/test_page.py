"""The page of tools/demo.py: what it offers, what it refuses, what it gives back and what it leaves behind."""

import asyncio
import base64
import hashlib
import importlib.util
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
import urllib.request
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT, tiny
from mmengine.config import Config
from PIL import Image, ImageFile

from cainet_mm.apis import inpaint, load_model, publish
from cainet_mm.inference import zoo
from cainet_mm.inference.image_io import Photo, read_photo

pytest.importorskip('gradio', reason='the page needs gradio')

from starlette.testclient import TestClient  # noqa: E402

from cainet_mm.page import Limits, Page, Workbench, app, application, find_models, guard, is_loopback, server, work  # noqa: E402
from cainet_mm.page.photos import hole_of, view_of  # noqa: E402

OWN = 'http://localhost'
SESSION = SimpleNamespace(session_hash='session')


@pytest.fixture(scope='module', autouse=True)
def no_names():
    """Networks that have a name are left out: they may be there, or not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo, 'folders', list)
        yield


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """What trainings leave: a run of each stage, published files, whole and broken, and a file of somebody else's."""
    top = tmp_path_factory.mktemp('models')
    torch.manual_seed(0)
    config = tiny('stage2', top)
    model = load_model(config)
    run = top / 'run'
    run.mkdir()
    for number in (9, 10):
        torch.save(dict(state_dict=model.state_dict(), meta={}), run / f'iter_{number}.pth')
    (run / 'last_checkpoint').write_text('/moved/away/iter_10.pth')
    config.dump(run / 'cainet.py')
    # who runs it leaves a trace
    trace = top / 'trace'
    with open(run / 'cainet.py', 'a', encoding='utf-8') as file:
        file.write(f'\nopen({str(trace)!r}, "w").close()\n')
    stage1 = top / 'stage1'
    stage1.mkdir()
    (stage1 / 'iter_1.pth').write_bytes(b'')
    tiny('stage1', top).dump(stage1 / 'config.py')
    whole = publish(run / 'iter_10.pth', config, top / 'shared/cainet.pth')
    (top / 'shared/broken-0123abcd.pth').write_bytes(whole.read_bytes()[:5000])
    (top / 'shared/text-0123abcd.pth').write_text('broken')
    torch.save(dict(weight=torch.zeros(3)), top / 'shared/other.pth')
    return top


@pytest.fixture(scope='module')
def sent(tmp_path_factory):
    """The folder in which the page keeps what it receives and sends."""
    folder = tmp_path_factory.mktemp('sent')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('GRADIO_TEMP_DIR', str(folder))
        yield folder


@pytest.fixture(scope='module')
def page(folder, sent):
    return Page(Workbench(), [str(folder)], Limits(0.3, 2))


@pytest.fixture(scope='module')
def client(page):
    with TestClient(application(page, ['localhost']), OWN) as client:
        yield client


@pytest.fixture(scope='module', params=['guard', "Gradio's own check"])
def defended(request, sent):
    """A page, who asks it, and whether by way of its guard or behind it."""
    page, guarded = Page(Workbench(), [], Limits(0.3, 2)), request.param == 'guard'
    guard = application(page, ['localhost'])
    with TestClient(guard if guarded else guard.app, OWN) as client:
        yield page, client, guarded


def png(pixels, **options):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, 'PNG', **options)
    return content.getvalue()


def painting_of(hole):
    layer = np.zeros((*hole.shape, 4), np.uint8)
    layer[hole] = (230, 0, 122, 153)
    return dict(background=None, layers=[layer], composite=None)


def make_photo(shape=(90, 120, 3), seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return cv2.GaussianBlur(noise, (7, 7), 2).reshape(shape)


def make_hole(shape=(90, 120)):
    hole = np.zeros(shape, bool)
    hole[30:50, 40:75] = True
    return hole


def fill(page, path, painting, models=('telea',), refine=False):
    """All that the page says about a photograph: status, whether there are results, pictures, files and scales."""
    if painting is not None:
        painting = dict(painting, layers=[file_data(keep_layer(path, layer)) for layer in painting['layers']])
    return list(page.fill(None if path is None else file_data(path), painting, models, refine, SESSION))


def keep_layer(path, layer):
    """Write what is painted, an array or the content of a file, beside the photograph."""
    content = layer if isinstance(layer, bytes) else png(layer)
    file = path.with_name(f'layer-{hashlib.sha256(content).hexdigest()[:8]}.png')
    file.write_bytes(content)
    return file


def files_in(folder):
    return {path for path in folder.rglob('*') if path.is_file()}


def file_data(path):
    return dict(path=str(path), meta={'_type': 'gradio.FileData'})


def join(client, page, function, data, session='session'):
    """Ask for one of the page's functions as its front end does."""
    (number,) = [number for number, one in page.blocks.fns.items() if one.fn == function]
    body = dict(data=data, fn_index=number, session_hash=session)
    return client.post('/gradio_api/queue/join', json=body)


def outcome_of(client, session='session'):
    lines = client.get(f'/gradio_api/queue/data?session_hash={session}').text.splitlines()
    events = [json.loads(line.removeprefix('data: ')) for line in lines if line]
    (event,) = [event for event in events if event['msg'] == 'process_completed']
    return event


def upload(client, content, name='holiday.png'):
    (path,) = client.post('/gradio_api/upload', files={'files': (name, content)}).json()
    return path


def order(client, page, sessions=('session',)):
    """What a page that was opened sends to have a photograph filled by Telea."""
    for session in sessions:
        join(client, page, page.list_models, [], session)
        assert outcome_of(client, session)['success']
    photo = upload(client, png(make_photo()))
    layer = upload(client, png(painting_of(make_hole())['layers'][0]), 'layer_0.png')
    painting = dict(background=None, layers=[file_data(layer)], composite=None)
    return [file_data(photo), painting, ['telea'], False, None, False, 0]


class TestSearch:
    def test_runs_and_published_files_are_found_and_no_config_is_run(self, folder):
        choices = find_models([str(folder)])
        found = {choice.title: choice for choice in choices.values()}
        published = next((folder / 'shared').glob('cainet-*.pth'))
        shared = {f'shared/{name}' for name in (published.stem, 'broken-0123abcd', 'text-0123abcd')}
        assert set(found) == {'Telea', 'Navier–Stokes', 'run', *shared}
        assert found['run'].checkpoint == folder / 'run/iter_10.pth'
        assert found['run'].config == str(folder / 'run/cainet.py')
        assert all(part in found['run'].source for part in ('CAINetInpaintor', 'cainet.py', 'run/iter_10.pth'))
        assert found[f'shared/{published.stem}'].source == f'{published}, published'
        assert not (folder / 'trace').exists()

    def test_a_type_that_is_not_known_is_not_imported_to_find_out(self, folder, tmp_path, monkeypatch):
        shutil.copytree(folder / 'run', tmp_path / 'run')
        (tmp_path / 'run/cainet.py').write_text("model = dict(type='never_imported.Network')")
        (tmp_path / 'never_imported.py').write_text('class Network: pass')
        monkeypatch.syspath_prepend(tmp_path)
        assert 'run' in {choice.title for choice in find_models([str(tmp_path)]).values()}
        assert 'never_imported' not in sys.modules

    def test_without_a_note_the_highest_iteration_is_the_last(self, folder, tmp_path):
        shutil.copytree(folder / 'run', tmp_path / 'run')
        (tmp_path / 'run/last_checkpoint').unlink()
        (choice,) = [one for one in find_models([str(tmp_path)]).values() if one.title == 'run']
        assert choice.checkpoint.name == 'iter_10.pth'

    def test_files_and_pairs_are_taken_as_they_are(self, folder):
        published = next((folder / 'shared').glob('cainet-*.pth'))
        pair = f'{folder}/run/cainet.py,{folder}/run/iter_9.pth'
        checkpoints = [choice.checkpoint for choice in find_models([str(published), pair]).values()]
        assert checkpoints[2:] == [published, folder / 'run/iter_9.pth']

    def test_the_network_that_comes_with_the_package_is_the_first_and_is_chosen(self, sent, stand_in, monkeypatch):
        model, path = stand_in
        monkeypatch.setattr(zoo, 'folders', lambda: [path.parent])
        page = Page(Workbench(), [str(path)])
        chosen = page.list_models()
        assert [title.split(' (')[0] for title, _ in chosen['choices']][:2] == ['cainet-photos', 'Telea']
        assert chosen['value'] == ['telea', 'name:cainet-photos']
        # named by its path, it tells its kind without its weights
        assert page.choices[f'file:{path}'].source.startswith('CAINetInpaintor, ')
        loaded = page.workbench.load(page.choices['name:cainet-photos'])
        assert torch.equal(next(loaded.generator.parameters()), next(model.generator.parameters()).half().float())

    @pytest.mark.parametrize('source', ['absent', 'absent.py,absent.pth', ','])
    def test_what_is_no_model_is_refused(self, source):
        with pytest.raises(ValueError, match='is no model: accepted are'):
            find_models([source])


class TestFilling:
    def test_each_model_answers_as_inpaint_does_and_known_pixels_are_the_same(self, page, folder, tmp_path):
        photo, hole = make_photo(), make_hole()
        (tmp_path / 'holiday.png').write_bytes(png(photo))
        published = next((folder / 'shared').glob('cainet-*.pth'))
        said = fill(page, tmp_path / 'holiday.png', painting_of(hole), ['telea', f'file:{published}'])
        assert [one[0] for one in said] == ['Telea …', f'shared/{published.stem} …', 'Done; the results are below.']
        assert [len(one[2]) for one in said[1:]] == [2, 3]
        _, _, pictures, files, scales = said[-1]
        np.testing.assert_array_equal(np.asarray(pictures[0][0]), np.where(hole[..., None], 128, photo))
        answers = [np.asarray(Image.open(file)) for file in files]
        for answer, (picture, caption) in zip(answers, pictures[1:], strict=True):
            np.testing.assert_array_equal(answer[~hole], photo[~hole])
            np.testing.assert_array_equal(np.asarray(picture), answer)
            assert re.search(r', \d+\.\d s$', caption)
        np.testing.assert_array_equal(answers[1], inpaint(photo, hole, model=load_model(None, published)))
        assert (answers[0][hole] != answers[1][hole]).any()
        assert [os.path.basename(file) for file in files] == [
            'holiday-Telea.png',
            f'holiday-shared-{published.stem}.png',
        ]
        sizes = [picture.size for picture, _ in scales]
        assert len(sizes) > 1 and len(set(sizes)) == len(sizes) and sizes == sorted(sizes)
        assert all(published.stem in caption for _, caption in scales)
        assert scales[0][1].startswith(f'Scale {len(scales)}, ') and scales[-1][1].startswith('Scale 1, ')

    @pytest.mark.parametrize('name', ['broken-0123abcd', 'text-0123abcd'])
    def test_a_broken_model_has_its_sentence_and_the_others_their_turn(self, page, folder, tmp_path, name):
        (tmp_path / 'photo.png').write_bytes(png(make_photo()))
        for _ in range(2):
            keys = [f'file:{folder}/shared/{name}.pth', 'telea']
            status, _, _, files, _ = fill(page, tmp_path / 'photo.png', painting_of(make_hole()), keys)[-1]
            problem, done = status.splitlines()
            assert f'{name}.pth' in problem and re.search('cannot be (read|loaded)', problem) and len(problem) < 600
            assert done.startswith('Done') and len(files) == 1

    def test_a_training_run_is_loaded_with_its_config(self, page, tmp_path):
        (tmp_path / 'photo.png').write_bytes(png(make_photo()))
        (key,) = [key for key in page.choices if key.startswith('run:')]
        assert len(fill(page, tmp_path / 'photo.png', painting_of(make_hole()), [key])[-1][3]) == 1

    @pytest.mark.parametrize('kind', ['turned jpeg', 'two views', 'rgba', 'grey', '16 bits', 'webp', 'tiff'])
    def test_known_pixels_of_every_kind_of_photograph(self, page, kind, tmp_path):
        path, hole = tmp_path / 'photo', make_hole()
        exif = Image.Exif()
        if kind == 'turned jpeg':
            exif[0x0112] = 6
            Image.fromarray(np.rot90(make_photo()).copy()).save(path, 'JPEG', exif=exif)
        elif kind == 'two views':
            views = [Image.fromarray(make_photo(seed=seed)) for seed in (0, 1)]
            views[0].save(path, 'MPO', save_all=True, append_images=views[1:])
        elif kind == '16 bits':
            pixels = make_photo((90, 120)).astype(np.uint16) * 257 + 1
            Image.fromarray(pixels).save(path, 'PNG', icc_profile=b'a profile')
        else:
            shape = dict(rgba=(90, 120, 4), grey=(90, 120)).get(kind, (90, 120, 3))
            pixels = make_photo(shape)
            if kind == 'rgba':
                # nothing that is more transparent than opaque, as that would be filled
                pixels[..., 3] |= 128
            Image.fromarray(pixels).save(path, kind.upper() if kind in ('webp', 'tiff') else 'PNG')
        photo = read_photo(path)
        _, editor, status = page.show(file_data(path))
        assert editor['background'].size == hole.shape[::-1] and '120 × 90 pixels' in status
        answer = read_photo(fill(page, path, painting_of(hole))[-1][3][0])
        assert answer.pixels.dtype == photo.pixels.dtype and answer.orientation == photo.orientation
        assert answer.info.get('icc_profile') == photo.info.get('icc_profile')
        assert editor['background'].info.get('icc_profile') == photo.info.get('icc_profile')
        np.testing.assert_array_equal(answer.pixels[~hole], photo.pixels[~hole])
        assert (answer.pixels[hole] != photo.pixels[hole]).any()
        if photo.alpha is not None:
            assert photo.alpha.all()
            np.testing.assert_array_equal(answer.alpha, photo.alpha)

    def test_a_painting_on_a_smaller_view_is_brought_to_the_size_of_the_photograph(self, page, tmp_path, monkeypatch):
        monkeypatch.setattr('cainet_mm.page.photos.VIEW_SIDE', 120)
        photo = make_photo((360, 480, 3))
        (tmp_path / 'photo.png').write_bytes(png(photo))
        assert page.show(file_data(tmp_path / 'photo.png'))[1]['background'].size == (120, 90)
        hole = np.kron(make_hole(), np.ones((4, 4), bool))
        _, _, pictures, (file,), _ = fill(page, tmp_path / 'photo.png', painting_of(make_hole()))[-1]
        answer = np.asarray(Image.open(file))
        np.testing.assert_array_equal(answer[~hole], photo[~hole])
        assert (answer[hole] != photo[hole]).any(axis=1).mean() > 0.9
        assert pictures[1][0].size == (120, 90)

    def test_a_mask_from_a_file_joins_what_is_painted_and_is_saved_as_it_is_filled(self, page, tmp_path):
        photo, painted, masked = make_photo(), make_hole(), np.zeros((90, 120), bool)
        masked[60:70, 10:20] = True
        path, file = tmp_path / 'photo.png', tmp_path / 'mask.png'
        path.write_bytes(png(photo))
        layer = keep_layer(path, painting_of(painted)['layers'][0])
        painting = dict(background=None, layers=[file_data(layer)], composite=None)

        def saved(*options):
            status, kept = page.save_mask(file_data(path), painting, *options)
            return status, np.asarray(Image.open(kept))

        for given, invert in ((masked, False), (~masked, True)):
            file.write_bytes(png(np.uint8(255 * given)))
            status, hole = saved(file_data(file), invert, 0)
            assert (hole == (painted | masked)).all() and status.startswith(f'{(painted | masked).mean():.1%} of')
        # by three pixels to each side, less the corners of what is round
        _, hole = saved(None, False, 3)
        assert hole[27:53, 40:75].all() and hole[30:50, 37:78].all() and not hole[27, 37]
        assert hole.sum() < 26 * 41
        file.write_bytes(png(np.uint8(255 * masked)))
        said = page.fill(
            file_data(path), painting, ['telea'], False, SESSION, lambda *_, **__: None, file_data(file), False, 0
        )
        *_, (_, _, _, (filled,), _) = said
        changed = (np.asarray(Image.open(filled)) != photo).any(axis=2)
        assert changed[masked].any() and changed[painted].any() and not changed[~(painted | masked)].any()

    @pytest.mark.parametrize(
        'mask, grown, sentence',
        [
            (png(np.zeros((90, 119), np.uint8)), 0, 'The mask has 119x90 pixels'),
            (png(np.arange(10800, dtype=np.uint8).reshape(90, 120)), 0, 'The mask'),
            (b'no image', 0, 'The mask is no image that can be read'),
            (None, 101, 'A hole grows by 0 to 100'),
            (None, True, 'A hole grows by 0 to 100'),
            (None, '3', 'A hole grows by 0 to 100'),
        ],
    )
    def test_masks_that_cannot_be_used(self, page, tmp_path, mask, grown, sentence):
        path = tmp_path / 'photo.png'
        path.write_bytes(png(make_photo()))
        painting = dict(background=None, layers=[file_data(keep_layer(path, painting_of(make_hole())['layers'][0]))])
        if mask is not None:
            (tmp_path / 'mask.png').write_bytes(mask)
        given = None if mask is None else file_data(tmp_path / 'mask.png')
        status, kept = page.save_mask(file_data(path), painting, given, False, grown)
        assert sentence in status and kept is None
        assert page.save_mask(file_data(path), painting, file_data(tmp_path / 'gone'), False, 0)[1] is None

    @pytest.mark.parametrize('painted', [True, False])
    def test_what_is_transparent_is_filled_too_and_opaque_then(self, page, tmp_path, painted):
        photo = make_photo((90, 120, 4))
        photo[..., 3] |= 128
        photo[60:80, 20:40] = (255, 0, 0, 0)
        (tmp_path / 'photo.png').write_bytes(png(photo))
        hole = make_hole() & painted
        answer = np.asarray(Image.open(fill(page, tmp_path / 'photo.png', painting_of(hole))[-1][3][0]))
        hole[60:80, 20:40] = True
        np.testing.assert_array_equal(answer[~hole], photo[~hole])
        assert (answer[60:80, 20:40, 3] == 255).all()
        assert (answer[60:80, 20:40, :3] != (255, 0, 0)).any(axis=2).all()

    def test_a_soft_edge_of_transparency_is_filled_as_inpaint_fills_it(self, page, tmp_path):
        photo = make_photo((90, 120, 4))
        photo[..., 3] = 255
        photo[60:80, 20:40, 3] = np.linspace(0, 255, 20).round()
        (tmp_path / 'photo.png').write_bytes(png(photo))
        (file,) = fill(page, tmp_path / 'photo.png', None)[-1][3]
        answer = np.asarray(Image.open(file))
        np.testing.assert_array_equal(answer, inpaint(photo, model=page.workbench.load(page.choices['telea'])))
        assert set(np.unique(answer[..., 3])) == {255, *photo[60, 30:40, 3]}

    def test_through_the_server(self, page, client):
        photo, hole = make_photo(), make_hole()
        join(client, page, page.list_models, [])
        listed = outcome_of(client)['output']['data'][0]
        assert [key for _, key in listed['choices']] == list(page.choices)
        wanted = order(client, page)
        join(client, page, page.show, wanted[:1])
        _, editor, _ = outcome_of(client)['output']['data']
        view = client.get(editor['background']['url'])
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(view.content))), photo)
        join(client, page, page.fill, wanted)
        (file,) = outcome_of(client)['output']['data'][3]
        answer = np.asarray(Image.open(io.BytesIO(client.get(file['url']).content)))
        np.testing.assert_array_equal(answer[~hole], photo[~hole])
        assert (answer[hole] != photo[hole]).any()


def bomb(width, height):
    """A PNG of few bytes and many pixels."""
    rows = zlib.compressobj(9)
    packed = b''.join(rows.compress(bytes(1 + (width + 7) // 8)) for _ in range(height)) + rows.flush()
    header = width.to_bytes(4, 'big') + height.to_bytes(4, 'big') + bytes([1, 0, 0, 0, 0])

    def chunk(kind, data):
        return len(data).to_bytes(4, 'big') + kind + data + zlib.crc32(kind + data).to_bytes(4, 'big')

    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', packed) + chunk(b'IEND', b'')


def gif():
    content = io.BytesIO()
    Image.fromarray(make_photo((90, 120))).save(content, 'GIF')
    return content.getvalue()


class TestRefusals:
    @pytest.mark.parametrize(
        ('content', 'sentence'),
        [
            (b'', 'is no image'),
            (b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n', 'is no image'),
            (gif(), 'is no image'),
            (png(make_photo((15, 40, 3))), '40x15 pixels .* each side may have 16 to 16384'),
            (bomb(17000, 16), '17000x16 pixels .* each side'),
            (bomb(600, 501), '600x501 pixels .* 0.3 megapixels; up to 0.3 are accepted'),
            (bomb(16000, 16000), 'megapixels|too large'),
            (png(make_photo())[:2000], 'cannot be read'),
            (png(make_photo()) + bytes(2_000_000), '2.0 megabytes; up to 2 are accepted'),
        ],
        ids=['empty', 'postscript', 'gif', 'tiny', 'long', 'large', 'bomb', 'cut', 'heavy'],
    )
    def test_photographs_that_cannot_be_used(self, page, tmp_path, content, sentence):
        (tmp_path / 'photo').write_bytes(content)
        visible, editor, status = page.show(file_data(tmp_path / 'photo'))
        assert re.search(sentence, status) and editor is None and visible['visible'] == 'hidden'
        (said,) = fill(page, tmp_path / 'photo', painting_of(make_hole()))
        assert said[0] == status and not any(said[2:])

    def test_a_photograph_that_is_absent_or_was_deleted(self, page, tmp_path):
        assert page.show(None)[2] == fill(page, None, None)[0][0] == 'Choose a photograph first.'
        assert 'choose it again' in fill(page, tmp_path / 'gone.png', None)[0][0]

    def test_a_bomb_is_refused_before_it_is_unpacked(self, page, tmp_path):
        (tmp_path / 'photo').write_bytes(bomb(16000, 12000))
        tracemalloc.start()
        assert 'too large' in page.show(file_data(tmp_path / 'photo'))[2]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4e6

    def test_what_is_longer_than_any_photograph_is_not_read(self, client, sent):
        before = files_in(sent)
        files = {'files': ('photo.png', bytes(20_000_000))}
        assert client.post('/gradio_api/upload', files=files).status_code == 413
        chunks = client.post('/gradio_api/upload', content=(bytes(10) for _ in range(3)))
        assert chunks.status_code == 413 and 'has to say how many' in chunks.text
        assert files_in(sent) == before

    @pytest.mark.parametrize(
        ('painting', 'sentence'),
        [
            (painting_of(np.zeros((90, 120), bool)), 'Nothing is painted'),
            (painting_of(np.ones((90, 120), bool)), 'Everything is painted'),
            (dict(background=None, layers=[], composite=None), 'Nothing is painted'),
            (None, 'Nothing is painted'),
        ],
        ids=['empty', 'full', 'no layer', 'absent'],
    )
    def test_paintings_that_cannot_be_used(self, page, tmp_path, painting, sentence):
        (tmp_path / 'photo.png').write_bytes(png(make_photo()))
        assert sentence in fill(page, tmp_path / 'photo.png', painting)[0][0]

    @pytest.mark.parametrize(
        ('layers', 'sentence'),
        [
            ([bomb(12000, 12000)], '12000x12000 pixels .* accepted are 120x90'),
            ([png(np.zeros((180, 240, 4), np.uint8))], '240x180 pixels .* or fewer in the same shape'),
            ([png(np.zeros((90, 90, 4), np.uint8))], '90x90 pixels .* in the same shape'),
            ([png(np.zeros((90, 118, 4), np.uint8))], '118x90 pixels .* in the same shape'),
            ([png(np.zeros((90, 120, 3), np.uint8))], 'mode RGB, without transparency'),
            ([png(np.zeros((90, 120), np.uint8))], 'mode L, without transparency'),
            ([png(make_photo((90, 120, 4)))[:9000]], 'painted cannot be read'),
            ([b'secret'], 'painted is no image that can be read; accepted are PNG[.]'),
            ([gif()], 'painted is no image that can be read; accepted are PNG[.]'),
            ([png(np.zeros((90, 120, 4), np.uint8))] * 5, '5 layers; up to 4'),
        ],
        ids=['bomb', 'large', 'square', 'narrow', 'opaque', 'grey', 'cut', 'text', 'gif', 'many'],
    )
    def test_paintings_of_other_kinds_and_shapes_are_refused_and_not_stretched(self, page, tmp_path, layers, sentence):
        (tmp_path / 'photo.png').write_bytes(png(make_photo()))
        (said,) = fill(page, tmp_path / 'photo.png', dict(layers=layers))
        assert re.search(sentence, said[0]) and not any(said[2:]) and str(tmp_path) not in said[0]

    def test_a_painting_that_was_deleted_is_asked_for_again(self, page, tmp_path):
        (tmp_path / 'photo.png').write_bytes(png(make_photo()))
        painting = dict(layers=[file_data(tmp_path / 'gone.png')])
        (said,) = page.fill(file_data(tmp_path / 'photo.png'), painting, ['telea'], False, SESSION)
        assert 'was deleted; fill again' in said[0] and str(tmp_path) not in said[0]

    @pytest.mark.parametrize('shape', [(16, 4000), (333, 1000), (1000, 999), (90, 121)])
    def test_a_painting_on_the_view_fits_whatever_side_was_rounded(self, shape, tmp_path, monkeypatch):
        monkeypatch.setattr('cainet_mm.page.photos.VIEW_SIDE', 120)
        photo = Photo(np.zeros((*shape, 3), np.uint8))
        view = view_of(photo, photo.pixels)
        layer = np.zeros((view.height, view.width, 4), np.uint8)
        layer[:, : view.width // 2] = 255
        assert 0.4 < hole_of(photo, [str(keep_layer(tmp_path / 'photo', layer))]).mean() < 0.6

    def test_a_painting_that_is_a_bomb_is_refused_before_anything_unpacks_it(self, page, client, monkeypatch):
        wanted = order(client, page)
        for key in ('layers', 'background', 'composite'):
            file = file_data(upload(client, bomb(8000, 8000), 'bomb.png'))
            wanted[1] = dict(wanted[1], **{key: [file] if key == 'layers' else file})
        unpacked = []
        load = ImageFile.ImageFile.load

        def noted(image):
            unpacked.append(image.size)
            return load(image)

        monkeypatch.setattr(ImageFile.ImageFile, 'load', noted)
        join(client, page, page.fill, wanted)
        outcome = outcome_of(client)
        assert outcome['success'] and '8000x8000 pixels' in outcome['output']['data'][0]
        assert set(unpacked) == {(120, 90)}

    @pytest.mark.parametrize('models', [(), ('file:/etc/passwd',), ('telea', 'unknown')])
    def test_only_models_of_the_list_are_used(self, page, tmp_path, models):
        (tmp_path / 'photo.png').write_bytes(png(make_photo()))
        assert 'Choose one or more' in fill(page, tmp_path / 'photo.png', painting_of(make_hole()), models)[0][0]


# how a request may name a file outside of the folder of uploads
SPELLINGS = {
    'path': lambda outside, sent, own: file_data(outside),
    'text': lambda outside, sent, own: file_data(outside),
    'path with the address of an upload': lambda outside, sent, own: dict(
        file_data(outside), url=f'{OWN}/gradio_api/file={own}', orig_name='holiday.png'
    ),
    'stream': lambda outside, sent, own: dict(file_data(outside), is_stream=True),
    'dots': lambda outside, sent, own: file_data(f'{sent}/{os.path.relpath(outside, sent)}'),
    'relative': lambda outside, sent, own: file_data(os.path.relpath(outside)),
    'file address': lambda outside, sent, own: file_data(f'file://{outside}'),
    'address': lambda outside, sent, own: file_data('http://a.example/photo.png'),
    'data address': lambda outside, sent, own: file_data(
        f'data:image/png;base64,{base64.b64encode(outside.read_bytes()).decode()}'
    ),
    'without meta': lambda outside, sent, own: dict(path=str(outside)),
}


class TestSenders:
    def test_other_names_and_other_pages_are_refused(self, client):
        assert client.get('/', headers={'Host': 'localhost:7860'}).status_code == 200
        for host in ('evil.example:7860', 'localhost.evil.example', '[bad'):
            assert client.get('/', headers={'Host': host}).status_code == 403
        files = {'files': ('photo.png', b'')}
        for origin in ('http://evil.example', 'http://localhost:1', 'null'):
            refused = client.post('/gradio_api/upload', files=files, headers={'Origin': origin})
            assert refused.status_code == 403 and 'Access-Control-Allow-Origin' not in refused.headers
        assert client.post('/gradio_api/upload', files=files, headers={'Origin': OWN}).status_code == 200

    @pytest.mark.usefixtures('sent')
    def test_a_page_for_everybody_answers_under_any_name_and_still_to_itself_alone(self):
        client = TestClient(application(Page(Workbench())), 'http://machine.example')
        assert client.get('/').status_code == 200
        assert client.get('/', headers={'Origin': 'http://evil.example'}).status_code == 403

    @pytest.mark.usefixtures('sent')
    @pytest.mark.parametrize('path', ['/inpaint', ''], ids=['path kept', 'path cut off'])
    @pytest.mark.parametrize(
        'sends',
        [
            {'Host': 'lab.example'},
            {'Host': 'localhost:7860', 'X-Forwarded-Host': 'lab.example'},
        ],
        ids=lambda sends: ' '.join(sends),
    )
    def test_a_proxy_shows_the_page_to_itself_alone(self, path, sends):
        page = Page(Workbench())
        guard = application(page, ['localhost'], ['lab.example'], '/inpaint')
        proxy = dict(sends, **{'X-Forwarded-Proto': 'https'})
        with TestClient(guard, OWN, headers=proxy, follow_redirects=False) as client:
            answer = client.get(f'{path}/')
            assert answer.status_code == 200
            assert re.search(r'"root":\s*"([^"]*)"', answer.text)[1] == 'https://lab.example/inpaint'
            assert client.get(f'{path}/theme.css').status_code == 200
            files = {'files': ('photo.png', b'photo')}
            own = {'Origin': 'https://lab.example'}
            (sent,) = client.post(f'{path}/gradio_api/upload', files=files, headers=own).json()
            assert client.get(f'{path}/gradio_api/file={sent}').content == b'photo'
            for origin in ('https://evil.example', 'https://lab.example:1', 'https://lab.example.evil.example', 'null'):
                refused = client.post(f'{path}/gradio_api/upload', files=files, headers={'Origin': origin})
                assert refused.status_code == 403
            for name in ('Host', 'X-Forwarded-Host'):
                assert client.get(f'{path}/', headers={name: 'evil.example'}).status_code == 403
            for hidden in ('/gradio_api/info', f'/gradio_api/file={ROOT}/README.md', '/inpainting/'):
                assert client.get(f'{path}{hidden}').status_code == 404

    @pytest.mark.usefixtures('sent')
    def test_the_path_of_a_proxy_ends_in_a_slash(self):
        guard = application(Page(Workbench()), ['localhost'], [], '/inpaint')
        answer = TestClient(guard, OWN, follow_redirects=False).get('/inpaint')
        assert (answer.status_code, answer.headers['Location']) == (307, '/inpaint/')

    def test_the_browser_is_told_to_ask_no_other_host(self, client):
        for path in ('/', '/theme.css', '/absent'):
            response = client.get(path)
            assert (response.status_code == 404) == (path == '/absent')
            policy = response.headers['Content-Security-Policy']
            assert "default-src 'self'" in policy and '//' not in policy and '*' not in policy
            assert response.headers['Cache-Control'] == 'no-store'
        assert not re.search(r'(?:src|href)="(?:https?:)?//(?!localhost/)', client.get('/').text)
        assert not re.search(r'@import|url\(["\']?(?:https?:)?//', client.get('/theme.css').text)

    def test_the_server_offers_programs_nothing_and_sends_no_files_but_its_own(self, client, sent, tmp_path):
        info = re.search(r'gradio_api_info = (.*?);</script>', client.get('/').text)[1]
        assert json.loads(info) == dict(named_endpoints={}, unnamed_endpoints={})
        (tmp_path / 'other.txt').write_text('')
        own = upload(client, b'own')
        assert client.get(f'/gradio_api/file={own}').content == b'own'
        files = (f'{tmp_path}/other.txt', f'{sent}/../other.txt', f'{ROOT}/README.md', 'http://a.example/')
        others = (
            'info',
            'openapi.json',
            'app_id',
            'queue/status',
            'vibe-code',
            'deep_link',
            'mcp',
            'proxy=http://a.example',
        )
        paths = [f'/gradio_api/{name}' for name in (*others, *(f'file={file}' for file in files))]
        for path in (*paths, '/config', '/docs', '/openapi.json', '/monitoring/summary', '/login'):
            assert client.get(path, follow_redirects=False).status_code == 404, path
        for path in ('run/fill', 'call/fill', 'api/fill', 'component_server', 'vibe-edit', 'process_recording'):
            assert client.post(f'/gradio_api/{path}', json={}).status_code == 404, path

    @pytest.mark.parametrize('part', ['photo', 'layer', 'background', 'composite'])
    @pytest.mark.parametrize('spelling', SPELLINGS)
    def test_no_file_of_this_computer_is_read_copied_or_named_but_those_that_were_uploaded(
        self, defended, sent, tmp_path, spelling, part
    ):
        page, client, guarded = defended
        outside = tmp_path / 'outside.png'
        outside.write_bytes(b'secret words' if spelling == 'text' else png(make_photo((90, 120, 4), seed=7)))
        photo, painting, *rest = order(client, page)
        file = SPELLINGS[spelling](outside, sent, photo['path'])
        before = files_in(sent)
        if part == 'photo':
            asked = [(page.show, [file]), (page.fill, [file, painting, *rest])]
        else:
            painting[part + 's' * (part == 'layer')] = [file] if part == 'layer' else file
            asked = [(page.fill, [photo, painting, *rest])]
        for function, data in asked:
            answer = join(client, page, function, data)
            assert answer.status_code == (400 if guarded else 200)
            outcome = dict(said=answer.text) if guarded else outcome_of(client)
            assert not outcome.get('success')
            assert not any(word in json.dumps(outcome) for word in (str(tmp_path), str(sent), 'secret'))
        assert files_in(sent) == before

    def test_a_path_is_found_however_a_request_hides_it(self, page, client, tmp_path):
        outside, own = tmp_path / 'outside.png', upload(client, png(make_photo()))
        outside.write_bytes(png(make_photo(seed=7)))
        hidden = (
            # where a look for files stops at the first
            dict(path=own, layers=[file_data(outside)]),
            dict(file_data(own), path=[str(outside)]),
            dict(layers=[dict(deep=[[file_data(outside)]])]),
        )
        for painting in hidden:
            assert join(client, page, page.fill, [file_data(own), painting, ['telea'], False]).status_code == 400
        bodies = (b'', b'no json', b'[' * 100_000, json.dumps(dict(path=str(outside))).encode('utf-16'))
        for body in bodies:
            assert client.post(guard.JOIN, content=body).status_code == 400
        assert client.post(guard.JOIN, content=bytes(guard.ORDER + 1)).status_code == 413
        chunked = {'Transfer-Encoding': 'chunked', 'Content-Length': '2'}
        for path in (guard.UPLOAD, guard.JOIN):
            assert client.post(path, content=b'{}', headers=chunked).status_code == 413

    def test_what_was_uploaded_is_shown(self, page, client):
        path = upload(client, png(make_photo()))
        for file in (file_data(path), dict(file_data(path), url='http://a.example/photo.png', is_stream=True)):
            join(client, page, page.show, [file])
            _, editor, status = outcome_of(client)['output']['data']
            assert '120 × 90 pixels' in status
            view = client.get(editor['background']['url']).content
            np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(view))), make_photo())

    def test_an_error_that_nobody_foresaw_does_not_name_files_of_this_computer(self, page, client, sent, monkeypatch):
        def fail(*_):
            raise OSError(f'{sent}/photo.png is broken')

        monkeypatch.setattr(app, 'read_upload', fail)
        join(client, page, page.show, [file_data(upload(client, b'own'))])
        outcome = outcome_of(client)
        assert not outcome['success'] and str(sent) not in json.dumps(outcome)

    @pytest.mark.parametrize(
        ('host', 'loopback'),
        [
            ('127.0.0.1', True),
            ('localhost', True),
            ('::1', True),
            ('0.0.0.0', False),
            ('10.0.0.1', False),
            ('::', False),
        ],
    )
    def test_loopback(self, host, loopback):
        assert is_loopback(host) == loopback


class SlowModel:
    """Fills with grey, and notes how many do so at once; `gate` lets it."""

    training = False
    cfg = Config(dict(image_size=32))

    def __init__(self):
        self.gate = threading.Semaphore(0)
        self.active, self.most, self.steps = 0, 0, 0

    def test_step(self, data):
        self.active += 1
        self.most = max(self.most, self.active)
        assert self.gate.acquire(timeout=20)
        self.steps += 1
        self.active -= 1
        output = type('Output', (), dict(fake_res=torch.full((3, 32, 32), 9.0)))
        return [type('Sample', (), dict(output=output)) for _ in data['inputs']]


class TestWork:
    @pytest.fixture
    def slow(self, page, monkeypatch):
        page.workbench.models.clear()
        model = SlowModel()
        monkeypatch.setattr(work, 'load_choice', lambda choice, device: model)
        yield model
        page.workbench.models.clear()

    @pytest.mark.parametrize('stopped', ['before', 'while', None])
    def test_who_stops_or_closes_the_page_stops_the_work_at_the_next_batch_of_windows(
        self, page, slow, tmp_path, stopped
    ):
        (tmp_path / 'photo.png').write_bytes(png(make_photo((200, 200, 3))))
        hole = np.zeros((200, 200), bool)
        # far from each other, so that each has windows of its own
        hole[10::40, 10::40] = True
        page.begin(SESSION)
        if stopped == 'before':
            page.end(SESSION)
        said = []
        keys = ['telea', 'navier_stokes']
        thread = threading.Thread(
            target=lambda: said.extend(fill(page, tmp_path / 'photo.png', painting_of(hole), keys))
        )
        thread.start()
        if stopped != 'before':
            wait_for(lambda: slow.active)
        if stopped == 'while':
            page.end(SimpleNamespace(session_hash='another'))
            page.end(SESSION)
        slow.gate.release(1000)
        thread.join()
        assert slow.steps == dict(before=0).get(stopped, 1) if stopped else slow.steps > 4
        assert said[-1][0].startswith('Stopped.' if stopped else 'Done')
        assert not page.stops

    def test_one_computation_at_a_time_and_too_many_are_refused(self, page, client, slow):
        sessions = [f'session {number}' for number in range(app.WAITING + 2)]
        wanted = order(client, page, sessions)
        join(client, page, page.fill, wanted, sessions[0])
        wait_for(lambda: slow.active, 10)
        statuses = [join(client, page, page.fill, wanted, session).status_code for session in sessions[1:]]
        assert statuses == [200] * app.WAITING + [503]
        slow.gate.release(100)
        assert all(outcome_of(client, session)['success'] for session in sessions[:-1])
        assert slow.most == 1 and slow.steps == app.WAITING + 1

    def test_files_are_deleted_after_a_while(self, tmp_path, monkeypatch):
        monkeypatch.setattr(guard, 'CLEANING', (0.2, 2))
        monkeypatch.setenv('GRADIO_TEMP_DIR', str(tmp_path))
        page = Page(Workbench())
        with TestClient(application(page), OWN) as client:
            wanted = order(client, page)
            join(client, page, page.show, wanted[:1])
            assert outcome_of(client)['success']
            join(client, page, page.fill, wanted)
            # photograph, layer, view, input, result to look at and result
            wait_for(lambda: len(files_in(tmp_path)) >= 6, 10)
            wait_for(lambda: not files_in(tmp_path), 10)

    def test_uploads_have_a_bound_in_total_and_the_oldest_make_room(self, page, client, sent, monkeypatch):
        monkeypatch.setattr(guard, 'KEPT', 2)
        for path in files_in(sent):
            path.unlink()
        room, paths = 2 * (server.ROOM + server.ENVELOPE), []
        for number in range(4):
            paths.append(upload(client, bytes([number]) * 15_000_000))
            # whose clocks are coarse
            os.utime(paths[-1], (time.time() - 100 + number,) * 2)
            assert sum(path.stat().st_size for path in files_in(sent)) <= room
        assert [os.path.exists(path) for path in paths] == [False, False, True, True]
        join(client, page, page.show, [file_data(paths[0])])
        assert 'choose it again' in outcome_of(client)['output']['data'][2]

    def test_uploads_at_once_have_the_bound_together(self, tmp_path):
        guarded, answers = guard.Guard(None, str(tmp_path), 1000), []

        async def nest(scope, receive, send):
            await ask()

        async def ask():
            headers = [(b'host', b'localhost'), (b'content-length', b'1000')]
            scope = dict(type='http', method='POST', path=guard.UPLOAD, headers=headers)

            async def send(message):
                answers.extend([message['status']] if 'status' in message else [])

            await guarded(scope, None, send)

        guarded.app = nest
        asyncio.run(ask())
        assert answers == [503] and guarded.coming == 0

    def test_results_stay_as_long_as_there_is_room_and_the_newest_longest(self, tmp_path):
        for number in range(5):
            path = tmp_path / f'folder-{number}' / 'file'
            path.parent.mkdir()
            path.write_bytes(bytes(100))
            os.utime(path, (time.time() - 10 + number,) * 2)
        guard.delete_files(tmp_path, 8.5, 1000)
        assert {path.parent.name for path in files_in(tmp_path)} == {'folder-2', 'folder-3', 'folder-4'}
        guard.delete_files(tmp_path, 3600, 250)
        assert {path.parent.name for path in files_in(tmp_path)} == {'folder-3', 'folder-4'}

    def test_a_result_that_had_to_make_room_is_left_out_of_the_list(self, page, tmp_path, monkeypatch):
        (tmp_path / 'photo.png').write_bytes(png(make_photo()))

        def keep_the_last_alone(content, name):
            for path in tmp_path.glob('result-*'):
                path.unlink()
            (tmp_path / f'result-{name}').write_bytes(content)
            return str(tmp_path / f'result-{name}')

        monkeypatch.setattr(page, 'keep', keep_the_last_alone)
        said = fill(page, tmp_path / 'photo.png', painting_of(make_hole()), ['telea', 'navier_stokes'])
        assert [os.path.basename(path) for path in said[-1][3]] == ['result-photo-Navier–Stokes']

    def test_only_the_models_used_last_stay_loaded(self, monkeypatch):
        monkeypatch.setattr(work, 'load_choice', lambda choice, device: object())
        bench = Workbench()
        choices = [work.Choice(str(number), '', '') for number in range(work.LOADED + 1)]
        first = bench.load(choices[0])
        for choice in choices[1:-1]:
            bench.load(choice)
        assert bench.load(choices[0]) is first
        bench.load(choices[-1])
        assert set(bench.models) == {'0', *(str(number) for number in range(2, work.LOADED + 1))}


@pytest.fixture
def demo(monkeypatch, capsys, tmp_path):
    """Runs the tool up to where it would serve; returns its status, what it said, and what it would serve."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT / 'tools')
    spec = importlib.util.spec_from_file_location('tool_demo', ROOT / 'tools/demo.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    monkeypatch.setattr(tool.signal, 'signal', lambda number, handler: None)
    # set by the tool, and as they were when the test is over
    monkeypatch.setattr(tempfile, 'tempdir', None)
    for name in ('GRADIO_TEMP_DIR', 'GRADIO_ANALYTICS_ENABLED'):
        monkeypatch.setenv(name, 'True')

    def call(*arguments, root=''):
        served = []

        def note(page, hosts, proxies, root_path, api):
            assert root_path == root and api == ('--api' in arguments)
            served.append((page, [*hosts, *proxies] if proxies else hosts))

        def serve(noted, listener):
            assert os.environ['GRADIO_ANALYTICS_ENABLED'] == 'False'
            assert os.path.isdir(os.environ['GRADIO_TEMP_DIR'])
            served.append(listener.getsockname())
            listener.close()

        monkeypatch.setattr('cainet_mm.page.application', note)
        monkeypatch.setattr('cainet_mm.page.serve', serve)
        monkeypatch.setattr(sys, 'argv', ['demo.py', '--port', '0', *map(str, arguments)])
        try:
            status = tool.main()
        except SystemExit as stopped:
            status = stopped.code
        return status, capsys.readouterr(), served

    return call


class TestTool:
    def test_it_listens_on_the_loopback_address_with_the_classical_methods(self, demo):
        status, said, ((page, hosts), address) = demo()
        assert status == 0 and not said.err
        assert address[0] == '127.0.0.1' and f'http://127.0.0.1:{address[1]} ' in said.out
        assert set(page.choices) == {'telea', 'navier_stokes'}
        assert set(hosts) == {'localhost', '127.0.0.1', '::1'}
        assert not os.path.exists(os.environ['GRADIO_TEMP_DIR'])

    def test_it_finds_work_dirs_and_takes_limits(self, demo, folder, tmp_path):
        (tmp_path / 'work_dirs').symlink_to(folder)
        _, _, ((page, _), _) = demo('--max-megapixels', 2, '--max-upload-mb', 3, '--api')
        assert any(choice.title == 'run' for choice in page.choices.values())
        assert page.limits == Limits(2, 3)

    def test_another_address_comes_with_a_warning(self, demo):
        _, said, ((_, hosts), address) = demo('--host', '0.0.0.0')
        assert address[0] == '0.0.0.0'
        assert said.err.startswith('Warning: whoever reaches 0.0.0.0') and said.err.count('\n') == 1
        assert hosts is None

    @pytest.mark.parametrize('host', ['127.0.0.1', '0.0.0.0'])
    def test_a_proxy_has_a_name_and_a_path(self, demo, host):
        arguments = ('--host', host, '--root-path', '/inpaint/', '--allowed-host', 'lab.example')
        status, said, ((_, hosts), _) = demo(*arguments, root='/inpaint')
        assert status == 0 and {*hosts} == {'localhost', '127.0.0.1', '::1', host, 'lab.example'}
        assert said.err.startswith('Warning') == (host == '0.0.0.0')

    @pytest.mark.parametrize(
        ('arguments', 'sentence'),
        [
            (('--models', 'absent'), "'absent' is no model"),
            (('--host', '192.0.2.1'), 'cannot listen on 192.0.2.1'),
            (('--root-path', 'inpaint'), "such as /inpaint, got 'inpaint'"),
            (('--port', 70000), 'cannot listen on 127.0.0.1, port 70000'),
            (('--device', 'abacus'), 'The device abacus cannot be used'),
        ],
        ids=lambda value: value if isinstance(value, str) else value[0],
    )
    def test_bad_arguments_get_a_sentence(self, demo, arguments, sentence):
        status, said, served = demo(*arguments)
        assert status == 2 and sentence in said.err and 'Traceback' not in said.err and not served


@pytest.fixture(scope='module')
def running(folder, tmp_path_factory):
    """The tool in a process of its own: its address, the process, and the folders that it might write to."""
    empty = tmp_path_factory.mktemp('empty')
    places = [empty / name for name in ('cwd', 'tmp', 'home')]
    for place in places:
        place.mkdir()
    environment = dict(os.environ, PYTHONPATH=str(ROOT), TMPDIR=str(places[1]), HOME=str(places[2]))
    # the list of fonts that matplotlib makes at its first import
    environment['MPLCONFIGDIR'] = str(empty / 'matplotlib')
    (published,) = (folder / 'shared').glob('cainet-*.pth')
    command = [sys.executable, str(ROOT / 'tools/demo.py'), '--port', '0', '--models', str(published)]
    process = subprocess.Popen(
        command, cwd=places[0], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines = []
    for line in process.stdout:
        lines.append(line)
        if found := re.search(r'http://127\.0\.0\.1:\d+', line):
            break
    else:
        pytest.fail(''.join(lines))
    # what libraries note at their start is none of the page's
    yield found[0], process, places, set(places[2].rglob('*'))
    process.kill()
    process.wait()


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, 'nothing came of it'
        time.sleep(0.05)
    return value


@pytest.mark.slow
class TestBrowser:
    """A photograph is dropped, painted, filled and downloaded; the process that did it leaves nothing behind."""

    def test_photograph_is_painted_filled_and_downloaded(self, running, browser, tmp_path):
        from selenium.webdriver.common.action_chains import ActionChains

        url = running[0]
        photo = make_photo((240, 320, 3))
        (tmp_path / 'holiday.png').write_bytes(png(photo))

        def find(selector):
            return browser.find_element('css selector', selector)

        def status():
            return find('#status textarea').get_property('value')

        def choose(path):
            find('#photo input[type=file]').send_keys(str(path))

        browser.get(url)
        wait_for(lambda: browser.find_elements('css selector', '#models input'))
        (tmp_path / 'text.png').write_text('no image')
        choose(tmp_path / 'text.png')
        wait_for(lambda: 'is no image' in status())
        find('#photo button[aria-label=Clear]').click()
        wait_for(lambda: status() == 'Choose a photograph first.')
        choose(tmp_path / 'holiday.png')
        wait_for(lambda: '320 × 240 pixels' in status())

        def zoom():
            return int(find('#painting').text.partition('%')[0].split()[-1]) / 100

        # the photograph comes to lie in the middle of the canvas, all of which is in the window, as large as is said
        wait_for(lambda: zoom() > 1.5)
        scale = None
        while scale != zoom():
            scale = zoom()
            time.sleep(0.5)
        canvas = find('#painting canvas')
        places = [(60, 60), (200, 80), (220, 190)]
        steps = ActionChains(browser, duration=30)
        offsets = [(round((x - 160) * scale), round((y - 120) * scale)) for x, y in places]
        steps.move_to_element_with_offset(canvas, *offsets[0]).click_and_hold()
        for offset in offsets[1:]:
            steps.move_to_element_with_offset(canvas, *offset)
        steps.release().perform()
        for label in browser.find_elements('css selector', '#models label'):
            box = label.find_element('css selector', 'input')
            if box.is_selected() != ('Telea' in label.text or 'published' in label.text):
                box.click()
        find('#run').click()
        wait_for(lambda: status() == 'Done; the results are below.')
        assert len(browser.find_elements('css selector', '#pictures .thumbnail-lg')) == 3

        line = cv2.polylines(np.full((240, 320), 1, np.uint8), [np.array(places)], False, 0)
        distance = cv2.distanceTransform(line, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        links = browser.find_elements('css selector', '#files a')
        answers = []
        for link, name in zip(links, ('holiday-Telea', 'holiday-cainet'), strict=True):
            path = tmp_path / 'downloads' / link.get_attribute('download')
            assert path.name.startswith(name) and path.suffix == '.png'
            link.click()
            # it gets its name when it is whole
            wait_for(path.is_file)
            answers.append(np.asarray(Image.open(path)))
        changed = [(answer != photo).any(axis=2) for answer in answers]
        # a stroke of one width along the line, and nothing else
        width = distance[changed[0] | changed[1]].max()
        assert 2 < width < 30
        assert all(one[distance < width - 2].mean() > 0.9 for one in changed)
        assert (answers[0] != answers[1]).any()

        messages = [json.loads(entry['message'])['message'] for entry in browser.get_log('performance')]
        asked = [one['params']['request']['url'] for one in messages if one['method'] == 'Network.requestWillBeSent']
        asked = [one for one in asked if not one.startswith(('data:', 'blob:', 'chrome:'))]
        assert any(one.startswith(f'{url}/gradio_api/upload') for one in asked)
        assert [one for one in asked if not one.startswith(f'{url}/')] == []
        answered = [one['params']['response'] for one in messages if one['method'] == 'Network.responseReceived']
        assert [one['url'] for one in answered if one['status'] >= 400] == []
        logged = [entry['message'] for entry in browser.get_log('browser') if entry['level'] == 'SEVERE']
        assert logged == []

    def test_process_is_for_this_computer_alone_and_leaves_nothing_behind(self, running):
        url, process, places, at_start = running
        with pytest.raises(OSError):
            urllib.request.urlopen(url.replace('127.0.0.1', '127.0.0.2'), timeout=5)
        with urllib.request.urlopen(url, timeout=5) as response:
            assert 'Server' not in response.headers
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
        assert process.returncode == 0 and said.splitlines()[-1] == 'The page is closed.'
        # onnxruntime, which diffusers imports where it is installed, leaves a note of its own
        left = [path for place in places[:2] for path in place.iterdir() if path.name != '.ses']
        assert not left
        assert set(places[2].rglob('*')) <= at_start
