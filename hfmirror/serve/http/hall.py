"""What the connections of one server share: its limits, its hooks, the current second, and who is here."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from itertools import count
from secrets import token_hex
from typing import TYPE_CHECKING, Final

from hfmirror.serve.http.framing import error

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfmirror.serve.http.wire import Wire
    from hfmirror.serve.replies import Handler, Reply, Request

REFUSALS: Final = 64  # connections beyond the limit that are being told so; more are cut without a word


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may ask of the server."""

    clients: int = 2000  # connections; one more closes the longest idle one, or is told to come back
    head_bytes: int = 32 * 2**10  # request line and headers
    body_bytes: int = 4 * 2**20
    head_s: float = 20.0  # from the first byte, or the connection's start, until the headers are complete
    idle_s: float = 75.0  # between two requests
    stall_s: float = 120.0  # without taking a byte of an answer, or for sending a body
    bodies_bytes: int = 64 * 2**20  # of all requests together: what many clients may make the server keep


@dataclass(frozen=True, slots=True)
class Done:
    """One answered request, for the access log."""

    request: Request
    status: int
    sent: int  # bytes of the body
    seconds: float
    note: str
    whole: bool  # the body went out to its end


@dataclass(slots=True)
class Hooks:
    """Whom to tell."""

    done: Callable[[Done], None] | None
    fault: Callable[[BaseException], None] | None


class Hall:
    """The shared part of all connections."""

    def __init__(self, handler: Handler, limits: Limits, hooks: Hooks, clock: Callable[[], float]) -> None:
        self.handler, self.limits, self.clock = handler, limits, clock
        self.logs = hooks.done is not None
        self._hooks = hooks
        self.wires: set[Wire] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.body_bytes = 0  # of the requests that are coming in or being answered
        self.stopping = False
        self.now = clock()  # of the last sweep: exact enough for limits of seconds, and free
        self.date = ""
        self._empty = asyncio.Event()
        self._idlest: list[tuple[float, int, Wire]] = []  # the longest idle last; may be out of date
        self._boot, self._numbers = token_hex(4), count(1)

    def sweep(self, wall: float) -> None:
        """Once a second: tell the time, and cut who keeps the server waiting."""
        self.now = self.clock()
        self.date = f"Date: {formatdate(wall, usegmt=True)}\r\n"
        for wire in list(self.wires):
            wire.sweep(self.now)

    def stamp(self) -> str:
        """The headers that tell answers apart: the date, and a number by which people can name one."""
        return f"{self.date}X-Request-Id: {self._boot}-{next(self._numbers)}\r\n"

    def admit(self, wire: Wire) -> bool:
        """Whether there is room for one more connection; room is made by closing the longest idle one."""
        room = len(self.wires) < self.limits.clients
        if not room:
            idle = self._longest_idle()
            if idle is not None:
                self.forget(idle)
                idle.leave()
                room = True
        self.wires.add(wire)
        if len(self.wires) > self.limits.clients + REFUSALS:
            wire.cut()
        return room

    def _longest_idle(self) -> Wire | None:
        """The connection that has waited longest. Found from a list that is made anew only when it is used up."""
        for fresh in (False, True):
            if fresh:
                idle = ((wire.since, id(wire), wire) for wire in self.wires if wire.idle)
                self._idlest = sorted(idle, reverse=True)
            while self._idlest:
                since, _, wire = self._idlest.pop()
                if wire in self.wires and wire.idle and wire.since == since:
                    return wire
        return None

    def forget(self, wire: Wire) -> None:
        """A connection is closed."""
        self.wires.discard(wire)
        if not self.wires:
            self._empty.set()

    async def emptied(self) -> None:
        """Return once nobody is here."""
        while self.wires:
            self._empty.clear()
            await self._empty.wait()

    def stumbled(self, fault: BaseException) -> Reply:
        """The answer to a request over which the server itself has stumbled."""
        self.report(fault)
        return error(HTTPStatus.INTERNAL_SERVER_ERROR, "the mirror stumbled over a fault of its own")

    def report(self, fault: BaseException) -> None:
        """Tell of a fault. Whoever hears of it must not cause another one."""
        if self._hooks.fault is not None:
            with contextlib.suppress(Exception):
                self._hooks.fault(fault)

    def log(self, done: Done) -> None:
        """Tell of an answered request; a log that fails must not take the connection with it."""
        if self._hooks.done is None:
            return
        try:
            self._hooks.done(done)
        except Exception as fault:  # noqa: BLE001 - as said
            self.report(fault)
