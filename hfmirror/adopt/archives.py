"""The members of a zip or tar file, one after the other, without unpacking it anywhere.

A member's name is never used to write anything; so a name that would leave its folder does no harm.
What an archive says of itself is not believed either: it may cost time and memory in proportion to
its own size, and no more.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    from typing_extensions import Self

    class Readable(Protocol):
        """What bytes are read from."""

        def read(self, size: int = -1, /) -> bytes: ...


ZIPS = (".zip",)
TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
RATIO = 1100  # unpacked bytes for each packed one; gzip itself packs zeros 1032 to 1, and weights hardly shrink
FLOOR = 2**30  # unpacked bytes that any archive may have: a second or two
HEADER = 2**20  # bytes of a long name or of what else a tar says before a member; it is read into memory whole
CHUNK = 2**18  # bytes read at once
_PREFACES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME)
# What the standard library raises about archives that are cut, garbled, encrypted or packed in a way it does not know.
_BROKEN = (OSError, EOFError, RuntimeError, ValueError, NotImplementedError, zlib.error, lzma.LZMAError)
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
        allowance = Allowance(os.stat(place).st_size * RATIO + FLOOR)
        yield from _zipped(place, allowance) if place.lower().endswith(ZIPS) else _tarred(place, allowance)
    except (*_BROKEN, *_BROKEN_TOO) as error:
        raise _broken(error) from error


def _broken(error: BaseException) -> Broken:
    return Broken(getattr(error, "strerror", None) or str(error) or type(error).__name__)


class Allowance:
    """How many bytes an archive may still unpack to."""

    def __init__(self, left: int) -> None:
        self._left = left

    def spend(self, count: int) -> None:
        """So many more came. Raises OSError when that is beyond belief."""
        self._left -= count
        if self._left < 0:
            raise OSError(0, "it unpacks to far more than an archive of its size may")


class Metered:
    """A stream whose bytes are counted against an allowance."""

    def __init__(self, stream: Readable, allowance: Allowance) -> None:
        self._stream, self._allowance = stream, allowance

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes. Raises OSError."""
        data = self._stream.read(size)
        self._allowance.spend(len(data))
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        cast("IO[bytes]", self._stream).close()


def _zipped(place: str, allowance: Allowance) -> Iterator[Member]:
    with zipfile.ZipFile(place) as archive:
        for row in archive.infolist():
            if not row.is_dir():
                yield Member(row.filename, row.file_size, partial(_metered, partial(archive.open, row), allowance))


def _metered(opened: Callable[[], IO[bytes] | None], allowance: Allowance) -> IO[bytes] | None:
    stream = opened()
    return None if stream is None else cast("IO[bytes]", Metered(stream, allowance))


def _tarred(place: str, allowance: Allowance) -> Iterator[Member]:
    with _unpacked(place) as plain:
        metered = cast("IO[bytes]", Metered(plain, allowance))
        with tarfile.open(fileobj=metered, mode="r|", tarinfo=_Sober, bufsize=CHUNK) as archive:  # in one go, unsought
            for row in archive:
                if row.isreg():
                    opened = partial(archive.extractfile, row)
                    yield Member(row.name, row.size, partial(_metered, opened, allowance) if row.issparse() else opened)


@contextmanager
def _unpacked(place: str) -> Iterator[Readable]:
    """The plain tar, whatever packed it."""
    with open(place, "rb") as packed:  # noqa: PTH123 - a string
        head = packed.read(6)
        packed.seek(0)
        if head.startswith(b"\x1f\x8b"):
            yield gzip.GzipFile(fileobj=packed)
        elif head.startswith(b"BZh"):
            yield bz2.BZ2File(packed)
        elif head == b"\xfd7zXZ\0":
            with lzma.LZMAFile(packed) as plain:
                yield plain
        else:
            yield packed


class _Sober(tarfile.TarInfo):
    """A member whose preface is of a size that one has."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        row = super().frombuf(buf, encoding, errors)
        if row.type in (*_PREFACES, tarfile.GNUTYPE_LONGLINK) and row.size > HEADER:
            raise tarfile.ReadError("it has a name that is larger than a name can be")
        return row
