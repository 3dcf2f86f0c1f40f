"""State between training steps that MMEngine's checkpoints lack."""

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ...utils.dist import unwrap_model
from ..optim_wrappers import parameters_of, wrappers_of


@HOOKS.register_module()
class StepStateHook(Hook):
    """Saves and restores what steps leave behind beside weights and optimisers.

    That is the number of critic steps since the generator's last one (``disc_step``) and, where gradients are
    accumulated, how many have been, and their sums.
    """

    def __init__(self) -> None:
        self._loaded: dict | None = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        state = dict(counts={name: wrapper._inner_count for name, wrapper in wrappers_of(runner)}, gradients={})
        model = unwrap_model(runner.model)
        if hasattr(model, 'disc_step_count'):
            state['disc_step_count'] = model.disc_step_count
        for name, wrapper in wrappers_of(runner):
            if wrapper._inner_count % wrapper._accumulative_counts == 0:
                continue
            if get_world_size() > 1:
                runner.logger.warning(
                    f'The checkpoint is in the middle of accumulating gradients ({name}), which are lost when it is '
                    f'resumed. Let its interval be a multiple of accumulative_counts={wrapper._accumulative_counts}.'
                )
            else:
                gradients = (parameter.grad for parameter in parameters_of(wrapper))
                state['gradients'][name] = [None if value is None else value.cpu() for value in gradients]
        checkpoint['step_state'] = state

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        self._loaded = checkpoint.get('step_state') if runner._resume else None

    def before_train(self, runner: Runner) -> None:
        """Restore the state; MMEngine sets counts of its own after it has loaded a checkpoint."""
        if self._loaded is None:
            return
        if 'disc_step_count' in self._loaded:
            unwrap_model(runner.model).disc_step_count = self._loaded['disc_step_count']
        for name, wrapper in wrappers_of(runner):
            wrapper._inner_count = self._loaded['counts'].get(name, wrapper._inner_count)
            gradients = self._loaded['gradients'].get(name, ())
            for parameter, gradient in zip(parameters_of(wrapper), gradients, strict=False):
                parameter.grad = None if gradient is None else gradient.to(parameter.device)
        self._loaded = None
