"""Models behind the wrappers of distributed training."""

from typing import Any

from mmengine.model import is_model_wrapper
from torch import nn


def unwrap_model(model: nn.Module) -> Any:
    """The model inside a wrapper such as ``DistributedDataParallel``; any other model as it is."""
    return model.module if is_model_wrapper(model) else model
