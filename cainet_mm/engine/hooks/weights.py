"""What is loaded into a model, and under which names its weights are saved."""

from collections.abc import Mapping

import torch
from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmengine.runner.checkpoint import load_state_dict

from ...utils.checkpoint_io import fit_weights, load_part, weights_in
from ...utils.dist import unwrap_model


@HOOKS.register_module()
class LoadPartHook(Hook):
    """Loads a part of a model from a checkpoint at the start of training; every key of the part has to fit.

    MMEngine's ``init_cfg`` is only for classes that take one, and ``load_from`` for whole models, leniently. A run that
    is resumed keeps the weights that it had.

    Args:
        part: Dotted name of the submodule, such as ``'generator.encoder'``.
        checkpoint: Path or URL.
        prefix: What the part's keys begin with in the checkpoint, such as ``'backbone.encoder.'``.

    Raises:
        FileNotFoundError: The checkpoint is a local path and nothing is there.
        ValueError: The model has no such part, or the checkpoint does not fit it key for key.
    """

    def __init__(self, part: str, checkpoint: str, prefix: str = '') -> None:
        self.part, self.checkpoint, self.prefix = part, checkpoint, prefix

    def before_train(self, runner: Runner) -> None:
        if runner.iter:
            return
        load_part(unwrap_model(runner.model), self.part, self.checkpoint, self.prefix)
        runner.logger.info(f'{self.part} starts from {self.checkpoint} ({self.prefix}*).')


# the second name is deprecated
@HOOKS.register_module(name=['StrictLoadHook', 'FittingWeightsHook'])
class StrictLoadHook(Hook):
    """Refuses a checkpoint that does not fit the model key for key; MMEngine would only warn.

    It acts on what a test, a training (``load_from``) or a resumed run loads. With ``load_from_partial = True`` in the
    config, a training begins with what fits of a checkpoint. The tools register it.
    """

    # before those that look for the weights themselves, such as that of a moving average
    priority = 'VERY_HIGH'
    _start: str | None = None

    def before_train(self, runner: Runner) -> None:
        if self._start is not None:
            runner.logger.info(self._start)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put the weights where MMEngine looks for them, under the names of the model."""
        given = weights = weights_in(checkpoint, runner._load_from)
        if runner._resume or not runner.cfg.get('load_from_partial'):
            weights = fit_weights(unwrap_model(runner.model), given, runner._load_from)
            if not runner._resume:
                self._start = f'Begins with the weights of {runner._load_from}{describe_critic(weights, given)}.'
        checkpoint['state_dict'] = weights


def describe_critic(taken: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]) -> str:
    """Say whether the critic of a model, whose weights are ``taken``, comes from those that a checkpoint gave."""
    model_has, file_has = (any(key.startswith('disc.') for key in weights) for weights in (taken, given))
    if model_has:
        return ', with its critic' if file_has else '; it has no critic, which starts new'
    return '; its critic is left out, as the config has none' if file_has else ''


# the second name is deprecated
@HOOKS.register_module(name=['UnwrapStateDictHook', 'PlainKeysHook'])
class UnwrapStateDictHook(Hook):
    """Saves a model whose parts are wrapped one by one under the same names as one that is not.

    MMEngine unwraps a whole model before it saves, but not the parts that ``MMSeparateDistributedDataParallel`` wraps,
    whose keys then begin with ``generator.module.``: a test would run with random weights. MMEngine loads plain names
    into wrapped parts, but not into the copy that a moving average has.
    """

    # after the hooks that change what is saved or loaded, such as that of a moving average
    priority = 'LOWEST'

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        model = unwrap_model(runner.model)
        wrapped = [name for name, part in model.named_modules() if is_model_wrapper(part)]

        def plain(key: str) -> str:
            if key.startswith('module.'):  # the average keeps its copy of the model under this name
                return f'module.{plain(key.removeprefix("module."))}'
            for name in wrapped:
                if key.startswith(f'{name}.module.'):
                    return f'{name}.{key.removeprefix(f"{name}.module.")}'
            return key

        for name in ('state_dict', 'ema_state_dict'):
            if name in checkpoint:
                checkpoint[name] = {plain(key): value for key, value in checkpoint[name].items()}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Load the moving average of a resumed run; its own hook would leave wrapped parts out."""
        if runner._resume and 'ema_state_dict' in checkpoint:
            for hook in runner.hooks:
                if isinstance(hook, EMAHook):
                    load_state_dict(hook.ema_model, checkpoint['ema_state_dict'], strict=True)
