"""The spans that are on their way: what an engine is given, and where its bytes go."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from hfmirror.model import Span

if TYPE_CHECKING:
    from collections import deque
    from contextlib import ExitStack

    from hfmirror.errors import MirrorError
    from hfmirror.model import Entry, Manifest
    from hfmirror.ports import Intake
    from hfmirror.transfer.inquiry import Inquiry

SOON = 256 * 2**10  # bytes; whoever waits for what comes so soon need not be given a connection of his own
GRAIN = 64 * 2**10  # bytes; what is given away begins at a multiple of this
CREDIT_S = 0.5  # seconds for which an order is taken to be as fast as others, whatever it brings


class Bringer(Protocol):
    """One source, as its orders know it: who hears how they went."""

    @property
    def speed(self) -> float:
        """Bytes a second of one connection, as far as it can be told."""
        ...

    def arrived(self, order: FileOrder | WholeOrder, size: int) -> None: ...
    def overrun(self, order: FileOrder) -> list[Span]: ...
    def ended(self, order: FileOrder | WholeOrder, error: MirrorError | None) -> None: ...


@dataclass(slots=True, eq=False)
class Download:
    """A large file on its way in."""

    entry: Entry
    intake: Intake
    closing: ExitStack
    unassigned: deque[Span]
    active: list[FileOrder] = field(default_factory=list)
    opened: set[Bringer] = field(default_factory=set)  # have begun to answer for it, so may be asked for more at once
    brought: dict[Bringer | None, list[Span]] = field(default_factory=dict)  # who wrote what; None: an earlier run
    urgent: bool = False  # somebody waits for the first of the unassigned bytes
    sealing: bool = False
    dropped: bool = False  # nothing more of it is ordered
    inquiry: Inquiry | None = None  # it came wrong, and whose fault that is is being found out
    only: Bringer | None = None  # who brings all of it, where nobody could find that out

    @property
    def missing(self) -> int:
        """Bytes still to come."""
        spans = [*self.unassigned, *(span for order in self.active for span in order.wanted)]
        return sum(span.size for span in spans)

    def take_back(self, order: FileOrder, rest: list[Span]) -> None:
        """An order is over, or is counted on no more: note what it brought, and want the rest again."""
        self.active.remove(order)
        self.brought.setdefault(order.bringer, []).extend(order.brought)
        if not self.dropped:
            self.unassigned.extendleft(reversed(rest))

    def hurried(self, start: int) -> bool:
        """Let the bytes from `start` on be the next to be ordered; whether that changed anything."""
        for at, span in enumerate(self.unassigned):
            if span.start <= start < span.stop:
                del self.unassigned[at]
                if span.start < start:
                    self.unassigned.insert(at, Span(span.start, start))
                self.unassigned.appendleft(Span(start, span.stop))
                return True
        given = next(filter(None, (order.give(start) for order in self.active)), None)
        if given is not None:
            self.unassigned.appendleft(given)
        return given is not None


@dataclass(frozen=True, slots=True)
class Rest:
    """A small file that is still to come, or what is still to come of it."""

    entry: Entry
    head: bytes = b""  # what came before a break
    bringers: frozenset[Bringer] = frozenset()  # of the head


class WholeOrder:
    """A small file, gathered in memory. What came before a break is kept for the next try."""

    def __init__(self, bringer: Bringer, manifest: Manifest, rest: Rest) -> None:
        self.bringer, self.manifest, self.entry = bringer, manifest, rest.entry
        self.span = Span(len(rest.head), rest.entry.size)
        self.bringers = rest.bringers | {bringer}
        self.since = self.heard = 0.0  # when it went out, when it last brought something, by the desk's clock
        self.gone = False  # counted on no more
        self._chunks, self._size = [rest.head] if rest.head else [], len(rest.head)
        self._lock = threading.Lock()  # around the chunks, which may be taken over by another order

    @property
    def data(self) -> bytes:
        """What has come so far."""
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)

    @property
    def complete(self) -> bool:
        """Whether all of it has come."""
        return self._size == self.entry.size

    @property
    def got(self) -> int:
        """Bytes this order brought."""
        return self._size - self.span.start

    @property
    def rest(self) -> Rest:
        """What is still to come."""
        return Rest(self.entry, self.data, self.bringers if self._size else frozenset())

    def take(self, data: bytes | memoryview) -> bool:
        """The next bytes; False when more come than the file has."""
        if not data:
            return True
        with self._lock:
            if self.gone:
                return False
            wanted = self.entry.size - self._size
            piece = bytes(data) if len(data) <= wanted else bytes(data[:wanted])
            self._chunks.append(piece)
            self._size += len(piece)
        self.bringer.arrived(self, len(piece))
        return len(data) <= wanted  # a stream that brings the file and no more ends by itself

    def let_go(self) -> Rest:
        """Take no more; what is still to come."""
        with self._lock:
            self.gone = True
            return self.rest

    def done(self) -> None:
        """The stream ended."""
        self.bringer.ended(self, None)

    def fail(self, error: MirrorError) -> None:
        """The stream broke."""
        self.bringer.ended(self, error)


class FileOrder:
    """A span of a large file, written to its intake as it comes.

    A server that knows no ranges sends the file from its start: then the order takes what is wanted
    out of the stream, wherever that is, and lets the rest pass.
    """

    def __init__(self, bringer: Bringer, manifest: Manifest, download: Download, wanted: list[Span]) -> None:
        self.bringer, self.manifest, self.entry, self.download = bringer, manifest, download.entry, download
        self.span = wanted[0]
        self.wanted = wanted
        self.brought: list[Span] = []  # what was written, in runs
        self.since = self.heard = 0.0  # when it went out, when it last brought something, by the desk's clock
        self.shared = 0  # how often its rest was given away
        self.leaving = False  # not to be followed by another
        self.gone = False  # counted on no more
        self.got = 0  # bytes that were wanted and came
        self._position = wanted[0].start
        self._writing = False
        self._lock = threading.Lock()  # around `wanted`, which may be taken away at any time

    def rate(self, now: float, usual: float) -> float:
        """Bytes a second, going by what came so far, and at first by what is usual."""
        return (self.got + usual * CREDIT_S) / (now - self.since + CREDIT_S)

    def needs_s(self, now: float, usual: float) -> float:
        """Seconds until its end, at that rate."""
        return sum(span.size for span in self.wanted) / self.rate(now, usual)

    def share(self, keep: float) -> Span | None:
        """Give away the end of what is still to come, but for this share of it; None: too little.

        What is already under way when this order has enough is lost, and so is its connection.
        """
        with self._lock:
            if not self.wanted:
                return None
            last = self.wanted[-1]
            cut = int(last.start + last.size * keep) // GRAIN * GRAIN + GRAIN
            if not last.start < cut < last.stop:
                return None
            self.wanted[-1] = Span(last.start, cut)
            self.shared += 1
            return Span(cut, last.stop)

    def give(self, start: int) -> Span | None:
        """Give away what is to come from `start` on; None: it is not this order's, or will come soon anyway."""
        with self._lock:
            if not self.wanted or not self.wanted[-1].start + SOON < start < self.wanted[-1].stop:
                return None
            last = self.wanted[-1]
            self.wanted[-1] = Span(last.start, start)
            self.shared += 1
            return Span(start, last.stop)

    def let_go(self) -> list[Span] | None:
        """Take no more; what is still to come. None while a block is being written: then it is alive."""
        with self._lock:
            if self._writing:
                return None
            self.gone, rest, self.wanted = True, self.wanted, []
            return rest

    def whole(self) -> FileOrder:
        """The same order, for a server that sends files from their first byte only."""
        self.span = Span(0, self.entry.size)
        self._position = 0
        return self

    def take(self, data: bytes | memoryview) -> bool:
        """The next bytes; False when no more are wanted. Raises StoreError."""
        view = memoryview(data)
        while len(view):
            if not self.wanted and self._position >= self.span.stop and not self.gone:
                self.wanted = self.bringer.overrun(self)
            here = self._claim(len(view))
            if here is None:
                return False  # there is no more, or another order brings it
            view = view[here.start - self._position :]
            if here.size:
                self._write(here, view[: here.size])
            view, self._position = view[here.size :], here.stop
        # A stream that was asked for a span ends by itself; of one whose end another brings, no more is waited for.
        return bool(self.wanted) or self._position >= self.span.stop

    def _claim(self, count: int) -> Span | None:
        """Where the next bytes that are wanted go, of so many that have come; empty when these are to pass."""
        with self._lock:
            if not self.wanted:
                return None
            target, after = self.wanted[0], self._position + count
            if target.start >= after:
                return Span(after, after)
            here = Span(max(target.start, self._position), min(target.stop, after))
            self.wanted[:1] = [Span(here.stop, target.stop)] if here.stop < target.stop else []
            self._writing = True
            return here

    def _write(self, here: Span, piece: memoryview) -> None:
        """Put bytes where they belong."""
        written = False
        try:
            self.download.intake.write(here.start, piece)
            written = True
        finally:
            with self._lock:
                self._writing = False
                if written:
                    self._note(here)
                else:
                    self.wanted.insert(0, here)
        self.got += here.size
        self.bringer.arrived(self, here.size)

    def _note(self, here: Span) -> None:
        if self.brought and self.brought[-1].stop == here.start:
            self.brought[-1] = Span(self.brought[-1].start, here.stop)
        else:
            self.brought.append(here)

    def done(self) -> None:
        """The stream ended."""
        self.bringer.ended(self, None)

    def fail(self, error: MirrorError) -> None:
        """The stream broke."""
        self.bringer.ended(self, error)


AnyOrder = FileOrder | WholeOrder
