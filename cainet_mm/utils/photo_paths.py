"""Photographs on the disk: the endings of their names, folders and lists of them; and opening their files."""

import hashlib
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from mmengine.fileio import get
from PIL import Image, UnidentifiedImageError

# in any letter case, the usual ones first
IMAGE_ENDINGS = (
    *('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp'),
    *('.avif', '.dib', '.heic', '.heif', '.jfif', '.jpe', '.pbm', '.pgm', '.pnm'),
)
# what operating systems and archives put beside files
HIDDEN_FOLDERS = frozenset(('__MACOSX',))
# a line of a list with a label or a shape after the file name, as other projects write them
LABELLED = re.compile(
    rf'(?P<name>.+\.(?:{"|".join(ending[1:] for ending in IMAGE_ENDINGS)}))\s+(?:\d+|\(.*\))', re.IGNORECASE
)
# what follows "ftyp" at the beginning of a file
BRANDS = {
    **dict.fromkeys((b'avif', b'avis'), ('AVIF', 'Pillow 11.3 or later')),
    **dict.fromkeys((b'heic', b'heix', b'heim', b'heis', b'hevc', b'mif1', b'msf1'), ('HEIC', 'pillow-heif')),
}
# bytes of a file's name
LONGEST_NAME = 255


@dataclass
class Found:
    """What is in a folder: sorted images; other files, and what is hidden; folders that were not entered."""

    images: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    below: list[Path] = field(default_factory=list)

    def left_alone(self) -> str | None:
        """Describe what is no image; ``None`` where there is nothing else."""
        return say_left_alone(self.others, self.below)


def say_left_alone(paths: Sequence[Path], below: Sequence[Path] = ()) -> str | None:
    """Describe files of a folder that are no images, and folders below that are not entered; ``None`` without any."""
    hidden = [path for path in paths if is_hidden(path.name)]
    others = [path for path in paths if not is_hidden(path.name)]
    parts = [
        f'{len(some)} {what} left alone, such as {some[0]}'
        for some, what in (
            (others, 'files are no photographs by their endings and were'),
            (hidden, 'images or folders are hidden and were'),
            (below, 'folders below were not asked for (recursive=True) and were'),
        )
        if some
    ]
    return f'{"; ".join(parts)}.' if parts else None


def is_hidden(name: str) -> bool:
    """Whether a file or a folder is hidden by its name."""
    return name.startswith('.') or name in HIDDEN_FOLDERS


def find_files(
    folder: Path, excluded: Sequence[Path] = (), recursive: bool = True, endings: Sequence[str] = IMAGE_ENDINGS
) -> Found:
    """Find the files in a folder and, if ``recursive``, below it. Links are followed, each folder is entered once.

    Folders and files in ``excluded`` are left out; the folder itself, and those around it, have no effect. Images have
    one of the ``endings``, in lower case.

    Raises:
        OSError: A folder cannot be read; its files would be missing without notice.
    """

    def stop(error: OSError) -> None:
        raise error

    found = Found()
    apart = {path.resolve() for path in excluded} - {folder.resolve(), *folder.resolve().parents}
    single = {path for path in apart if path.is_file()}
    visited = set(apart)
    for parent, folders, files in os.walk(folder, onerror=stop, followlinks=True):
        here, place = Path(parent), Path(parent).resolve()
        if place in visited or not apart.isdisjoint(place.parents):
            folders.clear()
            continue
        visited.add(place)
        hidden = {name for name in (*folders, *files) if is_hidden(name)}
        found.others += (here / name for name in hidden if name in folders or Path(name).suffix.lower() in endings)
        # in a fixed order: of two ways to a linked folder the same one is taken everywhere
        folders[:] = sorted(set(folders).difference(hidden))
        if not recursive:
            found.below += [here / name for name in folders]
            folders.clear()
        for path in (here / name for name in files if name not in hidden):
            if not (single and path.resolve() in single):
                (found.images if path.suffix.lower() in endings else found.others).append(path)
    found.images.sort()
    found.others.sort()
    return found


def read_list(path: str | os.PathLike, backend_args: dict | None = None) -> list[str]:
    """Read the lines of a list of names, without blank ones; it is UTF-8, with or without BOM, or a ``ValueError``."""
    content = get(str(path), backend_args=backend_args)
    advice = 'Save it as UTF-8, for example with "iconv -f {} -t UTF-8".'
    if b'\0' in content:
        raise ValueError(f'The list {path} has the encoding UTF-16 or UTF-32, or is no text. {advice.format("UTF-16")}')
    try:
        text = content.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        line = content.count(b'\n', 0, error.start) + 1
        raise ValueError(
            f'The list {path} is no UTF-8: line {line} has the byte 0x{content[error.start]:02x}, as in Latin-1 and '
            f'other old encodings. {advice.format("LATIN1")}'
        ) from error
    # names may hold what str.splitlines() takes for the end of a line
    lines = (line.rstrip(' \t') for line in re.split(r'\r\n|\r|\n', text))
    return [line for line in lines if line.strip()]


def read_names(path: str | os.PathLike, folder: str, backend_args: dict | None = None) -> list[str]:
    """Read a list of images relative to a folder, with or without labels; the names are those of :func:`name_in`."""
    lines = read_list(path, backend_args)
    names = (match['name'] if (match := LABELLED.fullmatch(line)) else line for line in lines)
    return [name_in(folder, name, backend_args is None) for name in names]


def name_in(folder: str, given: str, local: bool = True) -> str:
    r"""The one name of an image, however it is spelled: relative to a folder, with ``/`` between folders.

    ``a.jpg``, ``./a.jpg``, ``b/../a.jpg`` and ``FOLDER/a.jpg``, where that is an absolute path, are ``a.jpg``; and
    ``b\a.jpg``, unless there is a file of this very name, is ``b/a.jpg``. An absolute path that does not exist, such
    as ``/a.jpg``, is one in the folder if it exists there. The name of an image outside of the folder begins with
    ``..``, or is the absolute path where the folder is ``''``. Where files are not ``local`` they are not looked up.
    """
    name = given
    if given[0] in ' \t/' or '\\' in given:
        plain = given.lstrip(' \t').replace('\\', '/')
        spellings = (given, given.lstrip(' \t'), plain, plain.lstrip('/'))
        there = (one for one in spellings if os.path.exists(os.path.join(folder, one)))
        name = next(there, plain) if local else spellings[-1]
    if not os.path.isabs(name):
        name = posixpath.normpath(name)
        if not (local and name.startswith('../')):
            return name
    return _relative(os.path.abspath(os.path.join(folder, name)), folder)


def _relative(path: str, folder: str) -> str:
    """The name in a folder of an absolute path; links of both are followed where it lies outside otherwise."""
    parent, name = os.path.split(path)
    relative = os.path.relpath(path, folder or '.')
    if relative.startswith('..'):
        inside = os.path.relpath(os.path.join(_real(parent), name), _real(folder or '.'))
        relative = inside if not inside.startswith('..') else relative if folder else path
    return relative


@lru_cache(maxsize=4096)
def _real(folder: str) -> str:
    return os.path.realpath(folder)


@contextmanager
def open_image_file(path: str | os.PathLike) -> Iterator[Image.Image]:
    """Open an image file by Pillow, within a block; the error on AVIF and HEIC names the package that reads them."""
    # not by its path: Pillow would map a grey TIFF into memory, with the wrong width where EXIF turns it
    with open(path, 'rb') as file:
        head = file.read(12)
        file.seek(0)
        kind, package = BRANDS.get(head[8:] if head[4:8] == b'ftyp' else b'', (None, None))
        if kind == 'HEIC':
            _add_heif()
        try:
            image = Image.open(file)
        except UnidentifiedImageError as error:
            if kind is None:
                raise
            raise UnidentifiedImageError(
                f'it is {kind}, which Pillow cannot open here; install {package} (pip install '
                f'{"pillow-heif" if kind == "HEIC" else "-U pillow"}), or convert it to PNG or JPEG'
            ) from error
        with image:
            yield image


@lru_cache(maxsize=1)
def _add_heif() -> None:
    """Have Pillow read HEIC where the package for it is installed."""
    with suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()


def short_name(stem: str, ending: str) -> str:
    """Join a stem and an ending; the end of a stem that is too long becomes a digest of the whole stem."""
    content = os.fsencode(stem)
    room = LONGEST_NAME - len(os.fsencode(ending))
    if len(content) <= room:
        return stem + ending
    digest = hashlib.sha256(content).hexdigest()[:10]
    # a character that is cut in two is left out
    return f'{content[: room - len(digest) - 1].decode("utf-8", "ignore")}~{digest}{ending}'
