"""A relay between a client and a server that changes nothing and writes down what was said.

Bytes pass as they come, in both directions; beside that they are read as HTTP/1.1. So a test knows
what a real client asked and what exactly it was told, whatever the client is written in.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from typing import TypeAlias

    Step: TypeAlias = Generator[None, None, Any]  # goes on when more bytes have come

PIECE = 2**18  # bytes read at once
KEPT = 2**22  # bytes of a body that are kept; JSON is smaller, files need not be kept
_NO_BODY = frozenset({204, 304})


@dataclass
class Exchange:
    """One request and its answer. Names of headers are in lower case."""

    method: str
    target: str
    asked: dict[str, str]
    status: int = 0  # 0: no answer came
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""  # the first KEPT bytes
    size: int = 0  # bytes of the body
    whole: bool = False  # whether the body ended where its length said
    left: bool = False  # whether the client went before that

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def is_json(self) -> bool:
        """Whether the answer says that it is JSON."""
        return "json" in self.headers.get("content-type", "")

    @property
    def json(self) -> Any:
        """The answer's document."""
        return json.loads(self.body)

    def __str__(self) -> str:
        span = f" [{self.asked['range']}]" if "range" in self.asked else ""
        return f"{self.method} {self.target}{span} -> {self.status} {self.size} bytes"


class Tap:
    """Listens on a port of its own and passes everything on. Use `tapped`."""

    def __init__(self, server: str) -> None:
        at = urlsplit(server)
        self._server = (at.hostname or "127.0.0.1", at.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._open: set[socket.socket] = set()
        self._exchanges: list[Exchange] = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    @property
    def endpoint(self) -> str:
        """For HF_ENDPOINT."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def exchanges(self) -> list[Exchange]:
        """All since the last `take`, in the order of the requests."""
        with self._lock:
            return list(self._exchanges)

    def take(self, timeout_s: float = 10.0) -> list[Exchange]:
        """The same, forgotten afterwards. Waits until the clients that have ended are gone."""
        with self._idle:
            if not self._idle.wait_for(lambda: not self._open, timeout_s):
                raise TimeoutError("a connection is still open")
            taken, self._exchanges = self._exchanges, []
            return taken

    def close(self) -> None:
        """Take no more, and drop what is open."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes whoever waits in accept
        self._listener.close()
        self._acceptor.join()
        with self._lock:
            left = list(self._open)
        for sock in left:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                with self._lock:
                    self._open.add(near)
                threading.Thread(target=self._relay, args=(near,), daemon=True).start()

    def _relay(self, near: socket.socket) -> None:
        try:
            with near, socket.create_connection(self._server) as far:
                for sock in (near, far):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                talk = _Talk(self._note)
                back = threading.Thread(target=_pump, args=(far, near, talk.answered, talk.left), daemon=True)
                back.start()
                _pump(near, far, talk.asked)
                back.join()
        except OSError:
            pass  # the server is not there: the client sees the end of the connection
        finally:
            with self._idle:
                self._open.discard(near)
                self._idle.notify_all()

    def _note(self, exchange: Exchange) -> None:
        with self._lock:
            self._exchanges.append(exchange)


@contextmanager
def tapped(server: str) -> Iterator[Tap]:
    """A tap in front of a server for the time of the `with`."""
    tap = Tap(server)
    try:
        yield tap
    finally:
        tap.close()


def _pump(
    source: socket.socket, target: socket.socket, told: Callable[[bytes], None], left: Callable[[], None] | None = None
) -> None:
    """Pass bytes on until one side ends. `told` hears the end of the source as no bytes, `left` that of the target."""
    while data := _received(source):
        told(data)
        try:
            target.sendall(data)
        except OSError:
            if left is not None:
                left()
            with contextlib.suppress(OSError):
                source.shutdown(socket.SHUT_RDWR)
            return
    told(b"")
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _received(source: socket.socket) -> bytes:
    try:
        return source.recv(PIECE)
    except OSError:  # a reset is an end, too
        return b""


class _Talk:
    """What is said over one connection."""

    def __init__(self, note: Callable[[Exchange], None]) -> None:
        self._note = note
        self._all: list[Exchange] = []
        self._waiting: deque[Exchange] = deque()  # asked, and not answered yet
        self._over = False  # whether the server has ended it
        self._ways = (_Incoming(self._requests), _Incoming(self._answers))

    def asked(self, data: bytes) -> None:
        if data:
            self._ways[0].feed(data)
        elif not self._over:
            self.left()

    def answered(self, data: bytes) -> None:
        self._over = not data
        self._ways[1].feed(data)

    def left(self) -> None:
        """The client has gone, before the server."""
        for exchange in self._all:
            exchange.left = not exchange.whole

    def _requests(self, way: _Incoming) -> Step:
        while True:
            first, headers = yield from way.head()
            method, target, _ = first.split(" ", 2)
            exchange = Exchange(method, target, headers)
            self._all.append(exchange)
            self._waiting.append(exchange)
            self._note(exchange)
            yield from way.body(headers, int(headers.get("content-length", 0)))

    def _answers(self, way: _Incoming) -> Step:
        while True:
            first, headers = yield from way.head()
            status = int(first.split(" ")[1])
            if status < 200:
                continue
            exchange = self._waiting.popleft()
            exchange.status, exchange.headers = status, headers
            if exchange.method != "HEAD" and status not in _NO_BODY:
                size = int(headers["content-length"]) if "content-length" in headers else None
                yield from way.body(headers, size, exchange)
            exchange.whole, exchange.left = True, False


class _Incoming:
    """Bytes of one direction, read as messages while they come."""

    def __init__(self, reader: Callable[[_Incoming], Step]) -> None:
        self._buffer = bytearray()
        self._over = False
        self._steps = reader(self)
        next(self._steps)

    def feed(self, data: bytes) -> None:
        """More bytes; none at the end."""
        self._buffer += data
        self._over = not data
        with contextlib.suppress(StopIteration):
            next(self._steps)

    def head(self) -> Step:
        """The first line and the headers."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            yield
        first, *lines = self._cut(end + 4).decode("latin-1").rstrip("\r\n").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return first, {name.strip().lower(): value.strip() for name, _, value in pairs}

    def body(self, headers: dict[str, str], size: int | None, into: Exchange | None = None) -> Step:
        """As long as the headers say; to the end of the connection where they say nothing."""
        if "chunked" in headers.get("transfer-encoding", ""):
            yield from self._chunks(into)
        elif size is not None:
            yield from self._exactly(size, into)
        else:
            while not self._over:
                self._keep(self._cut(len(self._buffer)), into)
                yield

    def _chunks(self, into: Exchange | None) -> Step:
        size = 1
        while size:
            while (end := self._buffer.find(b"\r\n")) < 0:
                yield
            size = int(self._cut(end + 2).split(b";")[0], 16)
            yield from self._exactly(size, into)
            yield from self._exactly(2, None)

    def _exactly(self, size: int, into: Exchange | None) -> Step:
        while size:
            while not self._buffer:
                yield
            piece = self._cut(min(size, len(self._buffer)))
            size -= len(piece)
            self._keep(piece, into)

    def _cut(self, size: int) -> bytes:
        piece = bytes(self._buffer[:size])
        del self._buffer[:size]
        return piece

    @staticmethod
    def _keep(piece: bytes, into: Exchange | None) -> None:
        if into is not None:
            into.body += piece[: KEPT - len(into.body)]
            into.size += len(piece)
