"""Who may send when, so that all together keep to a rate. Pure: time comes in, time goes out.

The rate is a leaky bucket told in time: so many bytes take so many seconds of the line, whatever the
rate is, and the one number to keep is when the line is free again. Those who share a line share that
number, and take a little of the line ahead (a lease), so that they touch it a few times a second only.
Every moment is in seconds of one clock, which may jump.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

LEASE_S: Final = 0.1  # seconds of the line taken ahead; who dies with it costs the others no more than that
CREDIT_S: Final = 0.2  # seconds of the line that may be caught up on: 2 % of the ten over which a rate is to hold
AHEAD_S: Final = 10.0  # seconds; a line taken further ahead is none: the number is garbage, or the clock was set back


class Line(Protocol):
    """Where the number lies: when the line is free again."""

    def change(self, to: Callable[[float], float]) -> float:
        """Replace the number by what `to` makes of it, and return that. Anything may have become of the number."""
        ...


class OwnLine:
    """A line that is shared with nobody."""

    def __init__(self) -> None:
        self._free = 0.0

    def change(self, to: Callable[[float], float]) -> float:
        """As the port says."""
        self._free = to(self._free)
        return self._free


def taken(free: float, now: float, lasts_s: float) -> float:
    """When the line is free again, once somebody has taken the next `lasts_s` of it."""
    sane = now - CREDIT_S <= free <= now + AHEAD_S  # not after a pause, nor for NaN
    return (free if sane else now - CREDIT_S) + lasts_s


class Bucket:
    """One process's part of a line. Not thread-safe."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._at = self._until = float("-inf")  # what is left of the lease; the first may lie behind the second

    def spend(self, now: float, lasts_s: float) -> float:
        """When something may come that takes the line for so long; in the past: at once."""
        if not now - CREDIT_S <= self._at <= now + AHEAD_S:
            self._at = self._until = now - CREDIT_S  # what was not used in time is lost
        while self._at >= self._until:
            until = self._line.change(lambda free: taken(free, now, LEASE_S))
            self._at += until - LEASE_S - self._until  # what went beyond the last lease is paid from this one
            self._until = until
        begins, self._at = self._at, self._at + lasts_s
        return begins
