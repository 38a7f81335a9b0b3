"""What a check is going to read: everything, what was not proven lately, or a sample. Decided before it is read."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfmirror.care.proofs import RESUMED_S
from hfmirror.care.verify import Look

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from random import Random

    from hfmirror.care.proofs import Record
    from hfmirror.model import Digest
    from hfmirror.ports import HasParts
    from hfmirror.timetable import Timetable


@dataclass(frozen=True, slots=True)
class Manner:
    """How to check."""

    share: float | None = None  # of the bytes, chosen at random; None: all of them
    older_than_s: float | None = None  # only what was not proven for so long
    rate: Timetable | None = None  # at most so many bytes a second, and when


@dataclass(frozen=True, slots=True)
class Check:
    """A decision: what to read, and what to note of it."""

    looks: tuple[Look, ...]
    skipped: int  # objects that were proven lately enough
    about: str  # what it is about, in a word, by which it is found again when it was broken off
    begun: int | None  # seconds since 1970: when it began, or an earlier run of it; None: it cannot be gone on with
    resumed: bool = False


def plan_check(store: HasParts, digests: Iterable[Digest], about: str, record: Record, manner: Manner) -> Check:
    """Decide what to read of these."""
    now = int(time.time())
    begun: int | None = None
    since = float("inf")  # what was proven then or later is not read again
    resumed = False
    if manner.older_than_s is not None:
        since = time.time() - manner.older_than_s  # not whole seconds: 0s means everything
    elif manner.share is None:
        earlier = record.begun.get(about, 0)
        resumed = 0 <= now - earlier < RESUMED_S
        begun = earlier if resumed else now
        since = begun if resumed else since
    due, skipped = [], 0
    for digest in digests:
        came = came_at(store, digest) if manner.older_than_s is not None else 0.0
        if since <= record.when(digest, came) <= time.time():  # a time to come was noted while the clock was wrong
            skipped += 1
        else:
            due.append(digest)
    looks = map(Look, due) if manner.share is None else _sample(store, due, manner.share)
    return Check(tuple(looks), skipped, about, begun, resumed)


def came_at(store: HasParts, digest: Digest) -> float:
    """When an object came, in seconds since 1970; 0 where that cannot be."""
    path = store.path(digest)
    came = 0.0 if path is None else path.stat().st_mtime
    return came if came <= time.time() else 0.0


def _sample(store: HasParts, due: Sequence[Digest], share: float) -> Iterator[Look]:
    """About that share of the bytes, at least something: parts, or the whole where its parts are not known."""
    from random import SystemRandom  # noqa: PLC0415 - 1 ms, for those who sample

    chance, chosen = SystemRandom(), 0
    due = [digest for digest in due if _has_bytes(store, digest)]
    for digest in due:
        look = _some(store, digest, share, chance)
        if look is not None:
            chosen += 1
            yield look
    if due and not chosen:
        digest = chance.choice(due)
        yield _some(store, digest, 1.0, chance, most=1) or Look(digest)


def _has_bytes(store: HasParts, digest: Digest) -> bool:
    path = store.path(digest)
    return path is not None and path.stat().st_size > 0


def _some(store: HasParts, digest: Digest, share: float, chance: Random, most: int | None = None) -> Look | None:
    known = store.part_digests(digest)
    if known is None or len(known.sums) < 2:
        return Look(digest) if chance.random() < share else None
    parts = [index for index in range(len(known.sums)) if chance.random() < share]
    if most is not None:
        parts = chance.sample(parts, most)
    return Look(digest, tuple(sorted(parts))) if parts else None
