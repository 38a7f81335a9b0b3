"""The display of files being read through: a line now and then."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hfmirror.cli.exits import say
from hfmirror.errors import human

if TYPE_CHECKING:
    from hfmirror.adopt.report import Reading

EVERY_S = 5.0  # seconds between two lines
LONG = 2**30  # bytes; a file that takes about a second is worth a word before it is read


class ReadingLines:
    """Says which file is being read, if that takes long."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet, self._files, self._size = quiet, 0, 0
        self._last = time.monotonic()

    def __call__(self, reading: Reading) -> None:
        """A file is about to be read."""
        now = time.monotonic()
        if not self._quiet and (now - self._last > EVERY_S or reading.size > LONG):
            self._last = now
            before = f" after {self._files} files, {human(self._size)}" if self._files else ""
            say(f"reading {reading.place} ({human(reading.size)}){before}")
        self._files += 1
        self._size += reading.size
