"""HTTP by hand: every byte of a request is ours, and every byte of an answer is looked at."""

from __future__ import annotations

import contextlib
import json
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from types import TracebackType

PATIENCE_S = 20.0  # no answer and no byte for so long is a hang
_GLANCE = 2**18  # bytes read at once
_BODILESS = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Head:
    """A status line and its header fields; names in lower case, in the order they came."""

    status: int
    fields: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        """Every value of a field."""
        return [value for known, value in self.fields if known == name.lower()]

    def __getitem__(self, name: str) -> str | None:
        """A field, its repetitions joined; None when it did not come."""
        values = self.all(name)
        return ", ".join(values) if values else None

    @property
    def names(self) -> set[str]:
        """The fields that came."""
        return {name for name, _ in self.fields}


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `broke` says why the body is shorter than was promised; `surplus` is what came behind it."""

    head: Head
    body: bytes
    broke: str = ""
    surplus: bytes = b""

    @property
    def status(self) -> int:
        """The status code."""
        return self.head.status

    def __getitem__(self, name: str) -> str | None:
        """A header field."""
        return self.head[name]

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        """The Hub's word for what is wrong."""
        return self["X-Error-Code"]

    @property
    def whole(self) -> bytes:
        """The body, which must have come to its end."""
        assert not self.broke, f"{self.broke} after {len(self.body)} bytes of {self['Content-Length']}"
        return self.body

    @property
    def next(self) -> str | None:
        """The address of the next page."""
        for link in (self["Link"] or "").split(","):
            address, _, rest = link.partition(">")
            if 'rel="next"' in rest:
                return address.strip().removeprefix("<")
        return None


class Line:
    """One connection to a server."""

    def __init__(self, base: str, timeout_s: float = PATIENCE_S, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(base)
        self.host = parts.netloc
        sock = socket.create_connection((str(parts.hostname), parts.port or 80), timeout_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = tls.wrap_socket(sock, server_hostname=parts.hostname) if tls else sock
        self._got = bytearray()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self.sock.close()

    def raw(self, data: bytes) -> None:
        """Exactly these bytes. A server that has hung up already is no error: its answer may be on the way."""
        with contextlib.suppress(ConnectionError):
            self.sock.sendall(data)

    def send(
        self, target: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> None:
        """A request."""
        self.raw(spell(self.host, target, method, headers, body))

    def head(self) -> Head:
        """The next answer's head. Raises EOFError when the connection ends before it."""
        while b"\r\n\r\n" not in self._got:
            if not self._more():
                raise EOFError(bytes(self._got))
        text = self._until(b"\r\n\r\n")
        first, *lines = text.decode("latin-1").split("\r\n")
        version, status, *_ = first.split(" ", 2)
        assert version in {"HTTP/1.1", "HTTP/1.0"}, first
        fields = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
        head = Head(int(status), fields)
        return self.head() if head.status == 100 else head

    def some(self, count: int) -> bytes:
        """So many bytes of a body, or fewer at the connection's end."""
        while len(self._got) < count and self._more():
            pass
        got = bytes(self._got[:count])
        del self._got[:count]
        return got

    def _until(self, mark: bytes) -> bytes:
        """What came before the mark, which is there."""
        got = bytes(self._got[: self._got.index(mark)])
        del self._got[: len(got) + len(mark)]
        return got

    def answer(self, method: str = "GET") -> Answer:
        """The next answer, whole or as far as it came."""
        head = self.head()
        if method == "HEAD" or head.status in _BODILESS:
            return Answer(head, b"")
        if (head["Transfer-Encoding"] or "").lower() == "chunked":
            return self._chunks(head)
        told = head["Content-Length"]
        if told is None:
            return Answer(head, self.rest())
        try:
            body = self.some(int(told))
        except ConnectionError as broken:
            return Answer(head, bytes(self._got), str(broken))
        return Answer(head, body, "" if len(body) == int(told) else "the connection ended")

    def _chunks(self, head: Head) -> Answer:
        body = b""
        while size := int(self._line().partition(b";")[0], 16):
            body += self.some(size)
            if self._line():
                return Answer(head, body, "a chunk had no end")
        while self._line():
            pass
        return Answer(head, body)

    def _line(self) -> bytes:
        while b"\r\n" not in self._got:
            if not self._more():
                raise EOFError(bytes(self._got))
        return self._until(b"\r\n")

    def rest(self) -> bytes:
        """Everything to the connection's end, which must come."""
        with contextlib.suppress(ConnectionError):
            while self._more():
                pass
        return self.some(len(self._got))

    def _more(self) -> bool:
        data = self.sock.recv(_GLANCE)
        self._got += data
        return bool(data)


def spell(
    host: str, target: str, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> bytes:
    """A request as bytes. A Host or Content-Length that is given is sent as it is."""
    fields = {"Host": host, **(headers or {})}
    if body is not None and "Transfer-Encoding" not in fields:
        fields.setdefault("Content-Length", str(len(body)))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


def ask(
    base: str,
    target: str,
    method: str = "GET",
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout_s: float = PATIENCE_S,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """One request on a connection of its own; whatever comes behind the answer is kept."""
    with Line(base, timeout_s, tls) as line:
        line.send(target, method, {"Connection": "close", **(headers or {})}, body)
        answer = line.answer(method)
        return answer if answer.broke else Answer(answer.head, answer.body, "", line.rest())
