from types import SimpleNamespace

import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.registry import HOOKS
from torch.utils.data import DataLoader

from cainet_mm.engine.hooks import check_queue_fits


def loader(batch_size, samples=10, sampler=InfiniteSampler, **kwargs):
    data = list(range(samples))
    return DataLoader(data, batch_size=batch_size, sampler=sampler(data), **kwargs)


def test_batches_that_divide_the_queue_pass():
    check_queue_fits(64, loader(16), world_size=2)
    check_queue_fits(64, loader(5 - 1, sampler=DefaultSampler, drop_last=True), world_size=1)
    check_queue_fits(64, loader(2, sampler=DefaultSampler), world_size=1)


def test_global_batch_that_does_not_divide_the_queue_is_refused():
    with pytest.raises(
        ValueError, match=r'queue of 64 keys is not divided by the global batch of 48 \(16 in each of 3'
    ):
        check_queue_fits(64, loader(16), world_size=3)


def test_the_multiple_that_is_proposed_would_do():
    with pytest.raises(ValueError, match='such as 96'):
        check_queue_fits(100, loader(16), world_size=2)


def test_smaller_last_batch_is_refused_before_it_comes():
    with pytest.raises(ValueError, match=r'2 samples instead of 4.*drop_last=True'):
        check_queue_fits(64, loader(4, sampler=DefaultSampler), world_size=1)


def test_channels_last_changes_the_layout_and_no_result():
    convolutions = torch.nn.Sequential(torch.nn.Conv2d(4, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 3, 3))
    images = torch.rand(2, 4, 9, 11)
    expected = convolutions(images)
    weights = {key: value.clone() for key, value in convolutions.state_dict().items()}
    HOOKS.build(dict(type='ChannelsLastHook')).before_run(SimpleNamespace(model=convolutions))
    assert convolutions[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert convolutions(images).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(convolutions(images), expected)
    assert all(torch.equal(value, weights[key]) for key, value in convolutions.state_dict().items())


def test_hole_psnr_is_logged_beside_other_methods():
    hook = HOOKS.build(dict(type='HolePSNRHook', beside={'Telea': 17.754, 'smooth fill': 18.1}))
    said = []
    runner = SimpleNamespace(logger=SimpleNamespace(info=said.append))
    hook.after_val_epoch(runner, metrics=dict(PSNR=26.5, HolePSNR=18.7355))
    assert said == ['hole PSNR 18.74 dB (Telea 17.75, smooth fill 18.10)']
