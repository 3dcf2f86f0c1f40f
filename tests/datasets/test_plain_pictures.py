"""Pictures that are simple enough to know what belongs into a hole."""

import numpy as np
import pytest

from cainet_mm.datasets import RandomPlainPicture
from cainet_mm.datasets.plain_pictures import draw_plain_picture


def test_a_share_of_the_photographs_is_replaced():
    np.random.seed(0)
    photo = np.random.randint(0, 256, (16, 24, 3), np.uint8)
    replaced = 0
    for _ in range(400):
        results = RandomPlainPicture(keys=['gt'], prob=0.25).transform(dict(gt=photo))
        assert results['gt'].shape == photo.shape and results['gt'].dtype == np.uint8
        replaced += results['gt'] is not photo
    assert 70 <= replaced <= 130


@pytest.mark.parametrize('prob', [-0.1, 8])
def test_a_share_outside_of_0_to_1_is_refused(prob):
    with pytest.raises(ValueError, match=f'from 0 to 1, got {prob}'):
        RandomPlainPicture(keys=['gt'], prob=prob)


def test_pictures_vary_along_one_direction_alone():
    np.random.seed(1)
    flat = 0
    for _ in range(60):
        picture = draw_plain_picture((32, 32), 2.0).astype(float)
        # straight edges and gradients: each channel is a function of one and the same distance
        span = np.ptp(picture, axis=(0, 1))
        if span.max() < 1:
            flat += 1
            continue
        share = (picture - picture.min(axis=(0, 1))) / np.maximum(span, 1)
        strong = [channel for channel in range(3) if span[channel] > 60]
        for channel in strong[1:]:
            first, other = share[..., strong[0]], share[..., channel]
            assert min(np.abs(first - other).max(), np.abs(1 - first - other).max()) < 0.03
    assert 4 <= flat <= 24
