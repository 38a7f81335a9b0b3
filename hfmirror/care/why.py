"""Why an object is here: who wants it, under which path, and since when it is proven."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfmirror.care.sets import listing, selected

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from hfmirror.model import Digest, Pin
    from hfmirror.ports import HasParts, Store


@dataclass(frozen=True, slots=True)
class Claim:
    """One pin that wants an object, and the path it has there."""

    pin: Pin
    path: str


@dataclass(frozen=True, slots=True)
class Reason:
    """What is known of one object that is here."""

    digest: Digest
    size: int  # bytes
    since: float  # seconds since 1970; when its bytes came
    parts: bool  # whether damage could be told part by part
    claims: tuple[Claim, ...]  # none: gc's


def under_path(store: Store, path: str) -> set[Digest]:
    """The objects that some commit has under this path."""
    found = set()
    for pin in store.pins():
        manifest = listing(store, pin)
        entry = None if manifest is None else manifest.get(path)
        if entry is not None:
            found.add(entry.digest)
    return found


def why(store: Store, shelf: HasParts, digests: Collection[Digest]) -> Iterator[Reason]:
    """What is known of those that are here."""
    claims: dict[Digest, list[Claim]] = {digest: [] for digest in sorted(digests)}
    for pin in store.pins():
        for entry in selected(store, pin):
            if entry.digest in claims:
                claims[entry.digest].append(Claim(pin, entry.path))
    for digest, found in claims.items():
        path = shelf.path(digest)
        if path is not None:
            facts = path.stat()
            parts = shelf.part_digests(digest) is not None
            yield Reason(digest, facts.st_size, facts.st_mtime, parts, tuple(found))
