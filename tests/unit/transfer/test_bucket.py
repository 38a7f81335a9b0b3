"""The arithmetic of a shared rate, in a world whose time is a number."""

from __future__ import annotations

import heapq
import math
import random
from itertools import count

import pytest

from hfmirror.transfer.bucket import AHEAD_S, CREDIT_S, LEASE_S, Bucket, OwnLine, taken

WINDOW_S = 10.0
SLICE_S = 0.02  # seconds of the line paid at once
LASTS_S = 60.0


class World:
    """Processes that share a line; what they spent, and when."""

    def __init__(self, seed: int, processes: int) -> None:
        self.chance = random.Random(seed)
        self.line = OwnLine()
        self.spent: list[float] = []  # when each slice came
        self._order = count()
        self._due: list[tuple[float, int, Bucket]] = []
        for _ in range(processes):
            self.join(0.0)

    def join(self, now: float) -> None:
        heapq.heappush(self._due, (now, next(self._order), Bucket(self.line)))

    def run(self, pause_s: float, *, deadly: bool = False) -> None:
        """Let each spend again and again, after random pauses; if deadly, some die with what they leased."""
        while self._due[0][0] < LASTS_S:
            now, _, bucket = heapq.heappop(self._due)
            if deadly and self.chance.random() < 0.01:
                self.join(now)
                continue
            comes = max(now, bucket.spend(now, SLICE_S))
            self.spent.append(comes)
            heapq.heappush(self._due, (comes + self.chance.random() * pause_s, next(self._order), bucket))

    def windows(self) -> list[float]:
        """Seconds of the line spent, in every window of ten that begins with a slice."""
        self.spent.sort()
        last, found = 0, []
        for first, begins in enumerate(self.spent):
            if begins > LASTS_S - WINDOW_S - 1:
                break
            while last < len(self.spent) and self.spent[last] < begins + WINDOW_S:
                last += 1
            found.append((last - first) * SLICE_S)
        return found


@pytest.mark.parametrize("processes", [1, 2, 5])
@pytest.mark.parametrize("seed", range(3))
def test_a_rate_holds_within_five_percent_over_any_ten_seconds(processes: int, seed: int) -> None:
    world = World(seed, processes)
    world.run(pause_s=SLICE_S)
    windows = world.windows()
    assert len(windows) > 1000
    assert max(windows) <= WINDOW_S * 1.05
    assert min(windows) >= WINDOW_S * 0.95


@pytest.mark.parametrize("seed", range(3))
def test_pauses_and_deaths_never_make_it_more(seed: int) -> None:
    world = World(seed, 4)
    world.run(pause_s=2.0, deadly=True)
    assert max(world.windows()) <= WINDOW_S * 1.05


def test_who_dies_with_a_lease_costs_the_others_no_more_than_it() -> None:
    line = OwnLine()
    Bucket(line).spend(1000.0, SLICE_S)
    assert Bucket(line).spend(1000.0, SLICE_S) == pytest.approx(1000.0 - CREDIT_S + LEASE_S)


def test_what_was_not_used_is_lost_but_for_a_little() -> None:
    bucket = Bucket(OwnLine())
    bucket.spend(1000.0, SLICE_S)
    comes = [bucket.spend(2000.0, SLICE_S) for _ in range(100)]
    assert comes[0] == 2000.0 - CREDIT_S
    assert comes[-1] == pytest.approx(2000.0 - CREDIT_S + 99 * SLICE_S)


def test_what_goes_beyond_a_lease_is_paid_from_the_next() -> None:
    bucket = Bucket(OwnLine())
    comes = []
    now = 1000.0
    for _ in range(50):
        now = max(now, bucket.spend(now, LEASE_S * 0.7))
        comes.append(now)
    assert comes[-1] == pytest.approx(1000.0 - CREDIT_S + 49 * LEASE_S * 0.7)


@pytest.mark.parametrize("garbage", [math.nan, math.inf, -math.inf, 0.0, -5.0, 1e300, 1000.0 + AHEAD_S + 1])
def test_a_number_that_can_not_be_is_not_heeded(garbage: float) -> None:
    assert taken(garbage, 1000.0, LEASE_S) == 1000.0 - CREDIT_S + LEASE_S


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_clock_that_is_set_anew_stops_nobody(jump: float) -> None:
    line = OwnLine()
    one, other = Bucket(line), Bucket(line)
    for bucket in (one, other):
        for _ in range(20):
            bucket.spend(10_000.0, SLICE_S)
    now = 10_000.0 + jump
    for bucket in (one, other):
        comes = bucket.spend(now, SLICE_S)
        assert now - CREDIT_S <= comes <= now + 1.0
