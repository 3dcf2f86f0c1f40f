"""The network that comes with the package: what is in its file, and what it makes of plain pictures."""

import math

import numpy as np
import pytest
import torch

from cainet_mm.apis import list_models, load_model

SIZE = 128


@pytest.fixture(scope='module', params=['cainet-photos', 'cainet-texture'])
def shipped_network(request):
    return load_model(request.param)


@pytest.mark.parametrize('number', [0, 1])
def test_its_file_is_small_and_says_where_it_comes_from(number):
    info = list_models()[number]
    assert info.path.suffix == '.safetensors' and info.megabytes < 12
    assert {'data', 'command', 'budget', 'licence'} <= info.notes.keys()
    assert float(info.metrics['hole PSNR at 128 pixels, irregular']) > 0


def test_it_is_compact(shipped_network):
    assert sum(weight.numel() for weight in shipped_network.generator.parameters()) < 6e6


def plain_pictures(kind: str) -> list[np.ndarray]:
    """Six pictures of two random colours, (H, W, 3) in [0, 255]: their mean, a gradient or an edge between them."""
    random = np.random.RandomState(0)
    rows, columns = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    pictures = []
    for _ in range(6):
        first, second = random.uniform(0, 255, (2, 3))
        angle = random.uniform(0, 2 * math.pi)
        slope = dict(flat=0, gradient=1 / math.sqrt(2), edge=SIZE)[kind]
        share = np.clip((rows * math.sin(angle) + columns * math.cos(angle)) * slope + 0.5, 0, 1)[..., None]
        pictures.append(first + share * (second - first))
    return pictures


def errors_in_hole(network, kind: str, hole: int) -> list[torch.Tensor]:
    """Of each plain picture with a square hole in its centre, (3, hole * hole) of 255."""
    mask = torch.zeros(1, 1, SIZE, SIZE)
    start = (SIZE - hole) // 2
    mask[..., start : start + hole, start : start + hole] = 1
    errors = []
    for picture in plain_pictures(kind):
        image = torch.from_numpy(picture / 127.5 - 1).float().permute(2, 0, 1)[None]
        with torch.no_grad():
            output = network.generator(torch.cat((image * (1 - mask), mask), dim=1))[0].clamp(-1, 1)
        errors.append((output - image)[0, :, mask[0, 0] > 0] * 127.5)
    return errors


@pytest.mark.parametrize('hole', [8, 16, 32])
@pytest.mark.parametrize('kind', ['flat', 'gradient'])
def test_plain_pictures_stay_plain(shipped_network, kind, hole):
    for error in errors_in_hole(shipped_network, kind, hole):
        assert error.abs().mean() < 3
        assert error.mean(dim=1).abs().max() < 2


@pytest.mark.parametrize('hole', [8, 16, 32])
def test_straight_edges_are_continued(shipped_network, hole):
    """The smooth fill is off by 19 and more in the mean of many."""
    errors = [error.abs().mean() for error in errors_in_hole(shipped_network, 'edge', hole)]
    assert sum(errors) / len(errors) < 11
