"""Trains a config: python tools/train.py CONFIG [--work-dir DIR] [--resume [CHECKPOINT]] [--amp] ..."""

import os
import signal
import sys
from pathlib import Path

from _command import REQUEUE_CODE, Command, build_runner, is_ours, note_exit_code, run_to_the_end, said_by


def make_command():
    command = Command('Train a config.')
    command.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from this training checkpoint; without a value, from the latest one in the work directory '
        '(from the start if it holds none)',
    )
    command.add_argument(
        '--finetune',
        metavar='NAME_OR_FILE',
        help='begin with the weights of this network: one that has a name, such as cainet-photos, or a file; with '
        '--resume, only where the run has saved no checkpoint yet',
    )
    command.add_argument(
        '--amp', action='store_true', help='mixed precision: float16 with loss scaling on CUDA, bfloat16 on a CPU'
    )
    command.add_argument(
        '--amp-dtype', choices=['float16', 'bfloat16'], help='mixed precision in this type; bfloat16 needs no scaling'
    )
    command.add_argument(
        '--amp-anyway',
        action='store_true',
        help='--amp also on a processor without bfloat16 arithmetic, where it is several times slower than float32',
    )
    command.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rates by the real batch size over auto_scale_lr.base_batch_size of the config; what '
        'accumulative_counts of optim_wrapper adds to a batch is not counted',
    )
    return command


def wrappers_in(optim_wrapper):
    """The optimizer wrappers of a config, which has one or several."""
    parts = [optim_wrapper] if 'optimizer' in optim_wrapper else optim_wrapper.values()
    return [part for part in parts if isinstance(part, dict) and 'optimizer' in part]


def name_of_type(wrapper):
    """What the type of a wrapper is called, which a config may also give as the class."""
    kind = wrapper.get('type', 'OptimWrapper')
    return getattr(kind, '__name__', kind)


def use_mixed_precision(optim_wrapper, on_cuda, dtype=None, even_if_slow=False):
    """Turns every plain optimizer wrapper of a config, single or one of several, into a mixed-precision one.

    A CPU that is slow in bfloat16 is refused by the wrapper, unless ``even_if_slow``.

    Raises:
        ValueError: If a wrapper is of a kind that has no mixed-precision counterpart, or a CPU is to use float16.
    """
    if dtype == 'float16' and not on_cuda:
        raise ValueError('--amp-dtype float16 needs a CUDA device, and there is none; a CPU takes bfloat16.')
    wrappers = wrappers_in(optim_wrapper)
    if not wrappers:
        raise ValueError('--amp found no optimizer in optim_wrapper of the config; give it an optimizer=dict(...).')
    for wrapper in wrappers:
        kind = name_of_type(wrapper)
        if kind not in ('OptimWrapper', 'AmpOptimWrapper', 'CPUAmpOptimWrapper'):
            raise ValueError(f'--amp converts an OptimWrapper, but the config has {kind}; change it or remove --amp.')
        if on_cuda:
            wrapper['type'] = 'AmpOptimWrapper'
            wrapper.pop('even_if_slow', None)
            if dtype is not None:
                wrapper['dtype'] = dtype
            if wrapper.get('dtype') == 'bfloat16':
                # it has the range of float32
                wrapper['loss_scale'] = dict(enabled=False)
            else:
                wrapper.setdefault('loss_scale', 'dynamic')
        else:
            # AmpOptimWrapper refuses to work without an accelerator.
            wrapper['type'] = 'CPUAmpOptimWrapper'
            wrapper.pop('loss_scale', None)
            wrapper['dtype'] = 'bfloat16'
            if even_if_slow:
                wrapper['even_if_slow'] = True


def refuse_what_needs_cuda(optim_wrapper):
    """Refuses MMEngine's wrapper of mixed precision where it fails on an assertion.

    Raises:
        ValueError: A wrapper is of that kind.
    """
    if any(name_of_type(wrapper) == 'AmpOptimWrapper' for wrapper in wrappers_in(optim_wrapper)):
        raise ValueError(
            'the config has an AmpOptimWrapper, which needs an accelerator, and there is none; train in float32 with '
            "type='OptimWrapper', or in bfloat16 by --amp."
        )


def warn_of_ignored_precision(runner):
    """Says so where a model computes outside of the optimizer wrapper's context, as MMagic's inpaintors do."""
    from cainet_mm.utils.dist import unwrap_model

    model = unwrap_model(runner.model)
    if 'optim_context' not in type(model).train_step.__code__.co_names:
        runner.logger.warning(
            f'--amp may change nothing: the train_step of {type(model).__name__} does not compute in the context of '
            'its optimizer wrapper (optim_context), which is where MMEngine lowers the precision.'
        )


def apply_resume(config, resume):
    """Goes on from a checkpoint; without one, the checkpoint hook looks for the newest that is whole."""
    config.resume = True
    config.load_from = None if resume == 'auto' else resume


def apply_finetune(config, network):
    """Begins with the weights of a network, all of them; no other checkpoint that a config names is read.

    Raises:
        FileNotFoundError: There is no such file, or the network of that name has none here.
        ValueError: There is no network of that name.
    """
    from cainet_mm.engine import LoadPartHook
    from cainet_mm.inference.configs import without_pretrained
    from cainet_mm.inference.zoo import find_model, is_name

    path = find_model(network) if is_name(network) else network
    if '://' not in str(path) and not Path(path).is_file():
        raise FileNotFoundError(f'--finetune {path} is not a file; give that of a network, or the name of one.')
    config.load_from, config.load_from_partial = str(path), False
    config.model = without_pretrained(config.model)
    # it would put its part over that of the network
    kinds = ('LoadPartHook', LoadPartHook)
    config.custom_hooks = [hook for hook in config.get('custom_hooks') or [] if hook.get('type') not in kinds]


def begins_anew(config):
    """Whether there is no checkpoint of an earlier start of the run."""
    from cainet_mm.engine.checkpointing import list_checkpoints

    out_dir = (config.get('default_hooks', {}).get('checkpoint') or {}).get('out_dir')
    elsewhere = [] if out_dir is None else [Path(out_dir) / Path(config.work_dir).name]
    return not list_checkpoints(Path(config.work_dir), elsewhere)


def exit_before_training(number, frame):
    """Ends a run that was preempted before there was anything to save."""
    note_exit_code(REQUEUE_CODE)
    said = f'{signal.Signals(number).name} before training began: exits with code {REQUEUE_CODE}.'
    print(said, file=sys.stderr, flush=True)
    # not by an exception, which MMEngine takes for a config that cannot be formatted, or for another fault
    os._exit(REQUEUE_CODE)


def listen_to(handler):
    """Sets what happens on the signals by which clusters take a machine back."""
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, handler)


def main(arguments=None):
    command = make_command()
    args = command.parse(arguments)
    listen_to(exit_before_training)
    if args.resume not in (None, 'auto'):
        command.require_file(args.resume, '--resume')
        if args.finetune is not None:
            command.refuse(
                '--resume CHECKPOINT goes on with a run, and --finetune begins one; give one of them, or --resume '
                'without a value.'
            )

    config = command.load_config(args)
    if config.get('train_dataloader') is None or config.get('train_cfg') is None:
        command.refuse(f'config {args.config} has no train_dataloader or no train_cfg; give a config that trains.')
    is_mixed = args.amp or args.amp_anyway or args.amp_dtype is not None
    from mmengine.device import get_device

    try:
        if is_mixed:
            import torch

            wrappers = config.get('optim_wrapper') or {}
            use_mixed_precision(wrappers, torch.cuda.is_available(), args.amp_dtype, args.amp_anyway)
        elif get_device() == 'cpu':
            refuse_what_needs_cuda(config.get('optim_wrapper') or {})
    except ValueError as error:
        command.refuse(error)
    if args.auto_scale_lr:
        if 'base_batch_size' not in config.get('auto_scale_lr', {}):
            command.refuse(
                f'--auto-scale-lr needs the batch size that the learning rate was set for; add '
                f'auto_scale_lr=dict(base_batch_size=...) to {args.config}.'
            )
        config.auto_scale_lr.enable = True
    if args.finetune is not None:
        try:
            apply_finetune(config, args.finetune)
        except (FileNotFoundError, ValueError) as error:
            command.refuse(error)
    # a run that has no checkpoint yet begins with the weights that it is to begin with
    begins = args.resume == 'auto' and config.get('load_from') is not None and begins_anew(config)
    if args.resume is not None and not begins:
        apply_resume(config, args.resume)

    # known only now, as both need torch, which a wrong argument shall not wait for
    from cainet_mm.datasets import BadImageError, BadMaskError, TooManyBadImagesError
    from cainet_mm.engine import SaveOnSignalHook, TrainingError
    from cainet_mm.engine.checkpointing import NO_SPACE
    from cainet_mm.engine.training_lock import refuse_second_training
    from cainet_mm.utils.safe_loading import WeightsError

    try:
        # before the runner writes its config over that of the other training; the lock is taken by the loop
        refuse_second_training(config.work_dir)
        runner = build_runner(command, config)
        if is_mixed:
            warn_of_ignored_precision(runner)
        if not any(isinstance(hook, SaveOnSignalHook) for hook in runner.hooks):
            listen_to(signal.SIG_DFL)
        runner.train()
        # all is done and saved
        listen_to(signal.SIG_IGN)
    except WeightsError as error:
        command.refuse(error)
    except TrainingError as error:
        command.stop(error)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and error.errno is None:
            # of the data, with what is missing
            command.refuse(error)
        if error.errno not in NO_SPACE:
            raise
        command.stop(
            f'{error.filename or "A file of the run"} could not be written ({error.strerror}). Make room, and go on '
            'from the last checkpoint with --resume.'
        )
    except (TooManyBadImagesError, BadImageError, BadMaskError) as error:
        command.stop(said_by(error))
    except ValueError as error:
        if not is_ours(error):
            raise
        command.refuse(error)


if __name__ == '__main__':
    run_to_the_end(main)
