"""One large object on its way in: a folder with `data` (full size) and `journal`.

A journal line `<part> <xxh3-64>` says a part was written whole. It is a *claim*: on resume each
claimed part is read back and kept only if its checksum agrees. So no ordering between data and
journal is needed, no sync before the seal, and a torn write costs one part. The proof of the whole
file runs along: a hasher follows the frontier up to which no part is missing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import xxhash

from hfmirror.errors import DigestMismatch, StoreError, StoreLocked
from hfmirror.model import PART, PartDigests, Span, part_of, part_runs
from hfmirror.store import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from hfmirror.model import Entry, Hasher
    from hfmirror.store.parts import PartShelf

REVOKED = "-"  # in the place of a checksum, which no part has: a claim that holds no more
WRITE_BACK = 64 * 2**20  # bytes; ask the disk to begin writing this often, so that the seal need not wait for all


class Prover:
    """A running hash that follows the frontier of a file being filled, in a thread of its own."""

    def __init__(self, fd: int, hasher: Hasher, size: int) -> None:
        self._fd, self._hasher, self._size = fd, hasher, size
        self._frontier = self._hashed = 0
        self._stopped = False
        self._fault: OSError | None = None  # what kept it from reading back
        self._moved = threading.Condition()
        self._thread = threading.Thread(target=self._follow, name="hfmirror-prover", daemon=True)
        self._thread.start()

    def advance(self, frontier: int) -> None:
        """Everything before `frontier` is written."""
        with self._moved:
            self._frontier = frontier
            self._moved.notify()

    @property
    def behind(self) -> int:
        """Bytes before the frontier that are not hashed yet."""
        return max(self._frontier - self._hashed, 0)

    def result(self) -> str:
        """The digest of the whole file; waits until the hash has reached its end. Raises OSError."""
        self._thread.join()
        if self._fault is not None:
            raise self._fault
        return self._hasher.hexdigest()

    def stop(self) -> None:
        """Give up; the descriptor may be closed afterwards."""
        with self._moved:
            self._stopped = True
            self._moved.notify()
        self._thread.join()

    def _follow(self) -> None:
        buffer = memoryview(bytearray(min(PART, max(self._size, 1))))
        flushed = 0
        while self._hashed < self._size and self._wait_for_more():
            try:
                count = files.read_into(self._fd, buffer[: min(len(buffer), self.behind)], self._hashed)
            except OSError as error:
                self._fault = error
                return
            if not count:
                self._fault = OSError(errno.EIO, "the file is shorter than it was")
                return
            self._hasher.update(buffer[:count])
            self._hashed += count
            if self._hashed - flushed >= WRITE_BACK:
                files.start_writing_back(self._fd, flushed, self._hashed - flushed)
                flushed = self._hashed

    def _wait_for_more(self) -> bool:
        """Wait until there is something to hash; False when told to stop."""
        with self._moved:
            self._moved.wait_for(lambda: self._stopped or self.behind > 0)
            return not self._stopped


class DiskIntake:
    """The store's `Intake` for one entry in one folder, which this writer owns."""

    def __init__(self, folder: Path, entry: Entry, target: str, shelf: PartShelf) -> None:
        """Open or make the folder's data and journal. Raises DiskFull, StoreError."""
        self._folder, self._entry, self._target, self._shelf = folder, entry, target, shelf
        self._data, self._journal_path = folder / "data", folder / "journal"
        self._lock = threading.Lock()
        self._pieces: dict[int, tuple[int, xxhash.xxh3_64]] = {}  # parts begun: next offset, checksum so far
        self._ahead: dict[int, dict[int, int]] = {}  # of parts begun, runs that came ahead: offset, size
        self._noting = threading.Lock()  # around the two above
        self._open = True
        self._writing = 0  # threads inside a write just now
        self._quiet = threading.Condition(self._lock)
        with files.translated(folder, entry.size):
            folder.mkdir(exist_ok=True)
            self._fd = os.open(self._data, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
            try:
                if os.fstat(self._fd).st_size != entry.size:
                    files.preallocate(self._fd, entry.size)
                self._inode = os.fstat(self._fd).st_ino
                claims = self._claims(folder)
                self._sums = {index: claims[index] for index, _ in self._proven(claims, self._fd)}
                self._done = set(self._sums)
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
                self._journal = os.open(self._journal_path, flags, 0o644)
                os.write(self._journal, b"\n")  # ends a line that a crash may have torn
            except BaseException:
                os.close(self._fd)
                raise
        self.proven = False
        self._frontier = 0
        self._prover = Prover(self._fd, entry.digest.hasher(entry.size), entry.size)
        self._advance()

    def _part(self, index: int) -> Span:
        return part_of(index, self._entry.size)

    @property
    def _parts(self) -> int:
        return -(-self._entry.size // PART)

    def _claims(self, folder: Path) -> dict[int, str]:
        """The parts a journal claims, with their checksums."""
        claims: dict[int, str] = {}
        for line in files.read_bytes(folder / "journal").decode("ascii", "replace").splitlines():
            number, _, checksum = line.partition(" ")
            if number.isascii() and number.isdigit() and int(number) < self._parts:
                claims[int(number)] = checksum
        return claims

    def _proven(self, claims: Mapping[int, str], fd: int) -> Iterator[tuple[int, memoryview]]:
        """Claimed parts that a file bears out, with their bytes (good until the next)."""
        buffer = memoryview(bytearray(PART))
        for index, checksum in claims.items():
            span = self._part(index)
            try:
                count = files.read_into(fd, buffer[: span.size], span.start)
            except OSError:
                continue  # a part that cannot be read is one that has to come again
            if count == span.size and xxhash.xxh3_64_hexdigest(buffer[:count]) == checksum:
                yield index, buffer[:count]

    def copy_parts(self, folder: Path) -> None:
        """Copy the proven parts of another download of the same object that are missing here."""
        self.copy_from(folder / "data", self._claims(folder))

    def copy_from(self, place: Path, claims: Mapping[int, str]) -> None:
        """Copy the parts of a file that are missing here and have the checksums they are claimed to have."""
        try:
            fd = os.open(place, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except OSError:
            return
        try:
            lacking = {index: checksum for index, checksum in claims.items() if index not in self._done}
            for index, data in self._proven(lacking, fd):
                self.write(self._part(index).start, data)
        finally:
            os.close(fd)

    def missing(self) -> list[Span]:
        """Spans still to come: runs of absent parts, in file order."""
        with self._lock:
            absent = [index for index in range(self._parts) if index not in self._done]
        return part_runs(absent, self._entry.size)

    def write(self, start: int, data: bytes | memoryview) -> None:
        """Put bytes at `start`; a part is claimed once its last byte is in. Raises StoreError, StoreLocked."""
        with self._writer():
            with files.translated(self._data, len(data)):
                files.write_at(self._fd, data, start)
            self._account(start, data)

    @contextmanager
    def _writer(self) -> Iterator[None]:
        """While this runs the descriptors stay open: a closed one's number may already mean another file."""
        with self._lock:
            if not self._open:
                raise StoreLocked(str(self._folder), "the intake is closed")
            self._writing += 1
        try:
            yield
        finally:
            with self._lock:
                self._writing -= 1
                self._quiet.notify_all()

    def _account(self, start: int, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while len(view):
            part = self._part(start // PART)
            piece = view[: part.stop - start]
            self._note(start // PART, part, start, piece)
            start, view = start + len(piece), view[len(piece) :]

    def _note(self, index: int, part: Span, start: int, piece: memoryview) -> None:
        """Account for bytes of one part: the next ones, or some ahead, where two connections share the part."""
        with self._noting:
            begun = self._pieces.get(index)
            after, checksum = (part.start, xxhash.xxh3_64()) if begun is None or start == part.start else begun
            if start < after:
                raise ValueError(f"part {index} continues at {after}, not at {start}")
            ahead = self._ahead.setdefault(index, {})
            if start > after:
                run = next((first for first, size in ahead.items() if first + size == start), start)
                ahead[run] = start + len(piece) - run
                return
            checksum.update(piece)
            after += len(piece)
            while after in ahead:
                after += self._read_back(after, ahead.pop(after), checksum)
            self._pieces[index] = (after, checksum)
            if after < part.stop:
                return
            del self._pieces[index], self._ahead[index]
        self._claim(index, checksum.hexdigest())

    def _read_back(self, start: int, size: int, checksum: xxhash.xxh3_64) -> int:
        """Take bytes into a checksum that were written ahead of their turn; how many."""
        buffer = memoryview(bytearray(size))
        with files.translated(self._data):
            checksum.update(buffer[: files.read_into(self._fd, buffer, start)])
        return size

    def _claim(self, index: int, checksum: str) -> None:
        with files.translated(self._journal_path, 32):
            if not self._still_ours():
                raise StoreLocked(str(self._folder), "another hfmirror took this download over")
            os.write(self._journal, f"{index} {checksum}\n".encode())
        with self._lock:
            self._sums[index] = checksum
            self._done.add(index)
            self._advance()

    def _still_ours(self) -> bool:
        try:
            return os.stat(self._data).st_ino == self._inode
        except OSError:
            return False

    def _advance(self) -> None:
        while self._frontier in self._done:
            self._frontier += 1
        self._prover.advance(min(self._frontier * PART, self._entry.size))

    @property
    def unproven(self) -> int:
        """Bytes that came and that the running proof has not reached yet, as far as it could."""
        return self._prover.behind

    def reach(self, start: int) -> int:
        """The offset up to which every byte from `start` on has been written; `start` when none has."""
        with self._noting:
            while start < self._entry.size:
                index = start // PART
                after = self._part(index).stop if index in self._done else self._written(index, start)
                if after == start:
                    break
                start = after
        return start

    def _written(self, index: int, start: int) -> int:
        """The end of the run of written bytes of a part begun in which `start` is; `start` when it is in none."""
        begun = self._pieces.get(index)
        if begun is not None and self._part(index).start <= start < begun[0]:
            return begun[0]
        runs = self._ahead.get(index, {}).items()
        return next((first + size for first, size in runs if first <= start < first + size), start)

    def reader(self) -> int:
        """A new descriptor to read what has been written, good beyond the seal. The caller closes it."""
        return os.open(self._data, os.O_RDONLY | getattr(os, "O_BINARY", 0))

    def prove(self) -> None:
        """See that the content is what its digest says. Raises DigestMismatch (and keeps the bytes), StoreError."""
        if self.missing():
            raise StoreError(str(self._folder), "parts of it are still missing")
        with files.translated(self._data):
            actual = self._prover.result()
        if actual != self._entry.digest.hex:
            raise DigestMismatch(self._entry.path, self._entry.digest, actual)
        self.proven = True

    def wrong_parts(self) -> list[Span]:
        """Parts that are not what they were when the same content was proven here before; empty: nobody can tell."""
        known = self._shelf.of(self._entry.digest)
        if known is None or known.size != self._entry.size:
            return []
        with self._lock:
            wrong = [index for index, told in enumerate(known.sums) if self._sums.get(index, told) != told]
        return part_runs(wrong, self._entry.size)

    def doubt(self, spans: Iterable[Span]) -> None:
        """Want the parts that these spans touch once more. Raises StoreError."""
        doubted = sorted({index for span in spans for index in range(span.start // PART, -(-span.stop // PART))})
        self._prover.stop()
        with files.translated(self._journal_path), self._lock:
            revoked = "".join(f"{index} {REVOKED}\n" for index in doubted)
            os.write(self._journal, revoked.encode())
            self._done.difference_update(doubted)
            for index in doubted:
                self._sums.pop(index, None)
        self._frontier = 0
        self._prover = Prover(self._fd, self._entry.digest.hasher(self._entry.size), self._entry.size)
        with self._lock:
            self._advance()

    def forget(self) -> None:
        """Throw away all that came, and close."""
        self.abandon()
        self._shelf.forget(self._entry.digest)  # if parts were taken over on its word, it misled

    def seal(self) -> None:
        """Prove the content if need be, then give it its name. Raises DigestMismatch and forgets it, StoreError."""
        if not self.proven:
            try:
                self.prove()
            except DigestMismatch:
                self.forget()
                raise
        with files.translated(self._target, self._entry.size):
            files.sync(self._fd)
            if not self._still_ours():
                raise StoreLocked(str(self._folder), "another hfmirror took this download over")
            self.close()  # some systems rename no open file
            files.publish_object(self._data, self._target)
        sums = tuple(self._sums[index] for index in range(self._parts))
        with contextlib.suppress(StoreError):  # the object is here; where it may rot one day is only good to know
            self._shelf.keep(self._entry.digest, PartDigests(self._entry.size, sums))
        self.abandon()

    def close(self) -> None:
        """Keep the parts for next time."""
        with self._lock:
            if not self._open:
                return
            self._open = False
            self._quiet.wait_for(lambda: self._writing == 0)
        self._prover.stop()
        with contextlib.suppress(OSError):
            os.close(self._fd)
        with contextlib.suppress(OSError):
            os.close(self._journal)

    def abandon(self) -> None:
        """Remove the folder."""
        self.close()
        files.remove_folder(self._folder)
