"""Which span is fetched next, and what follows from how that went. The one place that decides.

Engines take orders and report; the desk keeps what is still to come as a difference (wanted minus
arrived), never as a tally. Disk work (opening and sealing) is done outside the lock.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfmirror.errors import (
    DigestMismatch,
    EntryNotFound,
    Intercepted,
    LinkExpired,
    MirrorError,
    OutOfPatience,
    RangesIgnored,
    RateLimited,
    StoreLocked,
    Unavailable,
    Unexpected,
    first_by_table,
)
from hfmirror.model import PART, Span
from hfmirror.transfer.events import Arrived, Elsewhere, Proven, Refused, Resumed, Sealed, Waiting
from hfmirror.transfer.orders import GRAIN, Download, FileOrder, WholeOrder
from hfmirror.transfer.pace import SPAN_S, SPANS, Pace
from hfmirror.transfer.patience import PATIENCE_S, Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hfmirror.model import Entry, Manifest
    from hfmirror.ports import Batch, Order, Receiver
    from hfmirror.transfer.events import Event, Watcher

WHOLE = PART  # bytes; files up to this size are gathered in memory and sealed in groups
SPAN = SPANS[1]  # bytes asked for at once while the line is too fast to tell how fast
PROBE = 16 * 2**10  # bytes of the first span, until the source has shown that it honours ranges: all wait for it
FEW, MANY = 4, 16  # connections to begin with, for large files (best on a clean fast line) and for small ones
AHEAD = 32 * PART  # bytes that may wait for their proof before the line is known to be faster than it
LAPSES = 3  # ranges ignored in a row until a source that honoured them is taken for one that no longer does
ELSEWHERE_S = 1.0  # how often to look whether another process has finished a file


@dataclass(frozen=True, slots=True)
class Manner:
    """How to fetch."""

    connections: int | None = None  # None: as many as have been measured to be best
    patience_s: float = PATIENCE_S


class Desk:
    """The `OrderBook` of one pull from one supplier."""

    def __init__(
        self,
        manifest: Manifest,
        entries: Sequence[Entry],
        store: Receiver,
        batch: Batch,
        manner: Manner,
        watch: Watcher,
    ) -> None:
        self._manifest, self._store, self._batch, self._manner, self._watch = manifest, store, batch, manner, watch
        self._large = deque(entry for entry in entries if entry.size > WHOLE)
        self._small = deque((entry, b"") for entry in entries if entry.size <= WHOLE)
        self._elsewhere: deque[tuple[float, Entry]] = deque()
        self._downloads: list[Download] = []
        self._in_flight = 0
        self._busy = 0  # opening, sealing: work outside the lock that will change the above
        self._ranges: bool | None = None  # whether the source honours them; None until it has shown
        self._lapses = 0
        self._damaged: set[Entry] = set()  # came wrong once
        self._failures: list[MirrorError] = []
        self._patience = Patience(manner.patience_s)
        self._pace = Pace(FEW)
        self._urgent: dict[Entry, int] = {}  # where somebody waits for the bytes
        self._not_before = 0.0
        self._over = False
        self._lock = threading.Condition(threading.RLock())
        self.source = ""

    # -- the order book -----------------------------------------------------------------------

    @property
    def connections(self) -> int:
        """How many orders are worth having in flight; one more for each reader who waits for bytes not ordered yet."""
        return self._usual_connections + sum(download.urgent for download in self._downloads)

    @property
    def _usual_connections(self) -> int:
        if self._manner.connections:
            return self._manner.connections
        if any(download.intake.unproven > AHEAD for download in self._downloads):
            return 1  # the proof cannot keep up as it is; more connections would only take its processor
        return self._pace.connections(self._least)

    @property
    def _least(self) -> int:
        """Connections worth having without having tried."""
        large = self._large or any(download.unassigned for download in self._downloads)
        return MANY if self._small and not large else FEW

    @property
    def closed(self) -> bool:
        """Whether nothing more will be ordered."""
        return self._over or not (
            self._large or self._small or self._elsewhere or self._downloads or self._in_flight or self._busy
        )

    def next(self, wait_s: float) -> Order | None:
        """The next order; None when none is due in time."""
        deadline = self._patience.clock() + wait_s
        with self._lock:
            while not self.closed:
                now = self._patience.clock()
                if now >= self._not_before and self._in_flight < self.connections:
                    order = self._pick(now)
                    if order is not None:
                        self._in_flight += 1
                        order.since = now
                        self._pace.ordered(now, self._least)
                        return order
                if now >= deadline:
                    return None
                self._lock.wait(max(0.001, min(deadline, self._due(now)) - now))
            self._lock.notify_all()
            return None

    def hurry(self, entry: Entry, start: int) -> None:
        """Somebody waits for the bytes from `start` on: order them before all others."""
        with self._lock:
            self._urgent[entry] = start
            for download in self._downloads:
                if download.entry.digest == entry.digest and self._ranges is not False:
                    download.urgent = download.urgent or _hurried(download, start // GRAIN * GRAIN)
            self._lock.notify_all()

    def _due(self, now: float) -> float:
        """When something may be ordered that may not be now, if nobody reports before."""
        times = [self._not_before, *(when for when, _ in self._elsewhere)]
        return min((when for when in times if when > now), default=now + 1.0)

    def _pick(self, now: float) -> FileOrder | WholeOrder | None:
        while True:
            for download in self._downloads:
                order = self._span_of(download)
                if order is not None:
                    return order
            if not self._open_next(now):
                break
        if self._small:
            entry, head = self._small.popleft()
            return WholeOrder(self, self._manifest, entry, head)
        return self._relief(now) if self._ranges else None

    def _relief(self, now: float) -> FileOrder | None:
        """Nothing is left to order: share what the slowest order has still to bring, if it will take long."""
        usual, worth = self._pace.speed, self._pace.relieves
        rates = {order: order.rate(now, usual) for order in self._active}
        slow = [order for order, rate in rates.items() if worth(rate, order.needs_s(now, usual) / 2**order.shared)]
        slowest = max(slow, key=lambda order: order.needs_s(now, usual), default=None)
        if slowest is None:
            return None
        shared = slowest.share(rates[slowest] / (rates[slowest] + usual))
        if shared is None:
            return None
        relief = self._order(slowest.download, [shared])
        slowest.download.active.append(relief)
        return relief

    @property
    def _active(self) -> list[FileOrder]:
        return [order for download in self._downloads for order in download.active]

    def _give_back(self, now: float) -> None:
        """Fewer connections are worth having than there are: let go of those that would take long.

        Only to wait for orders to end would be to keep the slowest.
        """
        usual = self._pace.speed
        staying = [order for order in self._active if not order.leaving]
        staying.sort(key=lambda order: -order.needs_s(now, usual))
        for order in staying[: self._excess]:
            order.leaving = True
            rest = order.share(0) if order.needs_s(now, usual) > SPAN_S else None
            if rest is not None:
                order.download.unassigned.appendleft(rest)
        self._lock.notify_all()

    @property
    def _excess(self) -> int:
        """Orders too many, whatever the proof says: it lags for moments only."""
        if self._manner.connections or not self._ranges or self._in_flight <= self._pace.connections(FEW):
            return 0
        leaving = sum(order.leaving for order in self._active)
        return max(self._in_flight - leaving - self._pace.connections(self._least), 0)

    def _span_of(self, download: Download) -> FileOrder | None:
        alone = self._ranges is False or not (download.opened or download.urgent)
        if not download.unassigned or download.sealing or (alone and download.active):
            return None
        if self._ranges is False:
            wanted = list(download.unassigned)
            download.unassigned.clear()
            order = self._order(download, wanted).whole()
        else:
            order = self._order(download, [self._cut(download)])
            download.urgent = False
        download.active.append(order)
        return order

    @property
    def _unassigned(self) -> int:
        """Bytes of large files to be shared out; never too few while whole files are left."""
        if self._large:
            return SPAN * self.connections
        return sum(span.size for download in self._downloads for span in download.unassigned)

    def _order(self, download: Download, wanted: list[Span]) -> FileOrder:
        return FileOrder(self, self._manifest, download, wanted)

    def _cut(self, download: Download) -> Span:
        """The next span: up to a multiple of its usual size, so that no two orders meet inside a part."""
        step = self._pace.span(self._unassigned, self.connections) if self._ranges else PROBE
        first = download.unassigned.popleft()
        stop = min(first.stop, first.start - first.start % step + step)
        if stop < first.stop:
            download.unassigned.appendleft(Span(stop, first.stop))
        return Span(first.start, stop)

    # -- opening and sealing: outside the lock ------------------------------------------------

    def _open_next(self, now: float) -> bool:
        """Open one more large file, if one waits; whether the picture changed."""
        if self._elsewhere and self._elsewhere[0][0] <= now:
            entry = self._elsewhere.popleft()[1]
        elif self._large:
            entry = self._large.popleft()
        else:
            return False
        self._unlocked(lambda: self._open(entry))
        return True

    def _unlocked(self, work: Callable[[], None]) -> None:
        """Do slow work without holding the others up."""
        self._busy += 1
        self._lock.release()
        try:
            work()
        except Exception as fault:  # noqa: BLE001 - whoever waits for the pull must hear of it
            self._give_up(Unexpected(fault))
        finally:
            self._lock.acquire()
            self._busy -= 1
            self._lock.notify_all()

    def _open(self, entry: Entry) -> None:
        if self._store.has(entry.digest):
            self._watch(Sealed(entry))  # by another process, or under another path, since the plan was made
            return
        try:
            with ExitStack() as stack:
                intake = stack.enter_context(self._store.receive(entry))
                download = Download(entry, intake, stack.pop_all(), deque(intake.missing()))
        except StoreLocked:
            self._leave_to_others(entry)
            return
        except MirrorError as error:
            self._give_up(error)
            return
        self._patience.encourage()  # reading back what is here took its time
        if entry in self._urgent:
            download.urgent = _hurried(download, self._urgent[entry] // GRAIN * GRAIN)
        if download.missing < entry.size:
            self._watch(Resumed(entry, entry.size - download.missing))
        with self._lock:
            self._downloads.append(download)
            self._finish_if_complete(download)

    def _leave_to_others(self, entry: Entry) -> None:
        """Another process fetches this file: look again later whether it is here."""
        self._tell(Elsewhere(entry))
        self._patience.encourage()
        with self._lock:
            self._elsewhere.append((self._patience.clock() + ELSEWHERE_S, entry))

    def _finish_if_complete(self, download: Download) -> None:
        if download.unassigned or download.active or download.sealing or self._over:
            return
        if download.dropped:
            self._downloads.remove(download)
            self._unlocked(download.closing.close)
            return
        download.sealing = True
        self._busy += 1
        threading.Thread(target=self._seal, args=(download,), name="hfmirror-seal", daemon=True).start()

    def _seal(self, download: Download) -> None:
        error: MirrorError | None = None
        try:
            with download.closing:
                download.intake.prove()
                self._tell(Proven(download.entry))
                download.intake.seal()
        except MirrorError as failure:
            error = failure
        except Exception as fault:  # noqa: BLE001 - `close` waits for this thread's word
            error = Unexpected(fault)
        with self._lock:
            self._downloads.remove(download)
            self._sealed(download.entry, error, lambda: self._large.appendleft(download.entry))
            self._busy -= 1
            self._lock.notify_all()

    def _tell(self, event: Event) -> None:
        """Say something to the watcher; if that fails, the pull fails, but nothing is left hanging."""
        try:
            self._watch(event)
        except Exception as fault:  # noqa: BLE001 - as above
            self._give_up(Unexpected(fault))

    def _sealed(self, entry: Entry, error: MirrorError | None, again: Callable[[], None]) -> None:
        """What follows from a proof: done, one clean retry, or a failure."""
        if error is None:
            self._patience.encourage()
            self._tell(Sealed(entry))
        elif isinstance(error, StoreLocked):
            self._leave_to_others(entry)
        elif not isinstance(error, DigestMismatch):
            self._give_up(error)
        else:
            error.source = self.source
            first = entry not in self._damaged
            self._damaged.add(entry)
            self._tell(Refused(error, again=first))
            if first:
                again()
            else:
                self._failures.append(error)

    # -- what orders report -------------------------------------------------------------------

    def arrived(self, order: FileOrder | WholeOrder, size: int) -> None:
        """New bytes. Called for each block, without the lock."""
        self._patience.encourage()
        now = self._patience.clock()
        with self._lock:
            if order.got == size:
                self._pace.opened(now - order.since)
            self._pace.arrived(now, size)
            if self._excess:
                self._give_back(now)
            if isinstance(order, FileOrder) and self._ranges and not order.download.opened:
                order.download.opened = True
                self._lock.notify_all()
        self._watch(Arrived(order.entry, size, self.source))

    def overrun(self, order: FileOrder) -> list[Span]:
        """The source sends on past the span: it knows no ranges, so let it bring all it can."""
        with self._lock:
            self._ranges = False
            download = order.download
            ahead = [span for span in download.unassigned if span.start >= order.span.stop]
            for span in ahead:
                download.unassigned.remove(span)
            return ahead

    def ended(self, order: FileOrder | WholeOrder, error: MirrorError | None) -> None:
        """An order is over; what it did not bring is wanted again."""
        events: list[Event] = []
        now = self._patience.clock()
        with self._lock:
            self._in_flight -= 1
            self._pace.ended(now, order.got, now - order.since)
            if self._over:  # what came is in the intake; nobody will ask for the rest
                self._lock.notify_all()
                return
            error = self._file_ended(order, error) if isinstance(order, FileOrder) else self._whole_ended(order, error)
            if error is not None:
                self._judge(order, error, events)
            self._lock.notify_all()
        for event in events:
            self._tell(event)

    def _file_ended(self, order: FileOrder, error: MirrorError | None) -> MirrorError | None:
        download = order.download
        download.active.remove(order)
        if not download.dropped:
            download.unassigned.extendleft(reversed(order.wanted))
        if error is None and order.wanted and not order.got:
            error = Unavailable(self.source, "ended its answer before the first byte")
        if error is None and not order.wanted and self._ranges is None and order.span.size < order.entry.size:
            self._ranges = True
        self._lapses = 0 if order.got else self._lapses
        download.opened = download.opened or order.got > 0
        self._finish_if_complete(download)
        return error

    def _whole_ended(self, order: WholeOrder, error: MirrorError | None) -> MirrorError | None:
        if order.complete:
            self._unlocked(lambda: self._add(order))
            return None
        if error is None and not order.got:
            error = Unavailable(self.source, "ended its answer before the first byte")
        if isinstance(error, RangesIgnored):
            self._small.append((order.entry, b""))
        elif error is None or error.retryable:
            self._small.append((order.entry, order.data))
        return error

    def _add(self, order: WholeOrder) -> None:
        error: MirrorError | None = None
        try:
            self._batch.add(order.entry, order.data)
        except MirrorError as failure:
            error = failure
        with self._lock:
            self._sealed(order.entry, error, lambda: self._small.append((order.entry, b"")))

    def _judge(self, order: FileOrder | WholeOrder, error: MirrorError, events: list[Event]) -> None:
        """Try again, go on without this file, or give up."""
        if isinstance(error, RangesIgnored):
            self._lapses += 1
            self._ranges = bool(self._ranges) and self._lapses < LAPSES
        elif isinstance(error, EntryNotFound):
            if self._drop(order):
                self._failures.append(error)
        elif isinstance(error, StoreLocked):
            if self._drop(order):
                self._leave_to_others(order.entry)
        elif not error.retryable:
            self._give_up(error)
        elif order.got:
            events.append(Waiting(error, 0.0))
        else:
            self._refused(order, error)
            self._pause(error, events)

    def _refused(self, order: FileOrder | WholeOrder, error: MirrorError) -> None:
        """An order that was not even begun may mean that there are too many, unless the reason is another."""
        if not isinstance(error, LinkExpired | Intercepted):
            self._pace.refused(self._patience.clock(), order.since)

    def _pause(self, error: MirrorError, events: list[Event]) -> None:
        """Order nothing for a while, or give up when no byte has come for too long.

        What many connections meet together is one failure, not many in a row.
        """
        if self._patience.clock() < self._not_before and not isinstance(error, RateLimited):
            events.append(Waiting(error, 0.0))
            return
        try:
            pause = self._patience.pause_after(error, *self._progress())
        except OutOfPatience as over:
            self._give_up(over)
            return
        self._not_before = max(self._not_before, self._patience.clock() + pause)
        events.append(Waiting(error, pause))

    def _drop(self, order: FileOrder | WholeOrder) -> bool:
        """Order no more of this file; False when that was decided before."""
        if isinstance(order, WholeOrder):
            return True
        download = order.download
        if download.dropped:
            return False
        download.dropped = True
        download.unassigned.clear()
        self._finish_if_complete(download)
        return True

    def _progress(self) -> tuple[int, int]:
        """Bytes that are here and bytes wanted, of the files that are on their way."""
        wanted = sum(download.entry.size for download in self._downloads)
        return wanted - sum(download.missing for download in self._downloads), wanted

    # -- the end ------------------------------------------------------------------------------

    def _give_up(self, error: MirrorError) -> None:
        with self._lock:
            self._failures.append(error)
            self._over = True
            self._lock.notify_all()

    def close(self) -> None:
        """Stop ordering, wait for seals under way, and keep the parts of what is unfinished."""
        with self._lock:
            self._over = True
            self._lock.notify_all()
            self._lock.wait_for(lambda: self._busy == 0)
            unfinished, self._downloads = self._downloads, []
        for download in unfinished:
            download.closing.close()

    def raise_failures(self) -> None:
        """Raise what went wrong, if anything did: the first kind in the table of exit codes."""
        if self._failures:
            worst = first_by_table(self._failures)
            raise worst.cause if isinstance(worst, Unexpected) else worst


def _hurried(download: Download, start: int) -> bool:
    """Let the bytes from `start` on be the next to be ordered; whether that changed anything."""
    for at, span in enumerate(download.unassigned):
        if span.start <= start < span.stop:
            del download.unassigned[at]
            if span.start < start:
                download.unassigned.insert(at, Span(span.start, start))
            download.unassigned.appendleft(Span(start, span.stop))
            return True
    given = next(filter(None, (order.give(start) for order in download.active)), None)
    if given is not None:
        download.unassigned.appendleft(given)
    return given is not None
