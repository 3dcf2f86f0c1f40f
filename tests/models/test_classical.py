"""Filling without learning, in the clothes of a model."""

import cv2
import numpy as np
import pytest
import torch
from mmagic.registry import MODELS
from mmagic.structures import DataSample

from cainet_mm.models import EdgeFill, SmoothFill

METHODS = ['mean', 'telea', 'navier_stokes', 'smooth', 'edges']


def make_model(method):
    return MODELS.build(
        dict(
            type='ClassicalInpaintor',
            method=method,
            data_preprocessor=dict(
                type='DataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, output_channel_order='RGB'
            ),
        )
    )


def make_photos(batch, height, width):
    """Smooth BGR photographs of different colours, uint8, and bool holes."""
    random = np.random.default_rng(height * 1000 + width)
    photos, holes = [], []
    for _ in range(batch):
        coarse = random.integers(0, 256, (2, 3, 3), np.uint8)
        photos.append(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR))
        hole = random.random((height, width)) < 0.15
        hole[height // 4 : height // 2, width // 3 : width // 3 + 4] = True
        holes.append(hole)
    return photos, holes


def fill(method, photos, holes, blank=True):
    """Through ``test_step``, as the test loop calls it; the hole of the input is grey, as the pipeline leaves it."""
    inputs, samples = [], []
    for photo, hole in zip(photos, holes, strict=True):
        masked = photo.copy()
        if blank:
            masked[hole] = 128
        inputs.append(torch.from_numpy(masked.transpose(2, 0, 1).copy()))
        mask = torch.from_numpy(hole[None].astype(np.float32))
        gt_img = torch.from_numpy(photo.transpose(2, 0, 1).copy())
        samples.append(DataSample(mask=mask, gt_img=gt_img, metainfo=dict(gt_channel_order='BGR')))
    return make_model(method).test_step(dict(inputs=inputs, data_samples=samples))


def pixels(image):
    """(3, H, W) in [0, 255] to (H, W, 3) in uint8."""
    assert image.dtype == torch.float32
    assert torch.equal(image, image.round())
    return image.permute(1, 2, 0).numpy().astype(np.uint8)


def expected_fill(method, photo, hole):
    """The method on one photograph, written out or by OpenCV itself."""
    if method == 'mean':
        filled = photo.copy()
        for channel in range(3):
            known = [float(value) for value, gap in zip(photo[..., channel].flat, hole.flat, strict=True) if not gap]
            filled[..., channel][hole] = round(sum(known) / len(known))
        return filled
    if method in ('smooth', 'edges'):
        image = torch.from_numpy(photo.transpose(2, 0, 1).copy()).float()[None] - 127.5
        module = SmoothFill() if method == 'smooth' else EdgeFill(contrast=2.55)
        filled = module(image, torch.from_numpy(hole).float()[None, None])
        return (filled[0] + 127.5).round().clamp(0, 255).byte().numpy().transpose(1, 2, 0)
    # next to the border of the image, OpenCV also reads under the hole, so it has to see the same grey there
    masked = photo.copy()
    masked[hole] = 128
    flag = dict(telea=cv2.INPAINT_TELEA, navier_stokes=cv2.INPAINT_NS)[method]
    return cv2.inpaint(masked, hole.astype(np.uint8) * 255, 3, flag)


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize(('batch', 'height', 'width'), [(1, 24, 24), (3, 17, 23), (2, 31, 12)])
def test_every_image_of_a_batch_is_filled_by_its_method(method, batch, height, width):
    photos, holes = make_photos(batch, height, width)
    samples = fill(method, photos, holes)
    assert len(samples) == batch
    for sample, photo, hole in zip(samples, photos, holes, strict=True):
        image = sample.output.pred_img
        assert image.shape == (3, height, width)
        assert image.min() >= 0
        assert image.max() <= 255
        np.testing.assert_array_equal(pixels(image), expected_fill(method, photo, hole))


@pytest.mark.parametrize('method', METHODS)
def test_known_pixels_are_untouched_and_holes_are_filled(method):
    photos, holes = make_photos(2, 21, 19)
    for sample, photo, hole in zip(fill(method, photos, holes), photos, holes, strict=True):
        filled = pixels(sample.output.pred_img)
        np.testing.assert_array_equal(filled[~hole], photo[~hole])
        assert (filled[hole] != 128).any(axis=1).mean() > 0.9


def test_mean_colour_is_that_of_the_known_pixels_of_its_own_image_in_bgr():
    # blue above a hole that hides red, and the other way round: every mean but the right one has another colour
    photos = [np.zeros((4, 6, 3), np.uint8) for _ in range(2)]
    photos[0][:, :3], photos[0][:, 3:] = (250, 10, 30), (0, 0, 200)
    photos[1][:, :3], photos[1][:, 3:] = (90, 0, 0), (5, 40, 100)
    hidden = np.zeros((4, 6), bool)
    hidden[:, 3:] = True
    first, second = fill('mean', photos, [hidden, ~hidden], blank=False)
    np.testing.assert_array_equal(pixels(first.output.pred_img)[0], [[250, 10, 30]] * 6)
    np.testing.assert_array_equal(pixels(second.output.pred_img)[0], [[5, 40, 100]] * 6)


def test_mean_colour_is_rounded_to_the_nearest_level():
    photo = np.zeros((1, 4, 3), np.uint8)
    # means of the three known pixels: 2/3, 1/3 and 252 1/3
    photo[0, :3] = [(0, 0, 252), (1, 0, 252), (1, 1, 253)]
    (sample,) = fill('mean', [photo], [np.array([[False, False, False, True]])])
    np.testing.assert_array_equal(pixels(sample.output.pred_img)[0, 3], [1, 0, 252])


@pytest.mark.parametrize('method', METHODS)
def test_image_without_a_hole_comes_back_as_it_was(method):
    photos, _ = make_photos(1, 13, 11)
    (sample,) = fill(method, photos, [np.zeros((13, 11), bool)])
    np.testing.assert_array_equal(pixels(sample.output.pred_img), photos[0])


def test_smooth_fill_continues_a_gradient_to_the_grey_level():
    rows, columns = np.mgrid[:32, :32].astype(np.float32)
    photo = np.stack((60 + 3 * rows, 200 - 2 * columns, 20 + rows + columns), axis=2).astype(np.uint8)
    hole = np.zeros((32, 32), bool)
    hole[10:22, 12:20] = True
    (sample,) = fill('smooth', [photo], [hole])
    assert np.abs(pixels(sample.output.pred_img).astype(int) - photo).max() <= 2
    # the mean colour is off by much more
    (sample,) = fill('mean', [photo], [hole])
    assert np.abs(pixels(sample.output.pred_img).astype(int) - photo).max() > 10


@pytest.mark.parametrize('method', ['mean', 'smooth'])
def test_image_that_is_all_hole_becomes_mid_grey(method):
    photos, _ = make_photos(1, 13, 11)
    (sample,) = fill(method, photos, [np.ones((13, 11), bool)], blank=False)
    assert (sample.output.pred_img == 128).all()


def test_samples_keep_their_fields_and_name_the_result_as_the_learnt_models_do():
    photos, holes = make_photos(2, 9, 14)
    for sample, photo, hole in zip(fill('mean', photos, holes), photos, holes, strict=True):
        output = sample.output
        assert torch.equal(output.fake_img, output.pred_img)
        assert torch.equal(output.fake_res, output.pred_img)
        np.testing.assert_array_equal(sample.mask[0].numpy() > 0, hole)
        assert sample.gt_img.shape == (3, *photo.shape[:2])


def test_unknown_method_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match="knows the methods mean, telea, navier_stokes, smooth, edges, got 'magic'"):
        make_model('magic')


@pytest.mark.parametrize('mode', ['loss', 'tensor'])
def test_there_is_nothing_to_train(mode):
    model = make_model('mean')
    assert not list(model.parameters())
    with pytest.raises(NotImplementedError, match=f"its mode is 'predict', got '{mode}'"):
        model(torch.zeros(1, 3, 4, 4), DataSample(), mode=mode)
