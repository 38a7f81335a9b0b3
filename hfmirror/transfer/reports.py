"""What follows from how the orders of one source went: try again, wait, do without it, give up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfmirror.errors import (
    EntryNotFound,
    Intercepted,
    LinkExpired,
    NotHere,
    OutOfPatience,
    ProtocolError,
    RangesIgnored,
    RateLimited,
    StoreError,
    StoreLocked,
    Unavailable,
    Unexpected,
)
from hfmirror.transfer.events import Arrived, Dismissed, Waiting
from hfmirror.transfer.orders import FileOrder, Rest, WholeOrder
from hfmirror.transfer.pace import Pace
from hfmirror.transfer.patience import Patience

if TYPE_CHECKING:
    from hfmirror.errors import MirrorError
    from hfmirror.model import Digest, Entry, Span
    from hfmirror.transfer.choice import Standing
    from hfmirror.transfer.desk import Desk
    from hfmirror.transfer.events import Event
    from hfmirror.transfer.orders import AnyOrder, Download

FEW = 4  # connections to begin with for large files: best on a clean fast line
NEWS_S = 0.5  # seconds by which a pause must be longer than was said already, to be said again
STALL_S = 1.5  # seconds without a byte after which another source takes an order over
LIMITED_S = 10.0  # the same where the rate is limited: then each waits for its turn
LAPSES = 3  # in a row: ranges ignored by a source that honoured them, or answers no Hub would give, until that is it
TWICE = 2  # times that a file's bytes come wrong from a source until it is not asked for that file again


class Reports:
    """What is learnt of one source from its orders. Everything but the reports is called under the desk's lock."""

    def __init__(self, desk: Desk, source: str, standing: Standing, lacks: dict[Digest, MirrorError]) -> None:
        """`lacks`: contents that it is known not to have, and how sentences say that."""
        self._desk, self.source, self.standing, self.lacks = desk, source, standing, lacks
        self.out: list[AnyOrder] = []  # in flight
        self.over: MirrorError | None = None  # why nothing is asked of it any more
        self.banned = False  # it sent wrong bytes, and is asked only for what nobody else has
        self.pace = Pace(FEW)
        self._patience = Patience(desk.manner.patience_s, desk.clock)
        self._wrong: dict[Digest, int] = {}  # how often a content came wrong from it alone
        self._ranges: bool | None = None  # whether the source honours them; None until it has shown
        self._lapses = self._puzzles = 0
        self._not_before = 0.0

    # -- what it is good for --------------------------------------------------------------------

    @property
    def speed(self) -> float:
        """Bytes a second of one connection, as far as it can be told."""
        return self.pace.speed

    @property
    def ranged(self) -> bool | None:
        """Whether it can send parts of files; None until it has shown."""
        return self._ranges

    def serves(self, entry: Entry) -> bool:
        """Whether this source may have a file, as far as is known."""
        return self.over is None and entry.digest not in self.lacks

    def stalled(self, now: float) -> list[AnyOrder]:
        """The orders that have brought nothing for too long."""
        longest = STALL_S if self._desk.manner.budget is None else LIMITED_S
        return [order for order in self.out if not order.gone and now - order.heard >= longest]

    def why_not(self, entry: Entry) -> MirrorError | None:
        """Why it cannot bring a file."""
        return self.lacks.get(entry.digest) or self.over

    # -- what orders report -------------------------------------------------------------------

    def arrived(self, order: AnyOrder, size: int) -> None:
        """New bytes. Called for each block, without the lock."""
        desk = self._desk
        now = desk.clock()
        desk.encourage(now)
        with desk.lock:
            order.heard = now
            self._patience.failures = self._puzzles = 0
            if order.got == size:
                self.pace.opened(now - order.since)
            self.pace.arrived(now, size)
            if len(desk.lanes) > 1:
                desk.choice.arrived(self.standing, now, size)
            self._lightened(now)
            if isinstance(order, FileOrder) and self._ranges and self not in order.download.opened:
                order.download.opened.add(self)
                desk.stir()
            if self.over is not None:
                self.let_go(order)
        desk.watch(Arrived(order.entry, size, self.source))

    def overrun(self, order: FileOrder) -> list[Span]:
        """The source sends on past the span: it knows no ranges, so let it bring all it can."""
        with self._desk.lock:
            self._ranges = False
            download = order.download
            if self._honoured_elsewhere(download):
                return []
            ahead = sorted(span for span in download.unassigned if span.start >= order.span.stop)
            for span in ahead:
                download.unassigned.remove(span)
            return ahead

    def ended(self, order: AnyOrder, error: MirrorError | None) -> None:
        """An order is over; what it did not bring is wanted again."""
        desk = self._desk
        events: list[Event] = []
        now = desk.clock()
        with desk.lock:
            self.out.remove(order)
            self.pace.ended(now, order.got, now - order.since)
            desk.choice.ended(self.standing, now)
            if not desk.over:  # else what came is in the intake, and nobody will ask for the rest
                error = self._returned(order, error)
                if error is not None and self.over is None:
                    self._judge(order, error, events)
            desk.stir()
        for event in events:
            desk.tell(event)

    def _returned(self, order: AnyOrder, error: MirrorError | None) -> MirrorError | None:
        """Take back what an order did not bring; what went wrong with it, if anything did."""
        self._lapses = 0 if order.got else self._lapses
        if isinstance(order, FileOrder):
            return self._file_returned(order, error)
        if not order.gone:
            self._desk.gathering.discard(order)
            if order.complete:
                self._desk.gathered(order)
                return None
            self._desk.small.append(Rest(order.entry) if isinstance(error, RangesIgnored) else order.rest)
        return self._nothing_came(order, error)

    def _file_returned(self, order: FileOrder, error: MirrorError | None) -> MirrorError | None:
        download = order.download
        if order.gone:
            return self._nothing_came(order, error)
        if order.got:
            download.opened.add(self)
        left = bool(order.wanted)
        if error is None and not left and self._ranges is None and order.span.size < order.entry.size:
            self._ranges = True
        download.take_back(order, order.wanted)
        self._desk.finish_if_complete(download)
        return self._nothing_came(order, error) if left else error

    def _nothing_came(self, order: AnyOrder, error: MirrorError | None) -> MirrorError | None:
        if error is None and not order.got and not order.gone:
            return Unavailable(self.source, "ended its answer before the first byte")
        return error

    # -- what follows ---------------------------------------------------------------------------

    def _judge(self, order: AnyOrder, error: MirrorError, events: list[Event]) -> None:
        """Try again, go on without this file or this source, or give up."""
        desk = self._desk
        if isinstance(error, RangesIgnored):
            self._lapses += 1
            self._ranges = bool(self._ranges) and self._lapses < LAPSES
        elif isinstance(error, StoreLocked):
            desk.leave_to_others(order)
        elif isinstance(error, StoreError | Unexpected):
            desk.give_up(error)  # that is about us, and no other source would help
        elif not error.retryable:
            self._refused_for_good(order.entry, error)
        elif order.got:
            events.append(Waiting(error, 0.0))
        else:
            if not isinstance(error, LinkExpired | Intercepted):  # these have another reason than too many orders
                self.pace.refused(desk.clock(), order.since)
            self._pause(error, events)

    def _refused_for_good(self, entry: Entry, error: MirrorError) -> None:
        """Ask nothing more of this source, or not this file."""
        lacking = isinstance(error, EntryNotFound | NotHere)
        if isinstance(error, ProtocolError) and any(other.serves(entry) for other in self._others):
            self._puzzles += 1  # a plain server says so of a file it does not have
            lacking = self._puzzles < LAPSES
        if lacking:
            self.lacks[entry.digest] = error
            self._desk.despair(entry)
        else:
            self.dismiss(error)

    def dismiss(self, error: MirrorError) -> None:
        """Ask nothing more of this source."""
        self.over = error
        self._desk.choice.leave(self.standing)
        self.let_all_go()
        if any(other.over is None for other in self._others):
            self._desk.tell(Dismissed(self.source, error))
        self._desk.dismissed()

    def _pause(self, error: MirrorError, events: list[Event]) -> None:
        """Order nothing for a while, or give up when no byte has come from anybody for too long.

        What many connections meet together is one failure, not many in a row.
        """
        desk = self._desk
        now = desk.clock()
        if now < self._not_before and not isinstance(error, RateLimited):
            events.append(Waiting(error, 0.0))
            return
        self._patience.renew(desk.heard)
        try:
            pause = self._patience.pause_after(error, *desk.progress())
        except OutOfPatience as over:
            desk.give_up(over)
            return
        longer = now + pause > self._not_before + NEWS_S
        self._not_before = max(self._not_before, now + pause)
        desk.choice.paused(self.standing, self._not_before)
        relieved = self._patience.failures > 1 and any(other.standing.lively(now) for other in self._others)
        events.append(Waiting(error, pause if longer and not relieved else 0.0))

    # -- letting go -----------------------------------------------------------------------------

    def let_go(self, order: AnyOrder) -> bool:
        """Count no more on an order; False when it is just bringing something."""
        desk = self._desk
        if order.gone:
            return False
        if isinstance(order, WholeOrder):
            desk.gathering.discard(order)
            desk.small.appendleft(order.let_go())
        else:
            rest = order.let_go()
            if rest is None:
                return False
            order.download.take_back(order, rest)
            desk.finish_if_complete(order.download)
        desk.stir()
        return True

    def let_all_go(self) -> None:
        """Count no more on any order."""
        for order in list(self.out):
            self.let_go(order)

    def found_out(self, entry: Entry, error: MirrorError) -> None:
        """It alone brought wrong bytes of this file. A place of this machine is only passed over for it."""
        self._wrong[entry.digest] = self._wrong.get(entry.digest, 0) + 1
        if self.standing.near or self._wrong[entry.digest] >= TWICE:
            self.lacks[entry.digest] = error
        elif any(other.over is None for other in self._others) and not self.banned:
            self.banned = True
            self.let_all_go()

    # -- beside the others ------------------------------------------------------------------------

    @property
    def _others(self) -> list[Reports]:
        return [lane for lane in self._desk.lanes if lane is not self]

    def _honoured_elsewhere(self, download: Download) -> bool:
        """Whether another source can send parts of this file, and will: who is banned, or avoided, leaves it to us."""
        if download.only is self:
            return False
        now, asked = self._desk.clock(), download.inquiry
        return any(
            other.ranged
            and other.serves(download.entry)
            and other.standing.lively(now)
            and (self.banned or not other.banned)
            and not (asked is not None and asked.avoids(other))
            for other in self._others
        )

    def _lightened(self, now: float) -> None:
        """Let go of orders that would take long, where fewer are worth having than there are: the lane knows."""
