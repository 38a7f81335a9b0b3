"""The pace: on simulated lines it comes near the best fixed number, in a stated time, and stays there."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hfmirror.model import PART
from hfmirror.transfer.pace import CEILING_S, MOST, SPANS, TAIL, Pace
from tests.unit.transfer.fluid import FluidLine, Pull

ENDLESS = 1e12  # bytes
FIXED = (1, 2, 4, 8, 16, 32, 64)
SEEDS = (1, 2)
CLEAN = FluidLine(0.05, capacity=50e6, cost=0.001)
LOSSY = FluidLine(0.05, loss=0.01, noise=0.3)
CAPPED = FluidLine(0.05, cap=2e6, noise=0.05)

# a line; seconds until the rate is within a tenth of what the best fixed number brings; fewest, most it may hold then
LINES = [
    pytest.param(CLEAN, 3, 4, 8, id="clean, 50 ms"),
    pytest.param(replace(CLEAN, noise=0.3, weather=0.1), 3, 4, 16, id="clean, 50 ms, shared with others"),
    pytest.param(FluidLine(0.005, capacity=100e6, cost=0.001), 2, 4, 8, id="clean, 5 ms"),
    pytest.param(FluidLine(0.2, cost=0.001), 8, 4, 32, id="clean, 200 ms"),
    pytest.param(LOSSY, 5, 32, 64, id="50 ms, 1 % lost"),
    pytest.param(FluidLine(0.05, loss=0.05, noise=0.5), 7, 32, 64, id="50 ms, 5 % lost"),
    pytest.param(FluidLine(0.2, loss=0.01, noise=0.4), 9, 32, 64, id="200 ms, 1 % lost"),
    pytest.param(FluidLine(0.2, loss=0.05, noise=0.6), 12, 32, 64, id="200 ms, 5 % lost"),
    pytest.param(CAPPED, 4, 16, 64, id="2 MB/s a connection"),
    pytest.param(replace(CAPPED, capacity=36e6), 4, 16, 64, id="2 MB/s a connection, 36 in all"),
    pytest.param(replace(CAPPED, cap=0.5e6), 6, 32, 64, id="0.5 MB/s a connection"),
]


def best_fixed(line: FluidLine) -> float:
    """Bytes a second, once under way, of the best of the fixed numbers."""
    numbers = [number for number in FIXED if number <= line.serves]
    return max(Pull(line, ENDLESS, fixed=number).run(16).rate(8, 16) for number in numbers)


@pytest.mark.parametrize(("line", "within_s", "fewest", "most"), LINES)
def test_it_comes_near_the_best_fixed_number_in_time_and_stays_there(
    line: FluidLine, within_s: int, fewest: int, most: int
) -> None:
    best = best_fixed(line)
    for seed in SEEDS:
        pull = Pull(line, ENDLESS, seed=seed).run(within_s + 24)
        assert pull.rate(within_s, within_s + 24) >= 0.9 * best
        assert pull.share_of_time(fewest, most, since_s=within_s) >= 0.8


def test_a_server_that_refuses_beyond_a_number_is_asked_for_no_more() -> None:
    line = replace(CAPPED, serves=8)
    best = best_fixed(line)
    pull = Pull(line, ENDLESS).run(60)
    assert pull.rate(5, 60) >= 0.9 * best
    assert pull.refusals <= 3 * line.serves, "the first time, and when half a minute has passed"


def test_a_server_that_serves_two_is_found_out_from_below() -> None:
    line = replace(CAPPED, serves=2)
    pull = Pull(line, ENDLESS).run(30)
    assert pull.rate(10, 30) >= 0.9 * best_fixed(line)
    assert pull.share_of_time(1, 2, since_s=10) == 1.0


def test_a_proof_that_lags_is_no_reason_for_more() -> None:
    pull = Pull(FluidLine(0.01, capacity=500e6, proof=100e6), ENDLESS).run(20)
    assert pull.pace.connections(4) <= 8
    assert pull.rate(5, 20) >= 0.95 * 500e6 * 0.8


@pytest.mark.parametrize(
    ("line", "fewest", "most"),
    [
        pytest.param(FluidLine(0.05, capacity=1e9), 64, 64, id="where each waits for its round trip"),
        pytest.param(FluidLine(0.01, capacity=10e6), 16, 32, id="where the line is full"),
    ],
)
def test_many_small_files_get_what_they_need_and_no_more(line: FluidLine, fewest: int, most: int) -> None:
    pull = Pull(line, ENDLESS, file=50e3, least=16).run(25)
    assert pull.share_of_time(16, 64, since_s=0.5) == 1.0
    assert pull.share_of_time(fewest, most, since_s=8) >= 0.8


def test_a_line_that_turns_bad_is_given_more() -> None:
    pull = Pull(CLEAN, ENDLESS, change=lambda now: CLEAN if now < 20 else LOSSY).run(75)
    assert pull.share_of_time(4, 8, since_s=5, until_s=20) >= 0.9
    assert pull.rate(60, 75) >= 0.9 * best_fixed(LOSSY)


def test_a_line_that_turns_good_gets_its_connections_back() -> None:
    pull = Pull(LOSSY, ENDLESS, change=lambda now: LOSSY if now < 20 else CLEAN).run(150)
    assert pull.share_of_time(32, 64, since_s=6, until_s=20) == 1.0
    assert pull.share_of_time(4, 16, since_s=130) >= 0.9


def test_a_line_that_is_silent_for_a_while_is_not_taken_for_another() -> None:
    dead = replace(LOSSY, capacity=1.0)
    pull = Pull(LOSSY, ENDLESS, change=lambda now: dead if 20 <= now < 30 else LOSSY).run(60)
    assert pull.rate(40, 60) >= 0.9 * best_fixed(LOSSY)


def test_a_number_is_given_back_little_by_little() -> None:
    pull = Pull(CLEAN, ENDLESS).run(30)
    numbers = [number for _, number in pull.numbers]
    falls = [before - after for before, after in pairwise(numbers) if after < before]
    assert falls, "a trial was refuted"
    assert max(falls) == 1


# -- the decision by itself -----------------------------------------------------------------------


def flowing(pace: Pace, orders: int, rate: float, *, since: float = 0.0, until: float = 5.0) -> float:
    """So many orders out at all times, all together at so many bytes a second; when that was over."""
    for _ in range(orders):
        pace.ordered(since, 4)
    now = since
    while now < until:
        now += 0.05
        for _ in range(orders):
            pace.arrived(now, int(rate * 0.05 / orders))
    return now


def test_it_begins_with_what_it_is_told() -> None:
    pace = Pace(4)
    assert (pace.connections(4), pace.connections(16)) == (4, 16)


def test_what_many_meet_together_is_one_refusal() -> None:
    pace = Pace(16)
    now = flowing(pace, 8, 1e6, until=0.5)
    for _ in range(8):
        pace.refused(now + 0.1, now - 0.1)
    assert pace.connections(4) == 8


def test_a_refusal_while_nothing_comes_for_anybody_says_nothing_of_the_number() -> None:
    pace = Pace(16)
    now = flowing(pace, 16, 1e6, until=0.5)
    for attempt in range(10):
        pace.refused(now + attempt + 1.0, now + attempt + 0.5)
    assert pace.connections(4) == 16


def test_a_refusal_is_heeded_for_a_while_even_for_small_files() -> None:
    pace = Pace(4)
    now = flowing(pace, 4, 1e6, until=0.2)
    pace.refused(now + 0.1, now - 0.1)
    assert (pace.connections(4), pace.connections(16)) == (2, 2)
    pace.ordered(now + CEILING_S[0] / 2, 16)
    assert pace.connections(16) == 2
    pace.ordered(now + CEILING_S[0] + 1, 16)
    assert pace.connections(16) == 16


def test_a_trial_from_which_nothing_can_be_learnt_ends() -> None:
    pace = Pace(4)
    now = flowing(pace, 4, 1e6, until=2.0)
    assert pace.connections(4) == 8
    numbers = set()
    while now < 30:  # nothing is left to order: the number is never in use
        now += 0.05
        pace.arrived(now, 50_000)
        numbers.add(pace.connections(4))
    assert min(numbers) < 8 == max(numbers)


def test_a_span_takes_some_seconds() -> None:
    pace = Pace(4)
    assert pace.span(10**12, 4) == SPANS[1], "nothing is known yet"
    for rate, expected in [(0.1, 1), (1.6, 2), (2.5, 4), (5.0, 8), (50.0, 16)]:
        pace = Pace(4)
        pace.ordered(0.0, 4)
        pace.ended(1.0, int(rate * PART), 1.0)
        assert pace.span(10**12, 4) == expected * PART


def test_a_line_too_fast_to_be_timed_gets_the_largest_spans() -> None:
    pace = Pace(4)
    pace.ordered(0.0, 4)
    pace.ended(0.01, 16 * 1024, 0.01)
    assert pace.span(PART, 4) == SPANS[1]


def test_what_is_left_at_the_end_is_shared_out() -> None:
    pace = Pace(4)
    pace.ordered(0.0, 4)
    pace.ended(1.0, 2 * PART, 1.0)
    assert [pace.span(left * PART, 4) for left in (100, 16, 8, 4, 1)] == [4 * PART, 4 * PART, 2 * PART, PART, PART // 2]
    slow = Pace(4)
    slow.ordered(0.0, 4)
    slow.ended(1.0, 1000, 1.0)
    assert slow.span(1, 64) == TAIL


REPORTS = st.lists(
    st.tuples(
        st.sampled_from(["ordered", "opened", "arrived", "ended", "refused"]),
        st.floats(0, 5),  # seconds since the report before
        st.integers(0, 64 * PART),
        st.sampled_from([4, 16]),
    ),
    max_size=200,
)


@settings(deadline=None)
@given(REPORTS)
def test_whatever_is_reported_the_answers_are_sane(reports: list[tuple[str, float, int, int]]) -> None:
    pace, now, out = Pace(4), 0.0, 0
    for kind, later, size, least in reports:
        now += later
        if kind == "ordered":
            pace.ordered(now, least)
            out += 1
        elif kind == "ended" and out:
            pace.ended(now, size, later)
            out -= 1
        elif kind == "arrived":
            pace.arrived(now, size)
        elif kind == "opened":
            pace.opened(later)
        elif kind == "refused":
            pace.refused(now, now - later)
        assert 1 <= pace.connections(least) <= MOST
        span = pace.span(size, pace.connections(least))
        assert TAIL <= span <= SPANS[1]
        assert span & (span - 1) == 0


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 64), st.floats(1e6, 1e9))
def test_a_constant_rate_keeps_the_number_it_began_with(orders: int, rate: float) -> None:
    """However fast: what more connections do not change, more connections are not kept for."""
    pace = Pace(orders)
    now, out = 0.0, 0
    while now < 40.0:
        now += 0.05
        while out < pace.connections(orders):
            pace.ordered(now, orders)
            out += 1
        while out > pace.connections(orders):
            pace.ended(now, 0, 1.0)
            out -= 1
        for _ in range(out):
            pace.arrived(now, int(rate * 0.05 / out))
    held = pace._held
    assert held is not None
    assert min(held.number, pace._number) == orders
