"""Hooks of MMEngine's runner."""

import time
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path

import torch
from mmengine.dataset import InfiniteSampler
from mmengine.dist import barrier, broadcast, get_world_size, is_main_process
from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmengine.runner.checkpoint import load_state_dict
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from ..datasets.bad_images import BadImages
from ..datasets.resumable import PositionedSampler
from ..utils.checkpoint_io import find_part, fit_weights, load_part, weights_in


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Lays the model's weights out channels-last, in which convolutions are faster on GPUs and on most CPUs.

    It changes no result beyond rounding, and checkpoints are the same with and without it. At the first forward pass a
    copy of the generator (of the backbone in stage 1) is timed in both layouts, and a warning in the log says so where
    this one is slower. It does not choose: a run that is resumed would not have the same weights, bit for bit.
    """

    def before_run(self, runner: Runner) -> None:
        """Convert the model before the run; activations follow the weights."""
        runner.model.to(memory_format=torch.channels_last)
        for part in runner.model.modules():
            if isinstance(part, DistributedDataParallel) and hasattr(part, 'reducer'):
                # It keeps the layout that weights had when they were wrapped, and would scramble gradients of another,
                # in the first step or, with find_unused_parameters, in all. Made anew, it takes the present layout.
                part.__setstate__(part.__getstate__())

    def before_train(self, runner: Runner) -> None:
        """Have the first forward pass timed, by the first process."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        part = getattr(model, 'generator', None) or getattr(model, 'backbone', None)
        if part is None or not is_main_process():
            return
        part = part.module if is_model_wrapper(part) else part

        def measure(module: torch.nn.Module, inputs: tuple, named: dict) -> None:
            if module is not part:
                return  # a copy that is being timed
            handle.remove()
            seconds, contiguous = time_layouts(module, inputs, named)
            if seconds > 1.1 * contiguous:
                runner.logger.warning(
                    f'Channels-last is slower for this network here: a forward pass of {type(module).__name__} takes '
                    f'{1000 * seconds:.0f} ms in it and {1000 * contiguous:.0f} without. Leave ChannelsLastHook out.'
                )

        handle = part.register_forward_pre_hook(measure, with_kwargs=True)


@torch.no_grad()
def time_layouts(module: torch.nn.Module, inputs: tuple, named: dict, repeats: int = 3) -> tuple[float, float]:
    """Time a copy of a module, channels-last and contiguous.

    Args:
        module: The module, which is left as it is.
        inputs: What its forward pass takes.
        named: The same, by name.
        repeats: How often each is timed; the fastest counts.

    Returns:
        Seconds of a forward pass, channels-last first.
    """
    copy = deepcopy(module)
    copy.eval()  # returns nothing in some backbones of MMPretrain
    layouts = (torch.channels_last, torch.contiguous_format)
    fastest = dict.fromkeys(layouts, float('inf'))
    # in turns, as other work on the machine comes and goes; the first ones are slow
    for number in range(repeats + 1):
        for layout in layouts:
            copy.to(memory_format=layout)
            started = time.perf_counter()
            copy(*inputs, **named)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if number:
                fastest[layout] = min(fastest[layout], time.perf_counter() - started)
    return fastest[torch.channels_last], fastest[torch.contiguous_format]


@HOOKS.register_module()
class CompileHook(Hook):
    """Compiles parts of a model with ``torch.compile`` for training; names and checkpoints stay as they are.

    MMEngine's own key, ``compile=True``, compiles a model's whole training step. That works for stage 1, but not for a
    critic with a gradient penalty, whose second derivative torch cannot compile; the generator takes most of the time
    anyway.

    Args:
        parts: Dotted names of submodules; ``None`` for an inpaintor's ``'generator'``, or ``'backbone'`` in stage 1.
        options: Those of ``torch.compile``, such as ``dict(mode='max-autotune')``.

    Raises:
        ValueError: The model has no such part.
    """

    def __init__(self, parts: Sequence[str] | None = None, options: dict | None = None) -> None:
        self.parts = parts
        self.options = dict(options or {})

    def before_train(self, runner: Runner) -> None:
        """Compile; the first iterations are slow."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        for name in self.parts or ['generator' if hasattr(model, 'generator') else 'backbone']:
            part = find_part(model, name)
            if is_model_wrapper(part):
                part = part.module
            part.forward = torch.compile(part.forward, **self.options)


@HOOKS.register_module()
class QueueFitsBatchHook(Hook):
    """Stops stage 1 at its start when its batches do not divide the queue.

    :class:`SiameseMoCo` refuses such a batch when it meets one; the smaller last batch of an epoch comes late.
    """

    def before_train(self, runner: Runner) -> None:
        """Compare the data loader with the model's queue.

        Raises:
            ValueError: The global batch size does not divide ``queue_len``, or a smaller last batch is to come.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        check_queue_fits(model.queue_len, runner.train_dataloader, get_world_size())


def check_queue_fits(queue_len: int, loader: DataLoader, world_size: int) -> None:
    """Refuse a data loader whose batches do not divide the queue.

    Args:
        queue_len: Number of keys in the queue.
        loader: The training data loader of each process.
        world_size: Number of processes.

    Raises:
        ValueError: The global batch size does not divide ``queue_len``, or a smaller last batch is to come.
    """
    batch_size = loader.batch_size * world_size
    if queue_len % batch_size:
        raise ValueError(
            f'The queue of {queue_len} keys is not divided by the global batch of {batch_size} '
            f'({loader.batch_size} in each of {world_size} processes). Choose a queue_len that is a multiple of it, '
            f'such as {max(1, round(queue_len / batch_size)) * batch_size}.'
        )
    sampler = loader.sampler.sampler if isinstance(loader.sampler, PositionedSampler) else loader.sampler
    if isinstance(sampler, InfiniteSampler) or loader.drop_last:
        return
    remainder = len(loader.sampler) % loader.batch_size
    if remainder:
        raise ValueError(
            f'The last batch of an epoch would have {remainder} samples instead of {loader.batch_size} and leave the '
            'queue uneven. Set drop_last=True in train_dataloader, or use an InfiniteSampler.'
        )


@HOOKS.register_module()
class TrainingTimeHook(Hook):
    """Measures how long a model has been trained, and ends training where that is to be limited.

    What counts is the time of training iterations, loading of their data included; validation does not. The time goes
    into the checkpoints, as ``trained_seconds`` among MMEngine's notes (``message_hub.runtime_info``), so that of a
    run that was interrupted and resumed adds up. All processes stop after the same iteration, the first one's clock
    deciding, and leave a checkpoint, as at every end of a training.

    Args:
        limit_minutes: After how many minutes training ends. ``None`` for no limit.

    Raises:
        ValueError: A limit of no time at all.
    """

    # before the hook that saves a checkpoint
    priority = 'ABOVE_NORMAL'

    def __init__(self, limit_minutes: float | None = None) -> None:
        if limit_minutes is not None and not limit_minutes > 0:
            raise ValueError(f'TrainingTimeHook takes a number of minutes above 0, got {limit_minutes}.')
        self.limit_minutes = limit_minutes

    def before_train(self, runner: Runner) -> None:
        """Take up the time of the run that is resumed."""
        known = 'trained_seconds' in runner.message_hub.runtime_info
        self.seconds = float(runner.message_hub.get_info('trained_seconds')) if known else 0.0
        self.started = None

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        """Start the clock at the first iteration: what MMEngine skips on resuming is no training."""
        if self.started is None:
            self.started = time.monotonic()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Count, and make this iteration the last one where the time is over."""
        now = time.monotonic()
        self.seconds += now - self.started
        self.started = now
        seconds = torch.tensor(self.seconds, dtype=torch.float64)
        if get_world_size() > 1:
            broadcast(seconds)
        runner.message_hub.update_info('trained_seconds', seconds.item())
        if self.limit_minutes is not None and seconds.item() >= 60 * self.limit_minutes:
            runner.logger.info(f'Ends after {self.limit_minutes:g} minutes of training, iteration {runner.iter + 1}.')
            # MMEngine then saves and validates as it does after every last iteration
            runner.train_loop._max_iters = runner.iter + 1

    def after_val(self, runner: Runner) -> None:
        """Leave the time of the validation out."""
        self.started = None


@HOOKS.register_module()
class HolePSNRHook(Hook):
    """Logs the PSNR in the hole after each validation, beside that of other methods.

    A figure by itself says little, as it depends on the photographs and on the size of the holes. The validation needs
    the metric :class:`HolePSNR`.

    Args:
        beside: The figures of other methods on the same photographs and masks, in dB, by the methods' names.
    """

    def __init__(self, beside: dict[str, float]) -> None:
        self.beside = dict(beside)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Log."""
        others = ', '.join(f'{name} {value:.2f}' for name, value in self.beside.items())
        runner.logger.info(f'hole PSNR {metrics["HolePSNR"]:.2f} dB ({others})')


@HOOKS.register_module()
class LoadPartHook(Hook):
    """Loads a part of a model from a checkpoint at the start of training; every key of the part has to fit.

    MMEngine loads by ``init_cfg`` only where a class takes one, which many of MMagic's do not, and by ``load_from``
    only whole models, leniently. A run that is resumed keeps the weights that it had.

    Args:
        part: Dotted name of the submodule, such as ``'generator.encoder'``.
        checkpoint: Path or URL.
        prefix: What the part's keys begin with in the checkpoint, such as ``'backbone.encoder.'``.

    Raises:
        FileNotFoundError: The checkpoint is a local path and nothing is there.
        ValueError: The model has no such part, or the checkpoint does not fit it key for key.
    """

    def __init__(self, part: str, checkpoint: str, prefix: str = '') -> None:
        self.part = part
        self.checkpoint = checkpoint
        self.prefix = prefix

    def before_train(self, runner: Runner) -> None:
        """Load, unless the run goes on from a checkpoint of its own."""
        if runner.iter:
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        load_part(model, self.part, self.checkpoint, self.prefix)
        runner.logger.info(f'{self.part} starts from {self.checkpoint} ({self.prefix}*).')


@HOOKS.register_module()
class FittingWeightsHook(Hook):
    """Refuses a checkpoint that does not fit the model key for key; MMEngine would warn, and go on with random weights.

    It is for what a test or a training loads (``load_from``), and goes on from. A config with
    ``load_from_partial = True`` lets a training begin with what fits of a checkpoint. The tools register it by
    themselves.
    """

    # before those that look for the weights themselves, such as that of a moving average
    priority = 'VERY_HIGH'
    _start: str | None = None

    def before_train(self, runner: Runner) -> None:
        """Say what a training that is not resumed begins with."""
        if self._start is not None:
            runner.logger.info(self._start)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put the weights where MMEngine looks for them, under the names of the model.

        Raises:
            WeightsError: There are none, or they do not fit.
        """
        given = weights = weights_in(checkpoint, runner._load_from)
        if runner._resume or not runner.cfg.get('load_from_partial'):
            model = runner.model.module if is_model_wrapper(runner.model) else runner.model
            weights = fit_weights(model, given, runner._load_from)
            if not runner._resume:
                self._start = f'Begins with the weights of {runner._load_from}{say_critic(weights, given)}.'
        checkpoint['state_dict'] = weights


def say_critic(taken: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]) -> str:
    """Say whether the critic of a model, whose weights are ``taken``, comes from those that a checkpoint gave."""
    model_has, file_has = (any(key.startswith('disc.') for key in weights) for weights in (taken, given))
    if model_has:
        return ', with its critic' if file_has else '; it has no critic, which starts new'
    return '; its critic is left out, as the config has none' if file_has else ''


@HOOKS.register_module()
class PlainKeysHook(Hook):
    """Saves a model whose parts are wrapped one by one under the same names as one that is not.

    MMEngine takes the wrapper of a whole model off before it saves, but not those that
    ``MMSeparateDistributedDataParallel`` puts around the parts. Their keys then begin with ``generator.module.``, which
    no model of a single process has; a test would go on with random weights. MMEngine finds its way from plain names
    into wrapped parts, but not into the copy of them that a moving average has.
    """

    # after the hooks that change what is saved or loaded, such as that of a moving average
    priority = 'LOWEST'

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Rename the weights, and those of a moving average."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
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
        """Give a moving average of a run that is resumed its weights; its own hook would leave wrapped parts out."""
        if runner._resume and 'ema_state_dict' in checkpoint:
            for hook in runner.hooks:
                if isinstance(hook, EMAHook):
                    load_state_dict(hook.ema_model, checkpoint['ema_state_dict'], strict=True)


@HOOKS.register_module()
class BadImagesHook(Hook):
    """Has the bad images of the training set listed in the work directory, and counts them in the log.

    It is for data sets of this package, which skip bad images up to a share; others are left alone. The list is
    ``bad_images.txt``, a line for each image, and counts for all processes that share the work directory: those of a
    run and those by which it is resumed; a run that begins anew begins a new one. Of several data sets that are joined
    (``ConcatDataset``) each has a list, ``bad_images_1.txt`` and so on, and a share of its own. It is for the training
    loop of this package, whose workers start after the hooks.

    Args:
        interval: Every how many iterations they are counted.
    """

    def __init__(self, interval: int = 100) -> None:
        self.interval = interval
        self._bad: list[BadImages] = []

    def before_train(self, runner: Runner) -> None:
        """Look for the data sets."""
        self._bad = list(bad_images_of(runner.train_dataloader.dataset))
        if not self._bad:
            return
        folder = Path(runner.work_dir)
        if runner.iter == 0 and is_main_process():
            for old in folder.glob('bad_images*.txt'):
                old.unlink(missing_ok=True)
        barrier()
        for number, bad in enumerate(self._bad, start=1):
            bad.list_in(folder / ('bad_images.txt' if len(self._bad) == 1 else f'bad_images_{number}.txt'))

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Log how many there are, once there are some."""
        if self._bad and self.every_n_train_iters(runner, self.interval):
            count = sum(bad.count for bad in self._bad)
            if count:
                runner.message_hub.update_scalar('train/bad_images', count)

    def after_train(self, runner: Runner) -> None:
        """Say how many there were."""
        for bad in self._bad:
            if bad.count:
                runner.logger.warning(
                    f'{bad.count} of {bad.total} training images were bad and left out: {bad.listing}.'
                )


def bad_images_of(dataset: object) -> Iterator[BadImages]:
    """What data sets know of bad images, through MMEngine's wrappers and joined ones, too."""
    if hasattr(dataset, 'bad_images'):
        yield dataset.bad_images
        return
    for inner in getattr(dataset, 'datasets', None) or filter(None, [getattr(dataset, 'dataset', None)]):
        yield from bad_images_of(inner)
