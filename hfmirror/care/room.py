"""What may make room when a store grows beyond its quota: what only clients of `serve` asked for, longest unused first.

What a person asked for never goes by itself, nor what a client has used within the last hour: it may be
reading. The decision is a value, made before anything is removed.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hfmirror.care import skim, uses
from hfmirror.model import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator
    from pathlib import Path

    from hfmirror.care.skim import Kept, Pinned
    from hfmirror.model import CommitId, Entry, Pin, RepoId
    from hfmirror.ports import Batch, Intake
    from hfmirror.transfer.flights import Keeper

BUSY_S = 3600.0  # `serve` notes once in so long that a commit is in use
GAUGED_S = 60.0  # how long a measure of what the store takes is believed


@dataclass(frozen=True, slots=True)
class Going:
    """One commit that makes room."""

    pin: Pin  # a demand
    freed: int  # bytes
    noted: float  # seconds since 1970: when the store noted its last use
    used: float  # the same, or when its largest file was read, if that was later
    digests: frozenset[Digest]  # what nothing else wants


@dataclass(frozen=True, slots=True)
class Eviction:
    """What goes to make room, longest unused first."""

    goes: tuple[Going, ...] = ()
    short: int = 0  # bytes that nothing can free: all else is pinned or in use

    @property
    def digests(self) -> frozenset[Digest]:
        """The objects that go."""
        return frozenset().union(*(going.digests for going in self.goes))


def plan_room(store: Kept, over: int, now: float, gone: Container[Pin] = ()) -> Eviction:
    """Decide what goes so that `over` bytes are freed; pins in `gone` are gone already. Raises BadManifest."""
    if over <= 0:
        return Eviction()
    look = _Look(store, gone)
    goes = []
    for candidate in look.candidates(now):
        if over <= 0:
            break
        going = look.without(candidate)
        over -= going.freed
        if going.freed:  # what others want as well stays, and so does this
            goes.append(going)
    return Eviction(tuple(goes), max(over, 0))


class _Look:
    """Who wants each object that is here."""

    def __init__(self, store: Kept, gone: Container[Pin]) -> None:
        self._store = store
        self._sizes = skim.sizes(store)
        self._claims: Counter[str] = Counter()
        self._wanted: dict[tuple[RepoId, CommitId], frozenset[str]] = {}  # by what may go
        self._demands: list[Pinned] = []
        self._blind = False  # a listing is not here: nobody knows what it wants
        for each in skim.pinned(store):
            pins = [pin for pin in each.pins if pin not in gone]
            if pins:
                self._look(each, pins)

    def _look(self, each: Pinned, pins: list[Pin]) -> None:
        found = skim.together(self._store, pins, self._sizes)
        if found is None:
            self._blind = True
            return
        here = frozenset(row["digest"] for row in found.rows if row["digest"] in self._sizes)
        self._claims.update(here)
        if not each.asked:
            self._wanted[each.repo, each.commit] = here
            self._demands.append(each)

    def candidates(self, now: float) -> list[Going]:
        """What may go, longest unused first; what it frees is known when its turn comes."""
        found = []
        for each in [] if self._blind else self._demands:
            noted = uses.noted(each.used)
            if noted is not None and now - noted > BUSY_S:
                used = uses.last(each.used, self._largest(each), now)
                found.append(Going(each.pins[0], 0, noted, used or noted, frozenset()))
        return sorted(found, key=lambda going: going.used)

    def _largest(self, each: Pinned) -> str | None:
        here = self._wanted[each.repo, each.commit]
        largest = max(here, key=self._sizes.__getitem__, default=None)
        return None if largest is None else self._store.layout.object(Digest.parse(largest))

    def without(self, going: Going) -> Going:
        """What goes with this commit, those before it being gone."""
        here = self._wanted[going.pin.repo, going.pin.commit]
        self._claims.subtract(here)
        only = [digest for digest in here if not self._claims[digest]]
        freed = sum(map(self._sizes.__getitem__, only))
        return replace(going, freed=freed, digests=frozenset(map(Digest.parse, only)))


class Gauge:
    """How much a store takes: measured once a minute, and added up in between. Thread-safe."""

    def __init__(self, store: Kept) -> None:
        self._store, self._lock = store, threading.Lock()
        self._measured, self._taken = float("-inf"), 0

    def taken(self) -> int:
        """Bytes, of objects, unfinished downloads and what was set aside."""
        with self._lock:
            if time.monotonic() - self._measured > GAUGED_S:
                layout = self._store.layout
                others = sum(map(_bytes_under, (layout.incoming, layout.quarantine)))
                self._taken = sum(skim.sizes(self._store).values()) + others
                self._measured = time.monotonic()
            return self._taken

    def add(self, size: int) -> None:
        """So much is about to come."""
        with self._lock:
            self._taken += size

    def forget(self) -> None:
        """Something went: measure anew."""
        with self._lock:
            self._measured = float("-inf")


def _bytes_under(folder: Path) -> int:
    size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                facts = os.stat(f"{parent}/{name}")
                size += getattr(facts, "st_blocks", facts.st_size // 512) * 512
    return size


class Roomed:
    """A keeper of objects that makes room before one comes in: what `serve` fills."""

    def __init__(self, keeper: Keeper, make_room: Callable[[int], None]) -> None:
        self._keeper, self._make_room = keeper, make_room

    def has(self, digest: Digest) -> bool:
        """Whether the object is here."""
        return self._keeper.has(digest)

    def path(self, digest: Digest) -> Path | None:
        """The object as a file."""
        return self._keeper.path(digest)

    @contextmanager
    def receive(self, entry: Entry) -> Iterator[Intake]:
        """An intake, once there is room. Raises QuotaFull."""
        self._make_room(entry.size)
        with self._keeper.receive(entry) as intake:
            yield intake

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        """For small objects: so little that it waits for the next large one."""
        with self._keeper.batch() as batch:
            yield batch
