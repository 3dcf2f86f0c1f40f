"""What one process does with a step's samples in several batches, and with large gradients."""

import cases
import pytest
import torch
from torch import nn

from cainet_mm.engine import SplitDistributedDataParallel

PARTS = ('generator', 'disc')


def farthest(ours, reference):
    return max((one - other).abs().max().item() for one, other in zip(ours, reference, strict=True))


def test_two_accumulated_halves_are_a_whole_step():
    whole = cases.train_stage2(steps=2, config=cases.additive_config())
    halves = cases.train_stage2(steps=2, accumulate=2, config=cases.additive_config())
    for part in PARTS:
        assert len(halves['passes'][part]) == 2 * len(halves['gradients'][part]) == 4
        for ours, reference in zip(halves['gradients'][part], whole['gradients'][part], strict=True):
            assert max(value.abs().max() for value in reference) > 0.1
            assert farthest(ours, reference) < 1e-13
        assert (whole['weights'][part] - whole['before'][part]).abs().max() > 1e-3
        torch.testing.assert_close(halves['weights'][part], whole['weights'][part], rtol=0, atol=1e-12)


def test_the_generators_first_half_sees_the_critic_before_its_update():
    gradients = []
    for accumulate in (1, 2):
        answer = cases.train_stage2(steps=1, accumulate=accumulate, config=cases.stage2_config(tv=None))
        gradients.append(torch.cat([value.flatten() for value in answer['gradients']['generator'][0]]))
    difference = (gradients[0] - gradients[1]).norm() / gradients[0].norm()
    assert 0 < difference < 1e-4


def test_gradients_of_both_networks_are_clipped():
    limit = 1e-2
    answer = cases.train_stage2(steps=1, optimizer='SGD', rate=1.0, clip=dict(max_norm=limit))
    for part in PARTS:
        gradient = torch.cat([value.flatten() for value in answer['gradients'][part][0]])
        assert gradient.norm() > 10 * limit
        # a step of SGD with a rate of 1 is the gradient that it got
        moved = answer['before'][part] - answer['weights'][part]
        torch.testing.assert_close(moved, gradient * limit / gradient.norm(), rtol=1e-4, atol=0)


def test_a_split_wrapper_refuses_what_it_cannot_split():
    model = nn.Module()
    model.disc = nn.Conv2d(3, 1, 1)
    with pytest.raises(ValueError, match='disc of a Module is one with parameters of its own'):
        SplitDistributedDataParallel(model)
    with pytest.raises(ValueError, match='critic of a Module is absent'):
        SplitDistributedDataParallel(model, split=('critic',))
