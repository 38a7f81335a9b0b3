"""The desk and its pace: what is asked for at once, who helps whom at the end, how a number rises and falls."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from hfmirror.errors import LinkExpired, RateLimited, StoreError, Unreachable
from hfmirror.model import PART, Span
from hfmirror.store.partial import DiskIntake
from hfmirror.transfer.lanes import AHEAD, MANY, PROBE
from hfmirror.transfer.orders import FileOrder
from hfmirror.transfer.reports import FEW
from hfmirror.transfer.threads import ThreadEngine
from tests.contracts.engine import Book, Wanted
from tests.contracts.scene import entry, manifest
from tests.unit.transfer.scripted import end, fill, serve, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfmirror.model import Entry, Manifest
    from hfmirror.store.disk import DiskStore
    from tests.unit.transfer.scripted import AnyOrder, Table

DATA = os.urandom(12 * PART + 77)
WIDE = entry(DATA, "wide.bin")
OTHER_DATA = os.urandom(3 * PART)
OTHER = entry(OTHER_DATA, "other.bin")
FILES = {"wide.bin": DATA, "other.bin": OTHER_DATA}
CUT = Unreachable("the test", "cut")


def file_order(at: Table) -> FileOrder:
    """The next order, which is about a large file."""
    order = at.order()
    assert isinstance(order, FileOrder)
    return order


def probed(at: Table, seconds: float) -> None:
    """The first order, brought in so many seconds: ranges work, and so fast is a connection."""
    first = at.order()
    at.clock.now += seconds
    end(fill(first, DATA))


def bring(order: AnyOrder, count: int, data: bytes = DATA) -> bool:
    """So many more bytes of an order; whether it wants yet more."""
    assert isinstance(order, FileOrder)
    start = order.span.start + order.got
    return order.take(data[start : start + count])


# -- what is asked for at once ------------------------------------------------------------------


def test_spans_follow_the_rate_of_a_connection(store: DiskStore) -> None:
    with table(store, [WIDE], connections=1) as at:
        probed(at, 1.0)
        slow = at.order()
        assert slow.span == Span(PROBE, PART)
        at.clock.now += 0.4
        end(fill(slow, DATA))
        assert at.order().span == Span(PART, 4 * PART), (
            "up to a multiple of four parts, which take less than two seconds"
        )


def test_what_is_left_is_shared_among_the_connections(store: DiskStore) -> None:
    with table(store, [WIDE], connections=16) as at:
        probed(at, 1.0)
        spans = [at.order().span for _ in range(16)]
    assert max(span.size for span in spans[1:]) <= PART
    assert spans[-1].size < PART, "nobody is left alone with much while others idle"


def test_while_whole_files_are_left_nothing_is_cut_small(store: DiskStore) -> None:
    with table(store, [WIDE, OTHER], connections=16) as at:
        probed(at, 1.0)
        assert [at.order().span.size for _ in range(3)][1:] == [PART, PART]


def test_the_first_bytes_of_one_file_and_the_rest_of_it_may_come_in_any_order(store: DiskStore) -> None:
    with table(store, [WIDE, OTHER]) as at:
        first, second = at.order(), at.order()
        end(fill(second, OTHER_DATA))  # shows that ranges work, while the other's first order is out
        bring(first, 100)
        rest = at.order()
        assert rest.span.start == PROBE
        end(fill(rest, DATA))
        bring(first, PROBE)
        end(first)
        serve(at, FILES)
        at.settle()
    assert store.has(WIDE.digest)


# -- help at the end ----------------------------------------------------------------------------


def last_two(at: Table) -> tuple[FileOrder, FileOrder]:
    """The file but for its last order, which brought 70 000 bytes and hangs; and the order that is to help it."""
    probed(at, 0.2)
    slow = file_order(at)
    bring(slow, 70_000)
    at.clock.now += 40.0
    for order in iter(lambda: at.lane.next(0.0), None):
        assert isinstance(order, FileOrder)
        if order.span.start < slow.span.stop:
            return slow, order
        at.clock.now += 0.5
        end(fill(order, DATA))
    pytest.fail("nobody helps")


def test_an_idle_connection_helps_the_slowest_order_at_the_end(store: DiskStore) -> None:
    with table(store, [WIDE], connections=2) as at:
        slow, help_ = last_two(at)
        assert slow.span.start + slow.got < help_.span.start < help_.span.stop == slow.span.stop
        assert slow.wanted[-1].stop == help_.span.start, "each byte is asked for once"
        end(fill(help_, DATA))
        assert not bring(slow, PART), "the connection is told to stop"
        end(slow)
        at.settle()
        assert at.desk.closed
    assert store.has(WIDE.digest)


def test_bytes_beyond_what_was_given_away_are_not_taken_for_a_server_without_ranges(store: DiskStore) -> None:
    with table(store, [WIDE], connections=2) as at:
        slow, help_ = last_two(at)
        assert not bring(slow, PART)
        assert at.lane._ranges
        assert help_.wanted == [help_.span], "it was not taken over"


def test_who_has_enough_waits_for_no_more(store: DiskStore) -> None:
    with table(store, [WIDE], connections=2) as at:
        slow, help_ = last_two(at)
        start = slow.span.start + slow.got
        assert not slow.take(DATA[start : help_.span.start])


def test_a_helped_order_that_breaks_gives_back_only_its_own(store: DiskStore) -> None:
    with table(store, [WIDE], connections=2) as at:
        slow, help_ = last_two(at)
        bring(slow, 1000)
        end(slow, CUT)
        again = at.order()
        assert again.span == Span(slow.span.start + 71_000, help_.span.start)
        end(fill(again, DATA))
        end(fill(help_, DATA))
        at.settle()
    assert store.has(WIDE.digest)


def test_what_a_full_disk_kept_out_is_still_wanted(store: DiskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(intake: DiskIntake, start: int, data: bytes) -> None:
        raise StoreError("here", "full")

    with table(store, [WIDE], connections=1) as at:
        order = file_order(at)
        monkeypatch.setattr(DiskIntake, "write", full)
        with pytest.raises(StoreError):
            bring(order, 100)
        assert sum(span.size for span in order.wanted) == PROBE


def test_nobody_is_helped_who_is_soon_done(store: DiskStore) -> None:
    with table(store, [WIDE], connections=2) as at:
        probed(at, 0.2)
        last = file_order(at)
        for order in iter(lambda: at.lane.next(0.0), None):
            assert isinstance(order, FileOrder)
            end(fill(order, DATA))
        at.clock.now += 0.1
        fill(last, DATA, stop=last.span.stop - 1000)
        assert at.none_due()


# -- more and fewer -----------------------------------------------------------------------------


class Dial:
    """A pace that is set by hand, in the place of the desk's own."""

    def __init__(self, at: Table, number: int) -> None:
        self.number = number
        at.lane.pace.connections = lambda least: self.number  # type: ignore[method-assign]


def test_a_rising_number_is_followed_at_once(store: DiskStore) -> None:
    with table(store, [WIDE, OTHER]) as at:
        probed(at, 1.0)
        dial = Dial(at, 1)
        at.order()
        assert at.none_due()
        dial.number = 3
        at.order()
        at.order()
        assert at.none_due()


def test_a_falling_number_is_followed_by_not_ordering_anew(store: DiskStore) -> None:
    with table(store, [WIDE]) as at:
        probed(at, 0.2)
        dial = Dial(at, 3)
        orders = [file_order(at) for _ in range(3)]
        dial.number = 1
        for order in orders[:2]:
            assert at.none_due()
            end(fill(order, DATA))
        assert at.none_due()
        end(fill(orders[2], DATA))
        at.order()


def test_when_fewer_are_worth_having_the_slowest_are_let_go(store: DiskStore) -> None:
    with table(store, [WIDE]) as at:
        probed(at, 0.2)
        dial = Dial(at, 2)
        slow, quick = file_order(at), file_order(at)
        at.clock.now += 20.0
        bring(slow, 1000)
        dial.number = 1
        fill(quick, DATA, stop=quick.span.stop - 10)
        assert slow.leaving
        assert not quick.leaving
        assert sum(span.size for span in slow.wanted) < PART // 8, "its rest is for others"
        assert not bring(slow, PART)
        end(slow)
        bring(quick, 10)
        end(quick)
        again = file_order(at)
        assert again.span.start == slow.span.start + slow.got
        end(fill(again, DATA))
        serve(at, FILES)
        at.settle()
    assert store.has(WIDE.digest)


def test_nobody_is_let_go_because_the_proof_lags(store: DiskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with table(store, [WIDE]) as at:
        probed(at, 0.2)
        slow, quick = file_order(at), file_order(at)
        monkeypatch.setattr(DiskIntake, "unproven", AHEAD + 1)
        assert at.lane.connections == 1
        at.clock.now += 20.0
        bring(quick, 1000)
        assert not slow.leaving
        assert not quick.leaving


def test_nobody_is_let_go_when_the_number_was_given(store: DiskStore) -> None:
    with table(store, [WIDE], connections=2) as at:
        probed(at, 0.2)
        slow, quick = file_order(at), file_order(at)
        Dial(at, 1)
        at.clock.now += 20.0
        bring(quick, 1000)
        assert not slow.leaving
        assert at.lane.connections == 2


@pytest.mark.parametrize(("round_s", "number"), [(0.01, FEW), (0.1, MANY)])
def test_a_source_that_is_far_away_is_asked_by_many_at_once(store: DiskStore, round_s: float, number: int) -> None:
    with table(store, [WIDE]) as at:
        probed(at, round_s)
        assert at.lane.connections == number


@pytest.mark.parametrize("error", [RateLimited("the test", 1.0), CUT])
def test_a_source_that_refuses_some_is_asked_by_fewer(store: DiskStore, error: Unreachable) -> None:
    with table(store, [WIDE]) as at:
        probed(at, 1.0)
        one, other = at.order(), at.order()
        at.clock.now += 0.1
        bring(one, 1000)
        end(other, error)
        assert at.lane.connections == MANY // 2


@pytest.mark.parametrize("error", [LinkExpired("the test", "403")])
def test_a_refusal_with_another_reason_does_not_count(store: DiskStore, error: LinkExpired) -> None:
    with table(store, [WIDE]) as at:
        probed(at, 1.0)
        one, other = at.order(), at.order()
        at.clock.now += 0.1
        bring(one, 1000)
        end(other, error)
        assert at.lane.connections == MANY


def test_a_cable_that_is_out_does_not_count(store: DiskStore) -> None:
    with table(store, [WIDE]) as at:
        probed(at, 1.0)
        for order in [at.order(), at.order()]:
            end(order, CUT)
        for _ in range(5):
            assert at.lane.connections == MANY
            at.clock.now += 40
            end(at.order(), CUT)


# -- the engine of threads ----------------------------------------------------------------------


class Gate:
    """A supplier that lets nobody through before it is told to, and knows how many wait."""

    name = "a gate"

    def __init__(self) -> None:
        self.inside = threading.Semaphore(0)
        self.opened = threading.Event()

    @contextmanager
    def open(self, manifest: Manifest, entry: Entry, span: Span) -> Iterator[list[bytes]]:
        self.inside.release()
        assert self.opened.wait(20)
        yield [DATA[span.start : span.stop]]


def test_threads_follow_a_rising_number() -> None:
    listing = manifest([WIDE])
    book = Book([Wanted(listing, WIDE, Span(at, at + 10)) for at in range(12)], connections=1)
    gate = Gate()
    engine = threading.Thread(target=ThreadEngine(gate).run, args=(book,), daemon=True)
    engine.start()
    try:
        assert gate.inside.acquire(timeout=20)
        book.connections = 9
        for _ in range(8):
            assert gate.inside.acquire(timeout=20), "nine are allowed, and fewer are at work"
    finally:
        gate.opened.set()
        engine.join(20)
    assert book.most_out >= 9
    assert not engine.is_alive()
