"""Hashing again what is held: an object is sound if it still has the digest it is named by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfmirror.model import PART

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hfmirror.model import Digest
    from hfmirror.ports import HasPath


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at one object showed."""

    digest: Digest
    size: int  # bytes
    actual: str  # hex; what it hashes to; empty when it could not be read
    complaint: str = ""

    @property
    def sound(self) -> bool:
        """Whether it is what its name says."""
        return self.actual == self.digest.hex


def verify(store: HasPath, digests: Iterable[Digest]) -> Iterator[Finding]:
    """Read and hash each of these objects that is here."""
    buffer = memoryview(bytearray(PART))
    for digest in digests:
        path = store.path(digest)
        if path is None:
            continue
        size = path.stat().st_size
        hasher = digest.hasher(size)
        try:
            with path.open("rb", buffering=0) as stream:
                while count := stream.readinto(buffer):
                    hasher.update(buffer[:count])
        except OSError as error:
            yield Finding(digest, size, "", error.strerror or str(error))
        else:
            yield Finding(digest, size, hasher.hexdigest())
