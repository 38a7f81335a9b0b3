"""A plain folder as a supplier: files of a repo that lie somewhere, under their own names.

Bytes only: what a file is called there proves nothing, so its digest is checked like any other's.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hfmirror.errors import NotHere, Unreachable
from hfmirror.model import PART

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import IO

    from hfmirror.model import Entry, Manifest, Span
    from hfmirror.ports import Chunk

_PATIENT = getattr(os, "O_NONBLOCK", 0)  # a pipe without a writer must not hold us up
_BINARY = getattr(os, "O_BINARY", 0)


class FolderSource:
    """The files in one folder: a repo's own, or those of several below `owner/name`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def name(self) -> str:
        """How sentences call it."""
        return f"the folder {self._folder}"

    def holds(self, manifest: Manifest, entry: Entry) -> bool:
        """Whether a file of that name and size is there."""
        return self._place(manifest, entry) is not None

    def _place(self, manifest: Manifest, entry: Entry) -> Path | None:
        below = self._folder / manifest.repo.name
        for place in (self._folder / entry.path, below / entry.path):
            try:
                facts = place.stat()
            except (OSError, ValueError):
                continue
            if stat.S_ISREG(facts.st_mode) and facts.st_size == entry.size:
                return place
        return None

    @contextmanager
    def open(self, manifest: Manifest, entry: Entry, span: Span) -> Iterator[Iterable[Chunk]]:
        """The bytes of a file, as the port says. Raises NotHere, Unreachable."""
        place = self._place(manifest, entry)
        if place is None:
            raise NotHere(entry.path)
        try:
            fd = os.open(place, os.O_RDONLY | _BINARY | _PATIENT)
        except OSError as error:
            raise Unreachable(self.name, error.strerror or str(error)) from error
        with os.fdopen(fd, "rb", buffering=0) as stream:
            yield self._chunks(stream, span)

    def _chunks(self, stream: IO[bytes], span: Span) -> Iterator[bytes]:
        left = span.size
        try:
            stream.seek(span.start)
            while left and (data := stream.read(min(PART, left))):
                left -= len(data)
                yield data
        except OSError as error:
            raise Unreachable(self.name, error.strerror or str(error)) from error
