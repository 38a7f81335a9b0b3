"""A server in a thread of its own, files for it to serve, and raw sockets to ask it with."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hfmirror.errors import Unavailable
from hfmirror.serve.http.server import Done, Limits, Server
from hfmirror.serve.replies import Reply, Request, Slice

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

    from hfmirror.serve.replies import Handler

PATIENCE_S = 20.0  # after which a test gives up waiting for what should come at once
T = TypeVar("T")


def until(there: Callable[[], T]) -> T:
    """What `there` says once it is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := there()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.002)
    return answer


def descriptors() -> int:
    """How many descriptors this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def threads() -> list[str]:
    """The names of the server's threads."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("hfmirror")]


def data_of(size: int) -> bytes:
    """Bytes of which no two neighbourhoods are alike."""
    return b"".join(number.to_bytes(4, "big") for number in range(size // 4 + 1))[:size]


@dataclass(eq=False)
class Held:
    """A file that is all here."""

    path: Path
    opened: int = 0

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    def open(self) -> int:
        self.opened += 1
        return os.open(self.path, os.O_RDONLY)

    def ready(self, start: int, stop: int) -> int:
        return stop

    async def more(self, start: int, stop: int) -> None:
        raise AssertionError("there is nothing to wait for")

    def reply(self, *spans: tuple[int, int], status: int = 200) -> Reply:
        return Reply(status, pieces=tuple(Slice(self, *span) for span in spans or ((0, self.size),)))


@dataclass(eq=False)
class Live(Held):
    """A file that is still arriving. Change it in the server's loop."""

    here: int = 0
    broken: bool = False
    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    def ready(self, start: int, stop: int) -> int:
        return max(start, min(self.here, stop))

    async def more(self, start: int, stop: int) -> None:
        while self.ready(start, stop) <= start:
            if self.broken:
                raise Unavailable("upstream", "is gone")
            future = asyncio.get_running_loop().create_future()
            self.waiting.append(future)
            try:
                await future
            finally:
                self.waiting.remove(future)

    def arrive(self, here: int) -> None:
        self.here = here
        for future in self.waiting:
            future.set_result(None)

    def fail(self) -> None:
        self.broken = True
        self.arrive(self.here)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Line:
    """One client's connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(PATIENCE_S)
        self._seen = b""

    def send(self, *requests: bytes | str) -> None:
        self.sock.sendall(b"".join(part.encode() if isinstance(part, str) else part for part in requests))

    def head(self) -> tuple[int, dict[str, str]]:
        while b"\r\n\r\n" not in self._seen:
            self._seen += self._more()
        head, _, self._seen = self._seen.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = [line.split(": ", 1) for line in lines]
        assert len({name.lower() for name, _ in pairs}) == len(pairs), "a header came twice"
        return int(first.split(" ")[1]), {name.lower(): value for name, value in pairs}

    def body(self, size: int) -> bytes:
        seen = bytearray(self._seen)
        while len(seen) < size:
            seen += self._more()
        self._seen = bytes(seen[size:])
        return bytes(seen[:size])

    def answer(self, method: str = "GET") -> Answer:
        status, headers = self.head()
        bodiless = method == "HEAD" or status in {100, 204, 304}
        return Answer(status, headers, b"" if bodiless else self.body(int(headers["content-length"])))

    def rest(self) -> bytes:
        """Everything up to the end, which must be a proper one."""
        seen, self._seen = bytearray(self._seen), b""
        while block := self.sock.recv(65536):
            seen += block
        return bytes(seen)

    def until_cut(self) -> bytes:
        """Everything up to the end, which must be none that looks proper."""
        with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError):
            return self.rest() + b"<a proper end>"
        return b"<cut>"

    @property
    def closed(self) -> bool:
        """Whether the server has closed, and sent nothing before."""
        return not self._seen and not self.sock.recv(1)

    def _more(self) -> bytes:
        block = self.sock.recv(262144)
        if not block:
            raise EOFError(self._seen[:500])
        return block


class Rig:
    """A server under test."""

    def __init__(self, handler: Handler, limits: Limits) -> None:
        self.done: list[Done] = []
        self.faults: list[BaseException] = []
        self.requests: list[Request] = []
        self.now = 1000.0
        self._handler = handler
        self.server = Server(self._seen, limits, self.done.append, self.faults.append, clock=lambda: self.now)
        self.hall = self.server._hall
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.lines: list[Line] = []
        self.port = 0
        self.trust: ssl.SSLContext | None = None  # how a client makes sure of the server, where it speaks TLS

    def _seen(self, request: Request) -> Reply | Awaitable[Reply]:
        self.requests.append(request)
        return self._handler(request)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def start(self, tls: ssl.SSLContext | None = None) -> None:
        self._thread.start()
        ((_, self.port),) = self.run(self.server.listen("127.0.0.1", 0, tls))

    def end(self) -> None:
        self.run(self.server.stop(0))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
        for line in self.lines:
            line.sock.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE_S)

    def do(self, work: Callable[[], T]) -> T:
        """Do something in the loop."""

        async def doing() -> T:
            return work()

        return self.run(doing())

    def sweep(self, after_s: float) -> None:
        """Let time pass."""
        self.now += after_s
        self.do(lambda: self.hall.sweep(0.0))

    def line(self, buffer: int = 0) -> Line:
        """A new connection, over TLS where the server speaks it."""
        sock = self.dial(buffer)
        if self.trust:
            sock = self.trust.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False)
        self.lines.append(Line(sock))
        return self.lines[-1]

    def dial(self, buffer: int = 0) -> socket.socket:
        """A new connection, before any TLS."""
        sock = socket.socket()
        if buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.settimeout(PATIENCE_S)
        try:
            sock.connect(("127.0.0.1", self.port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            sock.close()
            raise
        return sock

    def ask(self, *requests: bytes | str, method: str = "GET") -> Answer:
        """Ask on a connection of its own."""
        line = self.line()
        line.send(*requests)
        return line.answer(method)


@contextlib.contextmanager
def serving(
    handler: Handler, limits: Limits | None = None, tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None
) -> Iterator[Rig]:
    """A running server. `tls`: its own context, and its clients'."""
    rig = Rig(handler, limits or Limits())
    serves, rig.trust = tls or (None, None)
    rig.start(serves)
    try:
        yield rig
    finally:
        rig.end()


def get(target: str = "/", *headers: str, method: str = "GET", version: str = "1.1") -> str:
    """A request."""
    lines = [f"{method} {target} HTTP/{version}", "Host: mirror", *headers]
    return "\r\n".join([*lines, "", ""])


def hello(request: Request) -> Reply:
    """A handler that says what it was asked."""
    said = f"{request.method} {request.target} {len(request.body)}".encode()
    return Reply(200, (("Content-Type", "text/plain"),), (said,), note="said")
