"""Listening, limits that need a clock, and a graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING, Final

from hfmirror.serve.http.hall import Done, Hall, Hooks, Limits
from hfmirror.serve.http.pump import Pump
from hfmirror.serve.http.tls import Tls
from hfmirror.serve.http.tls import push as tls_push
from hfmirror.serve.http.wire import Wire

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from hfmirror.serve.replies import Handler

__all__ = ["Done", "Limits", "Server"]

BACKLOG: Final = 1024  # connections the kernel keeps for us while the loop is busy
CUT_S: Final = 5.0  # for threads to let go of what was cut; only one that hangs in the disk takes so long
SWEEP_S: Final = 1.0  # limits are in seconds, and so is the Date header


class Server:
    """Answers requests with what a handler says. Everything happens in the loop that listens."""

    def __init__(
        self,
        handler: Handler,
        limits: Limits = Limits(),  # noqa: B008 - a frozen value
        done: Callable[[Done], None] | None = None,
        fault: Callable[[BaseException], None] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hall = Hall(handler, limits, Hooks(done, fault), clock)
        self._pump = Pump()
        self._tls = Tls()
        self._doors: list[asyncio.Server | socket.socket] = []
        self._tasks: list[asyncio.Task[None]] = []  # the sweep, and who opens the doors to TLS

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> list[tuple[str, int]]:
        """Take connections, in clear or with TLS; 0 is a free port. Returns the addresses. Raises OSError."""
        listeners = await bound(host, port)
        if not self._tasks:
            self._start()
        for listener in listeners:
            if tls is None:
                await self._open_door(listener)
            else:
                self._open_tls_door(listener, tls)
        return [listener.getsockname()[:2] for listener in listeners]

    @property
    def quiet(self) -> bool:
        """Whether nobody is being answered just now. May be asked in any thread."""
        return all(wire.idle for wire in list(self._hall.wires))

    def _start(self) -> None:
        raise_descriptor_limit()
        self._pump.start()
        self._tls.start()
        self._hall.sweep(time.time())
        self._tasks.append(asyncio.get_running_loop().create_task(self._sweep()))

    async def _open_door(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        wire = lambda: Wire(self._hall, self._pump.push, "http")  # noqa: E731
        self._doors.append(await loop.create_server(wire, sock=listener, backlog=BACKLOG))

    def _open_tls_door(self, listener: socket.socket, context: ssl.SSLContext) -> None:
        wire = lambda: Wire(self._hall, tls_push, "https")  # noqa: E731
        accepting = self._tls.accept(listener, context, wire)
        self._tasks.append(asyncio.get_running_loop().create_task(accepting))
        self._doors.append(listener)

    async def stop(self, within_s: float) -> None:
        """Take no more connections, close the idle ones, let answers finish for `within_s`, then cut them."""
        hall, self._hall.stopping = self._hall, True
        for task in self._tasks[1:]:  # the sweep goes on
            task.cancel()
        for door in self._doors:
            door.close()
        for wire in list(hall.wires):
            if wire.idle:
                wire.leave()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(hall.emptied(), within_s)
        for wire in list(hall.wires):
            wire.cut()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(hall.emptied(), CUT_S)
        await self._end()

    async def _end(self) -> None:
        tasks, self._tasks = self._tasks, []  # whoever stops again meanwhile has nothing left to do
        if not tasks:
            return
        tasks += self._hall.tasks
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self._pump.stop()
        self._tls.stop()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                self._hall.sweep(time.time())
            except Exception as fault:  # noqa: BLE001 - without the sweep no limit would hold any more
                self._hall.report(fault)


async def bound(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen on each address of a host, all on one port. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    with contextlib.ExitStack() as unless_complete:
        listeners: list[socket.socket] = []
        for family, kind, protocol, _, address in dict.fromkeys(found):
            listener = socket.socket(family, kind, protocol)  # with its protocol, or the loop would not set TCP_NODELAY
            unless_complete.callback(listener.close)
            listener.settimeout(0)
            if os.name == "posix":  # elsewhere it would let others listen here too
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            same = port or (listeners[0].getsockname()[1] if listeners else 0)
            listener.bind((address[0], same, *address[2:]))
            listener.listen(BACKLOG)
            listeners.append(listener)
        unless_complete.pop_all()
    return listeners


def raise_descriptor_limit() -> None:
    """Take as many descriptors as the system allows: each connection needs up to four."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # not on Windows; not always permitted
        import resource  # noqa: PLC0415 - is not there on Windows

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
