"""Threads that serve many sockets by turns, so that a fast client cannot starve the others."""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import socket
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

AGAIN: Final = 0  # a turn that ends with this wants another one; with READ or WRITE, once the socket can
READ: Final = selectors.EVENT_READ
WRITE: Final = selectors.EVENT_WRITE
ASLEEP: Final = -1  # no turn until woken
OVER: Final = -2
NICE: Final = 5  # steps below the loop, which answers a HEAD in between: fewer of these wait for the processor
JOIN_S: Final = 5.0  # a thread that hangs in the disk must not keep the server from ending


class Member(Protocol):
    """One socket among those of a round. All of it is called in the round's thread."""

    def fileno(self) -> int:
        """The socket's descriptor."""
        ...

    def turn(self) -> int:
        """Do a little without waiting. Returns AGAIN, READ and/or WRITE, ASLEEP, or OVER. Raises nothing."""
        ...

    def close(self) -> None:
        """Let go of everything: the member is over, or dropped."""
        ...


class Round:
    """A thread, the sockets it looks after, and its way back to the loop."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._members: set[Member] = set()
        self._waiting: set[Member] = set()  # for their sockets
        self._ready: dict[Member, None] = {}  # in the order of their turns
        self._work: deque[Callable[[], None]] = deque()  # from other threads
        self._news: deque[Callable[[], None]] = deque()  # for the loop
        self._woken = self._told = self._over = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the thread; news goes to this loop."""
        self._loop = loop
        self._selector = selectors.DefaultSelector()
        self._near, self._far = socket.socketpair()
        self._near.settimeout(0)
        self._far.settimeout(0)
        self._selector.register(self._near, READ)
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close all members and end the thread."""
        self.call(self._end)
        self._thread.join(JOIN_S)
        self._near.close()
        self._far.close()

    # -- from other threads -------------------------------------------------------------------

    def call(self, work: Callable[[], None]) -> None:
        """Have something done in the thread. It must not raise."""
        self._work.append(work)
        if not self._woken:  # the thread forgets this before it looks for work, so nothing is missed
            self._woken = True
            with contextlib.suppress(OSError):  # stopped
                self._far.send(b"!")

    def add(self, member: Member) -> None:
        """Take a member in; its first turn comes at once."""
        self.call(lambda: self._take_in(member))

    @property
    def load(self) -> int:
        """About how many members there are, with those about to come."""
        return len(self._members) + len(self._work)

    def drop(self, member: Member) -> None:
        """Close a member, unless it is over."""
        self.call(lambda: self._drop(member))

    # -- in the thread ------------------------------------------------------------------------

    def _take_in(self, member: Member) -> None:
        self._members.add(member)
        self._ready[member] = None

    def wake(self, member: Member) -> None:
        """Give a member a turn that waits, or sleeps."""
        if member in self._members:
            self._stop_waiting(member)
            self._ready[member] = None

    def tell(self, news: Callable[[], None]) -> None:
        """Have something done in the loop."""
        self._news.append(news)
        if not self._told:  # as with `call`
            self._told = True
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._hear)

    def _hear(self) -> None:
        self._told = False
        while self._news:
            self._loop.call_soon(self._news.popleft())  # one after the other, whatever becomes of each

    def _run(self) -> None:
        if sys.platform == "linux":  # elsewhere the number would mean a process
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while not self._over:
            self._wait(0 if self._ready else None)
            ready, self._ready = self._ready, {}
            for member in ready:
                self._turn(member)
        self._selector.close()

    def _wait(self, timeout_s: float | None) -> None:
        for key, _ in self._selector.select(timeout_s):
            if key.fileobj is not self._near:
                self.wake(key.fileobj)  # type: ignore[arg-type]  # only members are registered
        if self._woken:
            with contextlib.suppress(BlockingIOError):
                self._near.recv(4096)
            self._woken = False
            while self._work:
                self._work.popleft()()

    def _turn(self, member: Member) -> None:
        try:
            wants = member.turn()
        except Exception as fault:  # noqa: BLE001 - one member's fault must not end the thread of all
            context = {"message": f"a socket of {self._name} stumbled", "exception": fault}
            self.tell(lambda: self._loop.call_exception_handler(context))
            wants = OVER
        if wants == AGAIN:
            self._ready[member] = None
        elif wants == OVER:
            self._drop(member)
        elif wants != ASLEEP:
            self._selector.register(member, wants)
            self._waiting.add(member)

    def _stop_waiting(self, member: Member) -> None:
        if member in self._waiting:
            self._waiting.discard(member)
            self._selector.unregister(member)

    def _drop(self, member: Member) -> None:
        if member in self._members:
            self._members.discard(member)
            self._ready.pop(member, None)
            self._stop_waiting(member)
            member.close()

    def _end(self) -> None:
        for member in list(self._members):
            self._drop(member)
        self._over = True


class Crew:
    """Several such threads, which share the work."""

    def __init__(self, name: str, threads: int) -> None:
        self._rounds = deque(Round(f"hfmirror-{name}-{number}") for number in range(threads))

    def start(self) -> None:
        """Start the threads. Call in the loop that they will work for."""
        for home in self._rounds:
            home.start(asyncio.get_running_loop())

    def stop(self) -> None:
        """Drop all members and end the threads."""
        for home in self._rounds:
            home.stop()

    def least_loaded(self) -> Round:
        """Where the next member goes. Equals take turns."""
        self._rounds.rotate()
        return min(self._rounds, key=lambda home: home.load)
