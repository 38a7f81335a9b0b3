"""How fast, and when: `2M`, or `08:00 2M, 19:00 off`. Pure; knows no clock."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

from hfmirror.errors import UsageError, human

DAY_MIN: Final = 24 * 60  # minutes
OFF: Final = "off"
EXAMPLE: Final = 'write it like 2M, or like "08:00 2M, 19:00 off" (K, M and G are powers of 1024)'
_UNITS: Final = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}  # as curl's --limit-rate and rsync's --bwlimit count
_RATE: Final = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)([KMG]?)")
_ENTRY: Final = re.compile(r"(\d{1,2}):(\d\d)\s+(\S+)")


@dataclass(frozen=True, slots=True)
class Limit:
    """What holds just now."""

    rate: int | None  # bytes a second; None: no limit
    until: str = ""  # the local time when that changes, like 19:00; empty: it stays so

    def __str__(self) -> str:
        limit = "no limit to the rate" if self.rate is None else f"at most {human(self.rate)}/s"
        return f"{limit} until {self.until}" if self.until else limit


@dataclass(frozen=True, slots=True)
class Timetable:
    """From which minute of the day on which rate holds; the last one holds over midnight."""

    minutes: tuple[int, ...]  # of the local day, rising; never empty
    rates: tuple[int | None, ...]  # bytes a second, for each

    @classmethod
    def parse(cls, text: str, name: str) -> Timetable:
        """From what people write into the option or variable called `name`. Raises UsageError."""
        try:
            return cls._of(text)
        except ValueError as why:
            raise UsageError(f"{name}: {why}", EXAMPLE) from None

    @classmethod
    def _of(cls, text: str) -> Timetable:
        entries = [entry.strip() for entry in text.split(",")]
        if len(entries) == 1 and ":" not in entries[0]:
            return cls((0,), (_rate(entries[0]),))
        rows = dict(map(_entry, entries))
        if len(rows) < len(entries):
            raise ValueError("two entries begin at the same time")
        minutes = tuple(sorted(rows))
        return cls(minutes, tuple(rows[minute] for minute in minutes))

    @property
    def limits(self) -> bool:
        """Whether there is a limit at any time."""
        return any(self.rates)

    def at(self, minute: int) -> Limit:
        """What holds in this minute of the local day."""
        here = bisect_right(self.minutes, minute) - 1  # -1: before the first, so the last of yesterday
        rate = self.rates[here]
        for step in range(1, len(self.minutes)):
            follower = (here + step) % len(self.minutes)
            if self.rates[follower] != rate:
                hours, minutes = divmod(self.minutes[follower], 60)
                return Limit(rate, f"{hours:02}:{minutes:02}")
        return Limit(rate)


def _entry(text: str) -> tuple[int, int | None]:
    found = _ENTRY.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time and rate")
    minute = int(found[1]) * 60 + int(found[2])
    if int(found[2]) > 59 or minute >= DAY_MIN:
        raise ValueError(f"{found[1]}:{found[2]} is no time of day")
    return minute, _rate(found[3])


def _rate(text: str) -> int | None:
    if text.lower() == OFF:
        return None
    found = _RATE.fullmatch(text.upper())
    if found is None:
        raise ValueError(f"{text!r} is no rate")
    rate = int(float(found[1]) * _UNITS[found[2]])
    if rate < 1:
        raise ValueError(f"at a rate of {text} nothing would ever come; no limit is `{OFF}`")
    return rate
