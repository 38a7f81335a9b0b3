"""A limit to what comes, whoever fetches it: an `OrderBook` whose orders pay for every byte first.

No engine and no desk knows of it: an order that is made to wait holds back its thread, so its connection
is not read, and TCP holds back the source. Where one thread reads all connections, each would wait for
every other; so what is limited is fetched by threads (`fetch` sees to that).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hfmirror.transfer.bucket import Bucket
from hfmirror.transfer.events import Limited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hfmirror.errors import MirrorError
    from hfmirror.model import Entry, Manifest, Span
    from hfmirror.ports import Chunk, Order, OrderBook
    from hfmirror.timetable import Limit, Timetable
    from hfmirror.transfer.bucket import Line
    from hfmirror.transfer.events import Watcher

SLICE_S: Final = (0.005, 0.05)  # seconds of the line paid at once, usually and at most
SLICE: Final = 4096  # bytes paid at once, at least, while that does not take too long
WINDOW_S: Final = 0.025  # seconds of the line that may lie in the system's buffer of each connection
WINDOW: Final = 16 * 2**10  # bytes there, at least
SHORT_S: Final = 2.0  # seconds for which a wait is remembered


@dataclass(frozen=True, slots=True)
class Clock:
    """The time on the wall, which processes share; and waiting."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


class Budget:
    """What may come over the line of this process, and of those who share its number. Thread-safe."""

    def __init__(self, timetable: Timetable, line: Line, clock: Clock | None = None) -> None:
        self._timetable, self._bucket = timetable, Bucket(line)
        self._clock = clock or Clock()
        self._waited = 0.0  # when somebody last had to
        self._turns: deque[threading.Event] = deque()  # of those who wait; the first is having its turn
        self._told: tuple[Limit, Watcher] | None = None
        self._lock = threading.Lock()

    def limit(self) -> Limit:
        """What holds just now."""
        there = time.localtime(self._clock.now())
        return self._timetable.at(there.tm_hour * 60 + there.tm_min)

    def tell(self, watch: Watcher) -> None:
        """Let a watcher hear what holds, unless he is the last who did."""
        news = (self.limit(), watch)
        with self._lock:
            if news == self._told:
                return
            self._told = news
        watch(Limited(news[0]))

    def window(self) -> int | None:
        """Bytes that the system may take in ahead of us on a connection; None while there is no limit."""
        rate = self.limit().rate
        return None if rate is None else max(int(rate * WINDOW_S), WINDOW)

    def spend(self, most: int) -> int:
        """Wait until some bytes may come; how many, `most` at most."""
        if self.limit().rate is None:
            return most
        with self._turn():
            rate = self.limit().rate  # the turn may have been long in coming
            if rate is None:
                return most
            least, longest = (int(rate * seconds) for seconds in SLICE_S)
            size = min(most, max(least, min(SLICE, longest), 1))
            now = self._clock.now()
            wait = self._bucket.spend(now, size / rate) - now
            if wait > 0:
                self._waited = now
                self._clock.sleep(wait)
            return size

    @property
    def short(self) -> bool:
        """Whether somebody had to wait lately: more would come if it might."""
        return 0 <= self._clock.now() - self._waited < SHORT_S

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One after the other, in the order they came: a lock would go to whoever had it last."""
        mine = threading.Event()
        with self._lock:
            self._turns.append(mine)
            self._turns[0].set()
        mine.wait()
        try:
            yield
        finally:
            with self._lock:
                self._turns.popleft()
                if self._turns:
                    self._turns[0].set()


def metered(book: OrderBook, budget: Budget | None, watch: Watcher) -> OrderBook:
    """The book, held to the budget if there is one."""
    return book if budget is None else Metered(book, budget, watch)


class Metered:
    """An order book whose orders spend before they take."""

    def __init__(self, book: OrderBook, budget: Budget, watch: Watcher) -> None:
        self._book, self._budget, self._watch = book, budget, watch

    @property
    def connections(self) -> int:
        """As the book says."""
        return self._book.connections

    @property
    def closed(self) -> bool:
        """As the book says."""
        return self._book.closed

    def next(self, wait_s: float) -> Order | None:
        """As the book says. The watcher hears what limit holds, at first and when that changes."""
        self._budget.tell(self._watch)
        order = self._book.next(wait_s)
        return None if order is None else MeteredOrder(order, self._budget)


class MeteredOrder:
    """An order that spends before it takes."""

    def __init__(self, order: Order, budget: Budget) -> None:
        self._order, self._budget = order, budget

    @property
    def manifest(self) -> Manifest:
        """As the order says."""
        return self._order.manifest

    @property
    def entry(self) -> Entry:
        """As the order says."""
        return self._order.entry

    @property
    def span(self) -> Span:
        """As the order says."""
        return self._order.span

    def take(self, data: Chunk) -> bool:
        """The next bytes, as fast as they may come."""
        view = memoryview(data)
        while len(view):
            size = self._budget.spend(len(view))
            if not self._order.take(view[:size]):
                return False
            view = view[size:]
        return True

    def done(self) -> None:
        """The stream ended."""
        self._order.done()

    def fail(self, error: MirrorError) -> None:
        """The stream broke."""
        self._order.fail(error)
