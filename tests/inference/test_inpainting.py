"""Holes of any size and shape in images of any size and type."""

import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from mmagic.structures import DataSample
from mmengine.config import Config
from mmengine.model import BaseModel
from PIL import Image
from skimage.data import astronaut

from cainet_mm.apis import inpaint, training_size
from cainet_mm.datasets.errors import BadImageError
from cainet_mm.inference import blending
from cainet_mm.inference.blending import match_border, spread
from cainet_mm.inference.filling import Options, choose_windows, depths_in, fill_holes, find_groups

SIZE = 32
TYPES = [((), np.uint8), ((1,), np.uint8), ((3,), np.uint8), ((4,), np.uint8), ((), np.uint16), ((3,), np.uint16)]


class Oracle(BaseModel):
    """Answers with what it is told to, and notes what it is asked."""

    def __init__(self, answer):
        super().__init__(data_preprocessor=dict(type='DataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3))
        self.answer = answer
        self.batches = []

    def forward(self, inputs, data_samples, mode='predict'):
        self.batches.append((inputs * 127.5 + 127.5, data_samples.mask))
        samples = data_samples.split()
        for sample, image in zip(samples, self.answer(*self.batches[-1]), strict=True):
            sample.output = DataSample(fake_res=image)
        return samples


def oracle(answer=lambda images, masks: images):
    return Oracle(answer).eval()


def noise(shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def ramp(height, width):
    """A photograph whose colours rise evenly, by a fixed step from column to column and row to row."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([20 + columns * 180 / width, 30 + rows * 180 / height, 100 + 0 * rows], axis=-1).round()


def square(shape, top, left, height, width=None):
    hole = np.zeros(shape, bool)
    hole[top : top + height, left : left + (width or height)] = True
    return hole


masks = st.sampled_from(['dots', 'one', 'box', 'edge', 'lines', 'all but one'])


def draw_mask(kind, shape, seed):
    random = np.random.default_rng(seed)
    hole = np.zeros(shape, bool)
    row, column = (int(random.integers(length)) for length in shape)
    if kind == 'dots':
        hole = random.random(shape) < 0.1
    elif kind == 'one':
        hole[row, column] = True
    elif kind == 'box':
        hole[row : row + shape[0] // 2, column : column + shape[1] // 2] = True
    elif kind == 'edge':
        hole[: shape[0] // 3] = True
    elif kind == 'lines':
        hole[row, :] = hole[:, column] = True
    else:
        hole[:] = True
    hole[random.integers(shape[0]), random.integers(shape[1])] = False
    return hole


class TestKnownPixels:
    @given(st.integers(1, 120), st.integers(1, 120), masks, st.sampled_from(TYPES), st.booleans(), st.integers(0, 99))
    @settings(max_examples=60, deadline=None)
    def test_known_pixels_size_and_type_are_kept(self, telea, height, width, kind, of_type, refine, seed):
        channels, dtype = of_type
        image = noise((height, width, *channels), dtype, seed)
        hole = draw_mask(kind, (height, width), seed)
        before = image.copy()
        filled = inpaint(image, hole, model=telea, work_size=SIZE, refine=refine)
        assert (filled.shape, filled.dtype) == (image.shape, image.dtype)
        np.testing.assert_array_equal(filled[~hole], image[~hole])
        np.testing.assert_array_equal(image, before)

    @pytest.mark.parametrize('shape', [(16, 16), (64, 64), (37, 150), (200, 91)])
    @pytest.mark.parametrize('refine', [False, True])
    def test_so_they_are_by_a_network(self, network, shape, refine):
        image = noise((*shape, 3))
        hole = draw_mask('box', shape, 1) | draw_mask('lines', shape, 2)
        filled = inpaint(image, hole, model=network, refine=refine)
        np.testing.assert_array_equal(filled[~hole], image[~hole])

    def test_what_lies_in_the_hole_does_not_show(self, network):
        image, hole = noise((90, 70, 3)), square((90, 70), 20, 10, 30)
        other = np.where(hole[..., None], 255 - image, image)
        results = [inpaint(one, hole, model=network) for one in (image, other)]
        np.testing.assert_array_equal(*results)

    def test_empty_mask_runs_no_network(self):
        model, image = oracle(), noise((20, 30, 3))
        filled = inpaint(image, np.zeros((20, 30)), model=model, work_size=SIZE)
        np.testing.assert_array_equal(filled, image)
        assert filled is not image
        assert not model.batches

    @given(masks, st.integers(20, 150), st.integers(20, 150), st.booleans(), st.integers(0, 99))
    @settings(max_examples=40, deadline=None)
    def test_every_pixel_of_every_hole_is_filled(self, kind, height, width, refine, seed):
        model = oracle(lambda images, masks: torch.full_like(images, 200.0))
        hole = draw_mask(kind, (height, width), seed)
        image = np.where(hole[..., None], np.uint8(0), np.full((height, width, 3), 200, np.uint8))
        filled = inpaint(image, hole, model=model, work_size=SIZE, refine=refine)
        # black has come from nowhere
        assert np.abs(filled.astype(int) - 200).max() <= 1


class TestNetwork:
    def test_it_gets_what_the_pipelines_give_it(self, telea):
        model = oracle()
        image, hole = noise((SIZE, SIZE, 3)), square((SIZE, SIZE), 8, 8, 9)
        inpaint(image, hole, model=model, work_size=SIZE)
        ((inputs, mask),) = model.batches
        expected = np.where(hole[..., None], 127.5, image)[..., ::-1].transpose(2, 0, 1)
        np.testing.assert_allclose(inputs[0].numpy(), expected, atol=1e-4)
        np.testing.assert_array_equal(mask[0, 0].numpy(), hole)

    @given(st.integers(16, 300), st.integers(16, 300), masks, st.booleans(), st.integers(0, 99))
    @settings(max_examples=25, deadline=None)
    def test_it_sees_its_training_size_alone_and_no_more_than_a_batch(self, height, width, kind, refine, seed):
        model = oracle()
        hole = draw_mask(kind, (height, width), seed)
        inpaint(noise((height, width, 3)), hole, model=model, work_size=SIZE, batch_size=3, refine=refine)
        assert all(inputs.shape[1:] == (3, SIZE, SIZE) and len(inputs) <= 3 for inputs, _ in model.batches)
        assert all(len(inputs) for inputs, _ in model.batches)

    def test_a_stack_shares_batches_and_gets_the_same_answers(self, telea):
        images = noise((5, 40, 50, 3))
        holes = np.stack([square((40, 50), 5 + number, 9, 8) for number in range(5)])
        together = inpaint(images, holes, model=telea)
        assert together.shape == images.shape
        for filled, image, hole in zip(together, images, holes, strict=True):
            np.testing.assert_array_equal(filled, inpaint(image, hole, model=telea))
        model = oracle()
        inpaint(images, holes, model=model, work_size=SIZE, batch_size=5)
        assert [len(inputs) for inputs, _ in model.batches] == [5]

    def test_a_long_thin_hole_keeps_its_resolution(self):
        model = oracle()
        hole = square((400, 400), 200, 10, 3, 380)
        image = noise((400, 400, 3))
        fill_holes([image], [hole], model, Options(SIZE))
        for inputs, mask in model.batches:
            known = mask[:, 0].numpy() == 0
            # pixels of the noise itself, not means of it
            windows = inputs.flip(1).permute(0, 2, 3, 1).numpy()
            assert windows[known].std() > 60
        assert sum(len(inputs) for inputs, _ in model.batches) >= 380 / SIZE

    def test_a_large_hole_is_seen_whole_with_its_surroundings(self):
        model = oracle()
        hole = square((300, 300), 100, 90, 120)
        fill_holes([noise((300, 300, 3))], [hole], model, Options(SIZE))
        ((_, mask),) = model.batches
        assert mask[0, 0].mean().item() == pytest.approx(1 / 4, abs=0.05)
        assert mask[0, 0, :4].sum() + mask[0, 0, -4:].sum() + mask[0, 0, :, :4].sum() + mask[0, 0, :, -4:].sum() == 0

    def test_refining_looks_at_finer_and_finer_scales(self):
        hole = square((300, 300), 80, 80, 130)
        counts = []
        for refine in (False, True):
            model = oracle()
            fill_holes([noise((300, 300, 3))], [hole], model, Options(SIZE, refine=refine))
            counts.append(sum(len(inputs) for inputs, _ in model.batches))
        assert counts[0] == 1
        assert counts[1] > 10

    def test_what_a_perfect_network_knows_comes_back(self):
        """Up to the resampling, which a ramp survives."""
        image = ramp(240, 320)
        scene = torch.from_numpy(image)

        def answer(images, masks):
            # continue each channel of the window linearly: a plane fitted to what is known
            rows, columns = torch.meshgrid(*[torch.arange(SIZE, dtype=torch.float64)] * 2, indexing='ij')
            plane = torch.stack((rows, columns, torch.ones_like(rows)), dim=-1).reshape(-1, 3)
            answers = []
            for window, mask in zip(images.double(), masks, strict=True):
                known = mask.flatten() == 0
                fit = torch.linalg.lstsq(plane[known], window.flatten(1).T[known]).solution
                answers.append((plane @ fit).T.reshape(3, SIZE, SIZE).float())
            return torch.stack(answers)

        hole = square((240, 320), 70, 100, 90)
        filled = inpaint(image.astype(np.uint8), hole, model=oracle(answer), work_size=SIZE)
        assert np.abs(filled - scene.numpy()).max() <= 3

    def test_training_mode_is_refused(self, tmp_path):
        model = oracle().train()
        with pytest.raises(ValueError, match='training mode'):
            inpaint(noise((20, 20, 3)), square((20, 20), 3, 3, 3), model=model, work_size=SIZE)


def means_of(images, masks):
    """Images of the mean known colour of each window."""
    return (images * (1 - masks)).sum((2, 3), keepdim=True) / (1 - masks).sum((2, 3), keepdim=True) + 0 * images


def jumps(image, hole):
    """Mean absolute differences of neighbours: across the hole's border, and among known pixels."""
    across, known = [], []
    for one, other in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        step = np.abs(image[one].astype(float) - image[other]).mean(axis=-1)
        across.append(step[hole[one] != hole[other]])
        known.append(step[~hole[one] & ~hole[other]])
    return np.concatenate(across).mean(), np.concatenate(known).mean()


@pytest.fixture(scope='module')
def portrait():
    """A photograph with skin, cloth, hair and hard edges."""
    return astronaut()[:256, 100:356].copy()


def fill_from(answer, image, hole):
    """Fill a hole by a network that sees the whole image at once and answers with an image in RGB."""
    shown = torch.from_numpy(np.ascontiguousarray(answer[..., ::-1], np.float32)).permute(2, 0, 1)[None]
    return inpaint(image, hole, model=oracle(lambda images, masks: shown), work_size=len(image)).astype(float)


def psnr(image, truth, where):
    return 10 * np.log10(255**2 / np.mean((image[where].astype(float) - truth[where]) ** 2))


def strokes(shape, width):
    lines = np.zeros(shape, np.uint8)
    points = np.random.default_rng(3).integers(20, shape[0] - 20, (6, 2), np.int32)
    return cv2.polylines(lines, [points], False, 1, width) > 0


class TestTruth:
    """A network that knows what was in the hole."""

    @pytest.mark.parametrize(
        'hole',
        [square((256, 256), 120, 60, 100), square((256, 256), 150, 140, 32), strokes((256, 256), 14)],
        ids=['large', 'small', 'strokes'],
    )
    def test_its_texture_is_kept_up_to_the_border_of_the_hole(self, portrait, hole):
        filled = fill_from(portrait, portrait, hole)
        border = hole & (cv2.dilate((~hole).astype(np.uint8), np.ones((3, 3))) > 0)
        assert psnr(filled, portrait, hole) > 32
        assert psnr(filled, portrait, border) > 29

    @pytest.mark.parametrize('width', [1, 2, 3])
    @pytest.mark.parametrize('diagonal', [False, True])
    def test_thin_holes_show_its_texture(self, width, diagonal):
        image = (128 + np.random.default_rng(0).normal(0, 10, (256, 256, 3))).round().astype(np.uint8)
        lines = np.zeros((256, 256), np.uint8)
        hole = cv2.line(lines, (20, 40), (230, 200 if diagonal else 40), 1, width) > 0
        filled = fill_from(image, image, hole)
        # the mean of the neighbours is some 10 grey levels away, and has another pattern
        assert np.abs(filled - image)[hole].mean() < 4
        assert np.corrcoef(filled[hole].ravel(), image[hole].ravel())[0, 1] > 0.9

    @pytest.mark.parametrize(
        'hole', [square((256, 256), 100, 60, 100), strokes((256, 256), 14)], ids=['box', 'strokes']
    )
    @pytest.mark.parametrize('slow', [False, True])
    def test_a_cast_is_taken_away_from_it(self, portrait, hole, slow):
        rows, columns = np.mgrid[:256, :256] / 256
        cast = 20 + slow * np.stack((15 * rows, -20 * columns, 15 * np.sin(2 * np.pi * rows)), axis=-1)
        filled = fill_from(portrait + cast, portrait, hole)
        if not slow:
            assert np.abs(filled - fill_from(portrait, portrait, hole)).max() <= 1
        # it was at 22 dB
        assert psnr(filled, portrait, hole) > 31
        across, known = jumps(filled, hole)
        assert across <= 1.1 * max(known, jumps(portrait, hole)[0])

    def test_a_ramp_comes_back_as_it_was(self):
        """Though the known pixels are further out than the hole's, and darker or brighter for it."""
        rows, columns = np.mgrid[:100, :100].astype(np.float32)
        image, hole = 20 + 2 * columns + 0.3 * rows, square((100, 100), 30, 40, 40, 20)
        shift = match_border(image, image, ~hole, hole)
        assert np.abs(shift[hole]).max() < 0.3
        np.testing.assert_allclose(match_border(image - 30, image, ~hole, hole)[hole], 30, atol=0.3)


class TestSeams:
    @pytest.mark.parametrize('offset', [-60, 45])
    @pytest.mark.parametrize('refine', [False, True])
    @pytest.mark.parametrize(('top', 'left', 'side'), [(60, 50, 12), (0, 0, 60), (50, 60, 110)])
    def test_a_network_of_other_brightness_leaves_none(self, offset, refine, top, left, side):
        def answer(images, masks):
            return means_of(images, masks) + offset

        random = np.random.default_rng(0)
        image = (ramp(200, 220) + random.normal(0, 3, (200, 220, 3))).round().clip(0, 255).astype(np.uint8)
        hole = square((200, 220), top, left, side)
        filled = inpaint(image, hole, model=oracle(answer), work_size=SIZE, refine=refine)
        across, known = jumps(filled, hole)
        assert across <= known
        # it would have been a seam
        pasted = np.where(hole[..., None], image[~hole].mean(axis=0) + offset, image)
        assert jumps(pasted, hole)[0] > 5 * known

    def test_overlapping_windows_meet_without_one(self):
        levels = iter(np.tile([60.0, 190.0], 500))
        model = oracle(lambda images, masks: torch.stack([torch.full_like(image, next(levels)) for image in images]))
        hole = square((60, 400), 26, 10, 8, 380)
        image = np.full((60, 400, 3), 128, np.uint8)
        filled = inpaint(image, hole, model=model, work_size=SIZE).astype(int)
        assert np.abs(np.diff(filled[30], axis=0)).max() <= 20

    def test_refined_shells_and_their_windows_meet_without_one(self):
        """Each window has a cast of its own."""
        casts = iter(np.tile([20.0, -20.0, 5.0], 500))
        model = oracle(lambda images, masks: torch.stack([mean + next(casts) for mean in means_of(images, masks)]))
        random = np.random.default_rng(0)
        image = (ramp(200, 220) + random.normal(0, 3, (200, 220, 3))).round().clip(0, 255).astype(np.uint8)
        hole = square((200, 220), 40, 50, 110)
        filled = inpaint(image, hole, model=model, work_size=SIZE, refine=True).astype(float)
        assert sum(len(inputs) for inputs, _ in model.batches) > 10
        known = jumps(filled, hole)[1]
        # all that can be a seam: each row and column of the hole, on the average over its length
        for axis in (0, 1):
            steps = np.abs(np.diff(filled[40:150, 50:160], axis=axis)).mean(axis=(1 - axis, 2))
            assert steps.max() <= known


class TestMemory:
    @pytest.mark.parametrize('kind', ['many small holes', 'a thin line'])
    def test_it_is_a_few_bytes_for_each_pixel(self, kind):
        """However many holes are filled at the same time."""
        image, hole = noise((1200, 1600, 3)), np.zeros((1200, 1600), np.uint8)
        if kind == 'a thin line':
            cv2.line(hole, (0, 0), (1599, 1199), 1, 3)
        else:
            hole.reshape(15, 80, 20, 80)[:, 40:44, :, 40:44] = 1
        tracemalloc.start()
        fill_holes([image], [hole > 0], oracle(), Options(SIZE, batch_size=256))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # zeros that nobody touches are counted, too: the process needs less
        assert peak < 60 * hole.size


class TestParts:
    @given(st.integers(SIZE, 200), st.integers(SIZE, 200), st.integers(0, 99))
    @settings(max_examples=30, deadline=None)
    def test_every_wanted_pixel_lies_in_the_inner_part_of_a_window(self, height, width, seed):
        wanted = np.random.default_rng(seed).random((height, width)) < 0.01
        seen = np.zeros((height, width), bool)
        quarter = SIZE // 4
        for top, left in choose_windows(wanted, (height, width), SIZE):
            assert 0 <= top <= height - SIZE
            assert 0 <= left <= width - SIZE
            first_row, last_row = (0 if top == 0 else top + quarter - 1), top + SIZE - quarter + 1
            last_row = height if top == height - SIZE else last_row
            first_column, last_column = (0 if left == 0 else left + quarter - 1), left + SIZE - quarter + 1
            last_column = width if left == width - SIZE else last_column
            seen[first_row:last_row, first_column:last_column] = True
        assert (seen | ~wanted).all()

    @given(masks, st.integers(5, 90), st.integers(5, 90), st.integers(0, 99))
    @settings(max_examples=30, deadline=None)
    def test_groups_share_out_the_hole(self, kind, height, width, seed):
        hole = draw_mask(kind, (height, width), seed)
        count = np.zeros((height, width), int)
        for group in find_groups(hole, SIZE):
            top, left, bottom, right = group.box
            count[top:bottom, left:right] += group.own
            assert group.own[0].any() and group.own[-1].any() and group.own[:, 0].any() and group.own[:, -1].any()
        np.testing.assert_array_equal(count, hole)

    @given(masks, st.integers(5, 90), st.integers(5, 90), st.integers(0, 99))
    @settings(max_examples=30, deadline=None)
    def test_depths_from_the_box_of_a_group_are_those_of_the_image(self, kind, height, width, seed):
        hole = draw_mask(kind, (height, width), seed)
        depths = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        for group in find_groups(hole, SIZE):
            top, left, bottom, right = group.box
            expected = depths[top:bottom, left:right][group.own]
            np.testing.assert_allclose(depths_in(hole, group.box)[group.own], expected, rtol=1e-6)

    def test_a_tall_image_is_matched_as_in_one_piece(self, monkeypatch):
        image, hole = noise((700, 40)).astype(np.float32), draw_mask('dots', (700, 40), 1)
        filled = noise((700, 40), seed=2).astype(np.float32)
        shift = match_border(filled, image, ~hole, hole)
        monkeypatch.setattr(blending, 'ROWS', 1000)
        np.testing.assert_allclose(shift, match_border(filled, image, ~hole, hole), atol=1e-3)

    def test_holes_far_apart_are_groups_of_their_own(self):
        hole = square((200, 200), 5, 5, 10) | square((200, 200), 17, 5, 10) | square((200, 200), 120, 150, 4)
        assert [group.box for group in find_groups(hole, SIZE)] == [(5, 5, 27, 15), (120, 150, 124, 154)]

    def test_spreading_keeps_what_is_known_and_stays_within_it(self):
        random = np.random.default_rng(0)
        weights = (random.random((41, 30)) < 0.1).astype(np.float32)
        values = random.uniform(-5, 9, (41, 30)).astype(np.float32) * weights
        everywhere = spread(values, weights)
        np.testing.assert_allclose(everywhere[weights > 0], values[weights > 0], rtol=1e-6)
        assert everywhere.min() >= values.min() - 1e-4
        assert everywhere.max() <= values.max() + 1e-4


class TestKinds:
    def test_bgr_is_the_same_in_the_other_order(self, network):
        image, hole = noise((40, 60, 3)), square((40, 60), 9, 9, 14)
        expected = inpaint(image, hole, model=network)[..., ::-1]
        turned = np.ascontiguousarray(image[..., ::-1])
        np.testing.assert_array_equal(inpaint(turned, hole, model=network, channel_order='bgr'), expected)

    def test_16_bits_are_filled_as_8_and_finer(self, telea):
        image, hole = noise((40, 60, 3)), square((40, 60), 9, 9, 14)
        filled = inpaint(image.astype(np.uint16) * 257, hole, model=telea)
        np.testing.assert_allclose(filled / 257, inpaint(image, hole, model=telea), atol=0.51)

    def test_transparent_part_is_the_hole_without_a_mask_and_becomes_opaque(self, telea):
        image, hole = noise((30, 40, 4)), square((30, 40), 9, 9, 9)
        image[..., 3] = np.where(hole, 0, 200)
        filled = inpaint(image, model=telea)
        np.testing.assert_array_equal(filled[~hole], image[~hole])
        assert (filled[hole, 3] == 255).all()
        np.testing.assert_array_equal(filled[..., :3], inpaint(image[..., :3].copy(), hole, model=telea))
        # beside a mask alpha is kept
        np.testing.assert_array_equal(inpaint(image, hole, model=telea)[..., 3], image[..., 3])

    def test_colours_that_are_wholly_transparent_do_not_run_into_the_hole(self, telea):
        image, hole = np.zeros((40, 40, 4), np.uint8), square((40, 40), 8, 10, 6)
        image[8:32, 8:32] = (255, 0, 0, 255)
        filled = inpaint(image, hole, model=telea)
        np.testing.assert_array_equal(filled, image)
        # where all else is transparent, it is what there is to go by
        image[..., 3] = np.where(hole, 255, 0)
        np.testing.assert_array_equal(inpaint(image, hole, model=telea)[~hole], image[~hole])

    @pytest.mark.parametrize('order', ['rgb', 'bgr'])
    def test_a_mask_of_four_channels_is_one_and_no_stack(self, telea, order):
        image, hole = noise((20, 30, 3)), square((20, 30), 3, 4, 6)
        mask = np.full((20, 30, 4), 255, np.uint8)
        mask[..., :3] = np.where(hole > 0, 255, 0)[..., None]
        expected = inpaint(image, hole, model=telea, channel_order=order)
        for filled in (
            inpaint(image, mask, model=telea, channel_order=order),
            *inpaint([image, image], mask, model=telea, channel_order=order),
        ):
            np.testing.assert_array_equal(filled, expected)

    def test_a_value_that_no_pixel_has_is_said(self, telea):
        image, hole = noise((20, 30, 3)), np.where(square((20, 30), 3, 4, 6), np.uint8(90), np.uint8(7))
        with pytest.warns(UserWarning, match='has no hole: no pixel of its mask has the value 8 of'):
            np.testing.assert_array_equal(inpaint(image, hole, model=telea, hole_value=8), image)
        with pytest.raises(BadImageError, match='is all hole: no pixel of its mask has the value 8 of'):
            inpaint(image, hole, model=telea, hole_value=8, invert=True)

    @pytest.mark.parametrize('options', [dict(invert=True), dict(hole_value=255)])
    def test_how_to_read_a_mask_needs_one(self, telea, options):
        with pytest.raises(BadImageError, match='leave out --invert and --hole-value'):
            inpaint(noise((30, 40, 4)), model=telea, **options)

    @pytest.mark.parametrize('mode', ['L', 'LA', 'RGB', 'RGBA', 'I;16'])
    def test_pil_images_come_back_in_their_mode(self, telea, mode):
        hole = square((30, 40), 9, 9, 9)
        if mode == 'I;16':
            image = Image.fromarray(noise((30, 40), np.uint16))
        else:
            image = Image.fromarray(noise((30, 40, 3))).convert(mode)
        filled = inpaint(image, Image.fromarray(hole), model=telea)
        assert (filled.mode, filled.size) == (mode, image.size)
        np.testing.assert_array_equal(np.asarray(filled)[~hole], np.asarray(image)[~hole])
        assert (np.asarray(filled)[hole] != np.asarray(image)[hole]).any()

    def test_paths_lists_and_folders(self, telea, photo_folder, tmp_path):
        hole = square((48, 40), 10, 10, 12)
        (tmp_path / 'masks').mkdir()
        paths = sorted(photo_folder.iterdir())
        for path in paths:
            Image.fromarray(hole).save(tmp_path / 'masks' / path.name)
        expected = [inpaint(np.asarray(Image.open(path)), hole, model=telea) for path in paths]
        by_name = inpaint(photo_folder, tmp_path / 'masks', model=telea)
        assert list(by_name) == [path.name for path in paths]
        for results in (list(by_name.values()), inpaint(paths, hole, model=telea)):
            for result, one in zip(results, expected, strict=True):
                np.testing.assert_array_equal(np.asarray(result), one)

    def test_any_inpaintor_of_mmagic_works(self):
        from mmagic.registry import MODELS

        config = Config.fromfile(ROOT / 'configs/baselines/global-local_4xb8-500k_places2-256x256.py').model
        for part in ('disc', 'loss_gan', 'loss_composed_percep'):
            config[part] = None
        model = MODELS.build(config).eval()
        image, hole = noise((70, 50, 3)), square((70, 50), 30, 20, 12)
        filled = inpaint(image, hole, model=model, work_size=64)
        np.testing.assert_array_equal(filled[~hole], image[~hole])

    @pytest.mark.parametrize(
        ('image', 'mask', 'what'),
        [
            (noise((20, 30, 3)), np.ones((20, 30)), 'all hole'),
            (noise((20, 30, 3)), np.ones((30, 20)), '20x30 pixels .* 30x20'),
            (noise((20, 30, 2)), np.ones((20, 30)), 'has the shape'),
            (noise((20, 30, 3)).astype(float), np.ones((20, 30)), 'uint8 or uint16, got float64'),
            (noise((20, 30, 3)), None, 'no alpha channel'),
            (noise((20, 30, 3)), np.ones(20), 'A mask has height and width'),
            (noise((20, 30, 3)), np.full((20, 30), np.nan), 'nan or infinite'),
            (Image.new('LAB', (30, 20)), np.ones((20, 30)), 'mode LAB'),
        ],
    )
    def test_what_cannot_be_filled_gets_a_sentence(self, telea, image, mask, what):
        with pytest.raises(BadImageError, match=what):
            inpaint(image, mask, model=telea)

    @pytest.mark.parametrize(
        ('arguments', 'what'),
        [
            (dict(work_size=3), '16 pixels and more'),
            (dict(batch_size=0), r'\(batch_size\) 1 and more'),
            (dict(channel_order='hsv'), "'rgb' or 'bgr'"),
            (dict(mask=[np.ones((20, 30))] * 2), 'one for all; got 2'),
        ],
    )
    def test_arguments_that_do_not_fit_get_a_sentence(self, telea, arguments, what):
        options = dict(dict(mask=square((20, 30), 3, 3, 3)), **arguments)
        with pytest.raises(ValueError, match=what):
            inpaint([noise((20, 30, 3))], model=telea, **options)

    @pytest.mark.parametrize(
        ('image', 'mask', 'what'),
        [
            (torch.zeros(20, 30, 3), np.ones((20, 30)), 'A photograph is .* got Tensor'),
            (None, np.ones((20, 30)), 'A photograph is .* got NoneType'),
            (noise((20, 30, 3)), 3, 'A mask is .* got int'),
            (Path(__file__).parent, np.ones((20, 30)), 'a folder of masks, .* got ndarray'),
        ],
    )
    def test_other_types_get_a_sentence(self, telea, image, mask, what):
        with pytest.raises(TypeError, match=what):
            inpaint(image, mask, model=telea)

    def test_a_model_that_is_none_gets_a_sentence(self):
        with pytest.raises(TypeError, match=r'what load_model\(\) gives.* got str'):
            inpaint(noise((20, 30, 3)), square((20, 30), 3, 3, 3), model='telea')

    def test_unknown_training_size_is_asked_for(self):
        with pytest.raises(ValueError, match=r'give it as --work-size \(work_size\)'):
            inpaint(noise((20, 30, 3)), square((20, 30), 3, 3, 3), model=oracle())


@pytest.mark.parametrize(
    ('config', 'size'),
    [
        ('baselines/telea.py', 64),
        ('quickstart/stage2.py', 64),
        ('cainet/cainet_stage2_4xb8-500k_places2-256x256.py', 256),
        ('baselines/pconv_stage1_4xb8-500k_places2-256x256.py', 256),
    ],
)
def test_training_size_of_the_package_s_configs(config, size):
    assert training_size(Config.fromfile(ROOT / 'configs' / config)) == size


def test_training_size_is_that_of_the_crop_or_the_resize():
    def config(*steps):
        return Config(dict(train_dataloader=dict(dataset=dict(pipeline=list(steps)))))

    resize, crop = dict(type='Resize', scale=(-1, 300)), dict(type='Crop', crop_size=(512, 384))
    assert training_size(config(resize, crop)) == 384
    assert training_size(config(resize, dict(type='RandomChoice', transforms=[[crop]]))) == 384
    assert training_size(config(dict(type='Resize', scale=(128, 128)))) == 128
    assert training_size(config(resize)) is None
    assert training_size(Config(dict(train_pipeline=[crop]))) == 384
    assert training_size(Config()) is None
