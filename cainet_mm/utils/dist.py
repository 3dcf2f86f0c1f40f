"""Models behind the wrappers of distributed training, and what processes agree on."""

from collections.abc import Callable
from typing import Any, TypeVar

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.model import is_model_wrapper
from torch import nn

Answer = TypeVar('Answer')


def unwrap_model(model: nn.Module) -> Any:
    """The model inside a wrapper such as ``DistributedDataParallel``; any other model as it is."""
    return model.module if is_model_wrapper(model) else model


def ask_first(question: Callable[[], Answer]) -> Answer:
    """Return in all processes what a function returns in the first one; an error is raised in all of them, too."""
    answer: list[Any] = [None]
    if is_main_process():
        try:
            answer = [question()]
        except Exception as error:
            answer = [error]
    broadcast_object_list(answer)
    if isinstance(answer[0], Exception):
        raise answer[0]
    return answer[0]
