"""Mixed precision on a CPU."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper

from cainet_mm.engine import CPUAmpOptimWrapper


@pytest.fixture
def model():
    torch.manual_seed(0)
    return torch.nn.Linear(3, 1)


def build(model, **settings):
    return build_optim_wrapper(model, dict(type='CPUAmpOptimWrapper', optimizer=dict(type='SGD', lr=0.5), **settings))


def test_the_forward_pass_is_in_bfloat16_and_the_weights_stay_in_float32(model):
    wrapper = build(model, dtype='bfloat16')
    before = model.weight.detach().clone()
    with wrapper.optim_context(model):
        output = model(torch.ones(2, 3))
    assert output.dtype == torch.bfloat16
    assert model(torch.ones(2, 3)).dtype == torch.float32
    wrapper.update_params(output.float().mean())
    assert model.weight.dtype == torch.float32
    # The gradient of the mean output is the input, here one.
    torch.testing.assert_close(model.weight.detach(), before - 0.5)


def test_gradients_accumulate_as_in_any_wrapper(model):
    wrapper = build(model, accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 4)
    before = model.weight.detach().clone()
    for is_updated in (False, True):
        with wrapper.optim_context(model):
            loss = model(torch.ones(2, 3)).float().mean()
        wrapper.update_params(loss)
        assert (not torch.equal(model.weight, before)) == is_updated
    torch.testing.assert_close(model.weight.detach(), before - 0.5)


def test_another_type_is_refused(model):
    with pytest.raises(ValueError, match="'float16'.*'bfloat16'"):
        CPUAmpOptimWrapper(dtype='float16', optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
