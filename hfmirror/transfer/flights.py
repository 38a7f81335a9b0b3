"""Bringing contents in while they are being read: one fill per content, any number of readers.

A fill belongs to the mirror and not to a reader: nobody's leaving ends it, and a slow reader slows
nobody, because readers follow the file and not the socket. It is a pull of one file; the same desk
decides about it.
"""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

from hfmirror.errors import DigestMismatch, MirrorError, TooBusy, Unexpected
from hfmirror.transfer.budget import metered
from hfmirror.transfer.desk import Desk
from hfmirror.transfer.events import Proven, Refused, Sealed, Waiting
from hfmirror.transfer.lanes import open_lane
from hfmirror.transfer.manner import WHOLE, Manner
from hfmirror.transfer.threads import ThreadEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from hfmirror.model import Digest, Entry, Manifest
    from hfmirror.ports import Batch, Intake, Supplier
    from hfmirror.transfer.budget import Budget
    from hfmirror.transfer.events import Event

PATIENCE_S = 60.0  # without a byte from upstream: a reader has gone by then, and the next one starts anew
SEALING_S = 60.0  # for a file that has come whole to be proven and made durable, when all ends
GATHER_S = 0.2  # small objects are sealed together, so long after the first of them came


class Keeper(Protocol):
    """The part of a `Store` that fills need."""

    def has(self, digest: Digest) -> bool: ...
    def path(self, digest: Digest) -> Path | None: ...
    def receive(self, entry: Entry) -> AbstractContextManager[Intake]: ...
    def batch(self) -> AbstractContextManager[Batch]: ...


class Fill:
    """One content on its way in, and what of it can be read meanwhile. Thread-safe."""

    def __init__(self, entry: Entry, keeper: Keeper) -> None:
        self.entry = entry
        self.round = 0  # how often the bytes so far were found wrong and thrown away
        self.proven = False
        self.data: bytes | None = None  # a small content, once it is proven
        self.error: MirrorError | None = None  # why it will never be whole
        self.trouble: MirrorError | None = None  # what it is trying to get over
        self._keeper = keeper
        self._intake: Intake | None = None
        self._fd: int | None = None
        self._waiting: list[Callable[[], None]] = []
        self._lock = threading.RLock()
        self._urgent = 0  # where a reader waits
        self._hurry: Callable[[int], None] = lambda _: None

    # -- for readers --------------------------------------------------------------------------

    def reach(self, start: int) -> int:
        """The offset up to which the bytes from `start` on are here, proven or not."""
        with self._lock:
            if self.proven:
                return self.entry.size
            return start if self._intake is None else self._intake.reach(start)

    def descriptor(self) -> int:
        """A new descriptor of the file being filled. The caller closes it. Raises OSError."""
        with self._lock:
            if self._fd is not None:
                return os.dup(self._fd)
        return os.open(self._keeper.path(self.entry.digest) or "", os.O_RDONLY | getattr(os, "O_BINARY", 0))

    def hurry(self, start: int) -> None:
        """Somebody waits for the bytes from `start` on."""
        self._urgent = start
        self._hurry(start)

    def when_changed(self, callback: Callable[[], None]) -> None:
        """Call back once, from any thread, when there may be more to read or an end to it."""
        with self._lock:
            self._waiting.append(callback)

    # -- for the fill itself ------------------------------------------------------------------

    def run(self, supplier: Supplier, manifest: Manifest, batch: Batch, manner: Manner) -> None:
        """Bring it in. Whatever goes wrong is in `error` at the end."""
        desk = Desk(manifest, [self.entry], _Overheard(self._keeper, self), _Witness(batch, self), manner, self._watch)
        lane = open_lane(desk, supplier)
        self._hurry = lambda start: desk.hurry(self.entry, start)
        desk.hurry(self.entry, self._urgent)
        try:
            try:
                ThreadEngine(supplier).run(metered(lane, manner.budget, self._watch))
            finally:
                desk.close()
            desk.raise_failures()
        except MirrorError as error:
            self.error = error
        except Exception as fault:  # noqa: BLE001 - readers must hear of it
            self.error = Unexpected(fault)
        self._hurry = lambda _: None
        self._changed()

    def let_go(self) -> None:
        """Free what readers who open it from now on need not share."""
        with self._lock:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None

    def _watch(self, event: Event) -> None:
        if isinstance(event, Proven | Sealed):
            self.proven = True
        elif isinstance(event, Waiting):
            self.trouble = event.error
        elif isinstance(event, Refused):
            self._start_over()
        self._changed()

    def _start_over(self) -> None:
        with self._lock:
            self.round += 1
            self._intake = None
            self.let_go()

    def _changed(self) -> None:
        if not self._waiting:
            return
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()

    def opened(self, intake: Intake) -> None:
        """The bytes come into this intake."""
        with self._lock:
            self._intake, self._fd = intake, intake.reader()
        self._changed()

    def closed(self, intake: Intake) -> None:
        """No more bytes come into this intake."""
        with self._lock:
            if self._intake is intake:
                self._intake = None
        self._changed()

    def whole(self, data: bytes) -> None:
        """All of a small content has come, and is proven."""
        self.data, self.proven = data, True
        self._changed()


class _Overheard:
    """A keeper whose intakes are shown to a fill."""

    def __init__(self, keeper: Keeper, fill: Fill) -> None:
        self._keeper, self._fill = keeper, fill

    def has(self, digest: Digest) -> bool:
        return self._keeper.has(digest)

    @contextmanager
    def receive(self, entry: Entry) -> Iterator[Intake]:
        with self._keeper.receive(entry) as intake:
            self._fill.opened(intake)
            try:
                yield intake
            finally:
                self._fill.closed(intake)


class _Witness:
    """A batch whose proven objects are shown to a fill."""

    def __init__(self, batch: Batch, fill: Fill) -> None:
        self._batch, self._fill = batch, fill

    def add(self, entry: Entry, data: bytes) -> None:
        self._batch.add(entry, data)
        self._fill.whole(data)


class Gathering:
    """The `Batch` that small fills share: sealed a moment after the first object came."""

    def __init__(self, keeper: Keeper, sealed: Callable[[set[Digest]], None]) -> None:
        self._keeper, self._sealed = keeper, sealed
        self._lock = threading.Lock()
        self._stack: ExitStack | None = None
        self._batch: Batch | None = None
        self._gathered: set[Digest] = set()

    def add(self, entry: Entry, data: bytes) -> None:
        """Prove one whole object and take it in. Raises DigestMismatch."""
        with self._lock:
            if self._batch is None:
                self._stack = ExitStack()
                self._batch = self._stack.enter_context(self._keeper.batch())
                timer = threading.Timer(GATHER_S, self.close)
                timer.daemon = True
                timer.start()
            self._batch.add(entry, data)
            self._gathered.add(entry.digest)

    def close(self) -> None:
        """Seal what has been gathered so far."""
        with self._lock:
            stack, self._stack, self._batch = self._stack, None, None
            gathered, self._gathered = self._gathered, set()
            try:
                if stack is not None:
                    stack.close()
            finally:
                self._sealed(gathered)


class Flights:
    """Every fill under way, by content. Thread-safe."""

    def __init__(self, keeper: Keeper, most: int, ended: Callable[[Fill], None], budget: Budget | None = None) -> None:
        """At most `most` fills at once, within one budget; `ended` hears of each end, in the fill's thread."""
        self._keeper, self._most, self._ended, self._budget = keeper, most, ended, budget
        self._fills: dict[Digest, Fill] = {}
        self._working: dict[threading.Thread, Fill] = {}
        self._lock = threading.Lock()
        self._gathering = Gathering(keeper, self._sealed)

    def get(self, digest: Digest) -> Fill | None:
        """The fill of a content, if one is under way. One that has failed is none, though it may still be ending."""
        fill = self._fills.get(digest)
        return fill if fill is not None and fill.error is None else None

    def __len__(self) -> int:
        return len(self._fills)

    def join(self, supplier: Supplier, manifest: Manifest, entry: Entry) -> Fill:
        """The fill of this content: the one under way, or a new one. Raises TooBusy."""
        with self._lock:
            fill = self.get(entry.digest)
            if fill is not None:
                return fill
            if len(self._fills) >= self._most:
                raise TooBusy("this mirror", f"brings in {len(self._fills)} files already")
            fill = self._fills[entry.digest] = Fill(entry, self._keeper)
            work = threading.Thread(
                target=self._run, args=(fill, supplier, manifest), name="hfmirror-fill", daemon=True
            )
            self._working[work] = fill
        work.start()
        return fill

    def _run(self, fill: Fill, supplier: Supplier, manifest: Manifest) -> None:
        small = fill.entry.size <= WHOLE
        manner = Manner(1 if small else None, PATIENCE_S, self._budget)
        fill.run(supplier, manifest, self._gathering, manner)
        if not small or fill.error is not None or fill.data is None:
            self._forget(fill)  # a small one stays until it has its name, and is read from memory so long
        with self._lock:
            del self._working[threading.current_thread()]
        self._ended(fill)

    def _forget(self, fill: Fill) -> None:
        with self._lock:
            if self._fills.get(fill.entry.digest) is fill:
                del self._fills[fill.entry.digest]
        fill.let_go()

    def _sealed(self, digests: set[Digest]) -> None:
        for digest in digests:
            fill = self._fills.get(digest)
            if fill is not None:
                self._forget(fill)

    def close(self) -> None:
        """Seal what has come whole. What is still on its way keeps its parts for the next time."""
        with self._lock:
            sealing = [work for work, fill in self._working.items() if fill.reach(0) == fill.entry.size]
        for work in sealing:
            work.join(SEALING_S)
        self._gathering.close()


def wrong_bytes(fill: Fill) -> MirrorError:
    """What to tell a reader whose bytes turned out wrong."""
    return fill.error or DigestMismatch(fill.entry.path, fill.entry.digest, "other bytes")
