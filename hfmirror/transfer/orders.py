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

SOON = 256 * 2**10  # bytes; whoever waits for what comes so soon need not be given a connection of his own
GRAIN = 64 * 2**10  # bytes; what is given away begins at a multiple of this
CREDIT_S = 0.5  # seconds for which an order is taken to be as fast as others, whatever it brings


@dataclass(slots=True, eq=False)
class Download:
    """A large file on its way in."""

    entry: Entry
    intake: Intake
    closing: ExitStack
    unassigned: deque[Span]
    active: list[FileOrder] = field(default_factory=list)
    opened: bool = False  # the source has begun to answer for it, so it may be asked for more at once
    urgent: bool = False  # somebody waits for the first of the unassigned bytes
    sealing: bool = False
    dropped: bool = False  # nothing more of it is ordered

    @property
    def missing(self) -> int:
        """Bytes still to come."""
        spans = [*self.unassigned, *(span for order in self.active for span in order.wanted)]
        return sum(span.size for span in spans)


class Clerk(Protocol):
    """Who hears how an order went."""

    def arrived(self, order: FileOrder | WholeOrder, size: int) -> None: ...
    def overrun(self, order: FileOrder) -> list[Span]: ...
    def ended(self, order: FileOrder | WholeOrder, error: MirrorError | None) -> None: ...


class WholeOrder:
    """A small file, gathered in memory. What came before a break is kept for the next try."""

    def __init__(self, clerk: Clerk, manifest: Manifest, entry: Entry, head: bytes = b"") -> None:
        self.manifest, self.entry = manifest, entry
        self.span = Span(len(head), entry.size)
        self.since = 0.0  # when it went out, by the desk's clock
        self._clerk, self._chunks, self._size = clerk, [head] if head else [], len(head)

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

    def take(self, data: bytes | memoryview) -> bool:
        """The next bytes; False when more come than the file has."""
        if not data:
            return True
        wanted = self.entry.size - self._size
        piece = bytes(data) if len(data) <= wanted else bytes(data[:wanted])
        self._chunks.append(piece)
        self._size += len(piece)
        self._clerk.arrived(self, len(piece))
        return len(data) <= wanted  # a stream that brings the file and no more ends by itself

    def done(self) -> None:
        """The stream ended."""
        self._clerk.ended(self, None)

    def fail(self, error: MirrorError) -> None:
        """The stream broke."""
        self._clerk.ended(self, error)


class FileOrder:
    """A span of a large file, written to its intake as it comes.

    A server that knows no ranges sends the file from its start: then the order takes what is wanted
    out of the stream, wherever that is, and lets the rest pass.
    """

    def __init__(self, clerk: Clerk, manifest: Manifest, download: Download, wanted: list[Span]) -> None:
        self.manifest, self.entry, self.download = manifest, download.entry, download
        self.span = wanted[0]
        self.wanted = wanted
        self.since = 0.0  # when it went out, by the desk's clock
        self.shared = 0  # how often its rest was given away
        self.leaving = False  # not to be followed by another
        self.got = 0  # bytes that were wanted and came
        self._clerk, self._position = clerk, wanted[0].start
        self._lock = threading.Lock()  # around `wanted`, whose end may be taken away at any time

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

    def whole(self) -> FileOrder:
        """The same order, for a server that sends files from their first byte only."""
        self.span = Span(0, self.entry.size)
        self._position = 0
        return self

    def take(self, data: bytes | memoryview) -> bool:
        """The next bytes; False when no more are wanted. Raises StoreError."""
        view = memoryview(data)
        while len(view):
            if not self.wanted and self._position >= self.span.stop:
                self.wanted = self._clerk.overrun(self)
            if not self.wanted:
                return False  # there is no more, or another order brings it
            passed = min(max(self.wanted[0].start - self._position, 0), len(view))
            view, self._position = view[passed:], self._position + passed
            if len(view):
                view = view[self._write(view) :]
        # A stream that was asked for a span ends by itself; of one whose end another brings, no more is waited for.
        return bool(self.wanted) or self._position >= self.span.stop

    def _write(self, view: memoryview) -> int:
        """Put the head of `view` where it belongs; how many bytes that were."""
        with self._lock:
            target = self.wanted[0]
            piece = view[: target.stop - self._position]
            here = Span(self._position, self._position + len(piece))
            left = Span(here.stop, target.stop)
            self.wanted[:1] = [left] if left.size else []
        try:
            self.download.intake.write(here.start, piece)
        except BaseException:
            with self._lock:
                self.wanted.insert(0, here)
            raise
        self._position = here.stop
        self.got += len(piece)
        self._clerk.arrived(self, len(piece))
        return len(piece)

    def done(self) -> None:
        """The stream ended."""
        self._clerk.ended(self, None)

    def fail(self, error: MirrorError) -> None:
        """The stream broke."""
        self._clerk.ended(self, error)
