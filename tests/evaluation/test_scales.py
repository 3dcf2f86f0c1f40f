import subprocess

import cv2
import numpy as np
import pytest
import torch
import warm
from conftest import ROOT, tiny
from mmagic.registry import MODELS
from mmengine.config import Config
from PIL import Image

from cainet_mm.apis import load_model, picture_scales


@pytest.fixture
def photo():
    random = np.random.default_rng(0)
    hole = np.zeros((37, 50), bool)
    hole[10:25, 5:30] = True
    return random.integers(0, 256, (37, 50, 3), np.uint8), hole


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    return load_model(tiny('stage2', tmp_path))


def test_every_scale_has_its_picture_coarsest_first(model, photo):
    pictures = picture_scales(model, *photo)
    assert [image.shape for image in pictures.outputs] == [
        (2, 2, 3), (3, 4, 3), (5, 7, 3), (10, 13, 3), (19, 25, 3), (37, 50, 3)
    ]  # fmt: skip
    assert [image.shape for image in pictures.alphas] == [image.shape for image in pictures.outputs]


def test_final_keeps_the_known_pixels_and_takes_the_finest_output_in_the_hole(model, photo):
    image, hole = photo
    pictures = picture_scales(model, image, hole)
    assert (pictures.final[~hole] == image[~hole]).all()
    assert (pictures.final[hole] == pictures.outputs[-1][hole]).all()
    assert (pictures.masked[hole] == 128).all()
    assert (pictures.masked[~hole] == image[~hole]).all()


def test_alpha_maps_show_what_the_fusion_blends_with(model, photo):
    # alpha 1 everywhere at the finest scale, 0 at the next one
    for fusion, bias in zip(model.generator.decoder.fusions[:2], (50.0, -50.0), strict=True):
        torch.nn.init.constant_(fusion.attend[-1].bias, bias)
    pictures = picture_scales(model, *photo)
    assert (pictures.alphas[-1] == 255).all()
    assert (pictures.alphas[-2] == 0).all()


def test_fusions_without_alpha_give_none(tmp_path, photo):
    config = tiny('stage2', tmp_path)
    config.model.encdec.decoder.fusion = dict(type='ImageHead')
    pictures = picture_scales(load_model(config), *photo)
    assert pictures.alphas == []
    assert len(pictures.outputs) == 6


def test_bad_input_gets_a_sentence(model, photo):
    image, hole = photo
    with pytest.raises(ValueError, match='both need the same size'):
        picture_scales(model, image[1:], hole)
    classical = MODELS.build(Config.fromfile(ROOT / 'configs/baselines/telea.py').model)
    with pytest.raises(ValueError, match='ClassicalInpaintor has no decoder with fusions'):
        picture_scales(classical, image, hole)


@pytest.mark.slow
def test_tool_writes_both_figures(tmp_path, model, photo):
    image, hole = photo
    cv2.imwrite(str(tmp_path / 'photo.png'), image)
    cv2.imwrite(str(tmp_path / 'large.png'), cv2.resize(image, (120, 90)))
    cv2.imwrite(str(tmp_path / 'mask.png'), hole.astype(np.uint8) * 255)
    tiny('stage2', tmp_path).dump(tmp_path / 'tiny.py')
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'weights.pth')

    def show(*arguments):
        command = [warm.python(), str(ROOT / 'tools/show_scales.py'), 'tiny.py', 'weights.pth', *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)

    given = show('given', 'photo.png', '--masks', 'mask.png')
    assert given.returncode == 0, given.stderr
    drawn = show('drawn', 'large.png')
    assert drawn.returncode == 0, drawn.stderr
    for folder in ('given', 'drawn'):
        for name in ('scales', 'alphas'):
            assert Image.open(tmp_path / folder / f'{name}.png').width > 6 * 50
    small = show('small', 'photo.png')
    assert small.returncode == 2
    assert 'photo.png is 37x50 pixels, smaller than 64x64' in small.stderr
