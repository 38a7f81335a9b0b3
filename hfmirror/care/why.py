"""Why an object is here: who wants it, under which path, and since when it is proven."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfmirror.care import skim
from hfmirror.model import HUB, Digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hfmirror.care.proofs import Record
    from hfmirror.care.skim import Skimmed
    from hfmirror.model import Pin
    from hfmirror.store.disk import DiskStore


@dataclass(frozen=True, slots=True)
class Claim:
    """One pin that wants an object, and the path it has there."""

    pin: Pin
    path: str
    told: str = ""  # whose word it is that the commit has it there: an authority's address, or what the listing is


@dataclass(frozen=True, slots=True)
class Reason:
    """What is known of one object that is here."""

    digest: Digest
    size: int  # bytes
    since: float  # seconds since 1970; when its bytes came
    proven: float  # the same; when it was last read whole and was what its name says
    parts: bool  # whether damage could be told part by part
    claims: tuple[Claim, ...]  # none: gc's


def under_path(store: DiskStore, path: str) -> set[Digest]:
    """The objects that some commit has under this path."""
    found = set()
    for each in skim.pinned(store):
        listed = skim.listing(store, each.repo, each.commit, None) if each.pins else None
        found |= {row["digest"] for row in listed.rows if row["path"] == path} if listed is not None else set()
    return set(map(Digest.parse, found))


def claims(store: DiskStore, digests: Iterable[Digest]) -> dict[Digest, list[Claim]]:
    """Who wants each of these. Raises BadManifest."""
    found: dict[Digest, list[Claim]] = {digest: [] for digest in sorted(digests)}
    texts = {str(digest): digest for digest in found}  # as listings have them: few rows of many are meant
    for each in skim.pinned(store):
        for pin in each.pins:
            listed = skim.selected(store, pin, texts)
            if listed is not None:
                rows = [row for row in listed.rows if row["digest"] in texts]
                for row in rows:
                    found[texts[row["digest"]]].append(Claim(pin, row["path"], _told(store, pin, listed)))
    return found


def why(store: DiskStore, record: Record, digests: Iterable[Digest]) -> Iterator[Reason]:
    """What is known of those that are here. Raises BadManifest."""
    for digest, found in claims(store, digests).items():
        path = store.path(digest)
        if path is not None:
            facts = path.stat()
            parts = store.part_digests(digest) is not None
            proven = record.when(digest, facts.st_mtime)
            yield Reason(digest, facts.st_size, facts.st_mtime, proven, parts, tuple(found))


def _told(store: DiskStore, pin: Pin, listed: Skimmed) -> str:
    """Who said so, as far as it is noted."""
    asked = store.asked(pin.repo, pin.revision)
    return asked[1] if asked is not None and listed.origin == HUB else listed.origin
