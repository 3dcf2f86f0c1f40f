"""LaMa's large training masks."""

import numpy as np
import pytest
from conftest import ROOT
from mmengine.config import Config
from mmengine.registry import TRANSFORMS


def test_boxes_stay_between_the_margins_and_have_the_sides_of_the_range():
    np.random.seed(0)
    draw = TRANSFORMS.build(dict(type='DrawBoxes', size=(60, 90), count=(1, 1), side=(7, 45), margin=10))
    sides = set()
    for _ in range(300):
        mask = draw.transform({})['mask']
        assert mask.shape == (60, 90, 1) and mask.dtype == np.uint8
        rows, columns = (np.flatnonzero(mask[..., 0].any(axis=axis)) for axis in (1, 0))
        assert rows[0] >= 10 and rows[-1] < 50 and columns[0] >= 10 and columns[-1] < 80
        assert mask.sum() == len(rows) * len(columns)
        sides.add((len(rows), len(columns)))
    assert {min(side) for side in zip(*sides, strict=True)} == {7}
    assert [max(side) for side in zip(*sides, strict=True)] == [40, 45], 'a side that has no room is cut'


def test_wrong_settings_are_refused():
    for settings in (dict(count=(0, 2)), dict(side=(30, 20)), dict(side=(50, 60))):
        with pytest.raises(ValueError, match='DrawBoxes takes count and side'):
            TRANSFORMS.build(dict(type='DrawBoxes', size=(64, 64), **{**dict(side=(5, 10)), **settings}))


def test_large_masks_are_strokes_and_boxes_in_training_alone():
    ours = Config.fromfile(ROOT / 'configs/baselines/lama_large-masks_4xb8-500k_places2-256x256.py')
    theirs = Config.fromfile(ROOT / 'configs/baselines/lama_4xb8-500k_places2-256x256.py')
    pipelines = [config.train_dataloader.dataset.pipeline for config in (ours, theirs)]
    assert [own == other for own, other in zip(*pipelines, strict=True)] == [True] * 4 + [False] + [True] * 2
    assert ours.test_dataloader == theirs.test_dataloader
    np.random.seed(0)
    draw = TRANSFORMS.build(pipelines[0][4])
    shares = [draw(dict())['mask'].mean() for _ in range(60)]
    assert min(shares) > 0 and max(shares) < 1
    assert np.mean(shares) > 0.2, 'large holes'
