"""The checkpoints of a run: written atomically, and the newest that is not damaged."""

import errno
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend
from mmengine.runner.checkpoint import CheckpointLoader

from ..utils.checkpoint_io import enumerate_names
from ..utils.errors import describe_error
from ..utils.files import write_file
from .errors import CheckpointError

BACKEND = 'atomic'
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NUMBERED = re.compile(r'(?:iter|epoch)_\d+\.pth')


class AtomicBackend(LocalBackend):
    """MMEngine's backend of local files, with atomic writes."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write a file atomically, and wait until it is on the disk."""
        write_file(filepath, obj, sync=True)


register_backend(BACKEND, AtomicBackend, force=True)


def find_whole_checkpoint(
    folder: str | Path, warn=print, elsewhere: Sequence[Path] = (), template: str | None = None
) -> str | None:
    """Find the newest checkpoint of a run that is not damaged; ``None`` where there are no checkpoints.

    It is looked for in the work directory and ``elsewhere``, under names like ``template`` (braces where the number
    stands; ``None`` for MMEngine's). ``warn`` is called for each that is damaged; ``CheckpointError`` if all are.
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
    """Return a path or URL of weights; ``CheckpointError`` where it is a damaged file."""
    path = Path(named)
    if path.is_file():
        with open(path, 'rb') as file:
            has_checksums = file.read(2) == b'PK'
        damage = find_damage(path) if has_checksums else None
        if damage is not None:
            raise CheckpointError(f'{named} cannot be read, or is damaged ({damage}); name another checkpoint.')
    return named


def list_checkpoints(folder: Path, elsewhere: Sequence[Path] = (), template: str | None = None) -> list[Path]:
    """List the checkpoints of a run: the one that MMEngine noted as the last, then the others, newest first."""
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
    """The checkpoint that MMEngine noted as the last of a run; ``None`` where there is no readable note.

    In a folder that was copied the note names a checkpoint of the original folder; the copy of it counts.
    """
    try:
        noted = Path((folder / 'last_checkpoint').read_text(encoding='utf-8').strip())
        copied = folder / noted.name
        return (copied if copied.is_file() else noted) if noted.name and noted.resolve() else None
    # MMEngine does not write it atomically: after a power failure there may be zeros, or half a name
    except (OSError, ValueError):
        return None


def find_damage(path: Path) -> str | None:
    """Say what is wrong with a checkpoint file, by its checksums, which torch leaves out, and by reading it."""
    if not path.is_file():
        return 'there is no such file'
    try:
        with zipfile.ZipFile(path) as archive:
            part = archive.testzip()
        if part is not None:
            return f'the checksum of {part} is another'
        CheckpointLoader.load_checkpoint(str(path), map_location='cpu')
    except Exception as error:  # a damaged file can raise anything
        return describe_error(error)
    return None
