"""What a file holds. Made content is computed where it is read, so a gigabyte costs no memory."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hfmirror.model import Algorithm, Digest, new_hasher

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 2**20  # bytes; one pseudo-random block is repeated, each time with its number mixed in
_NUMBER = 8  # bytes of that number, at the block's start

Chunk = bytes | memoryview


class Content(Protocol):
    """The bytes of one file. Equal contents need not compare equal; equal values have equal bytes."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    @property
    def identity(self) -> str:
        """Cheap to compute, and different for different bytes."""
        ...

    def read(self, start: int, stop: int) -> Iterator[Chunk]:
        """Bytes [start, stop) in chunks of at most `BLOCK`."""
        ...

    def digest(self, algorithm: Algorithm) -> Digest:
        """The digest of the whole."""
        ...


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes in memory."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def identity(self) -> str:
        return str(_hashed(self, Algorithm.SHA256))

    def read(self, start: int, stop: int) -> Iterator[Chunk]:
        view = memoryview(self.data)[start:stop]
        return (view[at : at + BLOCK] for at in range(0, len(view), BLOCK))

    def digest(self, algorithm: Algorithm) -> Digest:
        return _hashed(self, algorithm)


@dataclass(frozen=True, slots=True)
class OnDisk:
    """A file somebody else made. It must not change while it is published."""

    path: Path
    size: int  # bytes
    mtime_ns: int

    @classmethod
    def at(cls, path: Path) -> OnDisk:
        """The file as it is now."""
        status = path.stat()
        return cls(path, status.st_size, status.st_mtime_ns)

    @property
    def identity(self) -> str:
        return str(_hashed(self, Algorithm.SHA256))

    def read(self, start: int, stop: int) -> Iterator[Chunk]:
        with self.path.open("rb", buffering=0) as file:
            file.seek(start)
            while start < stop:
                chunk = file.read(min(BLOCK, stop - start))
                if not chunk:
                    raise EOFError(f"{self.path} has shrunk")
                start += len(chunk)
                yield chunk

    def digest(self, algorithm: Algorithm) -> Digest:
        return _hashed(self, algorithm)


@dataclass(frozen=True, slots=True)
class Made:
    """Pseudo-random content: the same for the same size and seed, and no two blocks of it alike."""

    size: int  # bytes
    seed: int = 0

    @property
    def identity(self) -> str:
        return f"made:{self.size}:{self.seed}"

    def read(self, start: int, stop: int) -> Iterator[Chunk]:
        block = memoryview(_block(self.seed))
        while start < stop:
            number, offset = divmod(start, BLOCK)
            if offset < _NUMBER:
                stamp = number ^ int.from_bytes(block[:_NUMBER], "big")
                chunk: Chunk = stamp.to_bytes(_NUMBER, "big")[offset : offset + stop - start]
            else:
                chunk = block[offset : min(BLOCK, offset + stop - start)]
            start += len(chunk)
            yield chunk

    def digest(self, algorithm: Algorithm) -> Digest:
        return _hashed(self, algorithm)

    def data(self) -> bytes:
        """All of it, for small ones."""
        return b"".join(self.read(0, self.size))


@dataclass(frozen=True, slots=True)
class Zeros:
    """Nothing but zero bytes; the digest may be given, as hashing 60 GB takes a minute."""

    size: int  # bytes
    known: Digest | None = None

    @property
    def identity(self) -> str:
        return f"zeros:{self.size}"

    def read(self, start: int, stop: int) -> Iterator[Chunk]:
        block = memoryview(bytes(min(BLOCK, max(stop - start, 0))))
        return (block[: min(BLOCK, stop - at)] for at in range(start, stop, BLOCK))

    def digest(self, algorithm: Algorithm) -> Digest:
        if self.known is not None and self.known.algorithm is algorithm:
            return self.known
        return _hashed(self, algorithm)


Given = bytes | str | Path | Made | Zeros


def content_of(given: Given) -> Content:
    """What `HubSimulator.add` accepts as a file: bytes, a text, a path, or made content."""
    if isinstance(given, bytes):
        return Held(given)
    if isinstance(given, str):
        return Held(given.encode())
    return OnDisk.at(given) if isinstance(given, Path) else given


@lru_cache(maxsize=64)
def _block(seed: int) -> bytes:
    return random.Random(seed).randbytes(BLOCK)


@lru_cache(maxsize=256)
def _hashed(content: Content, algorithm: Algorithm) -> Digest:
    hasher = new_hasher(algorithm, content.size)
    for chunk in content.read(0, content.size):
        hasher.update(chunk)
    return Digest(algorithm, hasher.hexdigest())
