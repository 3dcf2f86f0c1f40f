"""Distributed training of models whose parts are called one by one."""

from collections.abc import Sequence

from mmengine.model import MMSeparateDistributedDataParallel
from mmengine.registry import MODEL_WRAPPERS
from torch import nn


@MODEL_WRAPPERS.register_module()
class SplitDistributedDataParallel(MMSeparateDistributedDataParallel):
    """``MMSeparateDistributedDataParallel`` for models that call the children of a part by themselves.

    Gradients are averaged where a forward pass goes through the wrapper. MMagic's ``DeepFillv1Inpaintor`` gives the two
    critics in its ``disc`` to the gradient penalty one by one, past the wrapper of ``disc``, and the critics of the
    processes drift apart. Here each child of such a part has a wrapper of its own.

    Args:
        module: The model.
        split: Names of the parts whose children are wrapped one by one; each part has parameters in children alone.
        kwargs: ``broadcast_buffers``, ``find_unused_parameters`` and the rest of MMEngine's.

    Raises:
        ValueError: The model has no such part, or a part has parameters of its own.
    """

    def __init__(self, module: nn.Module, split: Sequence[str] = ('disc',), **kwargs) -> None:
        parts = {name: module._modules.get(name) for name in split}
        for name, part in parts.items():
            if part is None or next(part.parameters(recurse=False), None) is not None:
                problem = 'absent' if part is None else 'one with parameters of its own'
                raise ValueError(
                    f'SplitDistributedDataParallel splits parts that consist of other parts, but {name} of a '
                    f'{type(module).__name__} is {problem}. Take it out of split.'
                )
            # it replaces the children in place
            MMSeparateDistributedDataParallel(part, **kwargs)
            module._modules[name] = nn.Identity()
        super().__init__(module, **kwargs)
        module._modules.update(parts)
