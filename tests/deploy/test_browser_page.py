"""docs/browser/fill.html: a photograph is filled by an ONNX file in the browser."""

import functools
import http.server
import shutil
import threading

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

# in the place of onnxruntime-web: keeps what it is given, and fills with red 255, green 0, blue 51
STAND_IN = """
globalThis.ort = {
  Tensor: class { constructor(type, data, dims) { Object.assign(this, {type, data, dims}); } },
  InferenceSession: {create: async file => ({run: async inputs => {
    globalThis.seen = {file, ...inputs};
    const area = inputs.mask.data.length, colour = [1, -1, -0.6];
    const data = inputs.image.data.map((value, i) => inputs.mask.data[i % area] ? colour[Math.floor(i / area)] : value);
    return {filled: new ort.Tensor('float32', data, inputs.image.dims)};
  }})},
};
"""


@pytest.fixture
def address(tmp_path):
    """Where the page is, with the stand-in beside it."""
    folder = tmp_path / 'web'
    folder.mkdir()
    shutil.copy(ROOT / 'docs/browser/fill.html', folder)
    (folder / 'ort.wasm.min.js').write_text(STAND_IN)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}/fill.html'
        server.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize('size', [64, 256])
def test_what_is_painted_is_filled_and_the_rest_stays(browser, address, tmp_path, size):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.support.ui import WebDriverWait

    def status_begins(text):
        WebDriverWait(browser, 30, 0.05).until(lambda _: browser.find_element('id', 'status').text.startswith(text))

    photo = np.random.default_rng(0).integers(0, 256, (150, 200, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / 'photo.png')
    browser.get(f'{address}?model=other.onnx&size={size}')
    status_begins('Choose a photograph')
    browser.find_element('id', 'photo').send_keys(str(tmp_path / 'photo.png'))
    status_begins('Paint the hole')
    browser.find_element('id', 'fill').click()
    status_begins('Paint a hole first')
    # from the middle, (100, 75), 30 pixels to the right
    hole = browser.find_element('id', 'hole')
    ActionChains(browser).move_to_element(hole).click_and_hold().move_by_offset(30, 0).release().perform()
    browser.find_element('id', 'fill').click()
    status_begins('Filled in')

    seen = browser.execute_script("""
        const {file, image, mask} = globalThis.seen, plain = one => [one.type, [...one.data], one.dims];
        return [file, plain(image), plain(mask)];
    """)
    assert seen[0] == 'other.onnx'
    (image_type, image, image_size), (mask_type, mask, mask_size) = seen[1:]
    assert (image_type, mask_type) == ('float32', 'float32')
    # the hole has 70x40 pixels: a window of 140 reduced to 64, or all of the photograph as it is
    height, width = (64, 64) if size == 64 else (150, 200)
    assert (image_size, mask_size) == ([1, 3, height, width], [1, 1, height, width])
    assert set(mask) == {0, 1}
    scale = size / 140 if size == 64 else 1
    # what is reduced is hole where any of it was
    assert 0.97 < sum(mask) / ((30 * 40 + np.pi * 20**2) * scale**2) < (1.25 if size == 64 else 1.05)
    assert -1 <= min(image) < max(image) <= 1
    if size == 256:
        known = np.reshape(mask, (height, width)) == 0
        given = np.moveaxis(np.reshape(image, (3, height, width)), 0, -1)
        np.testing.assert_allclose(given[known], photo[known] / 127.5 - 1, atol=1e-6)

    result = np.array(browser.execute_script('''
        const canvas = document.getElementById('image');
        return [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data];
    ''')).reshape(150, 200, 4)[..., :3]  # fmt: skip
    rows, columns = np.mgrid[:150, :200]
    distance = np.hypot(rows + 0.5 - 75, columns + 0.5 - np.clip(columns + 0.5, 100, 130))
    np.testing.assert_array_equal(result[distance > 22], photo[distance > 22])
    # what is enlarged meets the known pixels gradually
    inner = result[distance < (13 if size == 64 else 18)]
    assert len(inner) > 1000
    assert np.abs(inner - (255, 0, 51)).max() <= 1
