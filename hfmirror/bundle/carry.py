"""Putting proven files on a disk that may be pulled out at any moment.

A file is made under `incoming/`, proven, made durable and then renamed. What an earlier run left
there is compared with the source, which has to be read for its proof anyway, and only what differs
is written: reading a stick is several times faster than writing it. No preallocation, which makes
FAT write every block twice; no modes, which FAT refuses.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle
from typing import TYPE_CHECKING

from hfmirror.bundle.layout import Piece, object_name
from hfmirror.errors import DigestMismatch
from hfmirror.model import PART, Algorithm, Digest
from hfmirror.store import files
from hfmirror.store.layout import label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future
    from io import FileIO
    from pathlib import Path

    from hfmirror.bundle.disk import Stick
    from hfmirror.model import Entry, Hasher

SMALL = PART  # bytes; up to here a file is read whole, and made durable together with others
GROUP_FILES = 256  # made durable together
GROUP_BYTES = 32 * 2**20
WRITE_BACK = 64 * 2**20  # bytes; ask the disk to begin writing this often, so that the end need not wait for all
STORE = "the store"  # how sentences call where the bytes come from


class Draft:
    """A file of the bundle on its way; what is there already and is the same is not written again."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        self._left = os.fstat(self._fd).st_size  # bytes of an earlier run that may still be right
        self._at = self._flushed = 0
        self._buffer = memoryview(bytearray(min(PART, self._left)))

    def put(self, data: memoryview) -> None:
        """The next bytes."""
        if not self._same(data):
            self._left = 0
            files.write_at(self._fd, data, self._at)
        self._at += len(data)
        if self._at - self._flushed >= WRITE_BACK:
            files.start_writing_back(self._fd, self._flushed, self._at - self._flushed)
            self._flushed = self._at

    def _same(self, data: memoryview) -> bool:
        if self._at + len(data) > self._left:
            return False
        found = self._buffer[: len(data)]
        return files.read_into(self._fd, found, self._at) == len(data) and found == data

    def finish(self) -> None:
        """End the file here, and make it durable."""
        if os.fstat(self._fd).st_size > self._at:
            os.ftruncate(self._fd, self._at)
        files.sync(self._fd)

    def close(self) -> None:
        """Let go; what was written stays."""
        os.close(self._fd)


class Carrier:
    """Copies objects from a store into a bundle. `sums` gathers the SHA-256 of each file it names."""

    def __init__(self, stick: Stick, sums: dict[str, str], copied: Callable[[Entry, int], None]) -> None:
        self._stick, self._sums, self._copied = stick, sums, copied
        self._incoming = stick.folder / "incoming"

    def draft(self, entry: Entry, number: int = 0) -> Path:
        """Where an object, or a part of it, is made."""
        return self._incoming / f"{label(entry.digest)}.{number}"

    # -- large ones ---------------------------------------------------------------------------

    def carry(self, entry: Entry, source: Path, pieces: Sequence[Piece]) -> list[str]:
        """Copy one object into these files; the SHA-256 of each. Raises DigestMismatch, and what the stick raises."""
        drafts = [self.draft(entry, number) for number in range(len(pieces))]
        whole = entry.digest.hasher(entry.size)
        own = len(pieces) > 1 or entry.digest.algorithm is not Algorithm.SHA256
        with ThreadPoolExecutor(1, "hfmirror-proof") as proof, _readable(entry), source.open("rb", 0) as stream:
            sums = [
                self._piece(entry, _chunks(stream, piece.size), draft, _Proof(proof, whole, own=own))
                for draft, piece in zip(drafts, pieces, strict=True)
            ]
            actual = "a longer file" if stream.read(1) else whole.hexdigest()
        if actual != entry.digest.hex:
            with self._stick.reached():
                for draft in drafts:
                    files.remove(draft)
            raise DigestMismatch(entry.path, entry.digest, actual, STORE)
        with self._stick.reached():
            self._name([(draft, piece.name) for draft, piece in zip(drafts, pieces, strict=True)])
        self._sums.update({piece.name: hexed for piece, hexed in zip(pieces, sums, strict=True)})
        return sums

    def _piece(self, entry: Entry, chunks: Iterator[memoryview], path: Path, proof: _Proof) -> str:
        """Write one draft; its SHA-256."""
        with self._stick.reached(entry.size):
            draft = Draft(path)
        try:
            for data in chunks:
                proof.add(data)
                with self._stick.reached(entry.size):
                    draft.put(data)
                self._copied(entry, len(data))
            with self._stick.reached(entry.size):
                draft.finish()
        finally:
            draft.close()
        return proof.sha256()

    # -- small ones ---------------------------------------------------------------------------

    def carry_small(self, entries: Iterable[tuple[Entry, Path]], damaged: Callable[[DigestMismatch], None]) -> None:
        """Copy objects of at most `SMALL` bytes, group by group. What is damaged is told and left out."""
        group: list[tuple[Path, str]] = []
        size = 0
        for entry, source in entries:
            try:
                data = _proven(entry, source)
            except DigestMismatch as error:
                damaged(error)
                continue
            with self._stick.reached(len(data)):
                self.draft(entry).write_bytes(data)
            group.append((self.draft(entry), object_name(entry.digest)))
            self._sums[object_name(entry.digest)] = hashlib.sha256(data).hexdigest()
            size += len(data)
            self._copied(entry, len(data))
            if len(group) >= GROUP_FILES or size >= GROUP_BYTES:
                self._seal(group)
                group, size = [], 0
        self._seal(group)

    def _seal(self, group: list[tuple[Path, str]]) -> None:
        with self._stick.reached():
            if group:
                files.sync_many([draft for draft, _ in group], [])
                self._name(group)

    def _name(self, group: Sequence[tuple[Path, str]]) -> None:
        """Give durable files their names, durably."""
        targets = [(draft, self._stick.folder / name) for draft, name in group]
        folders = {target.parent for _, target in targets}
        for folder in folders:
            files.ensure_folder(folder)
        for draft, target in targets:
            files.replace(draft, target)
        top = self._stick.folder
        above = {folder for lowest in folders for folder in lowest.parents if folder.is_relative_to(top)}
        files.sync_many([], sorted(folders | above))

    def put(self, name: str, data: bytes) -> None:
        """A small file that is no object, over what is there."""
        draft = self._incoming / hashlib.sha256(name.encode()).hexdigest()
        with self._stick.reached(len(data)):
            files.ensure_folder(self._incoming)
            draft.write_bytes(data)
            files.sync_many([draft], [])
            self._name([(draft, name)])
        self._sums[name] = hashlib.sha256(data).hexdigest()


class _Proof:
    """Hashes a piece beside its writing: one buffer is hashed while the other is filled and written."""

    def __init__(self, pool: ThreadPoolExecutor, whole: Hasher, *, own: bool) -> None:
        self._pool, self._whole = pool, whole
        self._own = hashlib.sha256() if own else None  # else the whole object's is this piece's
        self._pending: Future[None] | None = None

    def add(self, data: memoryview) -> None:
        """The next bytes; they must stay as they are until the next call but one."""
        self._settle()
        self._pending = self._pool.submit(self._hash, data)

    def _settle(self) -> None:
        if self._pending is not None:
            self._pending.result()

    def _hash(self, data: memoryview) -> None:
        self._whole.update(data)
        if self._own is not None:
            self._own.update(data)

    def sha256(self) -> str:
        """Of this piece."""
        self._settle()
        return (self._own or self._whole).hexdigest()


def _chunks(stream: FileIO, size: int) -> Iterator[memoryview]:
    """The next `size` bytes; a chunk stays as it is until the next but one is asked for."""
    for buffer in cycle([memoryview(bytearray(PART)), memoryview(bytearray(PART))]):
        count = stream.readinto(buffer[: min(size, PART)]) if size else 0
        if not count:
            return
        yield buffer[:count]
        size -= count


def _proven(entry: Entry, source: Path) -> bytes:
    """A small object's bytes. Raises DigestMismatch."""
    with _readable(entry):
        data = source.read_bytes()
    actual = Digest.of(entry.digest.algorithm, data)
    if actual != entry.digest:
        raise DigestMismatch(entry.path, entry.digest, actual.hex, STORE)
    return data


@contextmanager
def _readable(entry: Entry) -> Iterator[None]:
    """What the store's own disk cannot read is no better than damaged. Raises DigestMismatch."""
    try:
        yield
    except OSError as error:
        raise DigestMismatch(entry.path, entry.digest, f"nothing: {error.strerror}", STORE) from error
