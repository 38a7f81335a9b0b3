"""One content looked at by picklescan, without running or unpacking anything of it.

What is read is chosen here and not by picklescan, which goes by names, reads compressed members
without a limit, needs numpy for arrays, and does not look into packed files.
"""

from __future__ import annotations

import bz2
import gzip
import io
import logging
import lzma
import zipfile
import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any, cast

from hfmirror.safety import names
from hfmirror.safety.bounded import MOST_UNPACKED, Bounded, Spent
from hfmirror.store.scans import DANGEROUS, SAFE, SUSPICIOUS, UNREADABLE, Import, Scan

if TYPE_CHECKING:
    from collections.abc import Callable

RULES = 1  # of this module: raised when it learns to see more, so that all is looked at anew
DEEPEST = 3  # archives in archives
MOST_PEEKED = 4096  # members of an archive of which the beginning is looked at; of more, only those named like pickles
MOST_INNER = 2**26  # bytes of an archive in something compressed: going to and fro in it means to unpack it each time
MOST_LISTED = 2**26  # bytes of an archive's list of members, which the reader keeps in ten times as many
MOST_KEPT = 50  # names that are remembered of one content
LONGEST = 200  # characters of a name

_UNPACK: dict[bytes, Callable[[IO[bytes]], Any]] = {
    names.GZIP: lambda stream: gzip.GzipFile(fileobj=stream, mode="rb"),  # else it asks the stream for its mode
    names.BZIP2: bz2.BZ2File,
    names.XZ: lzma.LZMAFile,
    names.LZMA: lzma.LZMAFile,
}


@dataclass(slots=True)
class Seen:
    """What has been seen of one content so far."""

    imports: set[Import] = field(default_factory=set)  # but for the innocuous ones
    why: str = ""  # something could not be looked at
    pickles: int = 0  # that name anything at all, innocuous or not
    spent: Spent = field(default_factory=Spent)

    def scan(self) -> Scan:
        """The verdict."""
        worst = sorted(self.imports, key=lambda each: (each.safety != DANGEROUS, each))[:MOST_KEPT]
        if worst and worst[0].safety == DANGEROUS:
            return Scan(DANGEROUS, tuple(worst), scanner=scanner())
        if self.why:
            return Scan(UNREADABLE, tuple(worst), self.why, scanner())
        return Scan(SUSPICIOUS if worst else SAFE, tuple(worst), scanner=scanner())


@lru_cache(maxsize=1)
def scanner() -> str:
    """The scanner and its version, with that of these rules."""
    from importlib.metadata import version  # noqa: PLC0415 - for those who have pickles

    return f"picklescan {version('picklescan')} rules {RULES}"


@lru_cache(maxsize=1)
def _picklescan() -> Any:
    """The scanner, which says what it finds by what it returns and not on the terminal."""
    from picklescan import scanner  # noqa: PLC0415 - 30 ms, for those who have pickles

    logging.getLogger("picklescan").setLevel(logging.CRITICAL + 1)
    return scanner


def look(stream: IO[bytes], path: str, size: int) -> Seen:
    """Look at one file of `size` bytes. Raises OSError."""
    seen = Seen()
    _look(seen, stream, path, size, 0)
    return seen


def _look(seen: Seen, stream: IO[bytes], path: str, size: int, depth: int, *, unpacked: bool = False) -> None:
    head = stream.read(names.HEAD)
    stream.seek(0)
    sure = names.named(path)
    if head.startswith(names.ZIP):
        return _archive(seen, _inner(seen, stream, path) if unpacked else stream, path, depth)
    if head.startswith(names.NUMPY):
        return _array(seen, stream, path, size, unpacked=unpacked)
    if sure and _packed(seen, stream, head, path, depth):
        return None
    if sure or names.is_pickle(head):
        bounded = Bounded(stream, size, seen.spent, unpacked=unpacked)
        _pickles(seen, bounded, path, head, sure=sure or depth == 0)
    if sure and not unpacked:
        stream.seek(0)
        if zipfile.is_zipfile(stream):  # an archive with something before it
            _archive(seen, stream, path, depth)
    return None


def _pickles(seen: Seen, stream: Bounded, path: str, head: bytes = b"", *, sure: bool) -> None:
    """Pickles one after the other; those that nobody may take for some count only if they name something."""
    picklescan, torch = _picklescan(), head.startswith(names.TORCH)
    text = not names.named(path) and head[:1] not in (b"", b"\x80")
    try:
        found = (picklescan.scan_pytorch if torch else picklescan.scan_pickle_bytes)(stream, path)
    except Exception as error:  # noqa: BLE001 - made to trip scanners up, it can raise anything
        seen.why = seen.why or (f"{path} is malformed ({type(error).__name__})" if sure else "")
        return
    safeties = {each.safety.value for each in found.globals}
    if text and found.scan_err and DANGEROUS not in safeties:
        return  # a list of words, one a line, that happens to begin like a pickle
    seen.pickles += bool(safeties)
    wanted = (each for each in found.globals if each.safety.value != "innocuous")
    seen.imports.update(Import(_plain(each.module), _plain(each.name), each.safety.value) for each in wanted)
    if stream.exceeded and (sure or not text):  # then what comes after it is not looked at, either
        seen.why = seen.why or f"{path} has {stream.exceeded}"
    elif sure and found.scan_err:
        seen.why = seen.why or f"{path} goes on with something that is no pickle"


def _plain(text: object) -> str:
    """A name out of a stranger's file, fit for a terminal."""
    return "".join(char if char.isprintable() else "?" for char in str(text))[:LONGEST]


def _array(seen: Seen, stream: IO[bytes], path: str, size: int, *, unpacked: bool) -> None:
    """An array of numpy: of objects, it is a pickle behind a header (numpy/lib/format.py)."""
    head = stream.read(12)
    wide = head[6:7] > b"\x01"
    length = int.from_bytes(head[8:12] if wide else head[8:10], "little")
    text = stream.seek(12 if wide else 10)
    header = stream.read(min(length, 2**16))
    stream.seek(text + length)
    objects = b"O" in header.replace(b"'fortran_order'", b"")
    _pickles(seen, Bounded(stream, size, seen.spent, unpacked=unpacked), path, sure=objects)


def _packed(seen: Seen, stream: IO[bytes], head: bytes, path: str, depth: int) -> bool:
    """Look into a packed file, if it is one."""
    if head.startswith(names.ZLIB) and not names.is_pickle(head):
        seen.why = f"{path} is packed in a way that is not looked into"
        return True
    unpack = next((how for magic, how in _UNPACK.items() if head.startswith(magic)), None)
    if unpack is None:
        return False
    if depth >= DEEPEST:
        seen.why = seen.why or f"{path} is packed {DEEPEST} times over"
        return True
    try:
        inner = cast("IO[bytes]", unpack(stream))
        _look(seen, inner, path, MOST_UNPACKED, depth + 1, unpacked=True)
    except (OSError, EOFError, lzma.LZMAError, zlib.error, ValueError) as error:
        seen.why = seen.why or f"{path} cannot be unpacked ({error})"
    return True


def _inner(seen: Seen, stream: IO[bytes], path: str) -> IO[bytes]:
    """An archive in something compressed, unpacked; of one that is too large, nothing."""
    data = stream.read(MOST_INNER + 1)
    seen.spent.unpacked += len(data)
    if len(data) > MOST_INNER or seen.spent.unpacked > MOST_UNPACKED:
        seen.why = seen.why or f"{path} is an archive in a compressed file, and too large to be looked into"
        return io.BytesIO()
    return io.BytesIO(data)


class _Listed:
    """A stream of which no list of members is read that is too long: all else is read in small pieces."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        """The next bytes. Raises BadZipFile."""
        if size > MOST_LISTED:
            raise zipfile.BadZipFile("its list of members is too long")
        return self._stream.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _archive(seen: Seen, stream: IO[bytes], path: str, depth: int) -> None:
    """A zip file: what torch, numpy and others save."""
    from picklescan.relaxed_zipfile import RelaxedZipFile  # noqa: PLC0415 - as the scanner; as lenient as torch is

    if depth >= DEEPEST:
        seen.why = seen.why or f"{path} is an archive in an archive, {DEEPEST} deep"
        return
    try:
        with RelaxedZipFile(cast("IO[bytes]", _Listed(stream)), "r") as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            for member in members:
                if len(members) <= MOST_PEEKED or names.named(member.filename):
                    _member(seen, archive, member, f"{path}:{_plain(member.filename)}", depth)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        if names.named(path):
            seen.why = seen.why or f"{path} is a broken archive ({error})"


def _member(seen: Seen, archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: str, depth: int) -> None:
    try:
        with archive.open(member) as stream:
            if names.named(path) or names.begun(stream.read(names.HEAD)):
                stream.seek(0)
                unpacked = member.compress_type != zipfile.ZIP_STORED
                _look(seen, stream, path, member.file_size, depth + 1, unpacked=unpacked)
    except Exception as error:  # noqa: BLE001 - encrypted, damaged, of an unknown method: each has its own
        if names.named(path):
            seen.why = seen.why or f"{path} cannot be read ({type(error).__name__})"
