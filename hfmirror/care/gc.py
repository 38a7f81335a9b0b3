"""What may be removed: held, wanted by no pin, and not so young that a pull may be about to want it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hfmirror.care.sets import Status
    from hfmirror.model import CommitId, Digest, Pin, RepoId
    from hfmirror.ports import HasPath

GRACE_S = 86_400.0  # a day


@dataclass(frozen=True, slots=True)
class Sweep:
    """A decision of gc: printable before it is carried out."""

    doomed: dict[Digest, int]  # to bytes
    spared: dict[Digest, int]  # unwanted but young
    idle: tuple[Pin, ...] = ()  # demands that nobody has used for so long that they are dropped
    let_go: tuple[tuple[RepoId, CommitId], ...] = ()  # commits that were unpinned: they leave the view

    @property
    def freed(self) -> int:
        """Bytes that removing the doomed gives back."""
        return sum(self.doomed.values())


def plan_sweep(status: Status, store: HasPath, now: float, grace_s: float = GRACE_S) -> Sweep:
    """Decide what to remove. `now` is seconds since 1970."""
    doomed: dict[Digest, int] = {}
    spared: dict[Digest, int] = {}
    for digest in status.garbage:
        path = store.path(digest)
        if path is None:
            continue
        facts = path.stat()
        young = now - facts.st_mtime < grace_s
        (spared if young else doomed)[digest] = facts.st_size
    return Sweep(doomed, spared)
