import random
import zlib

import cv2
import numpy as np
import pytest
from conftest import ROOT
from mmengine.config import Config
from mmengine.registry import TRANSFORMS
from PIL import Image

from cainet_mm.datasets import BadImageError, LoadPhoto, SeededByImage

MASKS = Config.fromfile(ROOT / 'configs/_base_/masks/free_form_256.py')


def fixed_mask(key, **kwargs):
    return TRANSFORMS.build(dict(MASKS.draw_fixed_mask, **kwargs))(dict(key=key))['mask']


class TestSeededByImage:
    def test_mask_depends_on_the_name_and_the_seed_alone(self):
        first = fixed_mask('a/cat')
        np.random.seed(5)
        random.seed(5)
        assert (fixed_mask('a/cat') == first).all()
        assert (fixed_mask('a/dog') != first).any()
        assert (fixed_mask('a/cat', seed=1) != first).any()

    def test_seed_is_the_checksum_of_seed_and_name(self):
        # the stream of NumPy's legacy generator is frozen by its compatibility policy, so masks keep across versions
        drawn = SeededByImage([lambda results: dict(results, draw=np.random.randint(0, 2**31, 3).tolist())], seed=7)
        expected = np.random.RandomState(zlib.crc32(b'7/folder/photo')).randint(0, 2**31, 3).tolist()
        assert drawn(dict(key='folder/photo'))['draw'] == expected

    def test_random_state_outside_is_left_alone(self):
        np.random.seed(3)
        random.seed(3)
        expected = np.random.rand(), random.random()
        np.random.seed(3)
        random.seed(3)
        fixed_mask('cat')
        assert (np.random.rand(), random.random()) == expected

    def test_missing_name_is_refused(self):
        with pytest.raises(KeyError, match="'key'.*name_key"):
            SeededByImage([])(dict(gt_path='x.png'))


class TestMaskMixture:
    def test_holes_are_binary_and_of_both_kinds(self):
        masks = [fixed_mask(str(number)) for number in range(60)]
        rectangles = 0
        for mask in masks:
            assert mask.shape == (256, 256, 1) and mask.dtype == np.uint8
            assert set(np.unique(mask)) == {0, 1}
            rows, columns = np.nonzero(mask[..., 0])
            box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
            rectangles += box == len(rows)
        assert 18 <= rectangles <= 42, 'about half of the holes are rectangles'

    def test_nothing_but_the_mask_leaves_the_mixture(self):
        transform = TRANSFORMS.build(MASKS.draw_mask)
        for seed in range(8):
            np.random.seed(seed)
            assert set(transform(dict(key='x'))) == {'key', 'mask'}

    def test_two_views_get_different_masks(self):
        np.random.seed(0)
        results = TRANSFORMS.build(MASKS.draw_key_mask)(TRANSFORMS.build(MASKS.draw_query_mask)(dict()))
        assert (results['mask_q'] != results['mask_k']).any()


class TestLoadPhoto:
    def load(self, path, **kwargs):
        return LoadPhoto(**kwargs)(dict(gt_path=str(path)))['gt']

    @pytest.mark.parametrize('mode', ['L', 'LA', 'RGBA', 'P', 'RGB', '1', 'I;16'])
    def test_every_kind_becomes_three_channels(self, tmp_path, mode):
        path = tmp_path / 'photo.png'
        grey = np.arange(20 * 30, dtype=np.uint8).reshape(20, 30)
        if mode == 'I;16':
            cv2.imwrite(str(path), grey.astype(np.uint16) * 257)
        else:
            Image.fromarray(grey).convert('RGB').convert(mode).save(path)
        image = self.load(path)
        assert image.shape == (20, 30, 3) and image.dtype == np.uint8
        if mode in ('L', 'LA', 'RGBA', 'RGB', 'I;16'):
            assert (image == grey[..., None]).all()

    def test_small_image_is_refused(self, tmp_path):
        Image.new('RGB', (30, 20)).save(tmp_path / 'small.png')
        with pytest.raises(BadImageError, match=r'small.png is 20x30 pixels, smaller than the crop of 32x16'):
            self.load(tmp_path / 'small.png', min_size=(32, 16))

    @pytest.mark.parametrize('content', [b'', b'no image', b'\x89PNG\r\n\x1a\n'])
    def test_what_is_no_image_is_refused(self, tmp_path, content):
        (tmp_path / 'broken.png').write_bytes(content)
        with pytest.raises(BadImageError, match='broken.png'):
            self.load(tmp_path / 'broken.png')

    def test_missing_file_is_refused(self, tmp_path):
        with pytest.raises(BadImageError, match='gone.png cannot be read'):
            self.load(tmp_path / 'gone.png')


class TestRandomTint:
    def test_each_channel_is_one_channel_of_the_photograph_scaled_and_shifted(self):
        random_state = np.random.RandomState(0)
        image = random_state.randint(0, 256, (9, 7, 3)).astype(np.uint8)
        tint = TRANSFORMS.build(dict(type='RandomTint', keys=['gt'], gain=(0.5, 0.9), offset=(0.0, 20.0)))
        sources = set()
        for _ in range(20):
            changed = tint(dict(gt=image.copy()))['gt'].astype(float)
            for channel in range(3):
                target = changed[..., channel].ravel()
                fits = [np.polynomial.Polynomial.fit(image[..., c].ravel(), target, 1) for c in range(3)]
                errors = [np.abs(fit(image[..., c]) - changed[..., channel]).max() for c, fit in enumerate(fits)]
                source = int(np.argmin(errors))
                offset, gain = fits[source].convert().coef
                assert errors[source] <= 1, 'rounding alone'
                assert 0.49 < gain < 0.91
                assert -1 < offset < 21
                sources.add((channel, source))
        assert len(sources) == 9, 'channels come in every order'

    def test_images_of_one_sample_are_changed_alike_and_clipped(self):
        image = np.full((4, 4, 3), 250, np.uint8)
        tint = TRANSFORMS.build(dict(type='RandomTint', keys=['gt', 'other'], gain=(1.1, 1.2), offset=(60.0, 60.0)))
        changed = tint(dict(gt=image.copy(), other=image.copy()))
        assert (changed['gt'] == changed['other']).all()
        assert (changed['gt'] == 255).all()
