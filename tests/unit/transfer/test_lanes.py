"""Several sources for one pull: who brings what, who takes over, who is found out. No sockets, no clock."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from hfmirror.errors import (
    AccessDenied,
    DigestMismatch,
    DiskFull,
    EntryNotFound,
    MirrorError,
    NotHere,
    OutOfPatience,
    ProtocolError,
    RangesIgnored,
    TimedOut,
    Unreachable,
)
from hfmirror.model import PART, PartDigests, Span
from hfmirror.transfer.events import Arrived, Dismissed, Refused, Sealed, Waiting
from hfmirror.transfer.lanes import PROBE
from hfmirror.transfer.orders import FileOrder, WholeOrder
from hfmirror.transfer.reports import LAPSES, STALL_S
from hfmirror.transfer.verdict import BEFORE
from tests.contracts.scene import entry
from tests.unit.transfer.scripted import Named, Place, end, fill, table

if TYPE_CHECKING:
    from hfmirror.store.disk import DiskStore
    from tests.unit.transfer.scripted import AnyOrder, Table

BIG = os.urandom(12 * PART + 77)
LARGE = entry(BIG, "large.bin")
OTHER_BIG = os.urandom(3 * PART)
OTHER = entry(OTHER_BIG, "other.bin")
SMALL = entry(b"small", "small.txt")
FILES = {"large.bin": BIG, "other.bin": OTHER_BIG, "small.txt": b"small"}
HUB, LAB, CLUB = Named("the hub"), Named("the lab"), Named("the club")
BOTH = (HUB, LAB)
CUT = Unreachable("somebody", "cut")


@dataclass
class Give:
    """How a source behaves: whole files, some of them wrong, at so many bytes for each turn."""

    wrong: tuple[int, ...] = ()  # offsets in the large file
    lacks: tuple[str, ...] = ()
    block: int = 200_000
    got: dict[str, int] = field(default_factory=dict)
    orders: list[AnyOrder] = field(default_factory=list)

    def data(self, path: str, start: int, stop: int) -> bytes:
        """The bytes as this source has them."""
        data = bytearray(FILES[path][start:stop])
        for at in self.wrong:
            if start <= at < start + len(data):
                data[at - start] ^= 1
        return bytes(data)


def play(at: Table, *sources: Give, turns: int = 5000) -> None:
    """All sources at once, a block each in turn, until the desk is closed."""
    for _ in range(turns):
        stirred = False
        for number, give in enumerate(sources):
            stirred = turn(at, number, give) or stirred
        at.clock.now += 0.05
        if at.desk.closed:
            at.settle()
            if at.desk.closed:
                return
        if not stirred:
            at.settle()
    pytest.fail("it does not end")


def turn(at: Table, number: int, give: Give) -> bool:
    lane = at.lanes[number]
    if not give.orders:
        order = lane.next(0.0)
        if order is None:
            return False
        assert isinstance(order, FileOrder | WholeOrder)
        give.orders.append(order)
    order = give.orders[0]
    path = order.entry.path
    if path in give.lacks:
        give.orders.pop()
        order.fail(EntryNotFound("acme/tiny", path))
        return True
    start = order.span.start + order.got
    piece = give.data(path, start, min(start + give.block, order.span.stop))
    more = order.take(piece)
    give.got[path] = give.got.get(path, 0) + len(piece)
    if not more or start + len(piece) >= order.span.stop:
        give.orders.pop()
        order.done()
    return True


def whole(store: DiskStore, *entries: object) -> bool:
    return all(store.has(one.digest) for one in entries)  # type: ignore[attr-defined]


def arrived(at: Table) -> dict[str, int]:
    """Bytes by source."""
    counts: dict[str, int] = {}
    for event in at.said(Arrived):
        counts[event.source] = counts.get(event.source, 0) + event.size
    return counts


# -- together -----------------------------------------------------------------------------------


def test_two_sources_bring_one_file_between_them_and_nothing_twice(store: DiskStore) -> None:
    with table(store, [LARGE, SMALL], BOTH, connections=1) as at:
        play(at, Give(), Give())
        counts = arrived(at)
        assert set(counts) == {"the hub", "the lab"}
        assert sum(counts.values()) == len(BIG) + 5
        assert min(counts.values()) > PART
    at.desk.raise_failures()
    assert whole(store, LARGE, SMALL)


def test_a_source_that_breaks_is_gone_on_from_the_same_byte_by_another(store: DiskStore) -> None:
    with table(store, [LARGE], BOTH, connections=1) as at:
        end(fill(at.order(0), BIG))
        end(fill(at.order(1), BIG))
        first = at.order(0)
        end(fill(first, BIG, stop=first.span.start + 100_000), CUT)
        assert at.order(1).span.start == first.span.start + 100_000


def test_each_source_is_left_alone_by_itself_after_a_failure(store: DiskStore) -> None:
    with table(store, [LARGE], BOTH, connections=1) as at:
        end(at.order(0), CUT)
        assert at.none_due(0)
        at.order(1)


def test_what_stalls_is_taken_over_and_what_comes_late_is_not_wanted(store: DiskStore) -> None:
    with table(store, [LARGE], BOTH, connections=1) as at:
        end(fill(at.order(0), BIG))
        end(fill(at.order(1), BIG))
        slow = at.order(0)
        fill(slow, BIG, stop=slow.span.start + 70_000)
        at.clock.now += STALL_S
        taken = at.order(1)
        assert taken.span.start == slow.span.start + 70_000
        assert not slow.take(BIG[taken.span.start :][:1000]), "it is somebody else's"
        end(fill(taken, BIG))
        while not at.desk.closed:
            end(fill(at.order(1), BIG))
            at.settle()
        assert whole(store, LARGE), "without waiting for the one that hangs"
        end(slow, TimedOut("the hub", "no byte"))
        assert sum(event.size for event in at.said(Arrived)) == len(BIG)


def test_a_small_file_that_stalls_is_taken_over_with_what_came(store: DiskStore) -> None:
    with table(store, [SMALL], BOTH) as at:
        slow = at.order(0)
        slow.take(b"sm")
        at.clock.now += STALL_S
        again = at.order(1)
        assert again.span == Span(2, 5)
        assert not slow.take(b"all")
        end(fill(again, b"small"))
    assert whole(store, SMALL)


def test_who_is_silent_itself_takes_nothing_over(store: DiskStore) -> None:
    with table(store, [LARGE], BOTH, connections=2) as at:
        end(fill(at.order(0), BIG))
        end(fill(at.order(1), BIG))
        first, second = at.order(0), at.order(1)
        at.clock.now += STALL_S
        at.none_due(1)
        at.none_due(0)
        assert (first.gone, second.gone) == (False, False)


def test_a_single_source_is_waited_for(store: DiskStore) -> None:
    with table(store, [LARGE], (HUB,)) as at:
        order = at.order()
        at.clock.now += 10 * STALL_S
        at.none_due()
        assert not order.gone


def test_a_block_that_is_just_being_written_is_not_taken_over(store: DiskStore) -> None:
    with table(store, [LARGE], BOTH, connections=1) as at:
        order = at.order(0)
        assert isinstance(order, FileOrder)
        order._writing = True
        at.clock.now += STALL_S
        at.none_due(1)
        assert not order.gone
        order._writing = False


# -- what a source does not have ------------------------------------------------------------------


def test_a_file_that_one_lacks_comes_from_the_other_and_the_rest_from_both(store: DiskStore) -> None:
    with table(store, [LARGE, OTHER, SMALL], BOTH, connections=1) as at:
        play(at, Give(), Give(lacks=("large.bin",)))
        assert "large.bin" not in {
            event.entry.path for event in at.said(Arrived) if event.source == "the lab" and event.entry == LARGE
        }
        assert arrived(at)["the lab"] > 0
    at.desk.raise_failures()
    assert whole(store, LARGE, OTHER, SMALL)


def test_the_authoritys_word_is_told_where_nobody_has_a_file(store: DiskStore) -> None:
    with table(store, [SMALL], BOTH) as at:
        end(at.order(1), NotHere("small.txt"))
        end(at.order(0), EntryNotFound("acme/tiny", "small.txt"))
        assert at.desk.closed
    with pytest.raises(EntryNotFound):
        at.desk.raise_failures()


def test_a_source_that_denies_is_asked_no_more_and_the_other_goes_on(store: DiskStore) -> None:
    with table(store, [LARGE, SMALL], BOTH, connections=1) as at:
        end(at.order(0), AccessDenied("acme/tiny"))
        assert at.lanes[0].closed
        assert [event.source for event in at.said(Dismissed)] == ["the hub"]
        play(at, Give(), Give())
    at.desk.raise_failures()
    assert whole(store, LARGE, SMALL)


def test_when_all_deny_the_authority_is_quoted(store: DiskStore) -> None:
    with table(store, [LARGE], BOTH, connections=1) as at:
        end(fill(at.order(0), BIG))
        first, second = at.order(0), at.order(1)
        end(first, AccessDenied("acme/tiny", "the hub says no"))
        end(second, EntryNotFound("acme/tiny", "large.bin"))
        assert at.desk.closed
    with pytest.raises(AccessDenied, match="the hub says no"):
        at.desk.raise_failures()


def test_a_server_that_is_no_hub_is_believed_for_a_file_or_two(store: DiskStore) -> None:
    many = [entry(bytes([number]), f"{number}.txt") for number in range(9)]
    with table(store, many, BOTH, connections=1) as at:
        for _ in range(LAPSES):
            assert not at.lanes[1].closed
            end(at.order(1), ProtocolError("the lab", "status 404"))
        assert at.lanes[1].closed


def test_our_own_full_disk_ends_everything(store: DiskStore) -> None:
    with table(store, [LARGE], BOTH) as at:
        end(at.order(1), DiskFull("here", 10, 1))
        assert at.desk.closed
    with pytest.raises(DiskFull):
        at.desk.raise_failures()


def test_patience_counts_what_anybody_brings(store: DiskStore) -> None:
    with table(store, [LARGE], BOTH, connections=1, patience_s=10.0) as at:
        end(fill(at.order(1), BIG))
        for step in range(30):
            order = at.lanes[0].next(0.0)
            if order is not None:
                order.fail(CUT)
            at.clock.now += 3
            order = at.order(1)
            end(fill(order, BIG, stop=order.span.start + 10 + step), CUT)
        assert not at.desk.closed


def test_when_everybody_is_gone_for_too_long_it_is_given_up(store: DiskStore) -> None:
    with table(store, [LARGE], BOTH, connections=1, patience_s=10.0) as at:
        for _ in range(100):
            for lane in at.lanes:
                order = lane.next(0.0)
                if order is not None:
                    order.fail(CUT)
            at.clock.now += 1
        assert at.desk.closed
    with pytest.raises(OutOfPatience):
        at.desk.raise_failures()


def test_only_the_first_of_many_failures_is_told_while_another_source_goes_on(store: DiskStore) -> None:
    with table(store, [LARGE], BOTH, connections=1) as at:
        for _ in range(200):
            order = at.lanes[1].next(0.0)
            if order is not None:
                order.fail(CUT)
            at.clock.now += 1
        assert sum(event.seconds > 0 for event in at.said(Waiting)) == 1


# -- places of this machine -----------------------------------------------------------------------


def test_a_place_is_asked_first_for_what_it_has_and_the_network_for_the_rest(store: DiskStore) -> None:
    stick = Place("the stick", "large.bin")
    with table(store, [LARGE, OTHER, SMALL], (HUB, stick), connections=1) as at:
        play(at, Give(), Give())
        by = {(event.source, event.entry.path) for event in at.said(Arrived)}
    assert by == {("the stick", "large.bin"), ("the hub", "other.bin"), ("the hub", "small.txt")}
    assert whole(store, LARGE, OTHER, SMALL)


def test_a_place_that_hangs_is_not_waited_for(store: DiskStore) -> None:
    with table(store, [LARGE], (HUB, Place("the stick", "large.bin"))) as at:
        assert at.none_due(0)
        hanging = at.order(1)
        at.clock.now += STALL_S
        order = at.order(0)
        assert (order.span.start, hanging.gone) == (0, True)


def test_a_place_that_has_nothing_is_dismissed_at_once(store: DiskStore) -> None:
    with table(store, [LARGE], (HUB, Place("the stick"))) as at:
        assert [event.source for event in at.said(Dismissed)] == ["the stick"]
        assert at.lanes[1].closed
        at.order(0)


def test_a_damaged_file_of_a_place_is_passed_over_and_the_others_of_it_are_used(store: DiskStore) -> None:
    with table(store, [LARGE, OTHER], (HUB, Place("the stick", "large.bin", "other.bin")), connections=1) as at:
        play(at, Give(), Give(wrong=(7 * PART,)))
        by = {(event.source, event.entry.path) for event in at.said(Arrived)}
        assert ("the stick", "other.bin") in by
        (refused,) = at.said(Refused)
        assert isinstance(refused.error, DigestMismatch)
        assert (refused.error.source, refused.banned) == ("the stick", ())
    assert whole(store, LARGE, OTHER)


# -- rates ----------------------------------------------------------------------------------------


def test_a_source_far_slower_than_the_best_is_given_nothing_more(store: DiskStore) -> None:
    with table(store, [LARGE], BOTH, connections=1) as at:
        play(at, Give(block=20_000), Give(block=500))
        assert arrived(at)["the lab"] < len(BIG) / 10
        assert at.lanes[1].standing.rested is not None
    assert whole(store, LARGE)


def test_who_rests_stands_in_when_the_best_breaks(store: DiskStore) -> None:
    with table(store, [LARGE], BOTH, connections=1) as at:
        at.lanes[1].standing.rested = at.clock.now
        end(fill(at.order(0), BIG))
        assert at.none_due(1)
        end(at.order(0), CUT)
        at.order(1)


def test_a_source_without_ranges_leaves_large_files_to_one_with(store: DiskStore) -> None:
    with table(store, [LARGE, SMALL], BOTH, connections=1) as at:
        end(fill(at.order(0), BIG))
        end(at.order(1), RangesIgnored("the lab"))
        assert at.order(1).entry == SMALL
        assert at.none_due(1)


def test_a_source_without_ranges_brings_all_where_nobody_else_is(store: DiskStore) -> None:
    with table(store, [LARGE], BOTH, connections=1) as at:
        end(at.order(1), RangesIgnored("the lab"))
        end(at.order(0), AccessDenied("acme/tiny"))
        order = at.order(1)
        assert order.span == Span(0, len(BIG))
        end(fill(order, BIG))
        at.settle()
    assert whole(store, LARGE)


def test_a_source_that_sends_on_past_the_span_is_stopped_where_another_honours_it(store: DiskStore) -> None:
    with table(store, [LARGE], BOTH, connections=1) as at:
        end(fill(at.order(0), BIG))
        order = at.order(1)
        end(order, None) if fill(order, BIG).got else None
        assert arrived(at)["the lab"] <= PROBE


# -- lies -----------------------------------------------------------------------------------------

PLACES = {"first": 0, "middle": 6 * PART + 5, "last": len(BIG) - 1}


@pytest.mark.parametrize("liar", [0, 1], ids=["the hub", "the lab"])
def test_who_sent_wrong_bytes_is_found_and_only_those_come_again(store: DiskStore, liar: int) -> None:
    everywhere = tuple(range(0, len(BIG), PART))
    sources = [Give(), Give()]
    sources[liar].wrong = everywhere
    with table(store, [LARGE], BOTH, connections=1) as at:
        play(at, *sources)
        counts = arrived(at)
        told = at.said(Refused)
        name = BOTH[liar].name
        assert [refused.banned for refused in told] == [(name,)]
        assert name in str(told[0].error)
        assert at.lanes[liar].banned
        assert not at.lanes[1 - liar].banned
    at.desk.raise_failures()
    assert whole(store, LARGE)
    assert sum(counts.values()) <= (2.6 if liar == 0 else 2) * len(BIG) + 2 * PART, "the hub is suspected last"


@pytest.mark.parametrize("place", PLACES)
def test_one_wrong_bit_anywhere_is_found(store: DiskStore, place: str) -> None:
    """The lab brings every second part, and the one with the bit: nothing is fetched again but what it brought."""
    at_fault = PLACES[place]
    with table(store, [LARGE], BOTH, connections=1) as at:
        lied = lab = 0
        while not at.desk.closed:
            number = 1 if lab < 3 or not lied else 0
            order = at.lanes[number].next(0.0)
            if order is None:
                at.settle()
                order = next(filter(None, (lane.next(0.0) for lane in at.lanes)), None)
            if order is None:
                at.clock.now += 1
                continue
            assert isinstance(order, FileOrder)
            here = order.span.start <= at_fault < order.span.stop
            if order.bringer is at.lanes[1]:
                lab += order.span.size
                lied += here
                end(fill(order, _flipped(BIG, at_fault)))
            else:
                end(fill(order, BIG))
        assert [refused.banned for refused in at.said(Refused)] == [("the lab",)]
        assert sum(arrived(at).values()) <= len(BIG) + lab + 2 * PART
    assert whole(store, LARGE)


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_the_bytes_of_the_liar_alone_come_again(store: DiskStore) -> None:
    with table(store, [LARGE], BOTH, connections=1) as at:
        end(fill(at.order(0), BIG))
        lies = at.order(1)
        end(fill(lies, bytes(len(BIG))))
        while not at.desk.closed:
            order = at.lanes[0].next(0.0)
            if order is None:
                at.settle()
                continue
            assert isinstance(order, FileOrder)
            end(fill(order, BIG))
        assert [refused.banned for refused in at.said(Refused)] == [("the lab",)]
        assert sum(arrived(at).values()) <= len(BIG) + lies.span.size + 2 * PART
    assert whole(store, LARGE)


def test_a_single_contributor_is_found_out_at_once_and_the_file_comes_clean_from_another(store: DiskStore) -> None:
    with table(store, [OTHER], BOTH, connections=1) as at:
        while not at.said(Refused):
            order = at.lanes[1].next(0.0)
            if order is None:
                at.settle()
                continue
            end(fill(order, bytes(len(OTHER_BIG))))  # type: ignore[arg-type]
        (refused,) = at.said(Refused)
        assert refused.banned == ("the lab",)
        assert at.none_due(1)
        play(at, Give(), Give())
        assert arrived(at)["the hub"] == len(OTHER_BIG)
    assert whole(store, OTHER)


def test_what_an_earlier_run_left_is_suspected_last_and_fetched_again(store: DiskStore) -> None:
    with store.receive(LARGE) as intake:
        intake.write(0, b"?" + BIG[1 : 2 * PART])
    with table(store, [LARGE], BOTH, connections=1) as at:
        play(at, Give(), Give())
        (refused,) = at.said(Refused)
        assert isinstance(refused.error, DigestMismatch)
        assert (refused.error.source, refused.banned) == (BEFORE, ())
        assert not any(lane.banned for lane in at.lanes)
    at.desk.raise_failures()
    assert whole(store, LARGE)


def test_of_three_the_one_that_is_right_is_enough(store: DiskStore) -> None:
    everywhere = tuple(range(0, len(BIG), PART))
    with table(store, [LARGE], (HUB, LAB, CLUB), connections=1) as at:
        play(at, Give(wrong=everywhere), Give(), Give(wrong=everywhere))
    at.desk.raise_failures()
    assert whole(store, LARGE)


def test_when_all_are_wrong_it_ends_and_says_so(store: DiskStore) -> None:
    everywhere = tuple(range(0, len(BIG), PART))
    with table(store, [LARGE, SMALL], BOTH, connections=1) as at:
        play(at, Give(wrong=everywhere), Give(wrong=everywhere))
        assert not at.said(Refused)[-1].again
    with pytest.raises(DigestMismatch):
        at.desk.raise_failures()
    assert not store.has(LARGE.digest)


def test_where_the_digests_of_the_parts_are_known_only_the_wrong_part_comes_again(store: DiskStore) -> None:
    with store.receive(LARGE) as intake:
        intake.write(0, BIG)
        intake.seal()
    known = store.parts.of(LARGE.digest)
    assert isinstance(known, PartDigests)
    store.discard(LARGE.digest)
    store.parts.keep(LARGE.digest, known)
    with table(store, [LARGE], BOTH, connections=1) as at:
        lab = Give(wrong=PLACES_OF_ALL)
        play(at, Give(), lab)
        wrong = [span for spans in (at.said(Refused),) for span in spans]
        assert [refused.banned for refused in wrong] == [("the lab",)]
        assert sum(arrived(at).values()) <= len(BIG) + 2 * PART
    assert whole(store, LARGE)


PLACES_OF_ALL = (PROBE + 1, PART + 1)  # in the first parts: the lab brings one of them, and nothing wrong after


def test_a_small_file_that_comes_wrong_comes_from_the_next(store: DiskStore) -> None:
    with table(store, [SMALL], BOTH) as at:
        end(fill(at.order(1), b"smell"))
        assert [refused.banned for refused in at.said(Refused)] == [("the lab",)]
        assert at.none_due(1)
        end(fill(at.order(0), b"small"))
    assert whole(store, SMALL)


def test_a_small_file_of_two_halves_that_is_wrong_comes_whole_from_one(store: DiskStore) -> None:
    with table(store, [SMALL], BOTH) as at:
        first = at.order(0)
        first.take(b"SM")
        end(first, CUT)
        end(fill(at.order(1), b"small"))
        (refused,) = at.said(Refused)
        assert (refused.again, refused.banned) == (True, ())
        again = at.order(1)
        assert again.span == Span(0, 5)
        end(fill(again, b"small"))
    assert whole(store, SMALL)


def test_who_was_found_out_is_asked_for_what_nobody_else_has(store: DiskStore) -> None:
    with table(store, [LARGE, SMALL], BOTH, connections=1) as at:
        at.lanes[1].banned = True
        play(at, Give(lacks=("small.txt",)), Give())
        assert arrived(at) == {"the hub": len(BIG), "the lab": 5}
    at.desk.raise_failures()
    assert {event.entry for event in at.said(Sealed)} == {LARGE, SMALL}


@pytest.mark.parametrize("error", [DiskFull("here", 1, 0), AccessDenied("acme/tiny")])
def test_what_has_come_stays_when_it_is_given_up(store: DiskStore, error: MirrorError) -> None:
    with table(store, [LARGE], BOTH, connections=1) as at:
        end(fill(at.order(0), BIG))
        end(fill(at.order(0), BIG))
        got = sum(arrived(at).values())
        for number in (0, 1):
            order = at.lanes[number].next(0.0)
            if order is not None:
                order.fail(error)
    with pytest.raises(type(error)):
        at.desk.raise_failures()
    with store.receive(LARGE) as intake:
        assert sum(span.size for span in intake.missing()) <= len(BIG) - got // PART * PART
