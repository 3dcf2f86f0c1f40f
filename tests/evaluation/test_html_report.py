"""The page of a comparison: its tables sort, its images lie over each other, and it needs nothing beside itself."""

import base64
import io
import math
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cainet_mm.evaluation import html_report, summarise, write_html
from cainet_mm.evaluation.comparison import ImageResult, MethodResult, Pictures

ODD = '<script>alert("x")</script> & co'
COLOURS = dict(Telea=(200, 0, 0), ours=(0, 0, 200))


def method(name, values, size=(24, 32), noise=False):
    """A method's result on three photographs, two of which are shown."""
    random = np.random.default_rng(0)

    def picture(colour):
        return random.integers(0, 256, (*size, 3), np.uint8) if noise else np.full((*size, 3), colour, np.uint8)

    images = [
        ImageResult(f'{index}.png', 0.25, {'composed/HolePSNR': value, 'composed/MAE': 1 / value})
        for index, value in enumerate(values)
    ]
    pictures = [
        Pictures(f'{index}.png', picture(128), picture(255), picture(COLOURS.get(name, (0, 200, 0))), np.zeros(size))
        for index in range(2)
    ]
    return MethodResult({}, images, pictures, size)


def write(path, methods, failures=None):
    results = {'irregular': methods}
    reference = next(iter(methods))
    report = dict(
        data='photos', methods={name: dict(config='a.py', checkpoint=None, sha256=None) for name in methods},
        reference=reference, failures=failures or {}, versions=dict(cainet_mm='1'),
        figures=summarise(results, reference),
        costs={name: dict(parameters=0, multiply_adds=0, milliseconds=5.0, size=(8, 8)) for name in methods},
    )  # fmt: skip
    write_html(report, results, ['A note.'], path)
    return path.read_text(encoding='utf-8')


@pytest.fixture
def page(tmp_path):
    methods = {
        'Telea': method('Telea', [20.0, 22.0, 24.0]),
        'ours': method('ours', [9.0, 9.5, 10.0]),
        ODD: method(ODD, [30.0, 31.0, 32.0]),
    }
    text = write(tmp_path / 'new/report.html', methods, {'lost': 'no <time>'})
    return SimpleNamespace(text=text, path=tmp_path / 'new/report.html')


def test_metrics_and_intervals_are_those_of_the_tables_and_the_best_is_marked(page):
    text = re.sub(r'\s+', ' ', page.text)
    assert '<b>22.00</b> <small>(20.00 to 24.00)</small>' in text
    assert '<b>9.50</b> <small>(9.00 to 10.00)</small>' in text
    # higher is better for PSNR, lower for the error
    assert re.findall(r'data-value="([\d.]+)" class="best"', text) == ['0.0323', '31.0']
    # ours is 12.5 dB below the reference, by an interval that excludes 0
    assert re.search(r'class="bold"><b>-12\.50</b>', text)


@pytest.mark.parametrize(('text', 'best'), [('inf', 'b'), ('nan', 'a'), ('failed', 'a'), ('', 'a')])
def test_best_is_found_beside_what_is_no_number(text, best):
    table = html_report.as_table(['method', 'PSNR ↑'], [['a', '9.50 (9.00 to 10.00)'], ['b', text], ['c', '2.00']])
    assert [row[0] for row in table['rows'] if row[1]['best']] == [best]
    assert all(row[1]['value'] is None or math.isfinite(row[1]['value']) for row in table['rows'])


def test_names_are_text(page):
    class Tags(HTMLParser):
        found = []

        def handle_starttag(self, tag, attributes):
            self.found.append((tag, dict(attributes)))

    tags = Tags()
    tags.feed(page.text)
    assert [tag for tag, _ in tags.found].count('script') == 1 and 'no &lt;time&gt;' in page.text
    assert {found.get('data-label') for tag, found in tags.found if tag == 'button'} >= {ODD, 'Telea', 'truth'}


def test_nothing_lies_outside_of_the_file(page):
    sources = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert len(sources) == 2 * 5 and all(source.startswith('data:image/webp;base64,') for source in sources)
    assert not re.search(r'https?://|url\(|@import', page.text)


def test_images_are_compressed_until_they_fit(tmp_path, monkeypatch):
    monkeypatch.setattr(html_report, 'MOST_BYTES', 250_000)
    methods = {name: method(name, [20.0, 21.0, 22.0], (300, 400), noise=True) for name in ('one', 'two')}
    sources = re.findall(r'base64,([^"]*)"', write(tmp_path / 'report.html', methods))
    assert len(sources) == 2 * 4 and sum(map(len, sources)) * 3 / 4 <= 250_000
    # scaled down; the page says how large they were
    assert Image.open(io.BytesIO(base64.b64decode(sources[0]))).size == (256, 192)
    assert 'width="400" height="300"' in (tmp_path / 'report.html').read_text(encoding='utf-8')


def test_report_without_pictures_or_reference(tmp_path):
    results = {'irregular': {'Telea': method('Telea', [20.0, math.nan, 24.0])}}
    results['irregular']['Telea'].pictures.clear()
    report = dict(data='photos', methods={}, reference=None, failures={}, versions={}, costs={})
    write_html(dict(report, figures=summarise(results, None)), results, [], tmp_path / 'report.html')
    assert 'Pictures' not in (tmp_path / 'report.html').read_text(encoding='utf-8')


@pytest.mark.slow
def test_tables_sort_and_the_slider_moves_in_a_browser(page, browser):
    def find(selector):
        return browser.find_element('css selector', selector)

    def order():
        return [cell.text for cell in browser.find_elements('css selector', 'section:first-of-type tbody th')][:4]

    def pixel(selector, name):
        return browser.execute_script(
            'const [image, canvas] = [document.querySelector(arguments[0]), document.createElement("canvas")];'
            'const context = canvas.getContext("2d"); context.drawImage(image, 0, 0);'
            'return [...context.getImageData(5, 5, 1, 1).data].slice(0, 3)', selector,
        ) == pytest.approx(COLOURS[name], abs=6)  # fmt: skip

    def visible_share():
        return browser.execute_script(
            'const at = getComputedStyle(document.getElementById("left-image")).clipPath;'
            'return 100 - parseFloat(/calc\\(100% - ([\\d.]+)%\\)|0px ([\\d.]+)%/.exec(at).slice(1).find(Boolean))'
        )

    browser.get(page.path.as_uri())
    assert order() == ['Telea', 'ours', ODD, 'lost']
    psnr = find('section:first-of-type thead th:last-child button')
    psnr.click()
    assert order() == [ODD, 'Telea', 'ours', 'lost']
    assert find('section:first-of-type thead th:last-child').get_attribute('aria-sort') == 'descending'
    # by the keyboard; 9 before 22 before 31, as numbers, and what failed stays last
    psnr.send_keys('\n')
    assert order() == ['ours', 'Telea', ODD, 'lost']

    find('.row:nth-of-type(2) [data-label=ours]').click()
    assert find('#name').text == '1.png, irregular mask' and pixel('#right-image', 'ours')
    find('#left').send_keys('Telea')
    assert find('#left-label').text == 'Telea' and pixel('#left-image', 'Telea')

    from selenium.webdriver.common.action_chains import ActionChains

    slider, stage = find('#cut'), find('#stage')
    before = visible_share()
    slider.send_keys('\ue014' * 10)  # the right arrow
    assert abs(visible_share() - before) == pytest.approx(5)
    width = stage.size['width']
    ActionChains(browser).move_to_element_with_offset(stage, -width // 4, 0).click().perform()
    assert float(slider.get_property('value')) == pytest.approx(25, abs=1)
    find('#zoom').send_keys('\ue014' * 2)
    assert stage.size['width'] == pytest.approx(2 * width, rel=0.01)
    assert [entry for entry in browser.get_log('browser') if entry['level'] == 'SEVERE'] == []
