"""The desk: which span is next, and what follows from how that went. No sockets, no clock."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hfmirror.errors import (
    AccessDenied,
    DigestMismatch,
    DiskFull,
    EntryNotFound,
    LinkExpired,
    MirrorError,
    OutOfPatience,
    RangesIgnored,
    RateLimited,
    StoreLocked,
    Unavailable,
    Unreachable,
)
from hfmirror.model import PART, Span
from hfmirror.store.partial import DiskIntake
from hfmirror.transfer.desk import ELSEWHERE_S, Desk
from hfmirror.transfer.events import Arrived, Elsewhere, Refused, Resumed, Sealed, Waiting
from hfmirror.transfer.lanes import MANY, PROBE, SPAN, open_lane
from hfmirror.transfer.manner import Manner
from hfmirror.transfer.orders import FileOrder, WholeOrder
from hfmirror.transfer.reports import FEW, LAPSES
from tests.contracts.scene import entry, manifest
from tests.unit.transfer.scripted import ALONE, end, fill, serve, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfmirror.model import Entry
    from hfmirror.store.disk import DiskStore
    from hfmirror.transfer.events import Event

BIG = os.urandom(3 * PART + 500)
LARGE = entry(BIG, "large.bin")
OTHER_BIG = os.urandom(2 * PART + 9)
OTHER = entry(OTHER_BIG, "other.bin")
SMALL = entry(b"small", "small.txt")
FILES = {"large.bin": BIG, "other.bin": OTHER_BIG, "small.txt": b"small"}
CUT = Unreachable("the test", "cut")


# -- when all is well ---------------------------------------------------------------------------


def test_everything_ordered_arrives_and_the_desk_closes(store: DiskStore) -> None:
    with table(store, [LARGE, OTHER, SMALL]) as at:
        serve(at, FILES)
        assert at.desk.closed
        assert {event.entry for event in at.said(Sealed)} == {LARGE, OTHER, SMALL}
        assert sum(event.size for event in at.said(Arrived)) == sum(map(len, FILES.values()))
    at.desk.raise_failures()
    assert all(store.has(one.digest) for one in (LARGE, OTHER, SMALL))


def test_the_first_span_is_a_probe_and_alone_until_it_is_answered(store: DiskStore) -> None:
    with table(store, [LARGE]) as at:
        first = at.order()
        assert first.span == Span(0, PROBE)
        assert at.none_due()
        end(fill(first, BIG))
        assert at.order().span == Span(PROBE, len(BIG))


def test_spans_end_at_multiples_so_that_no_part_is_shared(store: DiskStore) -> None:
    data = bytes(40 * PART)
    with table(store, [entry(data, "wide.bin")]) as at:
        end(fill(at.order(), data))
        spans = [at.order().span for _ in range(3)]
    assert spans == [Span(PROBE, SPAN), Span(SPAN, 2 * SPAN), Span(2 * SPAN, 40 * PART)]


@pytest.mark.parametrize(("entries", "expected"), [([LARGE, SMALL], FEW), ([SMALL], MANY)])
def test_large_files_get_few_connections_and_small_ones_many(
    store: DiskStore, entries: list[Entry], expected: int
) -> None:
    with table(store, entries) as at:
        assert at.lane.connections == expected


def test_no_more_is_in_flight_than_connections_are_allowed(store: DiskStore) -> None:
    with table(store, [LARGE, OTHER, SMALL], connections=1) as at:
        at.order()
        assert at.none_due()


def test_what_an_earlier_run_brought_is_not_ordered(store: DiskStore) -> None:
    with store.receive(LARGE) as intake:
        intake.write(PART, BIG[PART : 2 * PART])
    with table(store, [LARGE]) as at:
        first = at.order()
        assert first.span == Span(0, PROBE)
        end(fill(first, BIG))
        assert at.order().span == Span(PROBE, PART)
        assert at.order().span == Span(2 * PART, len(BIG))
        assert [event.kept for event in at.said(Resumed)] == [PART]


def test_what_is_whole_but_unproven_needs_no_order(store: DiskStore) -> None:
    with store.receive(LARGE) as intake:
        intake.write(0, BIG)
    with table(store, [LARGE]) as at:
        assert at.none_due()
        at.settle()
        assert at.desk.closed
    assert store.has(LARGE.digest)


# -- breaks -------------------------------------------------------------------------------------


def test_a_break_costs_only_what_had_not_come(store: DiskStore) -> None:
    with table(store, [LARGE]) as at:
        end(fill(at.order(), BIG))
        end(fill(at.order(), BIG, stop=300_000), CUT)
        assert at.order().span.start == 300_000


def test_a_small_file_goes_on_where_it_broke(store: DiskStore) -> None:
    with table(store, [SMALL]) as at:
        end(fill(at.order(), b"small", stop=3), CUT)
        again = at.order()
        assert again.span == Span(3, 5)
        end(fill(again, b"small"))
    assert store.has(SMALL.digest)


def test_a_break_after_new_bytes_is_tried_again_at_once_and_one_without_after_a_pause(store: DiskStore) -> None:
    with table(store, [LARGE]) as at:
        end(fill(at.order(), BIG, stop=10), CUT)
        end(at.order(), CUT)
        assert at.none_due()
        at_once, paused = at.said(Waiting)
        assert at_once.seconds == 0 < paused.seconds
        at.clock.now += paused.seconds + 0.001
        assert at.order().span.start == 10


def test_an_answer_that_ends_before_its_first_byte_is_a_failure(store: DiskStore) -> None:
    with table(store, [LARGE, SMALL], connections=2) as at:
        for order in (at.order(), at.order()):
            end(order)
        assert at.none_due()
        assert len(at.said(Waiting)) == 2


def test_a_short_body_without_a_complaint_is_asked_for_the_rest(store: DiskStore) -> None:
    with table(store, [LARGE]) as at:
        end(fill(at.order(), BIG, stop=1000))
        assert at.order().span.start == 1000


def test_a_limit_of_requests_is_waited_out(store: DiskStore) -> None:
    with table(store, [LARGE]) as at:
        end(at.order(), RateLimited("the test", 60.0))
        at.clock.now += 59
        assert at.none_due()
        at.clock.now += 2
        at.order()


def test_patience_ends_and_says_what_was_kept(store: DiskStore) -> None:
    with table(store, [LARGE], patience_s=10.0) as at:
        end(fill(at.order(), BIG, stop=PART))
        for _ in range(50):
            order = at.lane.next(0.0)
            if order is None:
                at.clock.now += 1
                continue
            order.fail(CUT)
            if at.desk.closed:
                break
        assert at.desk.closed
    with pytest.raises(OutOfPatience) as caught:
        at.desk.raise_failures()
    assert (caught.value.kept, caught.value.wanted, caught.value.patience_s) == (PART, len(BIG), 10.0)
    with store.receive(LARGE) as intake:
        assert intake.missing()[0].start == PART


def test_a_server_that_asks_for_more_patience_than_there_is_is_not_waited_for(store: DiskStore) -> None:
    with table(store, [LARGE], patience_s=900.0) as at:
        end(at.order(), RateLimited("the test", 86_400.0))
        for _ in range(100):
            at.clock.now += 10
            order = at.lane.next(0.0)
            if order is not None:
                order.fail(RateLimited("the test", 86_400.0))
        assert at.desk.closed


def test_a_single_new_byte_renews_all_patience(store: DiskStore) -> None:
    with table(store, [LARGE], patience_s=10.0) as at:
        for byte in range(20):
            end(fill(at.order(), BIG, stop=byte + 1), CUT)
            at.clock.now += 9
            end(at.order(), CUT)
            at.clock.now += 1
        assert not at.desk.closed


def test_the_time_a_resumed_file_takes_to_be_proven_is_no_silence(store: DiskStore) -> None:
    receive = store.receive
    with table(store, [LARGE], patience_s=10.0) as at:

        @contextmanager
        def slowly(one: Entry) -> Iterator[DiskIntake]:
            at.clock.now += 60  # many parts are being read back
            with receive(one) as intake:
                yield intake

        store.receive = slowly  # type: ignore[method-assign,assignment]
        end(at.order(), CUT)
        assert not at.desk.closed


def test_an_expired_address_is_tried_again(store: DiskStore) -> None:
    with table(store, [LARGE]) as at:
        end(at.order(), LinkExpired("the test", "403"))
        at.clock.now += 1
        serve(at, FILES)
    assert store.has(LARGE.digest)


# -- servers without ranges ---------------------------------------------------------------------


def test_a_server_that_sends_on_past_the_span_brings_the_whole_file_at_once(store: DiskStore) -> None:
    with table(store, [LARGE]) as at:
        order = at.order()
        for start in range(0, len(BIG), 200_000):
            order.take(BIG[start : start + 200_000])
        end(order)
        at.settle()
        assert at.desk.closed
    assert store.has(LARGE.digest)


def test_a_server_that_ignores_ranges_is_asked_for_the_file_from_its_start(store: DiskStore) -> None:
    with store.receive(LARGE) as intake:
        intake.write(0, BIG[:PART])
    with table(store, [LARGE]) as at:
        end(at.order(), RangesIgnored("the test"))
        whole = at.order()
        assert whole.span == Span(0, len(BIG))
        assert at.none_due(), "one stream brings all of it"
        end(fill(whole, BIG))
        at.settle()
        assert sum(event.size for event in at.said(Arrived)) == len(BIG) - PART
    assert store.has(LARGE.digest)


def test_a_whole_stream_that_breaks_starts_anew_and_keeps_what_came(store: DiskStore) -> None:
    with table(store, [LARGE]) as at:
        order = at.order()
        order.take(BIG[: PART + 700])  # past the span: no ranges here
        end(order, CUT)
        again = at.order()
        assert again.span == Span(0, len(BIG))
        end(fill(again, BIG))
        at.settle()
        assert sum(event.size for event in at.said(Arrived)) == len(BIG)
    assert store.has(LARGE.digest)


def test_one_lapse_of_a_server_that_honoured_ranges_is_forgiven(store: DiskStore) -> None:
    with table(store, [LARGE]) as at:
        end(fill(at.order(), BIG))
        for _ in range(LAPSES - 1):
            order = at.order()
            assert order.span.start == PROBE
            end(order, RangesIgnored("the test"))
        assert at.order().span.start == PROBE


def test_a_server_that_forgets_ranges_for_good_is_taken_as_it_is(store: DiskStore) -> None:
    with table(store, [LARGE]) as at:
        end(fill(at.order(), BIG))
        for _ in range(LAPSES):
            end(at.order(), RangesIgnored("the test"))
        whole = at.order()
        assert whole.span == Span(0, len(BIG))
        end(fill(whole, BIG))
        at.settle()
    assert store.has(LARGE.digest)


def test_a_small_file_starts_anew_where_ranges_are_ignored(store: DiskStore) -> None:
    with table(store, [SMALL]) as at:
        end(fill(at.order(), b"small", stop=3), CUT)
        end(at.order(), RangesIgnored("the test"))
        again = at.order()
        assert again.span == Span(0, 5)
        end(fill(again, b"small"))
    assert store.has(SMALL.digest)


# -- wrong bytes --------------------------------------------------------------------------------


@pytest.mark.parametrize("one", [LARGE, SMALL], ids=["large", "small"])
def test_wrong_bytes_are_fetched_once_more_from_the_start(store: DiskStore, one: Entry) -> None:
    wrong = {one.path: b"?" + FILES[one.path][1:]}
    with table(store, [one]) as at:
        first = at.order()
        end(fill(first, wrong[one.path]))
        while not at.said(Refused):
            end(fill(at.order(), wrong[one.path])) if not at.desk.closed and one is LARGE else None
            at.settle()
        (refused,) = at.said(Refused)
        assert (refused.again, type(refused.error)) == (True, DigestMismatch)
        serve(at, FILES)
        assert at.desk.closed
    at.desk.raise_failures()
    assert store.has(one.digest)


@pytest.mark.parametrize("one", [LARGE, SMALL], ids=["large", "small"])
def test_wrong_bytes_twice_are_a_failure_that_names_the_source_and_spares_the_others(
    store: DiskStore, one: Entry
) -> None:
    with table(store, [one, OTHER]) as at:
        serve(at, FILES | {one.path: b"?" + FILES[one.path][1:]})
        assert at.desk.closed
        assert [event.again for event in at.said(Refused)] == [True, False]
    with pytest.raises(DigestMismatch) as caught:
        at.desk.raise_failures()
    assert (caught.value.path, caught.value.source) == (one.path, "the test")
    assert not store.has(one.digest)
    assert store.has(OTHER.digest)


# -- what cannot be helped ----------------------------------------------------------------------


@pytest.mark.parametrize("one", [LARGE, SMALL], ids=["large", "small"])
def test_a_file_that_is_gone_fails_the_pull_but_not_the_other_files(store: DiskStore, one: Entry) -> None:
    with table(store, [LARGE, OTHER, SMALL], connections=1) as at:
        while not at.desk.closed:
            order = at.order()
            if order.entry == one:
                end(order, EntryNotFound("acme/tiny", one.path))
            else:
                end(fill(order, FILES[order.entry.path]))
            at.settle()
    with pytest.raises(EntryNotFound):
        at.desk.raise_failures()
    assert {other.path for other in (LARGE, OTHER, SMALL) if not store.has(other.digest)} == {one.path}


def test_a_file_that_vanishes_under_several_orders_ends_once_all_are_back(store: DiskStore) -> None:
    data = bytes(40 * PART)
    with table(store, [entry(data, "wide.bin"), SMALL]) as at:
        end(fill(at.order(), data))
        orders = [order for order in (at.order(), at.order(), at.order()) if isinstance(order, FileOrder)]
        for order in orders:
            end(order, EntryNotFound("acme/tiny", "wide.bin"))
        serve(at, FILES)
        assert at.desk.closed
    assert store.has(SMALL.digest)


@pytest.mark.parametrize("error", [AccessDenied("acme/tiny"), DiskFull("here", 10, 1)])
def test_what_no_retry_helps_stops_everything_and_keeps_the_parts(store: DiskStore, error: MirrorError) -> None:
    with table(store, [LARGE, OTHER, SMALL]) as at:
        end(fill(at.order(), BIG))
        end(fill(at.order(), BIG, stop=PART), error)
        assert at.desk.closed
        assert at.none_due()
    with pytest.raises(type(error)):
        at.desk.raise_failures()
    with store.receive(LARGE) as intake:
        assert intake.missing() == [Span(PART, len(BIG))]


def test_a_disk_that_is_full_when_a_file_is_opened_stops_everything(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def refuse(one: Entry) -> Iterator[DiskIntake]:
        raise DiskFull("here", one.size, 0)
        yield

    monkeypatch.setattr(store, "receive", refuse)
    with table(store, [LARGE]) as at:
        assert at.none_due()
        assert at.desk.closed
    with pytest.raises(DiskFull):
        at.desk.raise_failures()


def test_the_worst_of_several_failures_is_told(store: DiskStore) -> None:
    with table(store, [LARGE, SMALL]) as at:
        small = next(order for order in (at.order(), at.order()) if isinstance(order, WholeOrder))
        end(small, EntryNotFound("acme/tiny", "small.txt"))
        at.desk.give_up(DiskFull("here", 1, 0))
    with pytest.raises(EntryNotFound):
        at.desk.raise_failures()


# -- another process ----------------------------------------------------------------------------


def test_what_another_process_fetches_is_left_to_it_and_its_result_used(store: DiskStore) -> None:
    with store.receive(LARGE) as theirs, table(store, [LARGE, SMALL]) as at:
        order = at.order()
        assert order.entry == SMALL
        end(fill(order, b"small"))
        assert len(at.said(Elsewhere)) == 1
        assert not at.desk.closed
        theirs.write(0, BIG)
        theirs.seal()
        at.clock.now += ELSEWHERE_S
        assert at.none_due()
        assert at.desk.closed
        assert {event.entry for event in at.said(Sealed)} == {LARGE, SMALL}


def test_what_another_process_gave_up_is_gone_on_with(store: DiskStore) -> None:
    with table(store, [LARGE]) as at:
        with store.receive(LARGE) as theirs:
            assert at.none_due()
            theirs.write(0, BIG[:PART])
        at.clock.now += ELSEWHERE_S
        assert at.order().span.start == PART


def test_waiting_for_another_process_is_no_silence(store: DiskStore) -> None:
    with table(store, [LARGE], patience_s=3.0) as at:
        with store.receive(LARGE):
            for _ in range(20):
                at.clock.now += ELSEWHERE_S
                assert at.none_due()
        at.clock.now += ELSEWHERE_S
        end(at.order(), Unavailable("the test", "503"))
        assert not at.desk.closed


def test_a_download_that_another_process_took_over_is_left_to_it(store: DiskStore) -> None:
    with table(store, [LARGE, SMALL]) as at:
        order = at.order()
        assert order.entry == LARGE
        end(order, StoreLocked("here", "another hfmirror took this download over"))
        assert len(at.said(Elsewhere)) == 1
        serve(at, FILES)
        with store.receive(LARGE) as theirs:
            theirs.write(0, BIG)
            theirs.seal()
        at.clock.now += ELSEWHERE_S
        assert at.none_due()
        assert at.desk.closed
    at.desk.raise_failures()


def test_a_download_that_is_taken_over_under_several_orders_is_left_to_others_once(store: DiskStore) -> None:
    data = bytes(40 * PART)
    with table(store, [entry(data, "wide.bin")]) as at:
        end(fill(at.order(), data))
        for order in [at.order(), at.order(), at.order()]:
            end(order, StoreLocked("here", "another hfmirror took this download over"))
        assert len(at.said(Elsewhere)) == 1


# -- the end ------------------------------------------------------------------------------------


def test_closing_in_mid_flight_keeps_every_finished_part_and_ends_the_orders(store: DiskStore) -> None:
    with table(store, [LARGE, SMALL]) as at:
        end(fill(at.order(), BIG))
        order = at.order()
        fill(order, BIG, stop=2 * PART + 100)
    with pytest.raises(StoreLocked):
        order.take(BIG[2 * PART + 100 :][:100])
    end(order, StoreLocked("here", "the intake is closed"))
    assert at.none_due()
    with store.receive(LARGE) as intake:
        assert intake.missing() == [Span(2 * PART, len(BIG))]


def test_closing_waits_for_a_seal_under_way(store: DiskStore) -> None:
    with table(store, [LARGE]) as at:
        end(fill(at.order(), BIG))
        end(fill(at.order(), BIG))
    assert store.has(LARGE.digest)


def test_who_waits_for_an_order_is_woken_by_the_end(store: DiskStore) -> None:
    with table(store, [LARGE], connections=1) as at:
        at.order()
        answers: list[object] = []
        waiting = threading.Thread(target=lambda: answers.append(at.lane.next(3600.0)), daemon=True)
        waiting.start()
        at.desk.close()
        waiting.join(5)
    assert answers == [None]


def test_a_watcher_that_fails_at_a_seal_does_not_hold_up_the_end(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    go_on, seal = threading.Event(), DiskIntake.seal

    def seal_later(intake: DiskIntake) -> None:
        assert go_on.wait(5)
        seal(intake)

    def watch(event: Event) -> None:
        if isinstance(event, Sealed):
            raise BrokenPipeError

    monkeypatch.setattr(DiskIntake, "seal", seal_later)
    with store.batch() as batch:
        desk = Desk(manifest([LARGE]), [LARGE], store, batch, Manner(), watch)
        lane = open_lane(desk, ALONE[0])
        for _ in range(2):
            order = lane.next(1.0)
            assert isinstance(order, FileOrder)
            end(fill(order, BIG))
        closing = threading.Thread(target=desk.close, daemon=True)
        closing.start()
        while not desk.lock._waiters:  # type: ignore[attr-defined]
            closing.join(0.001)
        go_on.set()
        closing.join(5)
    assert not closing.is_alive()


def test_files_that_others_have_finished_meanwhile_are_passed_over_however_many(store: DiskStore) -> None:
    one = entry(bytes(PART + 1), "0.bin")
    entries = [replace(one, path=f"{n}.bin") for n in range(3000)]
    with table(store, entries) as at:
        at.desk._store = Everything()  # type: ignore[assignment]
        assert at.none_due()
        assert at.desk.closed


class Everything:
    """A store that has it all by now."""

    def has(self, digest: object) -> bool:
        return True


def test_what_many_connections_meet_together_is_one_failure(store: DiskStore) -> None:
    small = [entry(bytes([n]), f"{n}.txt") for n in range(16)]
    with table(store, small, connections=16) as at:
        orders = [at.order() for _ in small]
        for order in orders:
            end(order, CUT)
        assert max(waiting.seconds for waiting in at.said(Waiting)) <= 0.5


def test_a_short_pause_does_not_cut_a_long_one_short(store: DiskStore) -> None:
    with table(store, [entry(b"1", "1.txt"), entry(b"2", "2.txt")], connections=2) as at:
        first, second = at.order(), at.order()
        end(first, RateLimited("the test", 60.0))
        end(second, CUT)
        at.clock.now += 50
        assert at.none_due()
        at.clock.now += 15
        at.order()
