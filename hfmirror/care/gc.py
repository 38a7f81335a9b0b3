"""What may be removed: held, wanted by no pin, and not so young that a pull may be about to want it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Container

    from hfmirror.care.room import Going
    from hfmirror.model import CommitId, Digest, Pin, RepoId
    from hfmirror.ports import HasPath

GRACE_S = 86_400.0  # a day


class HasGarbage(Protocol):
    """The part of a status that counts here."""

    @property
    def garbage(self) -> Collection[Digest]: ...


@dataclass(frozen=True, slots=True)
class Sweep:
    """A decision of gc: printable before it is carried out."""

    doomed: dict[Digest, int]  # to bytes
    spared: dict[Digest, int]  # unwanted but young
    idle: tuple[Pin, ...] = ()  # demands that nobody has used for so long that they are dropped
    let_go: tuple[tuple[RepoId, CommitId], ...] = ()  # commits that were unpinned: they leave the view
    evicted: tuple[Going, ...] = ()  # demands that make room, longest unused first
    short: int = 0  # bytes that the store still takes too much, and nothing can free

    @property
    def freed(self) -> int:
        """Bytes that removing the doomed gives back."""
        return sum(self.doomed.values())


def plan_sweep(
    status: HasGarbage, store: HasPath, now: float, grace_s: float = GRACE_S, ripe: Container[Digest] = ()
) -> Sweep:
    """Decide what to remove; the `ripe` go however young they are. `now` is seconds since 1970."""
    doomed: dict[Digest, int] = {}
    spared: dict[Digest, int] = {}
    for digest in status.garbage:
        path = store.path(digest)
        if path is None:
            continue
        facts = path.stat()
        young = now - facts.st_mtime < grace_s and digest not in ripe
        (spared if young else doomed)[digest] = facts.st_size
    return Sweep(doomed, spared)
