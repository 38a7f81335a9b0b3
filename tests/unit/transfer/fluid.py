"""A line as a fluid, and a pull over it, in simulated time: enough of TCP to be fooled by.

Each connection opens for a round trip or two, starts slowly, and comes to its own limit (a cap, or
what its losses leave it), wavering; all together share a capacity. Bytes are told of in blocks, as
engines do, and at the speed of thought: a minute of a line is simulated in a second.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from math import exp, inf, sqrt
from typing import TYPE_CHECKING

from hfmirror.model import PART
from hfmirror.transfer.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable

STEP_S = 0.01
SEGMENT = 1460  # bytes of TCP in a packet of 1500
FIRST_WINDOW = 10 * SEGMENT  # what a connection sends before it has heard anything
PAUSE_S = 0.5  # after a refusal
BLOCK, BLOCK_S = 256 * 2**10, 0.2  # bytes and seconds after which an engine passes on what came
ORDERED_FIRST = 16 * 2**10  # bytes of the first order, and no other is out beside it


@dataclass(frozen=True)
class FluidLine:
    """How a line behaves."""

    rtt_s: float
    capacity: float = 50e6  # bytes a second, all connections together
    cap: float = inf  # bytes a second of each connection
    loss: float = 0.0  # share of packets: the limit of a connection follows by the formula of Mathis
    noise: float = 0.1  # standard deviation of a connection's rate, as a share of it
    weather: float = 0.0  # the same of the capacity, which others use too
    cost: float = 0.0  # share of the capacity that each connection beyond eight costs
    serves: int = 1000  # connections; more are refused
    proof: float = inf  # bytes a second that can be proven

    def limit(self) -> float:
        """Bytes a second that one connection can reach."""
        by_loss = 1.22 * SEGMENT / (self.rtt_s * sqrt(self.loss)) if self.loss else inf
        return min(self.cap, by_loss)


@dataclass
class Connection:
    """One connection, which may be filling an order."""

    left: float = 0.0  # bytes of its order still to come
    size: float = 0.0
    ordered: float = 0.0  # when
    answers: float = inf  # when its first byte may come
    window: float = FIRST_WINDOW
    refused: bool = False
    begun: bool = False
    gathered: float = 0.0
    block: float = BLOCK  # bytes until the next is passed on; not the same for all, or all would be in step
    passed_on: float = 0.0
    wavering: float = 0.0  # deviations from its usual rate


@dataclass
class Pull:
    """A pull of `size` bytes in orders, at the pace's number of connections or a fixed one."""

    line: FluidLine
    size: float
    seed: int = 0
    fixed: int | None = None
    file: float = inf  # bytes of each file; one order for a file of at most a part
    least: int = 4
    change: Callable[[float], FluidLine] | None = None  # the line at a time, where it does not stay the same
    now: float = 1000.0
    came: float = 0.0
    numbers: list[tuple[float, int]] = field(default_factory=list)  # seconds from the start, allowed
    amounts: list[float] = field(default_factory=list)  # bytes so far, each second
    refusals: int = 0

    def __post_init__(self) -> None:
        self.pace = Pace(self.least)
        self.unassigned, self.proven = self.size, 0.0
        self.idle: list[Connection] = []
        self.busy: list[Connection] = []
        self.random = random.Random(self.seed)
        self.start, self.not_before, self.weather = self.now, 0.0, 0.0

    # -- what a desk does ---------------------------------------------------------------------

    @property
    def allowed(self) -> int:
        """How many orders may be out."""
        if self.came < ORDERED_FIRST:
            return 1
        if self.came - self.proven > 32 * PART:
            return 1
        return self.fixed or self.pace.connections(self.least)

    def order(self) -> None:
        """Send out what may be sent out."""
        while self.unassigned > 0 and len(self.busy) < self.allowed and self.now >= self.not_before:
            connection = self.idle.pop() if self.idle else None
            trips = 1 if connection else 2
            connection = connection or Connection()
            span = self.pace.span(int(self.unassigned), self.allowed) if self.came else ORDERED_FIRST
            connection.size = connection.left = min(span, self.file, self.unassigned)
            connection.ordered, connection.answers = self.now, self.now + trips * self.line.rtt_s
            connection.begun, connection.gathered, connection.passed_on = False, 0.0, connection.answers
            self.unassigned -= connection.size
            self.pace.ordered(self.now, self.least)
            self.busy.append(connection)
            connection.refused = len(self.busy) > self.line.serves

    def refuse(self, connection: Connection) -> None:
        self.busy.remove(connection)
        self.unassigned += connection.size
        self.pace.ended(self.now, 0, self.now - connection.ordered)
        self.pace.refused(self.now, connection.ordered)
        self.refusals += 1
        self.not_before = max(self.not_before, self.now + PAUSE_S)

    def pass_on(self, connection: Connection) -> None:
        size, connection.gathered, connection.passed_on = int(connection.gathered), 0.0, self.now
        if size and not connection.begun:
            connection.begun = True
            self.pace.opened(self.now - connection.ordered)
        connection.block = BLOCK * self.random.uniform(0.5, 1.0)
        self.pace.arrived(self.now, size)

    def end(self, connection: Connection) -> None:
        self.pass_on(connection)
        self.pace.ended(self.now, int(connection.size), self.now - connection.ordered)
        self.busy.remove(connection)
        self.idle.append(connection)

    # -- what the line does -------------------------------------------------------------------

    def step(self) -> None:
        """A hundredth of a second."""
        if self.change is not None:
            self.line = self.change(self.now - self.start)
        self.order()
        self.now += STEP_S
        for one in [one for one in self.busy if one.refused and one.answers <= self.now]:
            self.refuse(one)
        flowing = [one for one in self.busy if one.answers <= self.now]
        for one, rate in zip(flowing, self.rates(flowing), strict=True):
            amount = min(rate * STEP_S, one.left)
            one.left -= amount
            one.gathered += amount
            one.window *= 2 ** (STEP_S / self.line.rtt_s) if one.window < 2e7 else 1.0
            self.came += amount
        for one in flowing:
            if one.left < 1:
                self.end(one)
            elif one.gathered >= one.block or self.now - one.passed_on >= BLOCK_S:
                self.pass_on(one)
        self.proven = min(self.came, self.proven + self.line.proof * STEP_S)

    def rates(self, flowing: list[Connection]) -> list[float]:
        """What each gets: its own limit, or an even share of what those below it leave."""
        memory = exp(-STEP_S / (10 * self.line.rtt_s))
        fresh = sqrt(1 - memory**2)
        self.weather = memory * self.weather + fresh * self.random.gauss(0, 1)
        limit = self.line.limit()
        wishes = []
        for one in flowing:
            one.wavering = memory * one.wavering + fresh * self.random.gauss(0, 1)
            own = min(limit, self.line.capacity) * exp(self.line.noise * one.wavering - self.line.noise**2 / 2)
            wishes.append(min(one.window / self.line.rtt_s, own if self.line.loss else min(own, limit)))
        room = self.line.capacity * exp(self.line.weather * self.weather - self.line.weather**2 / 2)
        room *= 1 - self.line.cost * max(0, len(flowing) - 8)
        given = [0.0] * len(flowing)
        for place, at in enumerate(sorted(range(len(wishes)), key=wishes.__getitem__)):
            given[at] = min(wishes[at], room / (len(wishes) - place))
            room -= given[at]
        return given

    def run(self, longest_s: float) -> Pull:
        """Until all has come, or so long."""
        seconds = 0.0
        while (self.unassigned > 0 or self.busy) and self.now - self.start < longest_s:
            self.step()
            if not self.numbers or self.numbers[-1][1] != self.allowed:
                self.numbers.append((self.now - self.start, self.allowed))
            if self.now - self.start >= seconds + 1 - STEP_S / 2:
                seconds += 1
                self.amounts.append(self.came)
        return self

    def rate(self, first_s: int, last_s: int) -> float:
        """Bytes a second between two seconds."""
        return (self.amounts[last_s - 1] - self.amounts[first_s - 1]) / (last_s - first_s)

    def share_of_time(self, fewest: int, most: int, *, since_s: float, until_s: float = inf) -> float:
        """The share of the time in which the number allowed was between two."""
        until_s = min(until_s, self.now - self.start)
        ends = [*(when for when, _ in self.numbers[1:]), until_s]
        held = [
            max(min(end, until_s) - max(when, since_s), 0.0)
            for (when, number), end in zip(self.numbers, ends, strict=True)
            if fewest <= number <= most
        ]
        return sum(held) / (until_s - since_s)
