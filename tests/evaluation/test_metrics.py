import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from cainet_mm.evaluation import HolePSNR


def evaluate(*samples):
    metric = HolePSNR()
    metric.size = len(samples)
    metric.process(
        [], [dict(gt_img=truth, mask=mask, output=dict(pred_img=prediction)) for truth, prediction, mask in samples]
    )
    return metric.evaluate()['HolePSNR']


def image(seed):
    return np.random.default_rng(seed).integers(0, 256, (3, 12, 10)).astype(np.float32)


def test_agrees_with_scikit_image_on_the_pixels_of_the_hole():
    mask = np.zeros((1, 12, 10), np.uint8)
    mask[:, 2:7, 3:9] = 1
    expected = peak_signal_noise_ratio(image(0)[:, 2:7, 3:9], image(1)[:, 2:7, 3:9], data_range=255)
    assert evaluate((image(0), image(1), mask)) == pytest.approx(expected, abs=1e-6)


def test_pixels_outside_the_hole_do_not_count():
    mask = np.zeros((1, 12, 10), np.uint8)
    mask[:, :, :4] = 1
    changed = image(1)
    changed[:, :, 4:] = 0
    assert evaluate((image(0), image(1), mask)) == evaluate((image(0), changed, mask))


def test_images_without_a_hole_are_left_out():
    mask = np.ones((1, 12, 10), np.uint8)
    alone = evaluate((image(0), image(1), mask))
    assert evaluate((image(0), image(1), mask), (image(2), image(3), 0 * mask)) == alone
    assert math.isnan(evaluate((image(0), image(1), 0 * mask)))


def test_a_perfect_hole_is_infinite():
    assert evaluate((image(0), image(0), np.ones((1, 12, 10), np.uint8))) == math.inf
