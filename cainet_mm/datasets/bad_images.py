"""Bad images that are skipped: named once, counted over all workers, listed in a file."""

import contextlib
from fcntl import LOCK_EX, flock
from logging import WARNING
from pathlib import Path

import torch
from mmengine.logging import print_log

from .errors import TooManyBadImagesError


class BadImages:
    """The images of a data set that turned out bad, counted over all of its worker processes, in shared memory.

    Where there is a list as well, all processes that share it count together: those of a training on several GPUs, and
    a run and the one that resumes it.

    Args:
        total: Number of images of the data set.
        max_share: Share of them that may be bad. One bad image is always tolerated.
    """

    def __init__(self, total: int, max_share: float) -> None:
        self.total = total
        self.max_share = max_share
        self.listing: Path | None = None
        self._flags = torch.zeros(total, dtype=torch.uint8).share_memory_()

    @property
    def count(self) -> int:
        """Number of different bad images so far."""
        listed = 0
        if self.listing is not None and self.listing.is_file():
            with open(self.listing, encoding='utf-8', errors='surrogateescape') as file:
                listed = len({line.split('\t')[0] for line in file})
        return max(listed, int(self._flags.sum()))

    def list_in(self, path: str | Path) -> None:
        """Also list bad images in a file, which may exist, a line each: the image, a tab, what is wrong."""
        self.listing = Path(path)

    def add(self, index: int, path: str, message: str) -> None:
        """Count an image by its index, and log it where it is new; ``TooManyBadImagesError`` for too many."""
        if self._flags[index]:
            return
        self._flags[index] = 1
        is_new, count = self._list(path, message), self.count
        if count > max(1, self.max_share * self.total):
            where = '' if self.listing is None else f' All are listed in {self.listing}.'
            raise TooManyBadImagesError(
                f'{count} of {self.total} images are bad, more than max_bad_share={self.max_share:g} allows. '
                f'The last one: {message}{where} Repair the data and delete the list, or raise max_bad_share of the '
                'data set.'
            )
        if is_new:
            print_log(f'Skipped: {message}', 'current', WARNING)

    def _list(self, path: str, message: str) -> bool:
        """List an image; returns whether it is new."""
        if self.listing is None:
            return True
        try:
            with open(self.listing, 'a+', encoding='utf-8', errors='surrogateescape') as file:
                # file systems that know no locks may get a line twice, which counts once
                with contextlib.suppress(OSError):
                    flock(file, LOCK_EX)
                file.seek(0)
                if any(line.split('\t')[0] == path for line in file):
                    return False
                file.write(f'{path}\t{message}\n')
        except OSError as error:
            print_log(f'{path} is bad, but is not listed in {self.listing} ({error.strerror}).', 'current', WARNING)
        return True
