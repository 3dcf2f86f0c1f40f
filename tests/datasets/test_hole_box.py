"""The window around the hole that the local critics of Global&Local and DeepFillv1 look at."""

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from mmagic.models.utils import extract_around_bbox, extract_bbox_patch
from mmagic.registry import MODELS
from mmengine.dataset import pseudo_collate
from mmengine.registry import TRANSFORMS

LARGEST = 24


def place(mask, size):
    return TRANSFORMS.build(dict(type='HoleBox', size=size))(dict(mask=mask))['mask_bbox']


def hole_at(shape, top, left, height, width):
    mask = np.zeros((*shape, 1), np.uint8)
    mask[top : top + height, left : left + width] = 1
    return mask


def extent(mask, axis):
    """First and last row (axis 0) or column (axis 1) with a hole, found pixel by pixel."""
    positions = [index[axis] for index in np.argwhere(mask[..., 0])]
    return min(positions), max(positions)


@st.composite
def masks_and_windows(draw):
    """An image of any shape, any pixels of which are hole, and a window that is no larger than it."""
    shape = draw(st.integers(1, LARGEST)), draw(st.integers(1, LARGEST))
    window = tuple(draw(st.integers(1, length)) for length in shape)
    mask = np.zeros((*shape, 1), np.uint8)
    pixel = st.tuples(*(st.integers(0, length - 1) for length in shape))
    for row, column in draw(st.lists(pixel, min_size=1, max_size=6)):
        mask[row, column] = 1
    return mask, window


class TestPlace:
    @given(masks_and_windows())
    @example((np.ones((5, 5, 1), np.uint8), (5, 5)))
    def test_window_has_its_size_and_lies_inside_the_image(self, case):
        mask, size = case
        *corner, height, width = place(mask, size)
        assert (height, width) == size
        for start, window, length in zip(corner, size, mask.shape, strict=False):
            assert 0 <= start <= length - window

    @given(masks_and_windows())
    def test_hole_that_fits_is_inside_and_of_a_larger_one_the_window_sees_nothing_else(self, case):
        mask, size = case
        *corner, _, _ = place(mask, size)
        for axis in (0, 1):
            first, last = extent(mask, axis)
            start, end = corner[axis], corner[axis] + size[axis] - 1
            if last - first < size[axis]:
                assert start <= first and last <= end
            else:
                assert first <= start and end <= last

    @given(masks_and_windows())
    def test_shift_off_the_centre_is_what_the_border_forces_and_no_more(self, case):
        mask, size = case
        *corner, _, _ = place(mask, size)
        for axis in (0, 1):
            first, last = extent(mask, axis)
            # twice the distance between the centres of window and hole; half a pixel cannot be helped
            shift = 2 * corner[axis] + size[axis] - (first + last + 1)
            if shift > 1:
                assert corner[axis] == 0, 'moved right or down only as far as the image begins'
            elif shift < -1:
                assert corner[axis] == mask.shape[axis] - size[axis], 'moved left or up only as far as it ends'

    @pytest.mark.parametrize(
        ('hole', 'corner'),
        [
            ((20, 30, 6, 4), (15, 26)),  # in the interior: as much on either side
            ((0, 0, 6, 4), (0, 0)),
            ((58, 76, 6, 4), (48, 68)),  # at the far corner, of an image of 64x80
            ((2, 74, 6, 4), (0, 68)),
            ((10, 10, 40, 30), (22, 19)),  # larger than the window: its middle
        ],
    )
    def test_known_holes(self, hole, corner):
        assert place(hole_at((64, 80), *hole), (16, 12)) == [*corner, 16, 12]

    def test_hole_of_several_parts_is_taken_as_one(self):
        mask = hole_at((64, 64), 10, 12, 2, 2) + hole_at((64, 64), 28, 40, 2, 2)
        assert place(mask, (32, 32)) == [4, 11, 32, 32]

    def test_image_without_a_hole_gets_the_window_in_its_middle(self):
        assert place(np.zeros((64, 80, 1), np.uint8), (16, 12)) == [24, 34, 16, 12]

    def test_mask_with_and_without_a_channel_gives_the_same(self):
        mask = hole_at((64, 80), 7, 50, 9, 3)
        assert place(mask[..., 0], (16, 12)) == place(mask, (16, 12))

    def test_window_as_large_as_the_image_is_the_image(self):
        assert place(hole_at((30, 20), 3, 4, 5, 6), (30, 20)) == [0, 0, 30, 20]

    @pytest.mark.parametrize('size', [(65, 8), (8, 81), (65, 81)])
    def test_window_larger_than_the_image_is_refused(self, size):
        with pytest.raises(ValueError, match=r'HoleBox places a window of \(.*\) pixels, but the mask has') as error:
            place(hole_at((64, 80), 1, 1, 3, 3), size)
        assert all(part in str(error.value) for part in (str(size), '(64, 80)', 'local_size', 'larger crops'))

    def test_nothing_but_the_box_is_added(self):
        results = dict(mask=hole_at((20, 20), 3, 3, 4, 4), gt='photo', key='name')
        before = results['mask'].copy()
        out = TRANSFORMS.build(dict(type='HoleBox', size=(8, 8)))(results)
        assert out.keys() == {'mask', 'gt', 'key', 'mask_bbox'}
        assert (out['mask'] == before).all()


class TestInMMagic:
    @given(masks_and_windows())
    def test_patch_of_mmagic_is_the_whole_window(self, case):
        mask, size = case
        top, left, height, width = box = place(mask, size)
        image = torch.arange(mask.size, dtype=torch.float32).reshape(1, 1, *mask.shape[:2])
        patch, moved = extract_around_bbox(image, torch.LongTensor([box]), size)
        assert torch.equal(patch, image[..., top : top + height, left : left + width])
        assert moved.tolist() == [box], 'MMagic leaves the window where it is'
        assert patch.shape[-2:] == size

    def test_packed_and_stacked_as_the_inpaintors_read_it(self):
        # at two borders, where windows that are not moved would be cut off, and inside
        holes = [(0, 0, 5, 9), (60, 70, 4, 10), (30, 33, 8, 2)]
        steps = [TRANSFORMS.build(step) for step in (dict(type='HoleBox', size=(24, 16)), dict(type='PackInputs'))]
        packed = []
        for number, hole in enumerate(holes):
            mask = hole_at((64, 80), *hole)
            photo = np.full((64, 80, 3), 10 * number, np.uint8)
            results = dict(img=photo, gt=photo, mask=mask, gt_channel_order='BGR', gt_color_type='color')
            for step in steps:
                results = step(results)
            packed.append(results)
        expected = [[0, 0, 24, 16], [40, 64, 24, 16], [22, 26, 24, 16]]
        assert [list(sample['data_samples'].metainfo['mask_bbox']) for sample in packed] == expected
        preprocessor = MODELS.build(dict(type='DataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3))
        batch = preprocessor(pseudo_collate(packed), training=True)['data_samples']
        # as GLInpaintor.train_step and DeepFillv1Inpaintor.train_step do
        boxes = torch.LongTensor(batch.metainfo['mask_bbox'])
        assert boxes.tolist() == expected
        patch, boxes = extract_around_bbox(batch.mask, boxes, (24, 16))
        assert patch.shape == (3, 1, 24, 16)
        assert [part.sum().item() for part in patch] == [height * width for _, _, height, width in holes]
        assert extract_bbox_patch(boxes, batch.gt_img).shape == (3, 3, 24, 16)
