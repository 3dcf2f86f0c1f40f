"""The hook that stops a training whose numbers are no longer finite."""

import math
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from mmengine.dist import all_reduce, get_rank, get_world_size
from mmengine.hooks import CheckpointHook, EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from ..utils.checkpoint_io import enumerate_names
from .broken_batches import can_be_nan, find_bad_samples, find_sources, to_plain
from .checkpointing import list_checkpoints, parameters_of, wrappers_of
from .errors import TrainingError

FOLDER = 'broken'
POLICIES = ('stop', 'skip')
FLOAT32 = 'in float32 if it was not'
SKIPPING = 'with default_hooks.finite.policy=skip'


class NonFiniteError(TrainingError):
    """A loss, a gradient or a weight is nan or infinite."""


@dataclass
class _Gradients:
    """The norms of an optimiser's gradients, (n,), still on the device."""

    optimiser: str
    names: list[str]
    norms: Tensor


class _Record:
    """What there is to know of an iteration; its numbers are on their way from the device.

    Args:
        iteration: Its number, as in the log.
        batch: The batch, as the loop got it.
        losses: What the model returned for the log, (1,) each.
        gradients: Those that were looked at.
        skipped: The optimisers whose steps were skipped.
        is_late: Whether they were for gradients summed up before, which have been reported.
        flag: 1 where a number of any process is not finite, else 0, ().
    """

    def __init__(
        self,
        iteration: int,
        batch: object,
        losses: Mapping[str, Tensor],
        gradients: Sequence[_Gradients],
        skipped: Sequence[str],
        is_late: bool,
        flag: Tensor,
    ) -> None:
        self.iteration = iteration
        self.batch = batch
        self.skipped = list(skipped)
        self.is_late = is_late
        self._losses = list(losses)
        self._gradients = [(part.optimiser, part.names) for part in gradients]
        values = torch.cat([flag.reshape(1), *losses.values(), *(part.norms for part in gradients)])
        # from a GPU into page-locked memory, without waiting
        self._values = values.to('cpu', non_blocking=True)
        self._copied = None
        if values.is_cuda:
            self._copied = torch.cuda.Event()
            self._copied.record()

    def wait(self) -> None:
        """Wait until the numbers have come."""
        if self._copied is not None:
            self._copied.synchronize()

    @property
    def is_bad(self) -> bool:
        """Whether a number of any process is not finite."""
        return bool(self._values[0])

    @property
    def losses(self) -> dict[str, float]:
        """The losses."""
        return dict(zip(self._losses, self._values[1 : 1 + len(self._losses)].tolist(), strict=True))

    def bad_gradients(self) -> dict[str, list[str]]:
        """The parameters whose gradients are not finite, by optimiser."""
        found: dict[str, list[str]] = {}
        start = 1 + len(self._losses)
        for optimiser, names in self._gradients:
            norms = self._values[start : start + len(names)].tolist()
            start += len(names)
            bad = [name for name, value in zip(names, norms, strict=True) if not math.isfinite(value)]
            if bad:
                found.setdefault(optimiser, []).extend(bad)
        return found

    def describe(self) -> str:
        """Say what is not finite: the losses if there are some, else the gradients."""
        good = ', '.join(f'{name} {value:.4g}' for name, value in self.losses.items() if math.isfinite(value))
        bad = {name: value for name, value in self.losses.items() if not math.isfinite(value)}
        if len(bad) > 1:
            # the sum of the others
            bad.pop('loss', None)
        if bad:
            named = enumerate_names(f'{name!r} is {value}' for name, value in bad.items())
            return f'the loss {named}' + (f' (the others: {good})' if good else '')
        gradients = self.bad_gradients()
        if gradients:
            named = ' and of '.join(
                f'{enumerate_names(names)} (optimiser {optimiser!r})' for optimiser, names in gradients.items()
            )
            return f'not finite is the gradient of {named}' + (f'; the losses are: {good}' if good else '')
        if get_world_size() > 1:
            return 'a loss or a gradient in another process is not finite'
        return 'the loss that was propagated is not finite'


@HOOKS.register_module()
class FiniteHook(Hook):
    r"""Stops a run, or skips a step, when a loss or a gradient is nan or infinite.

    The message names the iteration, the losses or the parameters and their optimiser, and the images. The batch, as
    the loop got it, goes into ``broken/iter_N.pth`` of the work directory (:func:`load_broken_batch`). Whatever the
    model returns for the log is looked at, so a metric that is not finite is a fault as well. Weights that are not
    finite are never saved: what is still unread is read before, and the weights themselves are looked at.

    With ``policy='stop'`` nothing waits for the device: the losses and the norm :math:`\lVert g \rVert_2` of each
    parameter's gradient are copied while training goes on, and read ``lag`` iterations later; so long batches are kept.
    The weights are spoilt then, and the run has to go on from its last checkpoint. A norm that overflows, from 2e19 on
    in float32, counts as infinite, as it would be to Adam, which squares as well.

    With ``policy='skip'`` each step of an optimiser waits until its numbers are there, once per step. If they, or the
    loss that was propagated (where that went through the wrapper), are not finite, its parameters lose their gradients,
    so the optimiser leaves them and its state alone; of accumulated gradients all are dropped. The model's buffers
    (statistics of batch norm, the queue of stage 1) are put back to what they were before the iteration, which takes a
    copy of them on the device per iteration. Every optimiser decides for itself: where the critic's step is skipped,
    the generator's may be taken. Several processes decide alike, by a number that they exchange.

    With loss scaling (float16) gradients that are not finite are how the scale is found: the scaler skips those steps,
    and only losses, or more than ``max_skips`` such steps in a row, are a fault. Where the gradients are clipped by
    their norm, one that is not finite has made all of them so before this hook sees them.

    Args:
        policy: ``'stop'`` or ``'skip'``.
        lag: How many iterations later the numbers are read, from 1 up; for ``'stop'``.
        max_skips: After how many iterations in a row with a fault, or steps in a row that the loss scaler skipped, the
            run stops all the same.
        max_files: How many batches are saved in a work directory, by each process.

    Raises:
        ValueError: Another policy, or a number out of range.
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
        self.skips = policy == 'skip'
        self.lag = lag
        self.max_skips = max_skips
        self.max_files = max_files
        self._undo: list[Callable[[], None]] = []

    def before_train(self, runner: Runner) -> None:
        """Have the optimisers say when they step."""
        model = plain_model(runner)
        self._names = {id(parameter): plain_name(name) for name, parameter in model.named_parameters()}
        self._device = next(model.parameters()).device
        self._buffers = list(model.buffers()) if self.skips else []
        self._kept = [buffer.clone() for buffer in self._buffers]
        self._wrappers = dict(wrappers_of(runner))
        # by optimiser: losses since its last step, whether its sum of gradients is known to be spoilt, skips in a row
        self._propagated: dict[str, list[Tensor]] = {name: [] for name in self._wrappers}
        self._spoilt: set[str] = set()
        self._scaler_skips = dict.fromkeys(self._wrappers, 0)
        self._records: deque[_Record] = deque()
        self._faults_in_row = 0
        for name, wrapper in self._wrappers.items():
            handle = wrapper.optimizer.register_step_pre_hook(partial(self._before_step, name))
            self._undo.append(handle.remove)
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
        self._gradients: list[_Gradients] = []
        self._stepped: set[str] = set()
        self._skipped: list[str] = []
        self._late: set[str] = set()
        self._counts = {name: wrapper._inner_count for name, wrapper in self._wrappers.items()}

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        """Read the numbers that have had time to come.

        Raises:
            NonFiniteError: One of them is not finite.
        """
        while self._records and self._records[0].iteration <= runner.iter + 1 - self.lag:
            self._read(runner, self._records.popleft())
        self._begin()
        if self._buffers:
            torch._foreach_copy_(self._kept, self._buffers)

    @torch.no_grad()
    def _before_step(self, name: str, optimizer: torch.optim.Optimizer, *_) -> None:
        """Look at the gradients of an optimiser that is about to step."""
        self._stepped.add(name)
        losses, self._propagated[name] = self._propagated[name], []
        # a fused optimiser gets scaled gradients, and what the loss scaler found out about them
        if hasattr(optimizer, 'found_inf'):
            return
        gradients = self._look_at_gradients(name)
        if name in self._spoilt:
            self._spoilt.discard(name)
            self._late.add(name)
        elif gradients is not None:
            self._gradients.append(gradients)
        if not self.skips:
            return
        values = losses if gradients is None else [*losses, gradients.norms]
        if values and not_finite_anywhere(torch.cat(values)).item():
            optimizer.zero_grad(set_to_none=True)
            self._skipped.append(name)

    def _look_at_gradients(self, name: str) -> _Gradients | None:
        """Those of an optimiser; ``None`` if it has none."""
        parameters = [
            parameter
            for parameter in parameters_of(self._wrappers[name])
            if parameter.grad is not None and parameter.grad.numel()
        ]
        if not parameters:
            return None
        names = [self._names.get(id(parameter), 'a parameter outside of the model') for parameter in parameters]
        return _Gradients(name, names, norms_of([parameter.grad for parameter in parameters]))

    @torch.no_grad()
    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Send the numbers of the iteration on their way; read all of them before a checkpoint.

        Raises:
            NonFiniteError: One of them is not finite.
        """
        for name, wrapper in self._wrappers.items():
            self._look_at_wrapper(runner, name, wrapper)
        losses = {
            name: torch.as_tensor(value).detach().reshape(1).to(self._device)
            for name, value in (outputs or {}).items()
            if isinstance(value, int | float) or (isinstance(value, Tensor) and value.numel() == 1)
        }
        values = [torch.zeros(1, device=self._device), *losses.values(), *(part.norms for part in self._gradients)]
        flag = not_finite_anywhere(torch.cat(values))
        is_late = bool(self._skipped) and self._late.issuperset(self._skipped)
        record = _Record(runner.iter + 1, data_batch, losses, self._gradients, self._skipped, is_late, flag)
        self._records.append(record)
        if self.skips:
            self._read_all(runner)
            self._spoilt |= self._of_all_processes(record.bad_gradients().keys() - self._stepped)
            if record.is_bad or record.skipped:
                torch._foreach_copy_(self._buffers, self._kept)
        if any(is_about_to_save(hook, runner) for hook in runner.hooks):
            self._settle(runner, runner.iter + 1)

    def _of_all_processes(self, optimisers: Set[str]) -> set[str]:
        """Those that any process names, whose sums of gradients come together in all of them."""
        if get_world_size() == 1 or all(wrapper._accumulative_counts == 1 for wrapper in self._wrappers.values()):
            return set(optimisers)
        flags = torch.tensor([float(name in optimisers) for name in self._wrappers], device=self._device)
        all_reduce(flags, 'max')
        return {name for name, flag in zip(self._wrappers, flags.tolist(), strict=True) if flag}

    def _look_at_wrapper(self, runner: Runner, name: str, wrapper: OptimWrapper) -> None:
        """What became of the gradients of a wrapper in this iteration, if no step."""
        scaler = getattr(wrapper, 'loss_scaler', None)
        is_scaled = scaler is not None and scaler.is_enabled()
        if name in self._stepped:
            self._scaler_skips[name] = 0
        elif wrapper._inner_count == self._counts[name]:
            return
        elif not wrapper.should_update():
            # while gradients are summed up, a batch is to be known as soon as it spoils the sum
            gradients = None if is_scaled or name in self._spoilt else self._look_at_gradients(name)
            if gradients is not None:
                self._gradients.append(gradients)
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

    def _read(self, runner: Runner, record: _Record) -> None:
        """Look at the numbers of an iteration."""
        record.wait()
        if not record.is_bad and not record.skipped:
            if self._stepped:
                self._faults_in_row = 0
            return
        steps = f'the step of {enumerate_names(map(repr, record.skipped))}' if record.skipped else 'none'
        if record.is_late and not record.is_bad:
            runner.logger.warning(
                f'Iteration {record.iteration}: skipped, for gradients that were summed up before: {steps}.'
            )
            return
        self._faults_in_row += 1
        sentence = f'Iteration {record.iteration}: {record.describe()}. {self._save(runner, record)}'
        if not self.skips:
            self._stop(f'{sentence} {advise(runner, FLOAT32, SKIPPING)}')
        sentence += f' Steps that were skipped: {steps}.'
        if self._faults_in_row > self.max_skips:
            self._stop(f'{sentence} So were those of {self.max_skips} iterations before. {advise(runner, FLOAT32)}')
        runner.logger.warning(sentence)

    def _stop(self, sentence: str) -> None:
        self._leave_optimisers()
        raise NonFiniteError(sentence)

    def _save(self, runner: Runner, record: _Record) -> str:
        """Save the batch of an iteration, and say where it is and what is in it."""
        batch = to_plain(record.batch)
        sources = find_sources(batch)
        content = f' ({enumerate_names(sources)})' if sources else ''
        bad = [sources[index] if index < len(sources) else f'sample {index}' for index in find_bad_samples(batch)]
        if bad:
            content += f', of which {enumerate_names(bad)} came with values that are not finite,'
        ending = f'_rank{get_rank()}.pth' if get_rank() else '.pth'
        folder = Path(runner.work_dir) / FOLDER
        path = folder / f'iter_{record.iteration}{ending}'
        saved = [other for other in folder.glob('iter_*') if re.fullmatch(rf'iter_\d+{ending}', other.name)]
        if len(saved) >= self.max_files and path not in saved:
            return f'The batch{content} was not saved, as there are {len(saved)} in {folder} already.'
        try:
            folder.mkdir(parents=True, exist_ok=True)
            torch.save(dict(iteration=record.iteration, fault=record.describe(), sources=sources, batch=batch), path)
        # torch raises the latter for a full disk
        except (OSError, RuntimeError) as error:
            path.unlink(missing_ok=True)
            return f'The batch{content} could not be saved in {folder} ({str(error).splitlines()[0]}).'
        return f'The batch{content} is in {path}.'

    def _settle(self, runner: Runner, iteration: int) -> None:
        """Read everything, and look at the weights, in all processes alike."""
        self._read_all(runner)
        weights = {name: value for name, value in plain_model(runner).state_dict().items() if can_be_nan(value)}
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
        """Refuse to save weights that are not finite, whoever saves.

        Raises:
            NonFiniteError: They are not, or a loss or gradient before was not.
        """
        if self._undo:
            self._read_all(runner)
        averages = [hook.ema_model.state_dict() for hook in runner.hooks if isinstance(hook, EMAHook)]
        for weights in (checkpoint['state_dict'], *averages):
            bad = [name for name, value in weights.items() if can_be_nan(value) and not value.isfinite().all()]
            if bad:
                self._refuse_weights(runner, runner.iter + 1, bad)

    def before_val(self, runner: Runner) -> None:
        """Read everything, before figures are computed and the best checkpoint is saved."""
        if self._undo:
            self._settle(runner, runner.iter)

    def after_train_epoch(self, runner: Runner) -> None:
        """Read everything at the end of an epoch, and of the training."""
        self._settle(runner, runner.iter)

    def after_train(self, runner: Runner) -> None:
        """Leave the optimisers alone."""
        self._leave_optimisers()

    def _leave_optimisers(self) -> None:
        while self._undo:
            self._undo.pop()()


def plain_model(runner: Runner) -> nn.Module:
    """The model without a wrapper around the whole of it."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def plain_name(name: str) -> str:
    """The name of a parameter without the parts that wrappers add."""
    return '.'.join(part for part in name.split('.') if part != 'module')


def norms_of(tensors: Sequence[Tensor]) -> Tensor:
    """The Euclidean norms of n tensors, (n,): not finite where one holds nan or infinity, or overflows."""
    return torch.stack(torch._foreach_norm([t.float() if t.dtype == torch.float16 else t for t in tensors]))


def not_finite_anywhere(values: Tensor) -> Tensor:
    """1 where a value of this process, or of another one in its place, is not finite, else 0; ()."""
    flag = (~values.isfinite()).any().float()
    if get_world_size() > 1:
        all_reduce(flag, 'max')
    return flag


def is_about_to_save(hook: Hook, runner: Runner) -> bool:
    """Whether a hook is going to save a checkpoint after this iteration."""
    if not isinstance(hook, CheckpointHook) or hook.by_epoch:
        return False
    return hook.every_n_train_iters(runner, hook.interval) or (hook.save_last and hook.is_last_train_iter(runner))


def advise(runner: Runner, *changes: str) -> str:
    """Say where a run that broke can go on from, and what to change, beside the learning rate."""
    changed = ' or '.join(changes)
    found = next((path for path in list_checkpoints(Path(runner.work_dir)) if path.is_file()), None)
    if found is None:
        return f'There is no checkpoint yet: start anew with a lower learning rate, or {changed}.'
    return (
        f'The last good checkpoint is {found}: resume from it {changed}, or begin with its weights (load_from) and a '
        'lower learning rate, as resuming restores the one that was.'
    )
