"""Which device is chosen, and why."""

import pytest
import torch

from cainet_mm.inference import devices
from cainet_mm.inference.devices import choose_device


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
