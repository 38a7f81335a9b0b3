"""Hashing again what is held: an object is sound if it still has the digest it is named by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import xxhash

from hfmirror.model import PART, PartDigests

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from hfmirror.model import Digest, Span
    from hfmirror.ports import HasParts


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at one object showed."""

    digest: Digest
    size: int  # bytes
    actual: str  # hex; what it hashes to; empty when it could not be read
    complaint: str = ""
    parts: PartDigests | None = None  # what its parts are now; not of an object of one part
    wrong: tuple[Span, ...] | None = None  # where it is not what it was; None: that is not known

    @property
    def sound(self) -> bool:
        """Whether it is what its name says."""
        return self.actual == self.digest.hex


def verify(store: HasParts, digests: Iterable[Digest]) -> Iterator[Finding]:
    """Read and hash each of these objects that is here."""
    for digest in digests:
        path = store.path(digest)
        if path is not None:
            yield look(digest, path, store.part_digests(digest))


def look(digest: Digest, path: Path, known: PartDigests | None) -> Finding:
    """Read one file that ought to be an object; `known` is what its parts were when it was proven."""
    size = path.stat().st_size
    hasher = digest.hasher(size)
    sums: list[str] = []
    buffer = memoryview(bytearray(min(PART, max(size, 1))))
    try:
        with path.open("rb") as stream:
            while count := stream.readinto(buffer):
                hasher.update(buffer[:count])
                if size > PART or known:
                    sums.append(xxhash.xxh3_64_hexdigest(buffer[:count]))
    except OSError as error:
        return Finding(digest, size, "", error.strerror or str(error))
    parts = PartDigests(size, tuple(sums)) if size > PART or known else None
    actual = hasher.hexdigest()
    if actual == digest.hex or known is None or parts is None:
        return Finding(digest, size, actual, "", parts)
    return Finding(digest, size, actual, "", parts, known.differing(parts))
