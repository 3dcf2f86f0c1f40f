"""The hook that saves checkpoints, and chooses the one that a run resumes from."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ...utils.dist import ask_first
from ...utils.files import PARTIAL
from ..checkpointing import BACKEND, NO_SPACE, find_whole_checkpoint, refuse_damage
from ..errors import CheckpointError


class _RemovesLater:
    """A file backend that collects what is to be removed."""

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

    A checkpoint is written under another name and renamed, an older one removed only after that; a full disk is a clear
    error and leaves what was there. A run that resumes automatically (``resume=True`` without ``load_from``) takes the
    newest checkpoint that is whole, whatever MMEngine's note ``last_checkpoint`` says. A damaged one that is named is
    refused. For both the file is read once more.

    Args:
        kwargs: As ``CheckpointHook``'s. With an ``out_dir`` elsewhere than on a local disk give ``backend_args``; only
            the order of writing and removing is different then.
    """

    file_backend: Any

    def __init__(self, *args, backend_args: dict | None = None, **kwargs) -> None:
        super().__init__(*args, backend_args=backend_args or dict(backend=BACKEND), **kwargs)

    def before_run(self, runner: Runner) -> None:
        """Choose the checkpoint of a run that resumes automatically, and check one that is named."""
        # MMEngine has no public names for both
        named = runner._load_from
        if named is not None or runner._resume:
            runner._load_from = ask_first(lambda: self._find_whole(runner) if named is None else refuse_damage(named))

    def _find_whole(self, runner: Runner) -> str | None:
        # MMEngine appends the work directory's name only later
        elsewhere = [] if self.out_dir is None else [Path(self.out_dir) / Path(runner.work_dir).name]
        return find_whole_checkpoint(runner.work_dir, runner.logger.warning, elsewhere, self.filename_tmpl)

    def before_train(self, runner: Runner) -> None:
        """Remove what a run that was killed while it saved left behind."""
        super().before_train(runner)
        if is_main_process():
            for folder in {Path(runner.work_dir), Path(self.out_dir)}:
                for left in folder.glob(f'.*.{PARTIAL}*'):
                    left.unlink(missing_ok=True)

    def _save_checkpoint(self, runner: Runner) -> None:
        with self._saving(runner):
            super()._save_checkpoint(runner)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        with self._saving(runner):
            super()._save_best_checkpoint(runner, metrics)

    @contextmanager
    def _saving(self, runner: Runner) -> Iterator[None]:
        """Put removals off until the new checkpoint is there, and name a full disk."""
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
