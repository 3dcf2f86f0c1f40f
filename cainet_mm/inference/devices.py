"""Which device a network runs on."""

import torch

from ..utils.errors import describe_error

# fastest first, as far as one can say
ACCELERATORS = ('cuda', 'xpu', 'mps')


def usable_device(device: str | torch.device) -> torch.device:
    """Take a device; ``ValueError`` where this machine does not have it, or there is no such kind."""
    try:
        tensor = torch.zeros(1, device=device)
        # a device such as meta holds no values
        tensor.item()
        return tensor.device
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # by the kind of device
        raise ValueError(f'The device {device} cannot be used: {describe_error(error, first_line=True)}') from error


def has_accelerator(kind: str) -> bool:
    """Whether torch finds an accelerator of a kind."""
    module = torch.backends.mps if kind == 'mps' else getattr(torch, kind, None)
    return module is not None and module.is_available()


def choose_device(wanted: str = 'auto') -> tuple[str, str]:
    """Choose a device, and say why: of ``'auto'`` the first accelerator that works, else the CPU; else what is wanted.

    ``ValueError`` where that cannot be used.
    """
    if wanted != 'auto':
        return str(usable_device(wanted)), 'as --device says'
    problems = []
    for kind in filter(has_accelerator, ACCELERATORS):
        try:
            return str(usable_device(kind)), 'torch finds it; --device cpu takes the CPU'
        except ValueError as error:
            problems.append(str(error))
    return 'cpu', ' '.join(problems) or f'torch finds no {", ".join(ACCELERATORS[:-1])} or {ACCELERATORS[-1]} here'
