"""Smaller numbers in ONNX files: measured beside float32, or refused."""

import numpy as np
import pytest
from conftest import make_onnx
from PIL import Image

from cainet_mm.apis import Exported
from cainet_mm.deploy import exporting
from cainet_mm.deploy.smaller_files import LOWEST_PSNR, draw_cases, make_smaller

onnxruntime = pytest.importorskip('onnxruntime', reason='onnxruntime is not installed (requirements/optional.txt)')
pytest.importorskip('onnx', reason='onnx is not installed (requirements/optional.txt)')

SIZE = (32, 24)


def weights():
    """A convolution of many weights that averages what is around a pixel."""
    weight = np.random.default_rng(0).uniform(0.5, 1, (3, 3, 31, 31))
    return weight / weight.sum(axis=(1, 2, 3), keepdims=True)


@pytest.fixture
def photos(tmp_path):
    """Two photographs of noise."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    for number in range(2):
        noise = np.random.default_rng(number).integers(0, 256, (48, 40, 3), np.uint8)
        Image.fromarray(noise).save(folder / f'{number}.png')
    return folder


def fill(path, case):
    return onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider']).run(None, case)[0]


@pytest.mark.parametrize(('dtype', 'share'), [('float16', 0.5), ('int8', 0.25)])
def test_it_is_smaller_and_measured_beside_float32(photos, tmp_path, dtype, share):
    first = make_onnx(tmp_path / 'first.onnx', weights(), (0.1, 0, -0.1))
    # a name that people give
    path = make_onnx(tmp_path / f'{dtype}.onnx', weights(), (0.1, 0, -0.1))
    measured = make_smaller(path, dtype, SIZE, photos)
    assert measured.images == 4
    assert measured.megabytes == tuple(file.stat().st_size / 1e6 for file in (first, path))
    assert measured.megabytes[1] / measured.megabytes[0] == pytest.approx(share, rel=0.2)
    assert all(time > 0 for time in measured.milliseconds)
    errors = []
    for case in draw_cases(photos, SIZE):
        hole = np.repeat(case['mask'] > 0.5, 3, axis=1)
        wanted, given = fill(first, case), fill(path, case)
        np.testing.assert_array_equal(given[~hole], case['image'][~hole])
        errors.append((wanted[hole] - given[hole]) ** 2)
    error = np.concatenate(errors).astype(np.float64).mean()
    assert error > 0
    assert measured.psnr == pytest.approx(20 * np.log10(2) - 10 * np.log10(error), abs=0.01)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([path.name, 'first.onnx', 'photos'])


def test_cases_are_photographs_with_the_same_holes_in_every_run(photos):
    cases = list(draw_cases(photos, SIZE))
    again = list(draw_cases(photos, SIZE))
    assert len(cases) == 4
    for case, other in zip(cases, again, strict=True):
        assert all(np.array_equal(case[name], other[name]) for name in ('image', 'mask'))
        assert case['image'].shape == (1, 3, *SIZE)
        assert case['mask'].shape == (1, 1, *SIZE)
        assert set(np.unique(case['mask'])) <= {0, 1}
    # a photograph as it is: red, green, blue
    Image.new('RGB', (32, 32), (255, 51, 0)).save(photos / '0.png')
    image = next(draw_cases(photos, (32, 32)))['image']
    np.testing.assert_allclose(image[0, :, 0, 0], (1, -0.6, -1), atol=1e-6)


def test_what_returns_something_else_is_refused_and_nothing_is_written(network, photos, tmp_path, monkeypatch):
    def write(module, plan, wanted, path, *rest):
        make_onnx(path, weights(), (0, 0, 0))
        return Exported(path, 'here', plan.metadata)

    monkeypatch.setattr(exporting, 'write', write)
    out = tmp_path / 'new/small.onnx'
    for dtype in LOWEST_PSNR:
        monkeypatch.setitem(LOWEST_PSNR, dtype, 500.0)
        says = rf'In {dtype} this network .* dB PSNR against its float32 file.*4 images.* export it in float32'
        with pytest.raises(ValueError, match=says):
            exporting.export(network, out, size=SIZE, dtype=dtype, photos=photos)
    assert not out.parent.exists()
    monkeypatch.setitem(LOWEST_PSNR, 'int8', 10.0)
    exported = exporting.export(network, out, size=SIZE, dtype='int8', photos=photos)
    assert exported.path == out
    assert exported.metadata['dtype'] == 'int8'
    assert exported.measured.size == SIZE
    assert out.stat().st_size == pytest.approx(exported.measured.megabytes[1] * 1e6)


@pytest.mark.parametrize(
    ('out', 'kind', 'dtype', 'says'),
    [
        ('small.pt', 'torchscript', 'int8', "of ONNX float16 or int8, got 'int8' for torchscript"),
        ('small.onnx', 'onnx', 'int4', "float16 or int8, got 'int4'"),
    ],
)
def test_other_numbers_and_formats(network, tmp_path, out, kind, dtype, says):
    with pytest.raises(ValueError, match=says):
        exporting.export(network, tmp_path / out, kind, dtype=dtype)
