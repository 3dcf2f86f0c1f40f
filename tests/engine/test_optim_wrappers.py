"""Mixed precision on a CPU."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper

from cainet_mm.engine import CPUAmpOptimWrapper, TrainingError, optim_wrappers


@pytest.fixture
def model():
    torch.manual_seed(0)
    return torch.nn.Linear(3, 1)


def build(model, even_if_slow=True, **settings):
    config = dict(type='CPUAmpOptimWrapper', optimizer=dict(type='SGD', lr=0.5), even_if_slow=even_if_slow)
    return build_optim_wrapper(model, config | settings)


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


AVX2, BFLOAT16 = {'avx', 'avx2', 'f16c'}, {'avx512_bf16', 'amx_bf16', 'bf16'}


@pytest.mark.parametrize('abilities', [AVX2, AVX2 | {'avx512f', 'avx512_fp16'}, {'asimd', 'fphp'}], ids=sorted)
def test_a_processor_without_bfloat16_is_refused_unless_one_means_it(model, monkeypatch, abilities):
    monkeypatch.setattr(optim_wrappers, 'processor_abilities', lambda: abilities)
    with pytest.raises(TrainingError, match='no bfloat16 arithmetic.*slower.*--amp-anyway.*even_if_slow=True'):
        build(model, even_if_slow=False)
    assert build(model).update_params


@pytest.mark.parametrize(
    'abilities', [AVX2 | {name} for name in sorted(BFLOAT16)] + [None], ids=[*sorted(BFLOAT16), 'unknown']
)
def test_a_processor_with_bfloat16_and_one_that_nobody_knows_train(model, monkeypatch, abilities):
    monkeypatch.setattr(optim_wrappers, 'processor_abilities', lambda: abilities)
    build(model, even_if_slow=False)


@pytest.mark.skipif(not hasattr(torch.cpu, 'get_capabilities'), reason='torch does not tell')
def test_torch_and_linux_say_the_same_of_this_processor(monkeypatch):
    said_by_torch = optim_wrappers.processor_abilities() & BFLOAT16
    monkeypatch.delattr(torch.cpu, 'get_capabilities')
    said_by_linux = optim_wrappers.processor_abilities()
    assert len(said_by_linux) > 10 and said_by_linux & BFLOAT16 == said_by_torch


def test_another_type_is_refused(model):
    with pytest.raises(ValueError, match="'float16'.*'bfloat16'"):
        CPUAmpOptimWrapper(dtype='float16', optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
