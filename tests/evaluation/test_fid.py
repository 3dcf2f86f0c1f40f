"""The config of the FID metric, with a small network in Inception's place."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT
from mmengine.config import Config
from mmengine.registry import METRICS, build_from_cfg
from mmengine.runner import Runner
from torch import Tensor, nn

from cainet_mm.apis import evaluate_method, load_model


class MeanColours(nn.Module):
    def forward(self, images: Tensor, return_features: bool = True) -> Tensor:
        return F.adaptive_avg_pool2d(images.float(), 2).flatten(1)


@pytest.fixture
def fid_under(tmp_path):
    """Computes the FID of the mean colour's answers under a mask."""
    torch.jit.script(MeanColours()).save(str(tmp_path / 'inception.pt'))

    def compute(mask):
        cv2.imwrite(str(tmp_path / 'mask.png'), mask * 255)
        (tmp_path / 'masks.txt').write_text('mask.png\n')
        config = Config.fromfile(ROOT / 'configs/baselines/mean_colour.py')
        draw = Config.fromfile(ROOT / 'configs/_base_/masks/from_disk_256.py').draw_mask_from_disk
        draw.transforms[0].mask_config.update(mask_list_file=str(tmp_path / 'masks.txt'), prefix=str(tmp_path))
        config.test_dataloader.update(num_workers=0, persistent_workers=False)
        dataset = config.test_dataloader.dataset
        dataset.pipeline = [draw, dict(type='GetMaskedImage'), dict(type='PackInputs')]
        loader = Runner.build_dataloader(config.test_dataloader)
        fid = Config.fromfile(ROOT / 'configs/_base_/metrics/fid.py').fid
        fid.update(
            fake_nums=len(loader.dataset),
            inception_path=str(tmp_path / 'inception.pt'),
            inception_pkl=str(tmp_path / 'true.pkl'),
        )
        return evaluate_method(load_model(config), loader, [fid]).figures['FID/fid']

    return compute


def test_it_compares_the_reported_images_with_the_true_ones(fid_under):
    none, half = np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8)
    half[:32] = 1
    assert fid_under(none) == pytest.approx(0, abs=1e-2)
    assert fid_under(half) > 10


def test_an_absent_network_is_an_error_and_no_download(monkeypatch):
    asked = []
    monkeypatch.setattr(
        'mmagic.evaluation.functional.inception_utils.download_from_url', lambda url, **_: asked.append(url)
    )
    fid = Config.fromfile(ROOT / 'configs/_base_/metrics/fid.py').fid
    with pytest.raises(RuntimeError, match=fid.inception_path):
        build_from_cfg(fid, METRICS)
    assert not any('://' in url for url in asked)
