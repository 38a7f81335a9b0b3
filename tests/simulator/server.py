"""The simulated Hub behind sockets: one for the Hub, one for its CDN, both on the loopback."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from tests.simulator.records import FILE_KINDS, Record
from tests.simulator.reply import occasion_of, reply_to
from tests.simulator.routes import route
from tests.simulator.wire import Hangup, Sending, read_request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulator.answers import Request
    from tests.simulator.faults import Case
    from tests.simulator.hub import HubSimulator
    from tests.simulator.routes import Route

_BACKLOG = 128  # connections waiting to be accepted
_GLANCE_S = 0.02  # between looks at whether a wait is over


@dataclass(frozen=True, slots=True)
class Served:
    """Where the hub can be reached."""

    hub: HubSimulator
    endpoint: str  # for HF_ENDPOINT
    cdn_origin: str  # empty when the Hub sends all bytes itself


@contextmanager
def served(
    hub: HubSimulator,
    *,
    cdn: bool = True,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[Served]:
    """The hub over HTTP/1.1 for the time of the `with`; no thread or socket is left behind."""
    with ExitStack() as stack:
        second = stack.enter_context(_open(Origin(hub, "cdn", (host, 0), tls=tls))) if cdn else None
        origin = Origin(hub, "hub", (host, port), tls=tls, cdn=second.url if second else "")
        first = stack.enter_context(_open(origin))
        yield Served(hub, first.url, second.url if second else "")


@contextmanager
def _open(origin: Origin) -> Iterator[Origin]:
    origin.start()
    try:
        yield origin
    finally:
        origin.stop()


class Origin:
    """One listening port, with a thread for it and one for each connection."""

    def __init__(
        self,
        hub: HubSimulator,
        name: str,
        address: tuple[str, int],
        *,
        tls: ssl.SSLContext | None = None,
        cdn: str = "",
    ) -> None:
        self._hub, self._name = hub, name
        self._host, self._port = address
        self._tls, self._cdn = tls, cdn
        self._lock = threading.Lock()  # around the connections
        self._gating = threading.Lock()  # one opening or closing at a time
        self._over = threading.Event()  # set when this period of listening ends
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._wake: socket.socket | None = None
        self._connections: dict[socket.socket, threading.Thread] = {}

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self._port}"

    def start(self) -> None:
        """Listen, unless a fault says that nobody does."""
        self._listen()
        self._hub.gates.append(self._gate)
        self._gate()

    def stop(self) -> None:
        """Close everything and wait for the last thread."""
        self._hub.gates.remove(self._gate)
        with self._gating:
            self._silence()

    def _gate(self) -> None:
        with self._gating:
            refusing = self._hub.weather.refuses(self._name)
            if refusing and self._listener is not None:
                self._silence()
            elif not refusing and self._listener is None:
                self._listen()

    def _listen(self) -> None:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.create_server((self._host, self._port), family=family, backlog=_BACKLOG)
        self._port = listener.getsockname()[1]
        self._over = threading.Event()
        self._wake, sleeper = socket.socketpair()
        self._listener = listener
        name = f"simulated {self._name}"
        ends = (listener, sleeper)
        self._acceptor = threading.Thread(target=self._accept, args=ends, name=name, daemon=True)
        self._acceptor.start()

    def _silence(self) -> None:
        self._over.set()
        wake, acceptor = self._wake, self._acceptor
        self._wake = self._acceptor = self._listener = None
        if wake is not None and acceptor is not None:
            wake.close()
            acceptor.join()
        with self._lock:
            connections = dict(self._connections)
        for sock in connections:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # past TLS, which another thread is using
        for thread in connections.values():
            thread.join()

    def _accept(self, listener: socket.socket, sleeper: socket.socket) -> None:
        with listener, sleeper, selectors.DefaultSelector() as ready:
            ready.register(listener, selectors.EVENT_READ)
            ready.register(sleeper, selectors.EVENT_READ)
            while not any(key.fileobj is sleeper for key, _ in ready.select()):
                with contextlib.suppress(OSError):  # the client may have gone already
                    self._welcome(listener.accept()[0])

    def _welcome(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=self._connection, args=(sock,), name=self._name, daemon=True)
        with self._lock:
            self._connections[sock] = thread
        thread.start()

    def _connection(self, sock: socket.socket) -> None:
        try:
            if isinstance(sock, ssl.SSLSocket):
                sock.do_handshake()
            with sock.makefile("rb") as reader:
                while not self._over.is_set():
                    request = read_request(reader, sock, self._name, self.url, self._cdn)
                    if not self._serve(sock, request):
                        break
        except (Hangup, OSError):
            pass
        finally:
            sock.close()
            with self._lock:
                del self._connections[sock]

    def _serve(self, sock: socket.socket, request: Request) -> bool:
        hub = self._hub
        about = route(self._name, request.target, hub.has)
        file, repo = self._file(about), self._repo(about)
        plain = {name: value for name, value in request.headers.items() if name}
        record = Record(self._name, about.kind, request.method, request.target, file, plain, repo=repo)
        hub.ledger.begin(record)
        try:
            cases = hub.weather.cases(occasion_of(request, about, file, repo))
            for case in cases:
                if case.faults.latency_s and case.bites():
                    self._wait(case)
            reply = reply_to(hub, request, about, cases)
            if reply.answer is None:
                return False
            return Sending(sock, record, self._over).send(reply.answer, request, reply.cases)
        finally:
            hub.ledger.end()

    def _wait(self, case: Case) -> None:
        """Answer late: when the time is up, the fault is over, or the server stops."""
        until = time.monotonic() + case.faults.latency_s
        while not case.armed.lifted.is_set() and (left := until - time.monotonic()) > 0:
            if self._over.wait(min(left, _GLANCE_S)):
                return

    def _repo(self, about: Route) -> str:
        """The repo, for records and faults."""
        if about.kind == "cdn":
            return self._hub.signed_repo(about.word("Policy"))
        return str(about.repo or "")

    def _file(self, about: Route) -> str:
        """The path inside the repo, for records and faults."""
        if about.kind not in FILE_KINDS:
            return ""
        if about.kind == "cdn":
            return self._hub.signed_path(about.word("Policy"))
        if about.kind == "resolve-cache" or about.repo is None:
            return "/".join(map(unquote, about.rest[1:]))
        repo = self._hub.repos.get(about.repo)
        return about.split(repo)[1] if repo else "/".join(map(unquote, about.rest[1:]))
