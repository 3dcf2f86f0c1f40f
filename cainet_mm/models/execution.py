"""How a forward pass is being run."""

import torch
from torch import Tensor


def is_eager_on_cpu(x: Tensor) -> bool:
    """Whether each operation runs on a CPU as it is called, so that values and sizes may be looked at."""
    # torch before 2.3 cannot say whether it compiles
    is_compiling = getattr(torch.compiler, 'is_compiling', bool)
    return x.device.type == 'cpu' and not torch.jit.is_tracing() and not is_compiling()
