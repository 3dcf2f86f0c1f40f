"""The network that comes with the package: what is in its file, and what it makes of plain pictures."""

import math

import numpy as np
import pytest
import torch

from cainet_mm.apis import list_models, load_model

SIZE = 128


@pytest.fixture(scope='module')
def shipped_network():
    return load_model('cainet-photos')


def test_its_file_is_small_and_says_where_it_comes_from():
    info = list_models()[0]
    assert info.path.suffix == '.safetensors' and info.megabytes < 12
    assert {'data', 'command', 'budget', 'licence'} <= info.notes.keys()
    assert float(info.metrics['hole PSNR at 128 pixels, irregular']) > 0


def test_it_is_compact(shipped_network):
    assert sum(weight.numel() for weight in shipped_network.generator.parameters()) < 6e6


def plain_pictures(kind: str) -> list[np.ndarray]:
    """Six pictures of two random colours, (H, W, 3) in [0, 255]: the first alone, or with a gradient between them."""
    random = np.random.RandomState(0)
    rows, columns = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    pictures = []
    for _ in range(6):
        first, second = random.uniform(0, 255, (2, 3))
        angle = random.uniform(0, 2 * math.pi)
        share = ((rows * math.sin(angle) + columns * math.cos(angle)) / math.sqrt(2) + 0.5)[..., None]
        pictures.append(np.broadcast_to(first, (SIZE, SIZE, 3)) if kind == 'flat' else first + share * (second - first))
    return pictures


@pytest.mark.parametrize('hole', [8, 16, 32])
@pytest.mark.parametrize('kind', ['flat', 'gradient'])
def test_plain_pictures_stay_plain(shipped_network, kind, hole):
    mask = torch.zeros(1, 1, SIZE, SIZE)
    start = (SIZE - hole) // 2
    mask[..., start : start + hole, start : start + hole] = 1
    for picture in plain_pictures(kind):
        image = torch.from_numpy(picture / 127.5 - 1).float().permute(2, 0, 1)[None]
        with torch.no_grad():
            output = shipped_network.generator(torch.cat((image * (1 - mask), mask), dim=1))[0].clamp(-1, 1)
        error = (output - image)[0, :, mask[0, 0] > 0] * 127.5
        assert error.abs().mean() < 3
        assert error.mean(dim=1).abs().max() < 2
