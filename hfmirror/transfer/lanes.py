"""One source's lane: what its engine is given to bring, and what is learnt of it on the way.

The desk knows what is wanted; a lane knows one source: how fast it is, whether it honours ranges, what
it lacks, how long it is left alone. With one lane, that is all there is to a pull. With several, each
takes what no better placed one is there for, and takes over what another has let stall.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfmirror.errors import NotHere, Unavailable
from hfmirror.model import PART, Span
from hfmirror.ports import Nearby
from hfmirror.transfer.orders import FileOrder, WholeOrder
from hfmirror.transfer.pace import SPAN_S, SPANS
from hfmirror.transfer.reports import FEW, Reports

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from hfmirror.errors import MirrorError
    from hfmirror.model import Digest, Entry
    from hfmirror.ports import Order, Supplier
    from hfmirror.transfer.choice import Standing
    from hfmirror.transfer.desk import Desk
    from hfmirror.transfer.orders import AnyOrder, Download

SPAN = SPANS[1]  # bytes asked for at once while the line is too fast to tell how fast
PROBE = 16 * 2**10  # bytes of the first span, until the source has shown that it honours ranges: all wait for it
TASTE = PART // 2  # bytes asked for at once of one of several sources until it is known how fast it is
MANY = 16  # connections to begin with for small files, and with a source that is far away: each brings little there
FAR_S = 0.03  # seconds until the first byte of an answer, from which on a source is far away
AHEAD = 32 * PART  # bytes that may wait for their proof before the line is known to be faster than it
LOOK_S = 0.2  # how often a source looks what has become of the others


class Lane(Reports):
    """The `OrderBook` of one supplier."""

    def __init__(self, desk: Desk, source: str, standing: Standing, lacks: dict[Digest, MirrorError]) -> None:
        super().__init__(desk, source, standing, lacks)
        self._passed_over = (-1, 0.0)  # the desk's news when no small file was for us, and until when that holds

    # -- the order book -----------------------------------------------------------------------

    @property
    def connections(self) -> int:
        """How many orders are worth having in flight; one more for each reader who waits for bytes not ordered yet."""
        return self._usual_connections + sum(download.urgent for download in self._desk.downloads)

    @property
    def _usual_connections(self) -> int:
        if self._desk.manner.connections:
            return self._desk.manner.connections
        if any(download.intake.unproven > AHEAD for download in self._desk.downloads):
            return 1  # the proof cannot keep up as it is; more connections would only take its processor
        if self._desk.manner.rationed:
            return self._least
        return self.pace.connections(self._least)

    @property
    def _least(self) -> int:
        """Connections worth having without having tried."""
        many = self.pace.round_s >= FAR_S or (self._desk.small and not self._desk.large_left)
        return MANY if many else FEW

    @property
    def closed(self) -> bool:
        """Whether nothing more will be ordered of this source."""
        return self.over is not None or self._desk.closed

    def next(self, wait_s: float) -> Order | None:
        """The next order; None when none is due in time."""
        desk = self._desk
        deadline = desk.clock() + wait_s
        with desk.lock:
            while not self.closed:
                now = desk.clock()
                self._take_over(now)
                if now >= self._not_before and len(self.out) < self.connections:
                    order = self._pick(now)
                    if order is not None:
                        return self._sent(order, now)
                if now >= deadline:
                    return None
                desk.lock.wait(max(0.001, min(deadline, self._due(now)) - now))
            desk.lock.notify_all()
            return None

    def _sent(self, order: AnyOrder, now: float) -> AnyOrder:
        self.out.append(order)
        order.since = order.heard = now
        self.pace.ordered(now, self._least)
        self._desk.choice.ordered(self.standing, now)
        return order

    def _due(self, now: float) -> float:
        """When something may be ordered that may not be now, if nobody reports before."""
        times = [self._not_before, *self._desk.due, *([now + LOOK_S] if self._others else [])]
        return min((when for when in times if when > now), default=now + 1.0)

    # -- which order is next ------------------------------------------------------------------

    def _pick(self, now: float) -> AnyOrder | None:
        desk = self._desk
        while True:
            for download in desk.downloads:
                order = self._span_of(download, now)
                if order is not None:
                    return order
            if not desk.open_next(now, lambda entry: self._may(entry, now)):
                break
        return self._small_one(now) or (self._relief(now) if self._ranges else None)

    def _may(self, entry: Entry, now: float) -> bool:
        """Whether this source may bring a file, as far as no other is there for it."""
        return self.serves(entry) and not self._yields(entry, now)

    def _yields(self, entry: Entry, now: float) -> bool:
        """Whether another source is asked for a file instead of this one."""
        before = self._desk.choice.before
        return any(
            other.serves(entry) and ((self.banned and not other.banned) or before(other.standing, self.standing, now))
            for other in self._others
        )

    def _joins(self, download: Download, now: float) -> bool:
        """Whether this source may bring some of a download."""
        others = [other for other in self._others if other.serves(download.entry)]
        if download.sealing or not self._may(download.entry, now):
            return False
        if download.inquiry is not None and download.inquiry.avoids(self):
            return not any(not download.inquiry.avoids(other) for other in others)
        return download.only in (None, self) or not any(
            other is download.only and other.standing.lively(now) for other in others
        )

    def _span_of(self, download: Download, now: float) -> FileOrder | None:
        if not download.unassigned or not self._joins(download, now):
            return None
        alone = self._ranges is False or not (self in download.opened or download.urgent)
        if alone and any(order.bringer is self for order in download.active):
            return None
        if self._ranges is False and self._honoured_elsewhere(download):
            return None
        if self._desk.is_for_one(download.entry):
            download.only = self
        if self._ranges is False:
            wanted = sorted(download.unassigned)  # it passes by once, from its first byte on
            download.unassigned.clear()
            order = self._order(download, wanted).whole()
        else:
            order = self._order(download, [self._cut(download)])
            download.urgent = False
        download.active.append(order)
        return order

    def _order(self, download: Download, wanted: list[Span]) -> FileOrder:
        return FileOrder(self, self._desk.manifest, download, wanted)

    def _cut(self, download: Download) -> Span:
        """The next span: up to a multiple of its usual size, so that no two orders meet inside a part."""
        others = [other for other in self._others if other.serves(download.entry)]
        count = self.connections + sum(max(len(other.out), 1) for other in others)
        left = SPAN * count if self._desk.large else self._desk.unassigned  # never cut small while whole files are left
        step = PROBE
        if self._ranges:
            step = TASTE if others and not self.pace.told else self.pace.span(left, count)
        first = download.unassigned.popleft()
        stop = min(first.stop, first.start - first.start % step + step)
        if stop < first.stop:
            download.unassigned.appendleft(Span(stop, first.stop))
        return Span(first.start, stop)

    def _small_one(self, now: float) -> WholeOrder | None:
        desk = self._desk
        news, until = self._passed_over
        if news == desk.news and now < until:
            return None  # there may be thousands for others
        for at, rest in enumerate(desk.small):
            if self._may(rest.entry, now):
                del desk.small[at]
                order = WholeOrder(self, desk.manifest, rest)
                desk.gathering.add(order)
                return order
        self._passed_over = (desk.news, now + LOOK_S)
        return None

    # -- taking over ----------------------------------------------------------------------------

    def _relief(self, now: float) -> FileOrder | None:
        """Nothing is left to order: share what the slowest order has still to bring, if it will take long."""
        if self._desk.manner.rationed:
            return None
        usual = {order: min(order.bringer.speed, self.speed) for order in self._helpable(now)}
        rates = {order: order.rate(now, speed) for order, speed in usual.items()}
        needs = {order: order.needs_s(now, speed) for order, speed in usual.items()}
        slow = [order for order, rate in rates.items() if self.pace.relieves(rate, needs[order] / 2**order.shared)]
        slowest = max(slow, key=lambda order: needs[order], default=None)
        if slowest is None:
            return None
        mine = self.speed if slowest.bringer is self or self.pace.told else rates[slowest]
        shared = slowest.share(rates[slowest] / (rates[slowest] + mine))
        if shared is None:
            return None
        relief = self._order(slowest.download, [shared])
        slowest.download.active.append(relief)
        return relief

    def _helpable(self, now: float) -> Iterator[FileOrder]:
        """Orders on their way that this source could bring some of."""
        for download in self._desk.downloads:
            if download.active and self._joins(download, now):
                yield from download.active

    def _take_over(self, now: float) -> None:
        """Count no more on what other sources have let stall, if this one is there for it."""
        if not self.standing.lively(now) or self._desk.manner.rationed:  # then it is us for whom orders wait
            return
        for other in self._others:
            for order in other.stalled(now):
                if self.serves(order.entry) and other.let_go(order):
                    self._desk.choice.stalled(other.standing, now)

    # -- giving back ----------------------------------------------------------------------------

    def _lightened(self, now: float) -> None:
        """Let go of orders that would take long, where fewer are worth having than there are.

        Only to wait for orders to end would be to keep the slowest.
        """
        leaves = self._excess or (self.standing.rested is not None and self.standing.rests(now) and len(self.out))
        if not leaves:
            return
        staying = [order for order in self.out if isinstance(order, FileOrder) and not order.leaving]
        if not self._excess:
            staying = [order for order in staying if self._yields(order.entry, now)]
        staying.sort(key=lambda order: -order.needs_s(now, self.speed))
        for order in staying[:leaves]:
            order.leaving = True
            rest = order.share(0) if order.needs_s(now, self.speed) > SPAN_S else None
            if rest is not None:
                order.download.unassigned.appendleft(rest)
        if staying:
            self._desk.stir()

    @property
    def _excess(self) -> int:
        """Orders too many, whatever the proof says: it lags for moments only."""
        if self._desk.manner.connections or not self._ranges or len(self.out) <= self.pace.connections(FEW):
            return 0
        leaving = sum(isinstance(order, FileOrder) and order.leaving for order in self.out)
        return max(len(self.out) - leaving - self.pace.connections(self._least), 0)


def open_lane(desk: Desk, supplier: Supplier, entries: Collection[Entry] = ()) -> Lane:
    """The lane of one more supplier at a desk; of a place of this machine it is known what it lacks of `entries`."""
    near = isinstance(supplier, Nearby)
    lacks: dict[Digest, MirrorError] = {}
    if isinstance(supplier, Nearby):
        lacks = {one.digest: NotHere(one.path) for one in entries if not supplier.holds(desk.manifest, one)}
    lane = Lane(desk, supplier.name, desk.choice.join(near=near), lacks)
    desk.lanes.append(lane)
    if near and len(lacks) == len({one.digest for one in entries}):
        with desk.lock:
            lane.dismiss(Unavailable(supplier.name, "it has none of the files that are lacking here"))
    return lane
