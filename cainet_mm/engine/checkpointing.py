"""Checkpoints that survive being killed, and a full disk, while they are written."""

import errno
import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.dist import broadcast_object_list, get_world_size, is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader

from ..datasets.errors import one_line
from ..utils.checkpoint_io import enumerate_names
from .errors import CheckpointError

BACKEND = 'atomic'
PARTIAL = '.partial'
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NUMBERED = re.compile(r'(?:iter|epoch)_\d+\.pth')


class AtomicBackend(LocalBackend):
    """MMEngine's backend of local files, whose files are there whole or not at all."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write a file beside its place, bring it to the disk, and give it its name.

        Raises:
            OSError: The file cannot be written; one that had its name is as it was.
        """
        path = Path(filepath)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f'.{path.name}{PARTIAL}')
        try:
            with open(partial, 'wb') as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


register_backend(BACKEND, AtomicBackend, force=True)


class _RemovesLater:
    """A file backend that keeps in mind what is to be removed."""

    def __init__(self, backend) -> None:
        self.backend = backend
        self.unwanted: list[str] = []

    def __getattr__(self, name: str):
        return getattr(self.backend, name)

    def remove(self, path: str) -> None:
        self.unwanted.append(path)

    rmtree = remove


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """MMEngine's ``CheckpointHook``, safe against an end at any moment.

    A checkpoint is written beside its place and renamed, an older one removed only after that, and a full disk is an
    error that says so and leaves what was there. A run that resumes by itself (``resume=True`` without ``load_from``)
    takes the newest checkpoint that is whole: MMEngine's note ``last_checkpoint`` may be cut off, name a file that is
    gone, or one that is damaged. A damaged one that a run is told to begin with is refused. For both the file is read
    once more.

    Args:
        kwargs: As ``CheckpointHook``'s. With an ``out_dir`` elsewhere than on a local disk give ``backend_args``; only
            the order of writing and removing is different then.
    """

    def __init__(self, *args, backend_args: dict | None = None, **kwargs) -> None:
        super().__init__(*args, backend_args=backend_args or dict(backend=BACKEND), **kwargs)

    def before_run(self, runner: Runner) -> None:
        """Choose what a run that resumes by itself goes on from, and look at what another one begins with.

        Raises:
            CheckpointError: There are checkpoints, but none is whole; or the one that is named is damaged.
        """
        # MMEngine keeps both to itself
        named = runner._load_from
        if named is None and not runner._resume:
            return
        chosen = [None]
        if is_main_process():
            chosen = [_try(self._find_whole, runner) if named is None else _try(refuse_damage, named)]
        broadcast_object_list(chosen)
        if isinstance(chosen[0], CheckpointError):
            raise chosen[0]
        runner._load_from = chosen[0]

    def _find_whole(self, runner: Runner) -> str | None:
        # MMEngine appends the work directory's name only later
        elsewhere = [] if self.out_dir is None else [Path(self.out_dir) / Path(runner.work_dir).name]
        return find_whole_checkpoint(runner.work_dir, runner.logger.warning, elsewhere, self.filename_tmpl)

    def before_train(self, runner: Runner) -> None:
        """Remove what a run that was killed while it saved left behind."""
        super().before_train(runner)
        if is_main_process():
            for folder in {Path(runner.work_dir), Path(self.out_dir)}:
                for left in folder.glob(f'.*{PARTIAL}'):
                    left.unlink(missing_ok=True)

    def _save_checkpoint(self, runner: Runner) -> None:
        with self._saving(runner):
            super()._save_checkpoint(runner)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        with self._saving(runner):
            super()._save_best_checkpoint(runner, metrics)

    @contextmanager
    def _saving(self, runner: Runner) -> Iterator[None]:
        backend = self.file_backend
        self.file_backend = _RemovesLater(backend)
        before = self.last_ckpt
        try:
            yield
        except OSError as error:
            if error.errno not in NO_SPACE:
                raise
            last = 'No checkpoint has been written before' if before is None else f'The last good one is {before}'
            raise CheckpointError(
                f'The checkpoint of iteration {runner.iter + 1} could not be written to {self.out_dir} '
                f'({error.strerror}; {shutil.disk_usage(self.out_dir).free / 2**20:.0f} MiB are free). {last}. Make '
                'room, and go on with --resume.'
            ) from error
        finally:
            later, self.file_backend = self.file_backend, backend
        for path in later.unwanted:
            (backend.rmtree if backend.isdir(path) else backend.remove)(path)


def _try(function, *arguments):
    """Give what a function gives, or the error that every process shall raise."""
    try:
        return function(*arguments)
    except CheckpointError as error:
        return error


def find_whole_checkpoint(
    folder: str | Path, warn=print, elsewhere: Sequence[Path] = (), template: str | None = None
) -> str | None:
    """Find the newest checkpoint of a run that is not damaged.

    Args:
        folder: The work directory.
        warn: Called with a sentence for each that is damaged.
        elsewhere: Further folders that checkpoints were written to.
        template: As ``list_checkpoints`` takes it.

    Returns:
        Its path; ``None`` where there are no checkpoints.

    Raises:
        CheckpointError: There are checkpoints, but none is whole.
    """
    candidates = list_checkpoints(Path(folder), elsewhere, template)
    for path in candidates:
        damage = find_damage(path)
        if damage is None:
            return str(path)
        warn(f'The checkpoint {path} is damaged ({damage}) and left out; the one before it is looked at.')
    if candidates:
        raise CheckpointError(
            f'None of the checkpoints in {folder} is whole: {enumerate_names(path.name for path in candidates)}. Start '
            'anew in another work directory, or without --resume.'
        )
    return None


def refuse_damage(named: str) -> str:
    """Give back a path or URL of weights, unless it is a local file with checksums, and damaged.

    Raises:
        CheckpointError: It is.
    """
    path = Path(named)
    if path.is_file():
        with open(path, 'rb') as file:
            # files of older versions of torch have none
            has_checksums = file.read(2) == b'PK'
        damage = find_damage(path) if has_checksums else None
        if damage is not None:
            raise CheckpointError(f'{named} cannot be read, or is damaged ({damage}); name another checkpoint.')
    return named


def list_checkpoints(folder: Path, elsewhere: Sequence[Path] = (), template: str | None = None) -> list[Path]:
    """List the checkpoints of a run: the one that MMEngine noted as the last, then the others, newest first.

    Args:
        folder: The work directory.
        elsewhere: Further folders that checkpoints were written to.
        template: The names of checkpoints, with braces where the number stands; ``None`` for MMEngine's.
    """
    pattern = NUMBERED
    if template is not None:
        pattern = re.compile(r'\d+'.join(map(re.escape, re.split(r'\{.*?\}', template))))
    noted = read_note(folder)
    folders = [folder, *elsewhere, *([] if noted is None else [noted.parent])]
    found = {path.resolve() for place in folders for path in place.glob('*.pth') if pattern.fullmatch(path.name)}
    if noted is not None:
        found.discard(noted.resolve())
    # by time: an earlier run in the same folder may have come further
    paths = sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return paths if noted is None else [noted, *paths]


def read_note(folder: Path) -> Path | None:
    """The checkpoint that MMEngine noted as the last of a run; ``None`` where no note is left that can be read.

    In a folder that was copied the note names a checkpoint of the folder that it was copied from; the copy counts.
    """
    try:
        noted = Path((folder / 'last_checkpoint').read_text(encoding='utf-8').strip())
        copied = folder / noted.name
        return (copied if copied.is_file() else noted) if noted.name and noted.resolve() else None
    # MMEngine writes it in place: a machine that went down may leave zeros, or half a name
    except (OSError, ValueError):
        return None


def find_damage(path: Path) -> str | None:
    """Say what is wrong with a checkpoint file; ``None`` where it is whole.

    The checksums of its parts are compared, and it is read: torch compares none, and does not read every file whose
    checksums are right.
    """
    if not path.is_file():
        return 'there is no such file'
    try:
        with zipfile.ZipFile(path) as archive:
            part = archive.testzip()
        if part is not None:
            return f'the checksum of {part} is another'
        CheckpointLoader.load_checkpoint(str(path), map_location='cpu')
    # a damaged file can bring about anything
    except Exception as error:
        return one_line(error)
    return None


@HOOKS.register_module()
class StepStateHook(Hook):
    """Saves and restores what steps leave behind beside weights and optimisers.

    That is how many critic steps the generator still has to wait for (``disc_step``), and, where gradients are
    accumulated, how many have been, and their sums.
    """

    def __init__(self) -> None:
        self._loaded: dict | None = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the state as ``step_state``."""
        state = dict(counts={name: wrapper._inner_count for name, wrapper in wrappers_of(runner)}, gradients={})
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
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
        """Keep the state of a run that is resumed."""
        self._loaded = checkpoint.get('step_state') if runner._resume else None

    def before_train(self, runner: Runner) -> None:
        """Restore the state; MMEngine sets counts of its own after it has loaded a checkpoint."""
        if self._loaded is None:
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if 'disc_step_count' in self._loaded:
            model.disc_step_count = self._loaded['disc_step_count']
        for name, wrapper in wrappers_of(runner):
            wrapper._inner_count = self._loaded['counts'].get(name, wrapper._inner_count)
            gradients = self._loaded['gradients'].get(name, ())
            for parameter, gradient in zip(parameters_of(wrapper), gradients, strict=False):
                parameter.grad = None if gradient is None else gradient.to(parameter.device)
        self._loaded = None


def wrappers_of(runner: Runner) -> list[tuple[str, OptimWrapper]]:
    """The optimiser wrappers of a run by their names; a single one has the name ``'all'``."""
    wrapper = runner.optim_wrapper
    return list(wrapper.items()) if isinstance(wrapper, OptimWrapperDict) else [('all', wrapper)]


def parameters_of(wrapper: OptimWrapper) -> list[torch.nn.Parameter]:
    """The parameters of an optimiser, in its order."""
    return [parameter for group in wrapper.param_groups for parameter in group['params']]
