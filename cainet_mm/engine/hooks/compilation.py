"""Compiled parts of a model."""

from collections.abc import Sequence

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ...utils.checkpoint_io import find_submodule
from ...utils.dist import unwrap_model


@HOOKS.register_module()
class CompileHook(Hook):
    """Compiles parts of a model with ``torch.compile`` for training; names and checkpoints stay as they are.

    MMEngine's own key, ``compile=True``, compiles a whole training step, which does not work for a critic with a
    gradient penalty, whose second derivative torch cannot compile.

    Args:
        parts: Dotted names of submodules; ``None`` for an inpaintor's ``'generator'``, or ``'backbone'`` in stage 1.
        options: Those of ``torch.compile``, such as ``dict(mode='max-autotune')``.

    Raises:
        ValueError: The model has no such part.
    """

    def __init__(self, parts: Sequence[str] | None = None, options: dict | None = None) -> None:
        self.parts, self.options = parts, dict(options or {})

    def before_train(self, runner: Runner) -> None:
        model = unwrap_model(runner.model)
        for name in self.parts or ['generator' if hasattr(model, 'generator') else 'backbone']:
            part = unwrap_model(find_submodule(model, name))
            part.forward = torch.compile(part.forward, **self.options)
