"""Which of several sources are asked just now. Pure: knows no clock, no thread and no line.

Places of this machine come first. Of the others all work, for their rates add; but a source whose own
rate is below a quarter of the best one's rests, so that a thin uplink is not filled beside a mirror
next door. It stands in at once when those who come before it pause or fall silent, and is looked at
again after a while. Every report says when it was, in seconds of any clock that runs forwards.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

SLOW = 0.25  # share of the best rate below which a source rests: it would bring a fifth of all at most
SLICE_S = 1.0  # seconds of work after which its rate is noted
TELLING = 2  # slices until a source is judged: in the first the line only starts up
LATELY = 3  # slices that count, the best of them: a line may waver
AGAIN_S = 30.0  # seconds a source rests until it is looked at again
STALLED_S = 0.5  # seconds a source is left alone after a first stall
SILENT_S = 1.0  # seconds without a byte, with something on order, after which others stand in


@dataclass(slots=True, eq=False)
class Standing:
    """What is known of one source."""

    near: bool = False  # a place of this machine
    orders: int = 0  # out just now
    heard: float = float("-inf")  # the last byte, or the order it began with
    paused_until: float = float("-inf")
    stalls: int = 0  # in a row
    rested: float | None = None  # since when
    rates: deque[float] = field(default_factory=lambda: deque(maxlen=LATELY))  # bytes a second of work, lately
    _seen: float = 0.0
    _work: int = 0
    _lasted: float = 0.0  # seconds of work in this slice

    @property
    def rate(self) -> float | None:
        """Bytes a second that it can bring; None until that can be told."""
        return max(self.rates) if len(self.rates) >= TELLING else None

    def rests(self, now: float) -> bool:
        """Whether it was too slow, not long ago."""
        return self.rested is not None and now - self.rested < AGAIN_S

    def lively(self, now: float) -> bool:
        """Whether it may be counted on: it does not pause, and brings something if anything is on order."""
        return now >= self.paused_until and not (self.orders and now - self.heard >= SILENT_S)

    def passed(self, now: float, size: int) -> bool:
        """Account for the time since the last report; whether a slice of work is over."""
        if self.orders:
            self._lasted += now - self._seen
            self._work += size
        self._seen = now
        if self._lasted < SLICE_S:
            return False
        self.rates.append(self._work / self._lasted)
        self._work, self._lasted = 0, 0.0
        return True

    def begin(self, now: float) -> None:
        """Measure from here on: what was before says nothing any more."""
        self.rested, self._seen, self._work, self._lasted = None, now, 0, 0.0
        self.rates.clear()


class Choice:
    """The standings of all sources of one pull. Not thread-safe."""

    def __init__(self) -> None:
        self._all: list[Standing] = []

    def join(self, *, near: bool) -> Standing:
        """One more source."""
        self._all.append(Standing(near))
        return self._all[-1]

    def leave(self, one: Standing) -> None:
        """A source is asked no more."""
        self._all.remove(one)

    # -- what is asked ------------------------------------------------------------------------

    def before(self, one: Standing, other: Standing, now: float) -> bool:
        """Whether `one` is asked instead of `other`, for what both have."""
        if one not in self._all or not one.lively(now):
            return False
        if not other.lively(now):
            return True
        if one.near != other.near:
            return one.near
        return other.rests(now) and not one.rests(now)

    # -- what is reported ---------------------------------------------------------------------

    def ordered(self, one: Standing, now: float) -> None:
        """An order goes out."""
        if one.rested is not None and not one.rests(now):
            one.begin(now)  # it is looked at again
        one.passed(now, 0)
        if not one.orders:
            one.heard = now
        one.orders += 1

    def arrived(self, one: Standing, now: float, size: int) -> None:
        """Bytes came."""
        one.heard, one.stalls = now, 0
        if one.passed(now, size):
            self._judge(now)

    def ended(self, one: Standing, now: float) -> None:
        """An order is over."""
        one.passed(now, 0)
        one.orders -= 1

    def paused(self, one: Standing, until: float) -> None:
        """Nothing is asked of it before."""
        one.paused_until = max(one.paused_until, until)

    def stalled(self, one: Standing, now: float) -> None:
        """It was given up in mid-file, for a silence: leave it alone, for longer each time in a row."""
        self.paused(one, now + min(STALLED_S * 2.0**one.stalls, AGAIN_S))
        one.stalls += 1

    def _judge(self, now: float) -> None:
        """Let those rest that bring far less than the best."""
        working = [one for one in self._all if one.rate is not None and one.rested is None]
        best = max((one.rate or 0.0 for one in working if one.lively(now)), default=0.0)
        for one in working:
            if (one.rate or 0.0) < SLOW * best:
                one.rested = now
