"""How people write rates and hours, and what holds when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfmirror.errors import UsageError
from hfmirror.timetable import DAY_MIN, Limit, Timetable

MIB = 2**20
NIGHT_OFF = "08:00 2M, 19:00 off"


def parse(text: str) -> Timetable:
    return Timetable.parse(text, "--limit-rate")


@pytest.mark.parametrize(
    ("text", "rate"),
    [("1000", 1000), ("2K", 2048), ("2k", 2048), ("1.5M", 3 * MIB // 2), ("1G", 2**30), (" 2M ", 2 * MIB)],
)
def test_a_rate_holds_all_day(text: str, rate: int) -> None:
    assert {parse(text).at(minute) for minute in range(DAY_MIN)} == {Limit(rate)}


def test_off_is_no_limit() -> None:
    assert parse("off").at(0) == Limit(None)
    assert not parse("off").limits
    assert parse(NIGHT_OFF).limits


@pytest.mark.parametrize(
    ("time", "limit"),
    [
        ((7, 59), Limit(None, "08:00")),
        ((8, 0), Limit(2 * MIB, "19:00")),
        ((18, 59), Limit(2 * MIB, "19:00")),
        ((19, 0), Limit(None, "08:00")),
        ((0, 0), Limit(None, "08:00")),
    ],
)
def test_an_entry_holds_until_the_next_and_the_last_over_midnight(time: tuple[int, int], limit: Limit) -> None:
    assert parse(NIGHT_OFF).at(time[0] * 60 + time[1]) == limit


def test_the_order_of_the_entries_says_nothing() -> None:
    assert parse("19:00 off, 8:00 2M") == parse(NIGHT_OFF)


def test_an_entry_that_changes_nothing_is_no_change() -> None:
    assert parse("08:00 1M, 12:00 1M, 18:00 2M").at(9 * 60) == Limit(MIB, "18:00")
    assert parse("08:00 1M, 12:00 1M").at(9 * 60) == Limit(MIB)


@given(st.dictionaries(st.integers(0, DAY_MIN - 1), st.integers(1, 10**12), min_size=1, max_size=8))
def test_each_minute_has_the_rate_of_the_last_entry_before_it(rows: dict[int, int]) -> None:
    table = parse(", ".join(f"{minute // 60}:{minute % 60:02} {rate}" for minute, rate in rows.items()))
    for minute in range(0, DAY_MIN, 7):
        begun = [entry for entry in rows if entry <= minute] or list(rows)
        assert table.at(minute).rate == rows[max(begun)]


@pytest.mark.parametrize(
    "text",
    ["", "fast", "2 M", "2MB", "-2M", "0", "0.0001", "08:00", "08:00 2M, 19:00", "24:00 2M", "08:60 2M", "8 2M",
     "08:00 2M, 8:00 3M", "08:00 2M,", "2M, 3M", "08:00 2M; 19:00 off", "inf", "nan", "9" * 40],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="--limit-rate") as caught:
        parse(text)
    assert "08:00 2M, 19:00 off" in caught.value.hint()


def test_it_is_said_in_words() -> None:
    assert str(parse(NIGHT_OFF).at(9 * 60)) == "at most 2.1 MB/s until 19:00"
    assert str(parse(NIGHT_OFF).at(20 * 60)) == "no limit to the rate until 08:00"
    assert str(parse("500").at(0)) == "at most 500 B/s"
