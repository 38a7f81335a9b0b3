"""How long to wait, and when to stop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfmirror.errors import OutOfPatience, RateLimited, RepoNotFound, Unavailable
from hfmirror.transfer.events import silent
from hfmirror.transfer.patience import FIRST_S, MOST_S, Patience, patiently

BROKEN = Unavailable("the hub", "503")


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_pauses_grow_to_a_limit_and_start_anew_after_a_success() -> None:
    patience = Patience(1e9)
    pauses = [patience.pause_after(BROKEN) for _ in range(30)]
    assert FIRST_S * 0.75 <= pauses[0] <= FIRST_S
    assert all(MOST_S * 0.75 <= pause <= MOST_S for pause in pauses[10:])
    patience.encourage()
    assert patience.pause_after(BROKEN) <= FIRST_S


def test_a_limit_without_a_time_is_given_some_seconds() -> None:
    assert Patience(1e9).pause_after(RateLimited("the hub", None)) >= 5.0


@given(asked=st.one_of(st.none(), st.floats(0, 1e6)), limit=st.floats(1, 1e4))
def test_no_pause_outlasts_the_patience(asked: float | None, limit: float) -> None:
    clock = Clock()
    patience = Patience(limit, clock)
    try:
        for _ in range(100):
            clock.sleep(patience.pause_after(RateLimited("the hub", asked)))
    except OutOfPatience:
        pass
    assert clock.now <= limit + MOST_S


def test_what_may_pass_is_asked_again_until_it_has_passed() -> None:
    clock, answers = Clock(), [BROKEN, BROKEN, None]

    def ask() -> str:
        error = answers.pop(0)
        if error is not None:
            raise error
        return "yes"

    assert patiently(ask, Patience(60.0, clock), silent, clock.sleep) == "yes"
    assert answers == []


def test_what_will_not_pass_is_raised_at_once() -> None:
    asked: list[int] = []

    def ask() -> None:
        asked.append(1)
        raise RepoNotFound("acme/none", "the hub")

    with pytest.raises(RepoNotFound):
        patiently(ask, Patience(60.0, Clock()), silent)
    assert asked == [1]


def test_patience_ends() -> None:
    clock = Clock()

    def ask() -> None:
        raise BROKEN

    with pytest.raises(OutOfPatience) as caught:
        patiently(ask, Patience(60.0, clock), silent, clock.sleep)
    assert clock.now >= 60.0
    assert (caught.value.source, caught.value.__cause__) == ("the hub", BROKEN)


def test_to_be_asked_to_wait_by_many_answers_at_once_is_to_be_asked_once() -> None:
    patience = Patience(1e9)
    assert {patience.pause_after(RateLimited("the hub", 2.0)) for _ in range(16)} == {2.0}
    assert patience.pause_after(BROKEN) <= FIRST_S
