"""Orders that pay before they take: what passes, in which order, and what is said of it."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

import pytest

from hfmirror.errors import Unavailable
from hfmirror.model import Span
from hfmirror.timetable import Limit, Timetable
from hfmirror.transfer.bucket import OwnLine
from hfmirror.transfer.budget import WINDOW, Budget, Clock, metered
from hfmirror.transfer.events import Limited, silent
from hfmirror.transfer.fetch import Work
from hfmirror.transfer.manner import Manner
from tests.contracts.scene import entry, manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Sized

    from hfmirror.errors import MirrorError
    from hfmirror.model import Entry, Manifest
    from hfmirror.ports import Chunk, Order, OrderBook
    from hfmirror.transfer.events import Event

SOON_S = 20.0  # real seconds after which what should happen is taken to hang
RATE = 100_000  # bytes a second
NINE = time.mktime((2026, 3, 4, 9, 0, 0, 0, 0, -1))  # in the morning, local time


class Wall:
    """A clock on the wall that moves when somebody sleeps."""

    def __init__(self, now: float = NINE) -> None:
        self.now = now
        self._lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds

    def clock(self, sleep: Callable[[float], None] | None = None) -> Clock:
        return Clock(lambda: self.now, sleep or self.sleep)


class Taker:
    """An order that remembers."""

    def __init__(self, enough: int = 10**9) -> None:
        self.entry, self.span = entry(b"any"), Span(0, 3)
        self.manifest = manifest([self.entry])
        self.pieces: list[bytes] = []
        self.ends: list[MirrorError | None] = []
        self._enough = enough

    def take(self, data: Chunk) -> bool:
        self.pieces.append(bytes(data))
        return sum(map(len, self.pieces)) < self._enough

    def done(self) -> None:
        self.ends.append(None)

    def fail(self, error: MirrorError) -> None:
        self.ends.append(error)


class Shelf:
    """A book with the orders it was given."""

    connections, closed = 7, False

    def __init__(self, *orders: Order) -> None:
        self._orders = deque(orders)

    def next(self, wait_s: float) -> Order | None:
        return self._orders.popleft() if self._orders else None


def budget(wall: Wall, text: str = str(RATE), sleep: Callable[[float], None] | None = None) -> Budget:
    return Budget(Timetable.parse(text, "the test"), OwnLine(), wall.clock(sleep))


def only(order: Order, within: Budget) -> Order:
    taken = metered(Shelf(order), within, silent).next(0.0)
    assert taken is not None
    return taken


def test_without_a_budget_the_book_is_the_book() -> None:
    book = Shelf()
    assert metered(book, None, silent) is book


def test_all_bytes_pass_in_their_order_and_take_their_time() -> None:
    wall, taker = Wall(), Taker()
    data = bytes(range(256)) * 4000
    assert only(taker, budget(wall)).take(data)
    assert b"".join(taker.pieces) == data
    assert wall.now - NINE == pytest.approx(len(data) / RATE, abs=0.4)
    assert max(map(len, taker.pieces)) <= RATE * 0.05, "they come smoothly"


def test_an_order_that_has_enough_takes_and_pays_no_more() -> None:
    wall, taker = Wall(), Taker(enough=10_000)
    assert not only(taker, budget(wall)).take(bytes(RATE * 100))
    assert wall.now - NINE < 1.0


def test_an_end_is_passed_on_and_so_is_what_it_is_about() -> None:
    good, bad = Taker(), Taker()
    within, error = budget(Wall()), Unavailable("the test", "broke")
    only(good, within).done()
    only(bad, within).fail(error)
    assert (good.ends, bad.ends) == ([None], [error])
    order = only(good, within)
    assert (order.manifest, order.entry, order.span) == (good.manifest, good.entry, good.span)


def test_the_book_is_asked_for_everything_else() -> None:
    book = metered(Shelf(), budget(Wall()), silent)
    assert (book.connections, book.closed, book.next(0.0)) == (7, False, None)


def test_without_a_limit_just_now_all_passes_at_once() -> None:
    wall, taker = Wall(), Taker()
    only(taker, budget(wall, "08:00 off, 19:00 1K")).take(bytes(10**6))
    assert (len(taker.pieces), wall.now) == (1, NINE)


def test_the_hour_changes_the_rate_in_the_middle() -> None:
    wall, taker = Wall(NINE - 10), Taker()
    only(taker, budget(wall, f"08:00 {RATE}, 09:00 {RATE * 10}")).take(bytes(RATE * 110))
    assert wall.now - NINE == pytest.approx(10.0, abs=0.5), "ten seconds at the one rate, and ten at the other"


def test_the_watcher_hears_what_holds_and_what_changes() -> None:
    wall = Wall(NINE - 10)
    events: list[Event] = []
    book = metered(Shelf(), budget(wall, "08:00 1M, 09:00 off"), events.append)
    for _ in range(3):
        book.next(0.0)
    wall.sleep(11)
    book.next(0.0)
    assert events == [Limited(Limit(2**20, "09:00")), Limited(Limit(None, "08:00"))]


def test_the_watcher_of_many_sources_hears_it_once() -> None:
    events: list[Event] = []
    within, hear = budget(Wall()), events.append
    for _ in range(3):
        metered(Shelf(), within, hear).next(0.0)
    assert events == [Limited(Limit(RATE))]


def test_the_system_takes_in_little_ahead_of_us() -> None:
    assert budget(Wall(), "4M").window() == 2**22 // 40
    assert budget(Wall(), "1K").window() == WINDOW
    assert budget(Wall(), "08:00 off, 10:00 1K").window() is None


def test_a_rate_so_low_that_a_byte_takes_long_still_lets_bytes_pass() -> None:
    wall, taker = Wall(), Taker()
    only(taker, budget(wall, "3")).take(bytes(9))
    assert taker.pieces == [b"\0"] * 9
    assert wall.now - NINE == pytest.approx(3.0, abs=0.7)


def test_it_is_short_while_somebody_has_to_wait() -> None:
    wall = Wall()
    within = budget(wall)
    assert not within.short
    only(Taker(), within).take(bytes(RATE))
    assert within.short
    wall.sleep(60)
    assert not within.short


def test_many_threads_together_keep_to_the_rate() -> None:
    wall = Wall()
    within = budget(wall)
    threads = [threading.Thread(target=only(Taker(), within).take, args=(bytes(RATE),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON_S)
    assert wall.now - NINE == pytest.approx(8.0, abs=0.4)


def test_who_waits_longest_is_next() -> None:
    """A plain lock would go to the thread that has just let go of it, again and again."""
    wall, gate = Wall(), threading.Semaphore(0)
    turns: list[str] = []

    def sleep(seconds: float) -> None:
        if threading.current_thread().name in "abc":
            assert gate.acquire(timeout=SOON_S)
            turns.append(threading.current_thread().name)
        wall.sleep(seconds)

    within = budget(wall, sleep=sleep)
    while not within.short:
        within.spend(10**6)  # what may be caught up on
    threads = [threading.Thread(target=lambda: [within.spend(10**6) for _ in range(4)], name=name) for name in "abc"]
    for number, thread in enumerate(threads, 1):
        thread.start()
        await_length(within._turns, number)
    for turn in range(12):
        await_length(within._turns, min(3, 12 - turn))
        gate.release()
        await_length(turns, turn + 1)
    for thread in threads:
        thread.join(SOON_S)
    assert "".join(turns) == "abc" * 4


def await_length(of: Sized, length: int) -> None:
    deadline = time.monotonic() + SOON_S
    while len(of) != length:
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Far:
    """A supplier with a fast engine."""

    name = "far"

    def run(self, book: OrderBook) -> None:
        self.book = book


class Near(Far):
    """One of this machine."""

    def holds(self, listing: Manifest, one: Entry) -> bool:
        return True


@pytest.mark.parametrize(("limited", "near", "fast"), [(False, False, True), (True, False, False), (True, True, True)])
def test_what_is_limited_goes_by_threads_and_what_is_of_this_machine_is_not_limited(
    limited: bool, near: bool, fast: bool
) -> None:
    supplier, book = (Near if near else Far)(), Shelf()
    book.closed = True
    Work(supplier, book).run(Manner(budget=budget(Wall()) if limited else None), silent)  # type: ignore[arg-type]
    assert (getattr(supplier, "book", None) is book) is fast
