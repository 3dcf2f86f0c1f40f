"""The page's HTTP interface: what programs send, and what they get."""

import asyncio
import io
import json

import cv2
import httpx
import numpy as np
import pytest
from PIL import Image

pytest.importorskip('gradio', reason='the page is made with gradio: pip install -r requirements/optional.txt')

from fastapi.testclient import TestClient  # noqa: E402

from cainet_mm.page import Limits, Page, Workbench, application  # noqa: E402

OWN = 'http://localhost'


@pytest.fixture(scope='module')
def app(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('GRADIO_TEMP_DIR', str(tmp_path_factory.mktemp('sent')))
        yield application(Page(Workbench(), [], Limits(0.3, 2)), ['localhost'], api=True)


@pytest.fixture(scope='module')
def client(app):
    with TestClient(app, OWN) as client:
        yield client


def png(pixels):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, 'PNG')
    return content.getvalue()


@pytest.fixture(scope='module')
def photo():
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    return cv2.GaussianBlur(noise, (7, 7), 2)


@pytest.fixture(scope='module')
def hole():
    hole = np.zeros((90, 120), bool)
    hole[30:50, 40:75] = True
    return hole


def files(photo, hole):
    return dict(photo=('a.png', png(photo)), mask=('m.png', png(np.uint8(255 * hole))))


def test_a_photograph_is_filled_as_opencv_fills_it_and_known_pixels_are_the_same(client, photo, hole):
    answer = client.post('/fill', files=files(photo, hole), data=dict(model='telea'))
    assert answer.status_code == 200 and answer.headers['content-type'] == 'image/png'
    filled = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert (filled[~hole] == photo[~hole]).all() and (filled[hole] != photo[hole]).any()
    inverted = client.post('/fill', files=files(photo, ~hole), data=dict(model='telea', invert='true'))
    assert inverted.content == answer.content


def test_what_is_transparent_is_filled_without_a_mask(client, photo, hole):
    layers = np.dstack((photo, np.uint8(255 * ~hole)))
    answer = client.post('/fill', files=dict(photo=('a.png', png(layers))), data=dict(model='telea'))
    filled = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert (filled[..., 3] == 255).all() and (filled[~hole][:, :3] == photo[~hole]).all()


def test_it_describes_itself(client):
    names = [model['name'] for model in client.get('/models').json()]
    assert 'cainet-photos' in names and 'telea' in names
    (operation,) = client.get('/openapi.json').json()['paths']['/fill'].values()
    assert {'200', '400', '413', '422', '503'} <= set(operation['responses'])


@pytest.mark.parametrize(
    'change, status, said',
    [
        (dict(model='talea'), 400, "no model 'talea'; near it are telea"),
        (dict(photo=b'not an image'), 400, 'The file is no image that can be read'),
        (dict(photo=png(np.zeros((600, 600, 3), np.uint8))), 400, 'up to 0.3 are accepted'),
        (dict(mask=png(np.zeros((120, 119), np.uint8))), 400, 'The mask has 119x120 pixels'),
        (dict(mask=png(np.zeros((90, 120), np.uint8))), 400, 'Nothing is painted or masked'),
        (dict(mask=png(np.zeros((120, 90), np.uint8))), 400, 'The mask has the shape (120, 90)'),
        (dict(mask=png(np.full((90, 120), 255, np.uint8))), 400, 'Everything is painted or masked'),
        (dict(mask=png(np.arange(10800, dtype=np.uint8).reshape(90, 120))), 400, 'The mask'),
        (dict(photo=None), 422, 'Field required'),
        (dict(photo=bytes(40_000_000)), 413, 'A request may have'),
    ],
)
def test_bad_requests_are_answered_in_json(client, photo, hole, change, status, said):
    sent = {name: content for name, (_, content) in files(photo, hole).items()}
    sent.update({name: content for name, content in change.items() if name != 'model'})
    sent = {name: content for name, content in sent.items() if content is not None}
    answer = client.post('/fill', files=sent, data=dict(model=change.get('model', 'telea')))
    assert answer.status_code == status and said in str(answer.json()['detail'])


def test_what_is_not_as_in_the_file_is_noted(client, photo, hole):
    assert client.post('/fill', files=files(photo, hole), data=dict(model='telea')).headers['x-notes'] == '[]'
    content = io.BytesIO()
    Image.fromarray(photo).convert('CMYK').save(content, 'JPEG', quality=70)
    sent = files(photo, hole) | dict(photo=('a.jpg', content.getvalue()))
    (note,) = json.loads(client.post('/fill', files=sent, data=dict(model='telea')).headers['x-notes'])
    assert 'is CMYK' in note


def test_nothing_can_be_inverted_without_a_mask(client, photo):
    answer = client.post('/fill', files=dict(photo=('a.png', png(photo))), data=dict(model='telea', invert='true'))
    assert answer.status_code == 400 and 'no mask to invert' in answer.json()['detail']


def test_a_broken_model_is_answered_in_json(client, app, photo, hole, monkeypatch):
    def fail(*args):
        raise RuntimeError('the file is broken')

    monkeypatch.setattr('cainet_mm.page.work.Workbench.fill', fail)
    answer = client.post('/fill', files=files(photo, hole), data=dict(model='telea'))
    assert answer.status_code == 400 and 'the file is broken' in answer.json()['detail']


def test_fifty_at_once_are_filled_or_told_to_come_back(app, photo, hole):
    async def ask():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=OWN) as client:
            sent = dict(files=files(photo, hole), data=dict(model='telea'), timeout=60)
            return await asyncio.gather(*(client.post('/fill', **sent) for _ in range(50)))

    answers = asyncio.run(ask())
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 503} and 9 <= statuses.count(200) < 50
    assert len({answer.content for answer in answers if answer.status_code == 200}) == 1
    assert all(answer.headers['retry-after'] == '5' for answer in answers if answer.status_code == 503)


def test_other_pages_may_not_ask_and_without_the_option_nobody_may(client, photo, hole, tmp_path, monkeypatch):
    foreign = client.post('/fill', files=files(photo, hole), headers={'Origin': 'http://evil.example'})
    assert foreign.status_code == 403 and 'Only the page itself' in foreign.json()['detail']
    monkeypatch.setenv('GRADIO_TEMP_DIR', str(tmp_path))
    with TestClient(application(Page(Workbench()), ['localhost']), OWN) as closed:
        assert closed.post('/fill', files=files(photo, hole)).status_code == 404
        assert closed.get('/openapi.json').status_code == closed.get('/models').status_code == 404
