"""Bad images that are skipped: named once, counted over all workers, listed in a file."""

import os
from logging import WARNING
from pathlib import Path

import torch
from mmengine.logging import print_log

from .errors import TooManyBadImagesError


class BadImages:
    """The images of a data set that turned out bad, counted over all of its worker processes.

    The counts lie in shared memory, so that workers, which have copies of this object, count together.

    Args:
        total: Number of images of the data set.
        max_share: Share of them that may be bad. One bad image is always tolerated.
    """

    def __init__(self, total: int, max_share: float) -> None:
        self.total = total
        self.max_share = max_share
        self.listing: Path | None = None
        self._listed: frozenset[str] = frozenset()
        self._flags = torch.zeros(total, dtype=torch.uint8).share_memory_()

    @property
    def count(self) -> int:
        """Number of different bad images so far."""
        return int(self._flags.sum())

    def list_in(self, path: str | Path) -> None:
        """List bad images in a file as well, a line each: the image, a tab, what is wrong. One that exists goes on."""
        self.listing = Path(path)
        if self.listing.is_file():
            lines = self.listing.read_text(encoding='utf-8').splitlines()
            self._listed = frozenset(line.split('\t')[0] for line in lines)

    def add(self, index: int, path: str, message: str) -> None:
        """Count an image, and say it where it is new.

        Args:
            index: That of the image in the data set.
            path: Its file.
            message: What is wrong with it, as a sentence.

        Raises:
            TooManyBadImagesError: There are now too many of them.
        """
        if self._flags[index]:
            return
        self._flags[index] = 1
        self._list(path, message)
        count = self.count
        if count > max(1, self.max_share * self.total):
            where = '' if self.listing is None else f' All are listed in {self.listing}.'
            raise TooManyBadImagesError(
                f'{count} of {self.total} images are bad, more than max_bad_share={self.max_share:g} allows. '
                f'The last one: {message}{where} Repair the data, or raise max_bad_share of the data set.'
            )
        print_log(f'Skipped: {message}', 'current', WARNING)

    def _list(self, path: str, message: str) -> None:
        if self.listing is None or path in self._listed:
            return
        line = f'{path}\t{message}\n'
        # in one call, so that the lines of several workers do not mix
        file = os.open(self.listing, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, line.encode('utf-8', 'surrogateescape'))
        finally:
            os.close(file)
