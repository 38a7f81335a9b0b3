"""The members of a zip or tar file, one after the other, without unpacking it anywhere.

A member's name is never used to write anything; so a name that would leave its folder does no harm.
"""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ZIPS = (".zip",)
TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
# What the standard library raises about archives that are cut, garbled, encrypted or packed in a way it does not know.
_BROKEN = (OSError, EOFError, RuntimeError, ValueError, NotImplementedError, zlib.error)
_BROKEN_TOO = (tarfile.TarError, zipfile.BadZipFile)


@dataclass(frozen=True, slots=True)
class Member:
    """One file in an archive. Its stream is good until the next member is asked for."""

    name: str
    size: int  # bytes, unpacked
    _open: Callable[[], IO[bytes] | None]

    def stream(self) -> IO[bytes]:
        """Its bytes. Raises Broken."""
        try:
            stream = self._open()
        except (*_BROKEN, *_BROKEN_TOO) as error:
            raise _broken(error) from error
        if stream is None:
            raise Broken("it is no plain file")
        return stream


class Broken(Exception):
    """The archive cannot be read, or not beyond some member. The text says why."""


def is_archive(name: str) -> bool:
    """Whether a file of this name is taken for an archive."""
    return name.lower().endswith(ZIPS + TARS)


def members(place: str) -> Iterator[Member]:
    """Its plain files. Raises Broken, also between two of them."""
    try:
        yield from _zipped(place) if place.lower().endswith(ZIPS) else _tarred(place)
    except (*_BROKEN, *_BROKEN_TOO) as error:
        raise _broken(error) from error


def _broken(error: BaseException) -> Broken:
    return Broken(getattr(error, "strerror", None) or str(error) or type(error).__name__)


def _zipped(place: str) -> Iterator[Member]:
    with zipfile.ZipFile(place) as archive:
        for row in archive.infolist():
            if not row.is_dir():
                yield Member(row.filename, row.file_size, partial(archive.open, row))


def _tarred(place: str) -> Iterator[Member]:
    with tarfile.open(place, "r|*") as archive:  # as a stream: a packed one cannot be read any other way
        for row in archive:
            if row.isreg():
                yield Member(row.name, row.size, partial(archive.extractfile, row))
