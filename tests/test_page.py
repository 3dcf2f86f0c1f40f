"""The page of tools/demo.py: what it offers, what it refuses, what it gives back and what it leaves behind."""

import base64
import importlib.util
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
import urllib.request
import zlib

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT, tiny
from mmengine.config import Config
from PIL import Image

from cainet_mm.apis import inpaint, load_model, publish
from cainet_mm.apis.photo_files import read_photo

pytest.importorskip('werkzeug', reason='the page needs werkzeug')
from werkzeug import formparser  # noqa: E402
from werkzeug.test import Client  # noqa: E402

from cainet_mm.page import Limits, Page, Workbench, find_models, is_loopback, work  # noqa: E402

OWN = 'http://localhost'


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


@pytest.fixture
def page(folder):
    page = Page(Workbench(), [str(folder)], Limits(0.3, 2), hosts=['localhost'])
    yield page
    page.workbench.close()


def png(pixels, **options):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, 'PNG', **options)
    return content.getvalue()


def painting_of(hole):
    layers = np.zeros((*hole.shape, 4), np.uint8)
    layers[hole] = (230, 0, 122, 255)
    return png(layers)


def make_photo(shape=(90, 120, 3), seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return cv2.GaussianBlur(noise, (7, 7), 2).reshape(shape)


def make_hole(shape=(90, 120)):
    hole = np.zeros(shape, bool)
    hole[30:50, 40:75] = True
    return hole


def send(page, photo, painting=None, models=('telea',), path='/fill', headers=None, **more):
    form = dict(photo=(io.BytesIO(photo), 'photo'), models=list(models), **more)
    if painting is not None:
        form['painting'] = (io.BytesIO(painting), 'painting.png')
    return Client(page).post(path, OWN, data=form, headers=headers)


def fill(page, photo, painting, models=('telea',), **more):
    response = send(page, photo, painting, models, **more)
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.data.splitlines()]


def results_of(events):
    return [event for event in events if event['kind'] == 'result']


def image_in(text):
    return Image.open(io.BytesIO(base64.b64decode(text)))


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
        assert 'CAINetInpaintor' in found[f'shared/{published.stem}'].source
        assert not (folder / 'trace').exists()

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

    @pytest.mark.parametrize('source', ['absent', 'absent.py,absent.pth', ','])
    def test_what_is_no_model_is_refused(self, source):
        with pytest.raises(ValueError, match='is no model: accepted are'):
            find_models([source])


class TestFilling:
    def test_each_model_answers_as_inpaint_does_and_known_pixels_are_the_same(self, page, folder):
        photo, hole = make_photo(), make_hole()
        published = next((folder / 'shared').glob('cainet-*.pth'))
        key = f'file:{published}'
        events = fill(page, png(photo), painting_of(hole), ('telea', key))
        assert [event['kind'] for event in events if event['kind'] not in ('filling', 'wait')] == [
            'input',
            'loading',
            'result',
            'loading',
            'result',
            'end',
        ]
        shown = np.asarray(image_in(events[0]['view']))
        np.testing.assert_array_equal(shown, np.where(hole[..., None], 128, photo))
        telea, network = results_of(events)
        for result in (telea, network):
            answer = np.asarray(image_in(result['file']))
            np.testing.assert_array_equal(answer[~hole], photo[~hole])
            np.testing.assert_array_equal(np.asarray(image_in(result['view'])), answer)
        expected = inpaint(photo, hole, model=load_model(None, published))
        np.testing.assert_array_equal(np.asarray(image_in(network['file'])), expected)
        assert (np.asarray(image_in(telea['file']))[hole] != expected[hole]).any()
        assert telea['scales'] == []
        sizes = [image_in(scale).size for scale in network['scales']]
        assert len(sizes) > 1 and len(set(sizes)) == len(sizes) and sizes == sorted(sizes)
        assert max(event.get('windows', 0) for event in events) >= 1

    @pytest.mark.parametrize('name', ['broken-0123abcd', 'text-0123abcd'])
    def test_a_broken_model_has_its_sentence_and_the_others_their_turn(self, page, folder, name):
        photo, hole = png(make_photo()), painting_of(make_hole())
        broken = f'file:{folder}/shared/{name}.pth'
        for _ in range(2):
            events = fill(page, photo, hole, (broken, 'telea'))
            (problem,) = [event for event in events if event['kind'] == 'problem']
            assert problem['key'] == broken and f'{name}.pth' in problem['sentence']
            assert re.search('cannot be (read|loaded)', problem['sentence'])
            assert '\n' not in problem['sentence'] and len(problem['sentence']) < 600
            assert [result['key'] for result in results_of(events)] == ['telea']

    def test_a_training_run_is_loaded_with_its_config(self, page, folder):
        (key,) = [key for key in page.choices if key.startswith('run:')]
        assert results_of(fill(page, png(make_photo()), painting_of(make_hole()), (key,)))

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
            Image.fromarray(make_photo((90, 120)).astype(np.uint16) * 257 + 1).save(path, 'PNG')
        else:
            shape = dict(rgba=(90, 120, 4), grey=(90, 120)).get(kind, (90, 120, 3))
            Image.fromarray(make_photo(shape)).save(path, kind.upper() if kind in ('webp', 'tiff') else 'PNG')
        photo = read_photo(path)
        look = send(page, path.read_bytes(), path='/photo').json
        assert (look['height'], look['width']) == photo.pixels.shape[:2] == hole.shape
        assert image_in(look['view']).size == hole.shape[::-1]
        (result,) = results_of(fill(page, path.read_bytes(), painting_of(hole)))
        (tmp_path / 'result').write_bytes(base64.b64decode(result['file']))
        answer = read_photo(tmp_path / 'result')
        assert answer.pixels.dtype == photo.pixels.dtype and answer.orientation == photo.orientation
        np.testing.assert_array_equal(answer.pixels[~hole], photo.pixels[~hole])
        assert (answer.pixels[hole] != photo.pixels[hole]).any()
        if photo.alpha is not None:
            np.testing.assert_array_equal(answer.alpha, photo.alpha)

    def test_nothing_is_written_to_the_temporary_folder(self, page, monkeypatch):
        def refuse(*args, **kwargs):
            raise AssertionError('a temporary file was made')

        for name in ('SpooledTemporaryFile', 'TemporaryFile'):
            monkeypatch.setattr(formparser, name, refuse, raising=False)
        noise = np.random.default_rng(0).integers(0, 256, (400, 500, 3), np.uint8)
        content = png(noise)
        assert len(content) > 5e5
        hole = make_hole((400, 500))
        assert results_of(fill(page, content, painting_of(hole)))


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
    @pytest.mark.parametrize('path', ['/photo', '/fill'])
    def test_photographs_that_cannot_be_used(self, page, path, content, sentence):
        response = send(page, content, painting_of(make_hole()), path=path)
        assert response.status_code == 400
        assert re.search(sentence, response.json['problem'])

    def test_a_bomb_is_refused_before_it_is_unpacked(self, page):
        content = bomb(16000, 12000)
        tracemalloc.start()
        assert send(page, content, path='/photo').status_code == 400
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4e6

    def test_what_is_longer_than_any_photograph_is_not_read(self, page):
        response = send(page, bytes(8_000_000), path='/photo')
        assert response.status_code == 413 and 'More than 2 megabytes' in response.json['problem']

    @pytest.mark.parametrize(
        ('painting', 'sentence'),
        [
            (painting_of(np.zeros((90, 120), bool)), 'Nothing is painted'),
            (painting_of(np.ones((90, 120), bool)), 'Everything is painted'),
            (painting_of(make_hole((90, 121))), '121x90 pixels .* 120x90'),
            (png(make_photo()), 'an alpha channel'),
            (b'nothing', 'is no image'),
            (None, 'painting is missing'),
        ],
        ids=['empty', 'full', 'size', 'rgb', 'no image', 'absent'],
    )
    def test_paintings_that_cannot_be_used(self, page, painting, sentence):
        response = send(page, png(make_photo()), painting)
        assert response.status_code == 400
        assert re.search(sentence, response.json['problem'])

    @pytest.mark.parametrize('models', [(), ('file:/etc/passwd',), ('telea', 'unknown')])
    def test_only_models_of_the_list_are_used(self, page, models):
        response = send(page, png(make_photo()), painting_of(make_hole()), models)
        assert response.status_code == 400 and 'Choose one or more' in response.json['problem']

    @pytest.mark.parametrize('limits', [(0, 1), (1, -1), (float('nan'), 1)])
    def test_limits_are_above_zero(self, limits):
        with pytest.raises(ValueError, match='above 0'):
            Limits(*limits)


class TestSenders:
    def test_other_names_and_other_pages_are_refused(self, page):
        photo = png(make_photo())
        assert Client(page).get('/', 'http://localhost:7860').status_code == 200
        for host in ('http://evil.example:7860', 'http://localhost.evil.example', 'http://[bad'):
            headers = {'Host': host.removeprefix('http://')}
            assert Client(page).get('/', OWN, headers=headers).status_code == 403
        for origin in ('http://evil.example', 'http://localhost:1', 'null'):
            assert send(page, photo, path='/photo', headers={'Origin': origin}).status_code == 403
        assert send(page, photo, path='/photo', headers={'Origin': OWN}).status_code == 200

    def test_a_page_for_everybody_answers_under_any_name_and_still_to_itself_alone(self):
        page = Page(Workbench())
        assert Client(page).get('/', 'http://machine.example').status_code == 200
        headers = {'Origin': 'http://evil.example', 'Host': 'machine.example'}
        assert send(page, png(make_photo()), path='/photo', headers=headers).status_code == 403

    def test_the_browser_is_told_to_ask_no_other_host(self, page):
        for path in ('/', '/page.css', '/page.js', '/models', '/absent'):
            response = Client(page).get(path, OWN)
            assert (response.status_code == 404) == (path == '/absent')
            policy = response.headers['Content-Security-Policy']
            assert "default-src 'none'" in policy and '//' not in policy and '*' not in policy
            assert response.headers['Cache-Control'] == 'no-store'
            assert not re.search(r'https?:|@import|["\'(]//', response.text)

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


class TestWorkbench:
    @pytest.fixture
    def slow(self, monkeypatch):
        model = SlowModel()
        monkeypatch.setattr(work, 'load_choice', lambda choice, device: model)
        monkeypatch.setattr(work, 'PULSE', 0.02)
        return model

    @staticmethod
    def task():
        pixels = make_photo((200, 200, 3))
        hole = np.zeros((200, 200), bool)
        hole[20:30, 20:30] = hole[150:160, 150:160] = True
        choice = find_models([])['telea']
        return work.Task(work.Photo(pixels), hole, [choice], False)

    def test_one_computation_at_a_time_in_the_order_in_which_they_came(self, slow):
        bench = Workbench()
        tasks = [self.task() for _ in range(3)]
        finished = []

        def listen(task):
            events = list(streams[task])
            assert events[-1]['kind'] == 'end' and results_of(events)
            finished.append(task)

        streams = {task: bench.submit(task) for task in tasks}
        while (event := next(streams[tasks[2]]))['kind'] != 'wait':
            pass
        assert event['ahead'] == 2
        threads = [threading.Thread(target=listen, args=(task,)) for task in tasks]
        for thread in threads:
            thread.start()
        for number in range(1, 4):
            slow.gate.release(2)
            while len(finished) < number:
                time.sleep(0.01)
        assert finished == tasks
        assert slow.most == 1
        bench.close()

    def test_too_many_are_refused_and_those_that_nobody_waits_for_are_not_filled(self, slow):
        bench = Workbench()
        tasks = [self.task() for _ in range(work.WAITING + 1)]
        streams = [bench.submit(task) for task in tasks]
        with pytest.raises(work.BusyError, match='try again'):
            bench.submit(self.task())
        for task in tasks[:-1]:
            task.stop.set()
        slow.gate.release(100)
        events = [list(stream) for stream in streams]
        assert [bool(results_of(one)) for one in events] == [False] * work.WAITING + [True]
        assert not bench.tasks
        bench.close()

    @pytest.mark.parametrize('closed', [True, False])
    def test_a_page_that_is_closed_stops_the_work_at_the_next_batch_of_windows(self, slow, closed):
        page = Page(Workbench())
        hole = np.zeros((200, 200), bool)
        # far from each other, so that each has windows of its own
        hole[10::40, 10::40] = True
        form = dict(
            photo=(io.BytesIO(png(make_photo((200, 200, 3)))), 'photo'),
            painting=(io.BytesIO(painting_of(hole)), 'painting'),
            models=['telea', 'navier_stokes'],
        )
        response = Client(page).post('/fill', OWN, data=form, buffered=False)
        lines = response.iter_encoded()
        while json.loads(next(lines))['kind'] != 'filling':
            pass
        while not slow.active:
            time.sleep(0.01)
        if closed:
            response.close()
        slow.gate.release(1000)
        while page.workbench.tasks:
            time.sleep(0.01)
        assert slow.steps == 1 if closed else slow.steps > 4
        response.close()
        page.workbench.close()

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

    def call(*arguments):
        served = []

        def serve(page, listener):
            served.append((page, listener.getsockname()))
            listener.close()

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
        status, said, ((page, address),) = demo()
        assert status == 0 and not said.err
        assert address[0] == '127.0.0.1' and f'http://127.0.0.1:{address[1]} ' in said.out
        assert set(page.choices) == {'telea', 'navier_stokes'}
        assert Client(page).get('/', 'http://evil.example').status_code == 403

    def test_it_finds_work_dirs_and_takes_limits(self, demo, folder, tmp_path):
        (tmp_path / 'work_dirs').symlink_to(folder)
        _, _, ((page, _),) = demo('--max-megapixels', 2, '--max-upload-mb', 3)
        assert any(choice.title == 'run' for choice in page.choices.values())
        assert page.limits == Limits(2, 3)

    def test_another_address_comes_with_a_warning(self, demo):
        _, said, ((page, address),) = demo('--host', '0.0.0.0')
        assert address[0] == '0.0.0.0'
        assert said.err.startswith('Warning: whoever reaches 0.0.0.0') and said.err.count('\n') == 1
        assert Client(page).get('/', 'http://machine.example').status_code == 200

    @pytest.mark.parametrize(
        ('arguments', 'sentence'),
        [
            (('--models', 'absent'), "'absent' is no model"),
            (('--max-megapixels', 0), 'above 0'),
            (('--host', '192.0.2.1'), 'cannot listen on 192.0.2.1'),
            (('--port', 70000), 'cannot listen on 127.0.0.1, port 70000'),
            (('--device', 'abacus'), '--device abacus cannot be used'),
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


@pytest.fixture
def browser(tmp_path):
    """A Chromium that finds no host but this one, and its downloads."""
    webdriver = pytest.importorskip('selenium.webdriver', reason='the browser is driven by selenium')
    program = shutil.which('chromium') or shutil.which('google-chrome')
    driver = shutil.which('chromedriver')
    if program is None or driver is None:
        pytest.skip('there is no Chromium with a chromedriver; on Debian: apt-get install chromium chromium-driver')
    options = webdriver.ChromeOptions()
    options.binary_location = program
    flags = ('headless=new', 'no-sandbox', 'disable-dev-shm-usage', 'window-size=1300,1000')
    for flag in (*flags, f'user-data-dir={tmp_path}/profile', 'host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'):
        options.add_argument(f'--{flag}')
    options.add_experimental_option('prefs', {'download.default_directory': str(tmp_path / 'downloads')})
    options.set_capability('goog:loggingPrefs', {'performance': 'ALL', 'browser': 'ALL'})
    chromium = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield chromium
    chromium.quit()


def wait_for(condition, seconds=60):
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
            return find('#status').text

        browser.get(url)
        wait_for(lambda: browser.find_elements('css selector', 'input[name=model]'))
        find('#file').send_keys(str(tmp_path / 'holiday.png'))
        canvas = wait_for(lambda: find('#painting') if find('#painting').is_displayed() else None)
        wait_for(lambda: find('#fill').is_enabled())
        find('#fill').click()
        wait_for(lambda: 'Nothing is painted' in status())

        scale = canvas.size['width'] / 320
        places = [(60, 60), (200, 80), (220, 190)]
        steps = ActionChains(browser, duration=30)
        offsets = [(round((x - 160) * scale), round((y - 120) * scale)) for x, y in places]
        steps.move_to_element_with_offset(canvas, *offsets[0]).click_and_hold()
        for offset in offsets[1:]:
            steps.move_to_element_with_offset(canvas, *offset)
        steps.release().perform()
        painted = browser.execute_script("return document.getElementById('painting').toDataURL()")
        hole = np.asarray(image_in(painted.partition(',')[2]))[..., 3] > 127
        line = cv2.polylines(np.full((240, 320), 1, np.uint8), [np.array(places)], False, 0)
        distance = cv2.distanceTransform(line, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        width = int(find('#size').get_attribute('value'))
        assert width == 24
        assert hole[distance < width / 2 - 2].all() and not hole[distance > width / 2 + 2].any()

        for box in browser.find_elements('css selector', 'input[name=model]'):
            wanted = box.get_attribute('value') == 'telea' or box.get_attribute('value').startswith('file:')
            if box.is_selected() != wanted:
                box.click()
        find('#fill').click()
        wait_for(lambda: status().startswith('Done'))
        assert status() == 'Done; the results are below.'
        results = browser.find_elements('css selector', '#pictures .result')
        assert len(results) == 2 and 'Telea' in results[0].text and 'cainet' in results[1].text
        assert len(browser.find_elements('css selector', '.scales img')) > 1
        answers = []
        for result in results:
            link = result.find_element('css selector', 'a')
            path = tmp_path / 'downloads' / link.get_attribute('download')
            assert path.name.startswith('holiday-') and path.suffix == '.png'
            link.click()
            # it gets its name when it is whole
            wait_for(path.is_file)
            answers.append(np.asarray(Image.open(path)))
            np.testing.assert_array_equal(answers[-1][~hole], photo[~hole])
            assert (answers[-1][hole] != photo[hole]).any(axis=1).mean() > 0.9
        assert (answers[0] != answers[1]).any()

        find('#undo').click()
        find('#fill').click()
        wait_for(lambda: 'Nothing is painted' in status())
        (tmp_path / 'text.png').write_text('no image')
        find('#file').send_keys(str(tmp_path / 'text.png'))
        wait_for(lambda: 'is no image' in status())

        messages = [json.loads(entry['message'])['message'] for entry in browser.get_log('performance')]
        asked = [one['params']['request']['url'] for one in messages if one['method'] == 'Network.requestWillBeSent']
        asked = [one for one in asked if not one.startswith(('data:', 'blob:', 'chrome:'))]
        assert f'{url}/fill' in asked
        assert [one for one in asked if not one.startswith(f'{url}/')] == []
        logged = [entry['message'] for entry in browser.get_log('browser')]
        assert [one for one in logged if '400 (BAD REQUEST)' not in one] == []

    def test_process_is_for_this_computer_alone_and_leaves_nothing_behind(self, running):
        url, process, places, at_start = running
        with pytest.raises(OSError):
            urllib.request.urlopen(url.replace('127.0.0.1', '127.0.0.2'), timeout=5)
        with urllib.request.urlopen(url, timeout=5) as response:
            assert response.headers['Server'] == 'cainet_mm'
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
        assert process.returncode == 0 and said.splitlines()[-1] == 'The page is closed.'
        # onnxruntime, which diffusers imports where it is installed, leaves a note of its own
        left = [path for place in places[:2] for path in place.iterdir() if path.name != '.ses']
        assert not left
        assert set(places[2].rglob('*')) <= at_start
