"""Which device is chosen and why, and what is said where it lacks an operator."""

import numpy as np
import pytest
import torch

from cainet_mm.apis import inpaint
from cainet_mm.inference import devices
from cainet_mm.inference.devices import choose_device, missing_operators_explained


@pytest.mark.parametrize(
    ('found', 'broken', 'wanted', 'device', 'reason'),
    [
        ((), (), 'auto', 'cpu', 'torch finds no cuda, xpu or mps here'),
        (('mps',), (), 'auto', 'mps', 'torch finds it; --device cpu takes the CPU'),
        (('cuda', 'xpu'), (), 'auto', 'cuda', 'torch finds it; --device cpu takes the CPU'),
        (('cuda', 'xpu'), ('cuda',), 'auto', 'xpu', 'torch finds it; --device cpu takes the CPU'),
        (('cuda',), ('cuda',), 'auto', 'cpu', 'The device cuda cannot be used: too old'),
        (('cuda',), (), 'cpu', 'cpu', 'as --device says'),
        (('cuda',), (), 'cuda:1', 'cuda:1', 'as --device says'),
    ],
)
def test_the_first_accelerator_that_works_is_chosen(monkeypatch, found, broken, wanted, device, reason):
    for kind, module in (('cuda', torch.cuda), ('xpu', torch.xpu), ('mps', torch.backends.mps)):
        monkeypatch.setattr(module, 'is_available', lambda kind=kind: kind in found)

    def use(device):
        if device in broken:
            raise ValueError(f'The device {device} cannot be used: too old')
        return torch.device(device)

    monkeypatch.setattr(devices, 'usable_device', use)
    assert choose_device(wanted) == (device, reason)


def test_a_device_that_is_asked_for_and_absent_is_an_error():
    with pytest.raises(ValueError, match='The device cuda:99 cannot be used'):
        choose_device('cuda:99')


@pytest.mark.parametrize(
    ('said', 'says'),
    [
        (
            "The operator 'aten::_fft_r2c' is not currently implemented for the MPS device. If you want this op",
            'mps lacks the operator aten::_fft_r2c.* use --device cpu, or set PYTORCH_ENABLE_MPS_FALLBACK=1',
        ),
        (
            "Could not run 'aten::col2im' with arguments from the 'XPU' backend. This could be",
            'xpu lacks the operator aten::col2im, which this network needs: use --device cpu.$',
        ),
    ],
)
def test_a_missing_operator_gets_a_sentence_when_a_photograph_is_filled(said, says):
    class Lacking:
        training, cfg = False, None

        def test_step(self, data):
            raise NotImplementedError(said)

    hole = np.zeros((20, 20), bool)
    hole[5:9, 5:9] = True
    with pytest.raises(RuntimeError, match=says):
        inpaint(np.zeros((20, 20, 3), np.uint8), hole, model=Lacking(), work_size=32)


def test_other_errors_of_that_kind_stay_as_they_are():
    with pytest.raises(NotImplementedError, match='^to be written$'), missing_operators_explained():
        raise NotImplementedError('to be written')
