"""One client of a load: its connection, its questions, and the counting of what comes."""

from __future__ import annotations

import random
import socket
import ssl
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import selectors

    from tests.bench.load import Work

_PATIENCE_S = 60.0  # for an answer
_HEAD_END = b"\r\n\r\n"
_OPEN_END = 2**62  # bytes of a body that ends with its connection
_UNSEEN = socket.MSG_TRUNC if sys.platform == "linux" else 0  # tcp(7): bytes are thrown away without being copied


def connected(work: Work, receive_buffer: int = 0) -> socket.socket:
    """A connection to the server of a load."""
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(_PATIENCE_S)
    sock.connect((work.host, work.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def request(work: Work, number: int) -> bytes:
    """The question, as clients of the Hub put it. Each one has its own target if there are several."""
    lines = [
        f"{work.method} {work.targets[number % len(work.targets)]} HTTP/1.1",
        f"Host: {work.host}:{work.port}",
        "User-Agent: bench",
        "Accept: */*",
    ]
    if work.span:
        start = random.randrange(work.size // work.span) * work.span
        lines.append(f"Range: bytes={start}-{min(start + work.span, work.size) - 1}")
    if work.ending or work.authority:
        lines.append("Connection: close")
    return "\r\n".join((*lines, "", "")).encode()


class Stream:
    """Asks, counts, asks again. Over TLS it asks on a new connection each time: nobody reads where a body ends."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self.broken = 0  # answers that were not what was asked for, or ended early
        self._open()

    def _open(self) -> None:
        self._sock = connected(self._work)
        self._secure = _Secure(self._work, self._sock) if self._work.authority else None
        self._ask()

    def _ask(self) -> None:
        question = request(self._work, 0)
        self._head, self._left = b"", 0
        if self._secure is None:
            self._sock.settimeout(_PATIENCE_S)
            self._sock.sendall(question)
        else:
            self._sock.sendall(self._secure.wrapped(question))
            self._left = _OPEN_END
        self._sock.settimeout(0)

    def register(self, ready: selectors.BaseSelector) -> None:
        """Be told when bytes have come."""
        ready.register(self._sock, 1, self)

    def take(self, buffer: memoryview, ready: selectors.BaseSelector) -> int:
        """Throw away what has come; how many bytes of bodies that were."""
        try:
            came = self._sock.recv_into(buffer, 0, _UNSEEN if self._left else 0)
        except BlockingIOError:
            return 0
        except ConnectionError:
            came = 0
        if not came:
            self._again(ready)
            return 0
        if not self._left:
            came = self._heard(bytes(buffer[: min(came, 16_384)]), came)
        self._left -= came
        if not self._left and not self._head:
            self._ask()
        return came

    def _heard(self, beginning: bytes, came: int) -> int:
        """Part of a head; how many bytes of a body came with it."""
        before = len(self._head)
        self._head += beginning
        end = self._head.find(_HEAD_END)
        if end < 0:
            return 0
        if not self._head.startswith(b"HTTP/1.1 20"):
            self.broken += 1
        _, _, length = self._head[:end].lower().partition(b"\r\ncontent-length:")
        self._left = int(length.partition(b"\r\n")[0]) if length else _OPEN_END
        self._head = b""
        return came - (end + len(_HEAD_END) - before)

    def _again(self, ready: selectors.BaseSelector) -> None:
        """The server has closed the connection: the answer is over, or broken."""
        self.broken += self._left < _OPEN_END // 2
        ready.unregister(self._sock)
        self._sock.close()
        self._open()
        self.register(ready)


class _Secure:
    """TLS up to and with the question. What follows stays as it is on the wire."""

    def __init__(self, work: Work, sock: socket.socket) -> None:
        context = ssl.create_default_context(cafile=work.authority)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=work.host)
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(self._out.read())
                came = sock.recv(65_536)
                if not came:
                    raise ConnectionError("the server ended the handshake") from None
                self._in.write(came)
        sock.sendall(self._out.read())

    def wrapped(self, question: bytes) -> bytes:
        """A question, as it goes on the wire."""
        self._tls.write(question)
        return self._out.read()
