import numpy as np
import pytest

from cainet_mm.datasets import SamplePhotos
from cainet_mm.datasets.sample_photos import TEST_PHOTOS, TRAIN_PHOTOS


def entries(**kwargs):
    dataset = SamplePhotos(pipeline=[], **kwargs)
    return [dataset[index] for index in range(len(dataset))]


def test_no_photograph_is_in_both_splits():
    assert not set(TRAIN_PHOTOS) & set(TEST_PHOTOS)
    named = {split: {entry['key'].rsplit('_', 1)[0] for entry in entries(split=split)} for split in ('train', 'test')}
    assert named == dict(train=set(TRAIN_PHOTOS), test=set(TEST_PHOTOS))


def test_test_crops_are_different_squares():
    crops = entries(split='test', short_side=96, crop_size=64, crops_per_photo=3)
    assert len({entry['key'] for entry in crops}) == len(crops) == 9
    assert all(entry['gt'].shape == (64, 64, 3) and entry['gt'].dtype == np.uint8 for entry in crops)
    assert len({entry['gt'].tobytes() for entry in crops}) == 9


def test_photographs_are_bgr():
    astronaut = next(entry for entry in entries(split='train') if entry['key'] == 'astronaut_0')
    blue, _, red = astronaut['gt'].reshape(-1, 3).mean(axis=0)
    assert red > blue, 'her suit is orange'


def test_an_entry_is_a_copy():
    dataset = SamplePhotos(split='test', pipeline=[])
    dataset[0]['gt'][:] = 0
    assert dataset[0]['gt'].any()


@pytest.mark.parametrize(
    'wrong', [dict(split='val'), dict(short_side=0), dict(crops_per_photo=0), dict(crop_size=0), dict(crop_size=97)]
)
def test_bad_arguments_are_refused(wrong):
    with pytest.raises(ValueError, match='SamplePhotos'):
        SamplePhotos(**wrong)
