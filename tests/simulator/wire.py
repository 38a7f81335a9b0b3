"""HTTP/1.1 over one socket: read a request, send an answer, let mishaps happen."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
import sys
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from tests.simulator.answers import Answer, Part, Request, length
from tests.simulator.content import OnDisk
from tests.simulator.flow import PIECE, Mishap, flow

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from tests.simulator.faults import Case
    from tests.simulator.records import Record

if sys.platform == "linux":
    import fcntl

_LONGEST_LINE = 2**16  # bytes; more is not a request but a mistake
_QUEUED = 0x5411  # SIOCOUTQ of Linux: bytes in the send queue that were not acknowledged
_GLANCE_S = 0.02  # between looks at the client during a stall
_SETTLED_S = 0.02  # enough for the loopback where the queue cannot be asked
_ABSOLUTE = re.compile(r"https?://[^/?#]*")  # what a proxy is told, and every server must accept
_NO_BODY = frozenset({204, 304})


class Hangup(Exception):
    """The connection is over."""


def read_request(reader: BinaryIO, sock: socket.socket, origin: str, base: str, cdn: str) -> Request:
    """The next request of a connection. Raises Hangup at its end."""
    words = _line(reader).split(" ")
    if len(words) != 3:
        raise Hangup
    headers: dict[str, str] = {"": words[2]}  # the version, which no header can hide
    while line := _line(reader):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("expect", "").lower() == "100-continue":
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    chunked, size = "transfer-encoding" in headers, int(headers.get("content-length", 0))
    body = _chunks(reader) if chunked else reader.read(size)
    host = headers.get("host")
    scheme = base.partition("://")[0]
    target = _ABSOLUTE.sub("", words[1]) or "/"
    return Request(origin, words[0], target, headers, body, f"{scheme}://{host}" if host else base, cdn)


def _line(reader: BinaryIO) -> str:
    line = reader.readline(_LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise Hangup
    return line.rstrip(b"\r\n").decode("latin-1")


def _chunks(reader: BinaryIO) -> bytes:
    body = b""
    while size := int(_line(reader).partition(";")[0], 16):
        body += reader.read(size)
        reader.readline()
    while _line(reader):
        pass
    return body


def stays_open(request: Request) -> bool:
    """Whether the client will send another request."""
    wish = (request.get("connection") or "").lower()
    return wish != "close" if request.get("") == "HTTP/1.1" else wish == "keep-alive"


class Sending:
    """One answer on its way through a socket."""

    def __init__(self, sock: socket.socket, record: Record, over: threading.Event) -> None:
        self._sock, self._record = sock, record
        self._over = over  # set when the server stops, so that nobody waits for a stall's end
        self._rate: float | None = None  # bytes per second
        self._plain = sys.platform == "linux" and type(sock) is socket.socket  # neither TLS nor another system
        self._start = time.monotonic()

    def send(self, answer: Answer, request: Request, cases: Sequence[Case]) -> bool:
        """Everything, or what the faults let through; whether the connection can be used again."""
        keep = stays_open(request)
        chunked = answer.chunked and request.get("") == "HTTP/1.1"
        self._record.status = answer.status
        bare = request.method == "HEAD" or answer.status in _NO_BODY
        head = _head(answer, chunked=chunked, keep=keep, bare=answer.status in _NO_BODY)
        small = not (answer.is_file or answer.chunked or _lively(cases))
        if bare or small:
            body = b"" if bare else b"".join(p for p in answer.body if isinstance(p, bytes))
            self._record.sent += len(body)
            self._sock.sendall(head + body)
            return keep
        self._sock.sendall(head)
        rates = [case.faults.slow_rate for case in cases if case.faults.slow_rate and case.bites()]
        self._rate = min(rates, default=None)
        self._start = time.monotonic()
        self._body(answer, cases, chunked=chunked)
        return keep and (chunked or not answer.chunked)

    def _body(self, answer: Answer, cases: Sequence[Case], *, chunked: bool) -> None:
        piece = PIECE if self._rate is None else max(1, min(PIECE, int(self._rate / 100)))
        for part in flow(answer.body, cases, piece):
            if isinstance(part, Mishap):
                self._suffer(part)
                continue
            self._pace(length(part))
            if chunked:
                self._sock.sendall(b"%x\r\n" % length(part))
            self._part(part)
            if chunked:
                self._sock.sendall(b"\r\n")
        if chunked:
            self._sock.sendall(b"0\r\n\r\n")

    def _suffer(self, mishap: Mishap) -> None:
        if mishap.what == "stall":
            self._idle(mishap.seconds)
            return
        if mishap.what == "hold":
            while not mishap.over.is_set():
                self._idle(_GLANCE_S)
            return
        if mishap.what == "reset":
            drain(self._sock)
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Hangup

    def _pace(self, size: int) -> None:
        """Wait until so many bytes more are due."""
        if self._rate is not None:
            self._idle(self._start + (self._record.sent + size) / self._rate - time.monotonic())

    def _idle(self, seconds: float) -> None:
        """Do nothing, but notice when the server stops or the client hangs up."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._over.wait(min(left, _GLANCE_S)) or self._deserted():
                raise Hangup

    def _deserted(self) -> bool:
        if not self._plain:
            return False
        with contextlib.suppress(BlockingIOError):
            return not self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        return False

    def _part(self, part: Part) -> None:
        # Counted before it goes: a client that has all of it may look at the counts at once.
        size = length(part)
        self._record.sent += size
        gone = 0
        try:
            for count in self._counts(part):
                gone += count
        finally:
            self._record.sent -= size - gone

    def _counts(self, part: Part) -> Iterator[int]:
        if isinstance(part, bytes):
            yield from self._all(part)
        elif isinstance(part.content, OnDisk) and self._plain:
            yield from self._straight(part.content, part.start, part.stop)
        else:
            for chunk in part.content.read(part.start, part.stop):
                yield from self._all(chunk)

    def _all(self, data: bytes | memoryview) -> Iterator[int]:
        left = memoryview(data)
        while left:
            count = self._sock.send(left)
            left = left[count:]
            yield count

    def _straight(self, content: OnDisk, start: int, stop: int) -> Iterator[int]:
        """From the disk's cache to the socket, past this process."""
        with content.path.open("rb") as file:
            while start < stop:
                count = os.sendfile(self._sock.fileno(), file.fileno(), start, stop - start)
                if not count:
                    raise EOFError(f"{content.path} has shrunk")
                start += count
                yield count


def _lively(cases: Sequence[Case]) -> bool:
    """Whether something may happen to a body on its way."""
    return any(
        value is not None
        for case in cases
        for f in (case.faults,)
        for value in (f.cut_after, f.reset_after, f.stall_after, f.slow_rate, f.hold_from)
    )


def _head(answer: Answer, *, chunked: bool, keep: bool, bare: bool) -> bytes:
    known = answer.status in HTTPStatus.__members__.values()
    phrase = HTTPStatus(answer.status).phrase if known else "Unknown"
    lines = [f"HTTP/1.1 {answer.status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    if chunked:
        lines.append("Transfer-Encoding: chunked")
    elif not answer.chunked and not bare:
        lines.append(f"Content-Length: {answer.size}")
    lines.append(f"Connection: {'keep-alive' if keep else 'close'}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def drain(sock: socket.socket, patience_s: float = 0.5) -> None:
    """Wait until the peer's system has what was sent: a reset throws away what is still queued."""
    if sys.platform != "linux":
        time.sleep(_SETTLED_S)
        return
    until = time.monotonic() + patience_s
    with contextlib.suppress(OSError):
        while time.monotonic() < until:
            (queued,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), _QUEUED, b"\0" * 4))
            if not queued:
                return
            time.sleep(_SETTLED_S / 50)
