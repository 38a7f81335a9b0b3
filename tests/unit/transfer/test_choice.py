"""Which of several sources are asked: told by numbers alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfmirror.transfer.choice import AGAIN_S, SILENT_S, SLOW, Choice, Standing

MB = 1_000_000


class Sources:
    """Some sources that bring bytes at a rate each, in simulated time."""

    def __init__(self, *kinds: str) -> None:
        self.choice = Choice()
        self.all = [self.choice.join(near=kind == "place") for kind in kinds]
        self.now = 100.0

    def work(self, seconds: float, *rates: float) -> None:
        """So many bytes a second from each; a source with a rate has an order out."""
        for one, rate in zip(self.all, rates, strict=True):
            if rate and not one.orders:
                self.choice.ordered(one, self.now)
        for _ in range(round(seconds / 0.1)):
            self.now += 0.1
            for one, rate in zip(self.all, rates, strict=True):
                if rate:
                    self.choice.arrived(one, self.now, int(rate * 0.1))

    def before(self, one: int, other: int) -> bool:
        return self.choice.before(self.all[one], self.all[other], self.now)


def test_at_first_nobody_yields_to_anybody() -> None:
    sources = Sources("line", "line")
    assert not sources.before(0, 1)
    assert not sources.before(1, 0)


def test_two_alike_work_both() -> None:
    sources = Sources("line", "line")
    sources.work(10, 5 * MB, 4 * MB)
    assert not sources.before(0, 1)
    assert not sources.before(1, 0)


def test_a_source_far_below_the_best_rests() -> None:
    sources = Sources("line", "line")
    sources.work(1.5, 50 * MB, 2 * MB)
    assert not sources.before(0, 1), "in the first seconds a line only starts up"
    sources.work(2, 50 * MB, 2 * MB)
    assert sources.before(0, 1)
    assert not sources.before(1, 0)


@pytest.mark.parametrize(("share", "rests"), [(SLOW * 0.8, True), (SLOW * 1.2, False)])
def test_a_quarter_is_where_it_begins(share: float, *, rests: bool) -> None:
    sources = Sources("line", "line")
    sources.work(5, 10 * MB, share * 10 * MB)
    assert sources.before(0, 1) is rests


def test_one_good_second_of_the_last_three_is_enough() -> None:
    sources = Sources("line", "line")
    sources.work(3, 10 * MB, 9 * MB)
    sources.work(2, 10 * MB, 0.1 * MB)
    assert not sources.before(0, 1)
    sources.work(3, 10 * MB, 0.1 * MB)
    assert sources.before(0, 1)


def test_who_rests_stands_in_when_the_best_falls_silent_and_steps_back_when_it_speaks() -> None:
    sources = Sources("line", "line")
    sources.work(4, 50 * MB, 1 * MB)
    sources.now += SILENT_S
    assert not sources.before(0, 1)
    sources.work(0.1, 50 * MB, 0)
    assert sources.before(0, 1)


def test_who_rests_stands_in_while_the_best_pauses() -> None:
    sources = Sources("line", "line")
    sources.work(4, 50 * MB, 1 * MB)
    sources.choice.paused(sources.all[0], sources.now + 5)
    assert not sources.before(0, 1)
    sources.now += 5
    sources.work(0.1, 50 * MB, 0)
    assert sources.before(0, 1)


def test_who_rests_stands_in_when_the_best_is_gone() -> None:
    sources = Sources("line", "line")
    sources.work(4, 50 * MB, 1 * MB)
    sources.choice.leave(sources.all[0])
    assert not sources.before(0, 1)


def test_who_has_nothing_on_order_is_not_silent() -> None:
    sources = Sources("line", "line")
    sources.work(4, 50 * MB, 1 * MB)
    sources.choice.ended(sources.all[0], sources.now)
    sources.now += 10 * SILENT_S
    assert sources.before(0, 1)


def test_who_rests_is_looked_at_again() -> None:
    sources = Sources("line", "line")
    sources.work(4, 50 * MB, 1 * MB)
    sources.choice.ended(sources.all[1], sources.now)
    sources.work(AGAIN_S + 1, 50 * MB, 0)
    assert not sources.before(0, 1)
    sources.work(4, 50 * MB, 40 * MB)
    assert not sources.before(0, 1), "it is better now"


def test_who_is_still_slow_rests_again() -> None:
    sources = Sources("line", "line")
    sources.work(4, 50 * MB, 1 * MB)
    sources.choice.ended(sources.all[1], sources.now)
    sources.work(AGAIN_S + 1, 50 * MB, 0)
    sources.work(4, 50 * MB, 1 * MB)
    assert sources.before(0, 1)


def test_a_place_of_this_machine_comes_first_however_fast_the_others_are() -> None:
    sources = Sources("line", "place")
    sources.work(5, 50 * MB, 20 * MB)
    assert sources.before(1, 0)
    assert not sources.before(0, 1)


def test_a_place_that_is_silent_does_not() -> None:
    sources = Sources("line", "place")
    sources.work(1, 0, 20 * MB)
    sources.now += SILENT_S
    assert not sources.before(1, 0)
    assert sources.before(0, 1)


def test_who_stalled_is_left_alone_a_little_longer_each_time() -> None:
    sources = Sources("line", "line")
    waits = []
    for _ in range(8):
        sources.choice.stalled(sources.all[0], sources.now)
        begun = sources.now
        while sources.before(1, 0):
            sources.now += 0.5
        waits.append(sources.now - begun)
    assert waits == sorted(waits)
    assert waits[0] <= 1.0 < waits[-1] <= AGAIN_S
    sources.work(0.1, 1 * MB, 0)
    sources.choice.stalled(sources.all[0], sources.now)
    sources.now += 1.0
    assert not sources.before(1, 0) or sources.all[0].orders, "a byte has made it good"


def test_time_without_orders_does_not_count() -> None:
    sources = Sources("line", "line")
    sources.work(2.5, 10 * MB, 9 * MB)
    sources.choice.ended(sources.all[1], sources.now)
    sources.work(20, 10 * MB, 0)
    assert sources.all[1].rate == pytest.approx(9 * MB, rel=0.1)
    assert not sources.before(0, 1)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ordered", "arrived", "ended", "paused", "stalled"]),
            st.integers(0, 2),
            st.floats(0, 40),
            st.integers(0, 10**9),
        ),
        max_size=60,
    ),
    st.lists(st.sampled_from(["line", "place"]), min_size=3, max_size=3),
)
def test_whatever_happens_somebody_is_asked(reports: list[tuple[str, int, float, int]], kinds: list[str]) -> None:
    """Of those that do not pause there is always one that yields to nobody."""
    sources = Sources(*kinds)
    choice = sources.choice
    for kind, who, later, size in reports:
        sources.now += later
        one = sources.all[who]
        if kind == "ordered":
            choice.ordered(one, sources.now)
        elif kind == "arrived" and one.orders:
            choice.arrived(one, sources.now, size)
        elif kind == "ended" and one.orders:
            choice.ended(one, sources.now)
        elif kind == "paused":
            choice.paused(one, sources.now + later)
        elif kind == "stalled":
            choice.stalled(one, sources.now)
        assert any(not _yields(sources, one) for one in sources.all)


def _yields(sources: Sources, one: Standing) -> bool:
    return any(other is not one and sources.choice.before(other, one, sources.now) for other in sources.all)
