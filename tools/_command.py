"""What the tools share: arguments, errors for bad input, and loading of the config."""

import argparse
import contextlib
import gc
import importlib.util
import io
import math
import os
import re
import signal
import subprocess
import sys
import traceback
import warnings
from pathlib import Path

# Nothing slow is imported up here, so that --help and bad arguments are answered at once.

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
CONFIG_SUFFIXES = ('.py', '.yaml', '.yml', '.json')
# EX_TEMPFAIL of sysexits.h, as SaveOnSignalHook's: try again
REQUEUE_CODE = 75


class Tool(argparse.ArgumentParser):
    """An argument parser that answers bad input with a clear error.

    Attributes:
        called (str | None): What the tool is called, such as ``'cainet fill'``; the file's name where it is ``None``.
        names (dict[str, str]): What all tools are called, by the stems of their files; empty for ``python tools/...``.
    """

    called = None
    names = {}

    def __init__(self, **kwargs):
        kwargs.setdefault('prog', self.called)
        super().__init__(**kwargs)

    def parse_args(self, args=None, namespace=None):
        """Parses the command line."""
        self.begin()
        try:
            return super().parse_args(args, namespace)
        except ValueError:
            # of MMEngine's DictAction
            self.refuse('--cfg-options takes pairs KEY=VALUE, such as train_cfg.max_iters=100.')

    def parse_intermixed_args(self, args=None, namespace=None):
        """Parses a command line in which options stand between the files."""
        self.begin()
        return super().parse_intermixed_args(args, namespace)

    def begin(self):
        """Lets any file's name be printed; answers the shell, and ends, where that asks how the line could go on."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors='backslashreplace')
        if '_ARGCOMPLETE' in os.environ:
            import argcomplete

            argcomplete.autocomplete(self)

    def format_help(self):
        """Formats the help text, in which tools have the names under which they are called."""
        return self.rename_tools(super().format_help())

    def rename_tools(self, text):
        """Writes ``cainet fill`` for ``python tools/inpaint.py``, where the command cainet runs the tool."""
        return re.sub(
            r'(?:(?:python|bash) )?tools/(\w+)\.(?:py|sh)\b', lambda found: self.names.get(found[1], found[0]), text
        )

    def refuse(self, message):
        """Ends the program on bad input, without a traceback."""
        self.exit(2, f'{self.prog}: error: {self.rename_tools(str(message))}\n')

    def stop(self, message):
        """Ends the program on what happened while it ran, without a traceback."""
        self.exit(1, f'{self.prog}: stopped: {self.rename_tools(str(message))}\n')

    def require_file(self, path, name):
        """Refuses a local path at which there is no file; URLs, other storage schemes and None pass."""
        if path is not None and '://' not in path and not Path(path).is_file():
            self.refuse(f'{name} {path} is not a file (looked in {os.getcwd()}); give the path of an existing one.')

    def merge_options(self, config, name, options):
        """Applies the options of the command line to a config of a name, or refuses them."""
        try:
            config.merge_from_dict(options or {})
        except (KeyError, TypeError) as error:
            self.refuse(f'--cfg-options does not fit {name}: {error.args[0]}')

    def add_mask_arguments(self):
        """Adds how masks are read that do not have the hole as the brighter of two values."""
        self.add_argument(
            '--hole-value',
            type=value_of_hole,
            metavar='VALUE',
            help="the hole's value in masks of several: a grey level, an index of a palette, or a colour as 255,0,0",
        )
        self.add_argument('--invert', action='store_true', help='masks mark what is known instead of the hole')

    def add_device_argument(self):
        """Adds where networks run."""
        self.add_argument(
            '--device', default='auto', help='auto (default: a GPU if there is one), cpu, cuda, cuda:1, mps, xpu, ...'
        )

    def choose_device(self, wanted):
        """Chooses a device, and says which and why."""
        from cainet_mm.inference.devices import choose_device

        try:
            device, reason = choose_device(wanted)
        except ValueError as error:
            self.refuse(error)
        print(f'Device: {device} ({reason})', flush=True)
        return device


def find_config(text):
    """The file of a config of this package, ``cainet_mm::NAME``; any other path as it is."""
    return str(CONFIGS / text.removeprefix('cainet_mm::')) if text.startswith('cainet_mm::') else text


def value_of_hole(text):
    """Reads a number, or a colour of three."""
    try:
        numbers = tuple(float(part) for part in text.split(','))
    except ValueError:
        numbers = ()
    if len(numbers) not in (1, 3) or not all(map(math.isfinite, numbers)):
        raise argparse.ArgumentTypeError(f'takes a number, or a colour of three such as 255,0,0, got {text!r}')
    return numbers[0] if len(numbers) == 1 else numbers


class Command(Tool):
    """A tool that runs a config."""

    def __init__(self, description):
        from mmengine.config import DictAction

        super().__init__(description=description)
        self.add_argument(
            'config', type=find_config, help="config file, or one of the package's: cainet_mm::quickstart/stage1.py"
        )
        self.add_argument(
            '--work-dir', help='where logs and checkpoints go; else work_dir of the config, else work_dirs/CONFIG_NAME'
        )
        self.add_argument(
            '--cfg-options',
            nargs='+',
            action=DictAction,
            metavar='KEY=VALUE',
            help='values that replace those of the config: train_cfg.max_iters=100 model.disc.widths="[16,32]"; '
            'quote lists, and write no blanks in them',
        )
        self.add_argument(
            '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='what started the processes'
        )
        # torchrun sets LOCAL_RANK instead; older launchers pass one of these.
        self.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)

    def parse(self, arguments=None):
        """Parses the command line and refuses what cannot work before anything slow is imported."""
        args = self.parse_args(arguments)
        self.require_file(args.config, 'config')
        if Path(args.config).suffix not in CONFIG_SUFFIXES:
            self.refuse(f'config {args.config} has an unknown ending; a config ends in {", ".join(CONFIG_SUFFIXES)}.')
        os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
        return args

    def load_config(self, args):
        """Loads the config with the options of the command line applied."""
        # before Config.fromfile: a config may inherit from cainet_mm::
        import_package()
        from mmengine.config import Config

        try:
            config = Config.fromfile(args.config)
        except FileNotFoundError as error:
            self.refuse(f'config {args.config} inherits from a file that is absent: {error}.')
        except ValueError as error:
            # of MMEngine, such as on cainet_mm::stage1.py, which has no folder
            self.refuse(f'config {args.config} cannot be read: {error}')
        self.merge_options(config, args.config, args.cfg_options)
        config.launcher = args.launcher
        config.work_dir = args.work_dir or config.get('work_dir') or str(Path('work_dirs') / Path(args.config).stem)
        return config


def interrupt(number, frame):
    """Handles a signal as Ctrl-C, once: a second one would interrupt the clean-up. The error has its number."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt(number)


def make_package_importable():
    """Lets the tools of a checkout run before cainet_mm is installed, from any directory."""
    # MMagic asks diffusers for names that have moved, which nobody who calls a tool can change
    warnings.filterwarnings('ignore', category=FutureWarning, module='diffusers', append=True)
    if importlib.util.find_spec('cainet_mm') is None:
        sys.path.append(str(Path(__file__).resolve().parents[1]))


def import_package():
    """Imports cainet_mm, before which MMagic cannot be imported, and returns it."""
    make_package_importable()
    if 'cainet_mm' not in sys.modules:
        importlib.import_module('cainet_mm')
        # what was imported is no garbage: to look for some in it takes half a second, and a whole one at the end
        gc.freeze()
    return sys.modules['cainet_mm']


def build_runner(command, config):
    """Builds MMEngine's Runner, or the one that the config names."""
    from mmengine.registry import RUNNERS
    from mmengine.runner import Runner

    from cainet_mm.engine import EvaluationStepsHook, StrictLoadHook

    run_without_accelerator(command, config)
    runner = RUNNERS.build(config) if 'runner_type' in config else Runner.from_cfg(config)
    runner.register_hook(StrictLoadHook())
    runner.register_hook(EvaluationStepsHook())
    return runner


def said_by(error):
    """The message of an error; from a worker of a data loader it comes with the worker's traceback, itself last."""
    return str(error).strip().splitlines()[-1].partition(f'{type(error).__name__}: ')[-1] or error


def is_ours(error):
    """Whether this package raised an error itself, so that its message is for users; other errors are slips."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return Path(import_package().__file__).parent in Path(last.filename).parents and last.line.startswith('raise ')


# what a launcher tells each process: its number, how many there are, and its number on its machine
LAUNCHERS = dict(
    pytorch=('RANK',),  # torchrun sets the others, too, and the address
    slurm=('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    mpi=('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'),
)
STARTERS = dict(
    pytorch='torchrun; use tools/dist_train.sh or dist_test.sh',
    slurm='srun; use tools/slurm_train.sh or slurm_test.sh',
    mpi="Open MPI's mpirun",
)


def run_without_accelerator(command, config):
    """Lets several processes train together on CPUs, where MMEngine expects a GPU for each.

    MMEngine sets a CUDA device for every process before it starts the process group, but leaves a started group
    alone; and it gives the model wrapper the number of a GPU, unless the config gives one.
    """
    from mmengine.device import get_device
    from torch import distributed

    if config.launcher == 'none' or get_device() != 'cpu':
        return
    if not distributed.is_initialized():
        set_places(command, config.launcher)
        distributed.init_process_group('gloo')
    config.setdefault('model_wrapper_cfg', dict(type='MMDistributedDataParallel', broadcast_buffers=False))
    config.model_wrapper_cfg.device_ids = None


def run_to_the_end(main):
    """Runs a tool's main function, notes how it failed, and ends the process group, if there is one, after it.

    A thread of gloo may let go of a tensor while the interpreter shuts down, which aborts the process after all its
    work is done. Ending the group ends its threads, but only once nobody holds it: a model's wrapper does, so that
    this is for after a function that has dropped its runner.
    """
    code = None
    try:
        main()
    except SystemExit as end:
        if end.code:
            note_exit_code(end.code)
        # all processes have agreed to go; any other code may be of this process alone, whose peers still wait
        if end.code not in (None, 0, REQUEUE_CODE):
            raise
        code = end.code
    except BaseException:
        note_exit_code(1)
        raise
    if 'torch' in sys.modules:
        from torch import distributed

        gc.collect()
        if distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()
    sys.exit(code)


def note_exit_code(code):
    """Leaves an exit code in the file that EXIT_CODE_FILE names, as a launcher of several processes has one of its own.

    A failure counts more than preemption: launchers terminate the other processes when one has failed.
    """
    if 'EXIT_CODE_FILE' not in os.environ:
        return
    # the launcher's own code is left where there is no room for a note
    with contextlib.suppress(OSError), open(os.environ['EXIT_CODE_FILE'], 'x' if code == REQUEUE_CODE else 'w') as note:
        note.write(str(code))


def set_places(command, launcher):
    """Sets torch's variables, which say where in the group a process is, from those of its launcher."""
    absent = [name for name in LAUNCHERS[launcher] if name not in os.environ]
    if absent:
        command.refuse(
            f'--launcher {launcher} without a GPU reads {absent[0]}, which is not set; start the processes by '
            f'{STARTERS[launcher]}.'
        )
    if launcher == 'pytorch':
        return
    for name, given in zip(('RANK', 'WORLD_SIZE', 'LOCAL_RANK'), LAUNCHERS[launcher], strict=True):
        os.environ[name] = os.environ[given]
    os.environ.setdefault('MASTER_PORT', '29500')
    if 'MASTER_ADDR' not in os.environ:
        address = find_first_machine(launcher)
        if address is None:
            command.refuse(
                f'--launcher {launcher} does not say where the first process runs; set MASTER_ADDR to its address for '
                'all processes (mpirun -x MASTER_ADDR=ADDRESS, or export it before srun).'
            )
        os.environ['MASTER_ADDR'] = address


def find_first_machine(launcher):
    """The address of the machine of process 0; None where the launcher does not give it."""
    if launcher == 'slurm':
        try:
            hosts = subprocess.run(
                ['scontrol', 'show', 'hostnames', os.environ.get('SLURM_NODELIST', '')], capture_output=True, text=True
            ).stdout.split()
        except FileNotFoundError:
            return None
        return hosts[0] if hosts else None
    if os.environ.get('OMPI_COMM_WORLD_LOCAL_SIZE') == os.environ['WORLD_SIZE']:
        return '127.0.0.1'
    return None
