"""How many connections are worth having, and how much to ask of each at once.

A line says nothing of itself: it may be fast and clean, so that a few connections fill it, or lose
packets or cap each connection, so that only many do. So try: while twice as many bring a fair share
more, keep them, else give them back, and try again later. Knows no clock and no thread: every report
says when it was, in seconds of any clock that does not run backwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from hfmirror.model import PART

MOST = 64  # connections; more has been measured to gain nothing on any line, and few servers like it
SPANS = (PART, 16 * PART)  # bytes asked for at once, least and most; at 1 GB/s a request of the most costs a tenth
SPAN_S = 2.0  # seconds a span should take: many requests waste round trips, long ones keep a number from falling
TAIL, TAIL_S = PART // 4, 0.25  # bytes and seconds, the least at the end, where what is left is shared out
RELIEF_S = 1.0  # seconds an order must still need to be given help at the end
RELIEF_SPEED = 2 * PART  # bytes a second of an order, above which what is cut off under way outweighs the help
TELLING_S = 0.1  # seconds an order must take to say something of a line's speed
REQUEST = 64 * 2**10  # bytes that a request is worth: where files are small it is answers that are counted

WORTH = 1.1  # times the rate that twice the connections must bring to be kept
CLEAR, STRIKING, NEARLY = 1.3, 1.6, 1.8  # gains beyond doubt after the usual time, after half of it; nearly twice
ENOUGH, SURE, LONGEST = 2, 4, 6  # slices of time until a number is judged: usually, to refute it, when in doubt
FALL_S = 4.0  # seconds in which half of all are given back: the others need time to take over what those carried
CHANGED = 0.6  # a number that brings so much less than it did is on another line now
RAMP, RAMPS = 1.2, 3  # a rate that grows so much from slice to slice is only starting up; how long that is believed
IN_USE = (0.8, 1.2)  # share of the number that must have been in use, for a slice of time to say something of it
SLICE_S = (0.2, 0.5)  # seconds, least and most
ROUNDS, OPENING = 2.0, 1.0  # round trips in a slice, and until a new number shows at all
TRIAL_S = 10.0  # seconds until a trial that nothing can be learnt from is over
CHEAP = 8  # connections; to try more costs more
UP_S = (1.0, 32.0)  # seconds until more are tried again: after one refutation, and after many
DOWN_S = (30.0, 240.0)  # the same for fewer; that costs more, while it lasts
CEILING_S = (30.0, 600.0)  # seconds that a server's refusal is heeded: the first, and after many


@dataclass(slots=True)
class Slice:
    """A stretch of time: what came in it, and how much was on order."""

    begun: float
    ended: float = 0.0
    work: float = 0.0  # bytes, a request counted as some
    blocks: int = 0
    load: float = 0.0  # orders, times the seconds they were out

    @property
    def lasted(self) -> float:
        """Seconds."""
        return max(self.ended - self.begun, 1e-9)

    @property
    def rate(self) -> float:
        """Work a second."""
        return self.work / self.lasted


@dataclass(frozen=True, slots=True)
class Held:
    """A number that was measured, and what it brought a second."""

    number: int
    rate: float
    hasty: bool = False  # measured for too short a time to decide by a little more or less

    def again(self, rate: float) -> Held:
        """After one more measurement."""
        return Held(self.number, rate if self.hasty else self.rate + (rate - self.rate) / 4)


class Pace:
    """What is learnt of one source's line during one pull. Not thread-safe."""

    def __init__(self, number: int) -> None:
        """`number`: connections to begin with."""
        self._number = self._least = number
        self._falling = 0.0  # connections on the way down to that number
        self._held: Held | None = None  # what the number was measured to bring, or, in a trial, the one before it
        self._orders = 0  # in flight
        self.round_s = 0.0  # seconds; the shortest wait for a first byte, lately
        self._speed: float | None = None  # bytes a second of one connection; None while too high to tell
        self._since = self._seen = float("-inf")  # when the number was set; when the last report came
        self._last_byte = self._refused = float("-inf")
        self._slice: Slice | None = None  # None while the number is not in use
        self._slices: list[Slice] = []
        self._ramps = 0
        self._up_at, self._up_s = float("-inf"), UP_S[0]
        self._down_at, self._down_s = float("inf"), DOWN_S[0]
        self._ceiling, self._ceiling_until, self._ceiling_s = MOST, float("-inf"), CEILING_S[0]

    # -- what is asked ------------------------------------------------------------------------

    def connections(self, least: int) -> int:
        """How many orders are worth having in flight. `least`: without a reason for fewer."""
        return min(max(self._number, least, ceil(self._falling)), self._ceiling)

    def span(self, left: int, connections: int) -> int:
        """Bytes to ask for next: a power of two. `left`: what nobody has been asked for yet."""
        if self._speed is None:
            return SPANS[1]
        held = self._number if self._held is None else self._held.number
        speed = self._speed * min(held / self._number, 1.0)  # in a trial no more than an even share is to be expected
        share = max(left / connections, speed * max(TAIL_S, ROUNDS * self.round_s))
        usual, size = min(max(speed * SPAN_S, SPANS[0]), SPANS[1]), TAIL
        while size * 2 <= min(share, usual):
            size *= 2
        return size

    def relieves(self, rate: float, needs_s: float) -> bool:
        """Whether an order that brings so much a second, and needs so long still, is worth a second connection."""
        return rate <= RELIEF_SPEED and needs_s >= max(RELIEF_S, 4 * self.round_s)

    @property
    def speed(self) -> float:
        """Bytes a second of one connection, as far as it can be told."""
        return SPANS[1] / TELLING_S if self._speed is None else self._speed

    @property
    def told(self) -> bool:
        """Whether anything is known of the speed of a connection."""
        return self._speed is not None

    # -- what is reported ---------------------------------------------------------------------

    def ordered(self, now: float, least: int) -> None:
        """An order goes out."""
        self._pass(now)
        self._orders += 1
        if now >= self._ceiling_until:
            self._ceiling = MOST
        self._least = least
        if self._number < min(least, self._ceiling):
            self._set(now, min(least, self._ceiling), None)

    def opened(self, waited_s: float) -> None:
        """An order's first byte came, so long after it went out."""
        shorter = self.round_s == 0.0 or waited_s < self.round_s
        self.round_s = waited_s if shorter else self.round_s + (waited_s - self.round_s) / 16

    def arrived(self, now: float, size: int) -> None:
        """Bytes came."""
        self._last_byte = now
        if self._slice is not None:
            self._slice.work += size
            self._slice.blocks += 1
        self._pass(now)

    def ended(self, now: float, got: int, took_s: float) -> None:
        """An order is over, so long after it went out."""
        if self._slice is not None and got:
            self._slice.work += REQUEST
        self._pass(now)
        self._orders -= 1
        if got >= PART // 2 or (got and took_s >= TELLING_S and self._speed is None):
            speed = got / max(took_s, 1e-3)
            self._speed = max(speed, (speed + (self._speed or 0.0)) / 2)

    def refused(self, now: float, since: float) -> None:
        """The source did not even begin to fill an order that went out at `since`.

        That is about the number only if something came for others meanwhile; else nobody is served.
        """
        if self._last_byte <= since or since <= self._refused:
            return
        self._refused = now  # what many meet together is one refusal
        self._ceiling = max(1, self.connections(self._least) // 2)
        self._ceiling_until, self._ceiling_s = now + self._ceiling_s, min(self._ceiling_s * 2, CEILING_S[1])
        self._up_at = self._ceiling_until
        self._set(now, self._ceiling, None)
        self._falling = 0.0

    # -- time passes --------------------------------------------------------------------------

    def _pass(self, now: float) -> None:
        """Account for the time since the last report, and look whether it was enough to judge."""
        if self._falling > self._number:
            self._falling *= 0.5 ** ((now - self._seen) / FALL_S)
        if self._slice is None:
            self._begin(now)
        else:
            self._slice.load += self._orders * (now - self._seen)
            self._slice.ended = now
            if self._is_over(self._slice):
                done, self._slice = self._slice, Slice(now, now)
                self._heard(now, done)
        self._seen = now

    @property
    def _slice_s(self) -> float:
        return min(max(SLICE_S[0], ROUNDS * self.round_s), SLICE_S[1])

    def _is_over(self, current: Slice) -> bool:
        """Whether it was long enough, and long enough to hear of every connection."""
        if current.lasted < self._slice_s:
            return False
        return current.blocks >= self._number or current.lasted >= 4 * self._slice_s

    def _begin(self, now: float) -> None:
        """Measure from now on, if the number is in use and has had its time to show."""
        if self._in_use(self._orders) and now - self._since >= OPENING * self.round_s:
            self._slice = Slice(now, now)
        else:
            self._end_fruitless_trial(now)

    def _in_use(self, orders: float) -> bool:
        low, high = IN_USE
        return low * self._number <= orders <= high * self._number + 0.5

    def _set(self, now: float, number: int, held: Held | None) -> None:
        """Go to a number, of which nothing is known but what `held` says."""
        self._falling = float(self._number)
        self._number, self._held, self._since = number, held, now
        self._slice, self._ramps = None, 0
        self._slices.clear()

    # -- judgement ----------------------------------------------------------------------------

    def _heard(self, now: float, done: Slice) -> None:
        """A slice of time is over."""
        if not self._in_use(done.load / done.lasted):
            self._slice = None
            self._slices.clear()
            self._end_fruitless_trial(now)
            return
        if self._slices and done.rate > RAMP * self._slices[-1].rate and self._ramps < RAMPS:
            self._slices.clear()  # what was before says nothing any more
            self._ramps += 1
        self._slices.append(done)
        if self._held is not None and self._held.number != self._number:
            self._weigh(now, self._held)
        elif len(self._slices) >= ENOUGH:
            self._settle(now)

    @property
    def _best(self) -> float:
        """What the number can bring: at first a line suffers from having been filled too fast.

        Two slices together, as what waits behind a lost packet in one comes in the next.
        """
        if len(self._slices) == 1:
            return self._slices[0].rate
        return max((one.work + two.work) / (one.lasted + two.lasted) for one, two in pairwise(self._slices))

    def _settle(self, now: float) -> None:
        """Note what the number in use brings, and go on to the next trial if it is time."""
        if self._held is None or self._best < CHANGED * self._held.rate:
            held, self._up_at = Held(self._number, self._best), min(self._up_at, now + UP_S[0])
        else:
            held = self._held.again(self._best)
        self._held = held
        self._slices.clear()
        if now >= self._up_at and self._number < (top := self._top(now)):
            self._set(now, min(self._number * 2, top), held)
        elif now >= self._down_at and self._number > self._least:
            self._set(now, max(self._number // 2, self._least), held)

    def _top(self, now: float) -> int:
        return MOST if now >= self._ceiling_until else self._ceiling

    def _weigh(self, now: float, before: Held) -> None:
        """In a trial: whether the larger number is worth it, once that is clear."""
        up = self._number > before.number
        rate = sum(one.work for one in self._slices) / sum(one.lasted for one in self._slices)
        higher, lower = (rate, before.rate) if up else (before.rate, rate)
        gain = higher / max(lower, 1.0)
        count = len(self._slices)
        clear = count >= ENOUGH and (gain >= CLEAR or (gain <= 1.0 and count >= SURE))
        if not clear and gain < STRIKING and count < LONGEST:
            return
        if up and gain < CHANGED:  # twice as many do not bring half: what was measured before holds no more
            self._down_at = min(self._down_at, now + UP_S[0] * ENOUGH)
            self._set(now, self._number, None)
            return
        keep = (gain >= WORTH) is up
        (self._keep if keep else self._go_back)(now, before, Held(self._number, self._best, count < ENOUGH))

    def _keep(self, now: float, before: Held, tried: Held) -> None:
        up = tried.number > before.number
        self._up_s, self._down_s = UP_S[0], DOWN_S[0]
        self._up_at = now if up else now + UP_S[1]  # just seen that more than this bring nothing
        self._down_at = now + (self._down_s if up else 0.0)
        self._held = tried
        self._slices.clear()
        if up and (top := self._top(now)) > tried.number:
            sure = before.number > self._least  # beyond what a line's start can make one believe
            times = 4 if sure and tried.rate >= NEARLY * before.rate else 2
            self._set(now, min(tried.number * times, top), tried)

    def _go_back(self, now: float, before: Held, tried: Held) -> None:
        if tried.number > before.number:
            wait_s = self._up_s * max(tried.number / CHEAP, 1)
            self._up_at, self._up_s = now + min(wait_s, UP_S[1]), min(self._up_s * 2, UP_S[1])
            self._down_at = min(self._down_at, now + self._down_s)
        else:
            self._down_at, self._down_s = now + self._down_s, min(self._down_s * 2, DOWN_S[1])
        self._set(now, before.number, before)

    def _end_fruitless_trial(self, now: float) -> None:
        """Go back when the number could not be brought into use: nothing left to order, a proof that lags."""
        held = self._held
        if held is not None and held.number != self._number and now - self._since >= TRIAL_S:
            self._go_back(now, held, Held(self._number, 0.0))
