"""Hashing again what is held: an object is sound if it still has the digest it is named by."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from io import FileIO
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import xxhash

from hfmirror.care.throttle import Stopped, Throttle
from hfmirror.model import PART, PartDigests, part_of
from hfmirror.store import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from hfmirror.model import Digest, Span
    from hfmirror.ports import HasParts

BLOCK = PART // 4  # bytes read at once: fits in the processor's own memory beside what it does with them
THREADS = 4  # at most: more of them keep a disk busy with seeking
GLANCE_S = 0.5  # so soon does Ctrl-C reach a system whose waiting it does not interrupt


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at one object showed."""

    digest: Digest
    size: int  # bytes
    actual: str  # hex; what it hashes to; empty when it could not be read
    complaint: str = ""
    parts: PartDigests | None = None  # what its parts are now; only where that was not known, or something is wrong
    wrong: tuple[Span, ...] | None = None  # where it is not what it was; None: that is not known
    read: int | None = None  # bytes looked at, when it was a sample; a sound sample proves nothing

    @property
    def sound(self) -> bool:
        """Whether it is what its name says, as far as it was looked at."""
        return self.actual == self.digest.hex


@dataclass(frozen=True, slots=True)
class Look:
    """What to read of one object."""

    digest: Digest
    parts: tuple[int, ...] | None = None  # the numbers of some; None: all of it


Findings = SimpleQueue["Finding | BaseException | None"]


def verify(store: HasParts, looks: Iterable[Look], pace: Throttle) -> Iterator[Finding]:
    """Read and hash what of these is here, with a few threads; findings come as they are made."""
    findings: Findings = SimpleQueue()
    coming = _Turns(looks)
    threads = 1 if pace.limited else max(1, min(THREADS, os.cpu_count() or 1))
    words = (store, coming, pace, findings)
    workers = [threading.Thread(target=_work, args=words, name="hfmirror-verify", daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield from _gathered(findings, threads)
    finally:
        pace.stop()
        for worker in workers:
            worker.join()


class _Turns:
    """What is to be looked at, for several threads."""

    def __init__(self, looks: Iterable[Look]) -> None:
        self._looks, self._lock = iter(looks), threading.Lock()

    def next(self) -> Look | None:
        with self._lock:
            return next(self._looks, None)


def _work(store: HasParts, coming: _Turns, pace: Throttle, findings: Findings) -> None:
    try:
        while (todo := coming.next()) is not None:
            found = _looked(store, todo, pace)
            if found is not None:
                findings.put(found)
        findings.put(None)
    except Stopped:
        findings.put(None)
    except BaseException as error:  # noqa: BLE001 - whoever waits for findings hears of it
        findings.put(error)


def _gathered(findings: Findings, working: int) -> Iterator[Finding]:
    while working:
        try:
            found = findings.get(timeout=GLANCE_S)
        except Empty:
            continue
        if isinstance(found, BaseException):
            raise found
        if found is None:
            working -= 1
        else:
            yield found


def _looked(store: HasParts, todo: Look, pace: Throttle) -> Finding | None:
    path = store.path(todo.digest)
    if path is None:
        return None
    known = store.part_digests(todo.digest)
    try:
        if todo.parts is not None and known is not None and _parts_right(path, known, todo.parts, pace):
            read = sum(part_of(index, known.size).size for index in todo.parts)
            return Finding(todo.digest, path.stat().st_size, todo.digest.hex, read=read)
        return look(todo.digest, path, known, pace)
    except FileNotFoundError:
        return None  # gc was here


def _parts_right(path: Path, known: PartDigests, indexes: tuple[int, ...], pace: Throttle) -> bool:
    """Whether these parts are what they were. No proof when they are not: the whole is to be looked at."""
    try:
        if path.stat().st_size != known.size:
            return False
        with FileIO(files.open_quietly(path)) as stream:
            for index in indexes:
                span = part_of(index, known.size)
                pace.take(span.size)
                stream.seek(span.start)
                if xxhash.xxh3_64_hexdigest(stream.read(span.size)) != known.sums[index]:
                    return False
    except FileNotFoundError:
        raise
    except OSError:
        return False
    return True


def look(digest: Digest, path: Path, known: PartDigests | None, pace: Throttle | None = None) -> Finding:
    """Read one file that ought to be an object; `known` is what its parts were when it was proven.

    Raises FileNotFoundError, Stopped.
    """
    pace, size = pace or Throttle(), path.stat().st_size
    hasher = digest.hasher(size)
    parts: PartDigests | None = None
    try:
        if known is None and size > PART:
            parts = _parts(path, size, pace, hasher.update)
        else:
            for block in _blocks(path, BLOCK, pace):
                hasher.update(block)
        actual = hasher.hexdigest()
        if actual == digest.hex or known is None:
            return Finding(digest, size, actual, "", parts)
        parts = _parts(path, size, pace)
        return Finding(digest, size, actual, "", parts, known.differing(parts))
    except FileNotFoundError:
        raise
    except OSError as error:
        return Finding(digest, size, "", error.strerror or str(error))


def _parts(path: Path, size: int, pace: Throttle, also: Callable[[memoryview], object] = lambda _: None) -> PartDigests:
    """The digests of a file's parts; each part is shown to `also` as well."""
    sums = []
    for block in _blocks(path, PART, pace):
        also(block)
        sums.append(xxhash.xxh3_64_hexdigest(block))
    return PartDigests(size, tuple(sums))


def _blocks(path: Path, most: int, pace: Throttle) -> Iterator[memoryview]:
    """A file in blocks, each good until the next."""
    buffer = memoryview(bytearray(most))
    with FileIO(files.open_quietly(path)) as stream:
        left = os.fstat(stream.fileno()).st_size
        while True:
            pace.take(max(min(most, left), 0))
            count = stream.readinto(buffer)
            if not count:
                return
            left -= count
            yield buffer[:count]
