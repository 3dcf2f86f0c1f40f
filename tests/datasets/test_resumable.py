"""Samples by their position in the training."""

import pickle
import random
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS
from mmengine.runner import Runner

from cainet_mm.datasets import resumable
from cainet_mm.datasets.resumable import ResumableDataset, ResumableSampler
from cainet_mm.engine.loops import make_resumable


@DATASETS.register_module()
class DrawnNumbers(BaseDataset):
    """Each sample is its index and one number from each of the three generators."""

    def __init__(self, length=7, failing=None, **kwargs):
        self.length = length
        self.failing = failing
        super().__init__(serialize_data=False, **kwargs)

    def load_data_list(self):
        return [dict(img_path=f'photo_{number}.png') for number in range(self.length)]

    def prepare_data(self, index):
        if index == self.failing:
            raise ZeroDivisionError('the width is 0')
        return dict(index=index, drawn=(random.random(), np.random.rand(), torch.rand(1).item()))


def make_loader(sampler='InfiniteSampler', batch_size=2, length=7, workers=0, shuffle=True, seed=3, start=0, **kwargs):
    loader = Runner.build_dataloader(
        make_resumable(
            dict(
                dataset=dict(type='DrawnNumbers', length=length),
                sampler=dict(type=sampler, shuffle=shuffle),
                batch_size=batch_size,
                num_workers=workers,
                collate_fn=dict(type='default_collate'),
                **kwargs,
            )
        ),
        seed=0,
    )
    loader.sampler.start(seed, start)
    loader.dataset.seed = seed
    return loader


def take(loader, batches):
    """Batches, through as many epochs as it takes."""
    taken = []
    while len(taken) < batches:
        for batch in loader:
            taken.append((batch['index'].tolist(), [numbers.tolist() for numbers in batch['drawn']]))
            if len(taken) == batches:
                break
    return taken


@settings(max_examples=40, deadline=None)
@given(
    sampler=st.sampled_from(['InfiniteSampler', 'DefaultSampler']),
    batch_size=st.integers(1, 5),
    length=st.integers(5, 9),
    drop_last=st.booleans(),
    start=st.integers(0, 12),
)
def test_a_loader_that_starts_at_an_iteration_gives_what_one_from_the_beginning_gives_there(
    sampler, batch_size, length, drop_last, start
):
    kwargs = dict(sampler=sampler, batch_size=batch_size, length=length, drop_last=drop_last)
    assert take(make_loader(**kwargs, start=start), 6) == take(make_loader(**kwargs), start + 6)[start:]


def test_the_number_of_workers_changes_nothing():
    alone = take(make_loader(), 8)
    assert take(make_loader(workers=1), 8) == alone
    assert take(make_loader(workers=2, persistent_workers=True), 8) == alone
    assert take(make_loader(seed=4), 8) != alone


@pytest.mark.parametrize('sampler, batches', [('InfiniteSampler', 8), ('DefaultSampler', 2)])
def test_two_processes_together_get_the_samples_of_one(sampler, batches, monkeypatch):
    def as_process(rank, world_size):
        for module in (resumable, __import__('mmengine.dataset.sampler', fromlist=['sampler'])):
            monkeypatch.setattr(module, 'get_dist_info', lambda: (rank, world_size))
        length = 8
        loader = make_loader(sampler, batch_size=4 // world_size, length=length)
        return take(loader, batches)

    whole, halves = as_process(0, 1), (as_process(0, 2), as_process(1, 2))
    for (indices, drawn), *parts in zip(whole, *halves, strict=True):
        together = [index for pair in zip(*(part[0] for part in parts), strict=True) for index in pair]
        assert together == indices
        for generator, numbers in enumerate(drawn):
            mixed = [n for pair in zip(*(part[1][generator] for part in parts), strict=True) for n in pair]
            assert mixed == numbers


def test_batches_of_another_size_go_on_after_the_samples_that_were_had():
    whole = [index for indices, _ in take(make_loader(batch_size=1), 40) for index in indices]
    loader = make_loader(batch_size=5)
    # six batches of two, and one of five
    loader.sampler.start(3, 7, samples=17)
    assert [index for indices, _ in take(loader, 4) for index in indices] == whole[17:37]


def test_an_image_is_drawn_for_anew_each_time_it_comes():
    batches = take(make_loader(batch_size=1, length=3), 30)
    drawn = [(indices[0], tuple(numbers[0] for numbers in drawn)) for indices, drawn in batches]
    assert {index for index, _ in drawn} == {0, 1, 2}
    for generator in range(3):
        assert len({numbers[generator] for _, numbers in drawn}) == 30


def test_epochs_have_every_sample_once_in_an_order_of_their_own():
    loader = make_loader('DefaultSampler', batch_size=3, length=9)
    epochs = [[index for batch in loader for index in batch['index'].tolist()] for _ in range(4)]
    assert all(sorted(epoch) == list(range(9)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_an_epoch_without_a_batch_is_refused():
    with pytest.raises(ValueError, match=r'An epoch of 7 samples has no batch of 8.*drop_last=True'):
        next(iter(make_loader('DefaultSampler', batch_size=8, drop_last=True)))


@pytest.mark.parametrize('workers', [0, 1])
def test_a_failing_pipeline_names_the_sample(workers):
    dataset = ResumableDataset(dict(type='DrawnNumbers', failing=5))
    dataset.full_init()
    sampler = ResumableSampler(dataset, dict(type='DefaultSampler', shuffle=False), batch_size=1)
    loader = torch.utils.data.DataLoader(dataset, 1, sampler=sampler, num_workers=workers)
    with pytest.raises(RuntimeError, match=r'Sample 5, photo_5\.png, could not .*ZeroDivisionError: the width is 0'):
        list(loader)


@DATASETS.register_module()
class BadFirst(BaseDataset):
    """Three samples, of which the first is bad and the others cannot be prepared."""

    def load_data_list(self):
        return [dict(img_path=f'{number}.png') for number in range(3)]

    def prepare_data(self, idx):
        if idx:
            raise ZeroDivisionError(f'sample {idx}')


def test_a_pickled_copy_prepares_the_same():
    dataset = ResumableDataset(dict(type='DrawnNumbers', length=9))
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy[5, 3] == dataset[5, 3]


def test_the_sample_that_fails_in_the_place_of_a_bad_one_is_named():
    dataset = ResumableDataset(dict(type='BadFirst'))
    dataset.full_init()
    with pytest.raises(RuntimeError) as raised:
        dataset[0, 0]
    taken = re.search(r'ZeroDivisionError: sample (\d)', str(raised.value))[1]
    assert str(raised.value).startswith(f'Sample {taken}, {taken}.png, could not be prepared')
