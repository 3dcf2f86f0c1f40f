"""The hook that stops a training, or skips a step, where a loss or a gradient is not finite."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Set
from functools import partial
from pathlib import Path

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import CheckpointHook, EMAHook, Hook
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from ...utils.checkpoint_io import enumerate_names
from ...utils.dist import unwrap_model
from ..broken_batches import can_be_nan, save_broken_batch
from ..checkpointing import list_checkpoints
from ..errors import TrainingError
from ..optim_wrappers import parameters_of, wrappers_of
from ..step_record import Gradients, StepRecord, norms_of, not_finite_anywhere

FOLDER = 'broken'
POLICIES = ('stop', 'skip')
FLOAT32 = 'in float32 if it was not'
SKIPPING = 'with default_hooks.finite.policy=skip'


class NonFiniteError(TrainingError):
    """A loss, a gradient or a weight is nan or infinite."""


@HOOKS.register_module()
class FiniteHook(Hook):
    r"""Stops a run, or skips a step, when a loss or a gradient is nan or infinite.

    The message names the iteration, the losses or the parameters and their optimiser, and the images. The batch goes
    into ``broken/iter_N.pth`` of the work directory (:func:`load_broken_batch`). Whatever the model returns for the log
    is checked, metrics included. Weights that are not finite are never saved.

    With ``policy='stop'`` nothing waits for the device: the losses and the norm :math:`\lVert g \rVert_2` of each
    parameter's gradient are copied asynchronously, and read ``lag`` iterations later; their batches are kept so long.
    The weights are spoilt then, and the run has to resume from its last checkpoint. A norm that overflows, from 2e19 on
    in float32, counts as infinite.

    With ``policy='skip'`` each step of an optimiser waits for its numbers. If they, or the loss that was propagated by
    its wrapper, are not finite, its gradients are removed, accumulated ones as a whole, so that it changes neither its
    parameters nor its state. The model's buffers (statistics of batch norm, the queue of stage 1) are restored from a
    copy of them. Each optimiser decides for itself: where the critic's step is skipped, the generator's may be taken.
    Several processes decide alike.

    With loss scaling (float16) the scaler finds its scale by gradients that are not finite, and skips those steps; only
    losses, or more than ``max_skips`` such steps in a row, are a fault. Where gradients are clipped by their norm, one
    that is not finite has made all of them so before.

    Args:
        policy: ``'stop'`` or ``'skip'``.
        lag: How many iterations later the numbers are read, from 1 up; for ``'stop'``.
        max_skips: After how many iterations in a row with a fault, or steps in a row that the loss scaler skipped, the
            run stops all the same.
        max_files: How many batches are saved in a work directory, by each process.

    Raises:
        NonFiniteError: While training, as described.
    """

    # before moving averages are taken, and before anything is saved
    priority = 'HIGH'

    def __init__(self, policy: str = 'stop', lag: int = 2, max_skips: int = 20, max_files: int = 10) -> None:
        if policy not in POLICIES or lag < 1 or max_skips < 1 or max_files < 0:
            raise ValueError(
                "FiniteHook takes policy='stop' or 'skip', lag and max_skips from 1 up and max_files from 0 up, got "
                f'policy={policy!r}, lag={lag}, max_skips={max_skips}, max_files={max_files}.'
            )
        self.skips, self.lag, self.max_skips, self.max_files = policy == 'skip', lag, max_skips, max_files
        self._undo: list[Callable[[], None]] = []

    def before_train(self, runner: Runner) -> None:
        """Hook into the steps of the optimisers."""
        model = unwrap_model(runner.model)
        self._names = {id(parameter): plain_name(name) for name, parameter in model.named_parameters()}
        self._device = next(model.parameters()).device
        self._buffers = list(model.buffers()) if self.skips else []
        self._kept = [buffer.clone() for buffer in self._buffers]
        self._wrappers = dict(wrappers_of(runner))
        # by optimiser: losses since its last step, whether its accumulated gradients are known as bad, skips in a row
        self._propagated: dict[str, list[Tensor]] = {name: [] for name in self._wrappers}
        self._spoilt: set[str] = set()
        self._scaler_skips = dict.fromkeys(self._wrappers, 0)
        self._records: deque[StepRecord] = deque()
        self._faults_in_row = 0
        for name, wrapper in self._wrappers.items():
            self._undo.append(wrapper.optimizer.register_step_pre_hook(partial(self._before_step, name)).remove)
            if self.skips:
                self._watch_backward(name, wrapper)
        self._begin()

    def _watch_backward(self, name: str, wrapper: OptimWrapper) -> None:
        """Keep the losses of a wrapper until its step."""
        backward = wrapper.backward

        def watched(loss: Tensor, **kwargs) -> None:
            self._propagated[name].append(loss.detach().reshape(1))
            backward(loss, **kwargs)

        wrapper.backward = watched
        self._undo.append(lambda: delattr(wrapper, 'backward'))

    def _begin(self) -> None:
        self._gradients: list[Gradients] = []
        self._stepped: set[str] = set()
        self._skipped: list[str] = []
        self._late: set[str] = set()
        self._counts = {name: wrapper._inner_count for name, wrapper in self._wrappers.items()}

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        """Read the numbers of ``lag`` iterations before."""
        while self._records and self._records[0].iteration <= runner.iter + 1 - self.lag:
            self._read(runner, self._records.popleft())
        self._begin()
        if self._buffers:
            torch._foreach_copy_(self._kept, self._buffers)

    @torch.no_grad()
    def _before_step(self, name: str, optimizer: torch.optim.Optimizer, *_) -> None:
        """Look at the gradients of an optimiser that is about to step."""
        self._stepped.add(name)
        values, self._propagated[name] = self._propagated[name], []
        # a fused optimiser gets scaled gradients, and what the loss scaler found out about them
        if hasattr(optimizer, 'found_inf'):
            return
        gradients = self._gradients_of(name)
        if name in self._spoilt:
            self._spoilt.discard(name)
            self._late.add(name)
        else:
            self._gradients += gradients
        values += [norms for _, norms in gradients]
        if self.skips and values and not_finite_anywhere(torch.cat(values)).item():
            optimizer.zero_grad(set_to_none=True)
            self._skipped.append(name)

    def _gradients_of(self, name: str) -> list[Gradients]:
        """Those of an optimiser, as one element; none if it has none."""
        have = [each for each in parameters_of(self._wrappers[name]) if each.grad is not None and each.grad.numel()]
        labels = [(name, self._names.get(id(each), 'a parameter outside of the model')) for each in have]
        return [(labels, norms_of([each.grad for each in have if each.grad is not None]))] if have else []

    @torch.no_grad()
    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Begin to copy the numbers of the iteration; read all of them before a checkpoint."""
        for name, wrapper in self._wrappers.items():
            self._check_wrapper(runner, name, wrapper)
        losses = {
            name: torch.as_tensor(value).detach().reshape(1).to(self._device)
            for name, value in (outputs or {}).items()
            if isinstance(value, int | float) or (isinstance(value, Tensor) and value.numel() == 1)
        }
        is_late = bool(self._skipped) and self._late.issuperset(self._skipped)
        record = StepRecord(runner.iter + 1, data_batch, losses, self._gradients, self._skipped, is_late)
        self._records.append(record)
        if self.skips:
            self._read_all(runner)
            self._spoilt |= self._of_all_processes(record.bad_gradients().keys() - self._stepped)
            if record.is_bad or record.skipped:
                torch._foreach_copy_(self._buffers, self._kept)
        if any(is_about_to_save(hook, runner) for hook in runner.hooks):
            self._check_weights(runner, runner.iter + 1)

    def _of_all_processes(self, optimisers: Set[str]) -> set[str]:
        """Those that any process names, as all processes average their accumulated gradients."""
        if get_world_size() == 1 or all(wrapper._accumulative_counts == 1 for wrapper in self._wrappers.values()):
            return set(optimisers)
        flags = torch.tensor([float(name in optimisers) for name in self._wrappers], device=self._device)
        all_reduce(flags, 'max')
        return {name for name, flag in zip(self._wrappers, flags.tolist(), strict=True) if flag}

    def _check_wrapper(self, runner: Runner, name: str, wrapper: OptimWrapper) -> None:
        """Look at the gradients of a wrapper that has propagated a loss, but not stepped, in this iteration."""
        scaler = getattr(wrapper, 'loss_scaler', None)
        is_scaled = scaler is not None and scaler.is_enabled()
        if name in self._stepped:
            self._scaler_skips[name] = 0
        elif wrapper._inner_count == self._counts[name]:
            return
        elif not wrapper.should_update():
            # while gradients are accumulated, a batch is to be known as soon as it spoils them
            if not is_scaled and name not in self._spoilt:
                self._gradients += self._gradients_of(name)
        elif is_scaled:
            self._propagated[name].clear()
            self._scaler_skips[name] += 1
            if self._scaler_skips[name] > self.max_skips:
                self._stop(
                    f'Iteration {runner.iter + 1}: the loss scaler has skipped {self._scaler_skips[name]} steps of '
                    f'the optimiser {name!r} in a row, as its gradients were not finite at any scale. '
                    f'{advise(runner, "in float32 or in bfloat16")}'
                )

    def _read_all(self, runner: Runner) -> None:
        while self._records:
            self._read(runner, self._records.popleft())

    def _read(self, runner: Runner, record: StepRecord) -> None:
        """Stop, or warn, where the numbers of an iteration are not finite."""
        record.wait()
        if not record.is_bad and not record.skipped:
            if self._stepped:
                self._faults_in_row = 0
            return
        steps = f'the step of {enumerate_names(map(repr, record.skipped))}' if record.skipped else 'none'
        if record.is_late and not record.is_bad:
            said = f'skipped, for gradients that were summed up before: {steps}.'
            runner.logger.warning(f'Iteration {record.iteration}: {said}')
            return
        self._faults_in_row += 1
        fault, folder = record.describe(), Path(runner.work_dir) / FOLDER
        saved = save_broken_batch(folder, record.iteration, record.batch, fault, self.max_files)
        message = f'Iteration {record.iteration}: {fault}. {saved}'
        if not self.skips:
            self._stop(f'{message} {advise(runner, FLOAT32, SKIPPING)}')
        message += f' Steps that were skipped: {steps}.'
        if self._faults_in_row > self.max_skips:
            self._stop(f'{message} So were those of {self.max_skips} iterations before. {advise(runner, FLOAT32)}')
        runner.logger.warning(message)

    def _stop(self, message: str) -> None:
        self.after_train()
        raise NonFiniteError(message)

    def _check_weights(self, runner: Runner, iteration: int) -> None:
        """Read everything, and look at the weights, in all processes alike."""
        self._read_all(runner)
        state = unwrap_model(runner.model).state_dict()
        weights = {name: value for name, value in state.items() if can_be_nan(value)}
        norms = norms_of(list(weights.values()))
        if not_finite_anywhere(norms).item():
            values = zip(weights, norms.tolist(), strict=True)
            self._refuse_weights(runner, iteration, [name for name, value in values if not math.isfinite(value)])

    def _refuse_weights(self, runner: Runner, iteration: int, names: Iterable[str]) -> None:
        self._stop(
            f'Iteration {iteration}: no checkpoint is saved, as weights are not finite any more '
            f'({enumerate_names(map(plain_name, names)) or "in another process"}). {advise(runner, FLOAT32)}'
        )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse to save weights that are not finite, by any hook."""
        if self._undo:
            self._read_all(runner)
        averages = [hook.ema_model.state_dict() for hook in runner.hooks if isinstance(hook, EMAHook)]
        for weights in (checkpoint['state_dict'], *averages):
            bad = [name for name, value in weights.items() if can_be_nan(value) and not value.isfinite().all()]
            if bad:
                self._refuse_weights(runner, runner.iter + 1, bad)

    def before_val(self, runner: Runner) -> None:
        if self._undo:
            self._check_weights(runner, runner.iter)

    def after_train_epoch(self, runner: Runner) -> None:
        """Read everything at the end of an epoch, and of the training."""
        self._check_weights(runner, runner.iter)

    def after_train(self, runner: Runner | None = None) -> None:
        while self._undo:
            self._undo.pop()()


def plain_name(name: str) -> str:
    return '.'.join(part for part in name.split('.') if part != 'module')


def is_about_to_save(hook: Hook, runner: Runner) -> bool:
    """Whether a hook is going to save a checkpoint after this iteration."""
    if not isinstance(hook, CheckpointHook) or hook.by_epoch:
        return False
    return hook.every_n_train_iters(runner, hook.interval) or (hook.save_last and hook.is_last_train_iter(runner))


def advise(runner: Runner, *changes: str) -> str:
    """Say what a run that broke can resume from, and what to change, beside the learning rate."""
    changed = ' or '.join(changes)
    found = next((path for path in list_checkpoints(Path(runner.work_dir)) if path.is_file()), None)
    if found is None:
        return f'There is no checkpoint yet: start anew with a lower learning rate, or {changed}.'
    return (
        f'The last good checkpoint is {found}: resume from it {changed}, or begin with its weights (load_from) and a '
        'lower learning rate, as resuming restores the one that was.'
    )
