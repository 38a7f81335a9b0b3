"""Bytes in, requests out: the parser's callbacks, and what the parser leaves to its user.

llhttp in its strict mode refuses bare line feeds, folded headers, a Content-Length beside a
Transfer-Encoding, and anything but digits in a length. Left to us: sizes, the Host header, codings
other than `chunked`, versions other than 1.0 and 1.1, and bytes outside ASCII in the target.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from hfmirror.serve.http.framing import ENDS, STAYS, STAYS_10, Rejected
from hfmirror.serve.replies import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hfmirror.serve.http.hall import Hall

END_OF_HEAD = b"\r\n\r\n"
FRAMING = 8  # bytes of a chunked body on the wire may be so many times its content; more is no honest client
REMEMBERED = 2048  # bytes; a larger head is taken anew each time, rather than kept for each connection
_PLAIN_LINE = re.compile(rb"(?:GET|HEAD) /[!-~]* HTTP/1\.1")
_NAMES = {
    name.encode(): name.lower()
    for lower in (
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "connection",
        "authorization",
        "range",
        "if-none-match",
    )
    for name in (lower, lower.title())
}  # of the headers that come most; the others are lowered each time
_FOREIGN = re.compile(rb"[\x80-\xff]")


class Reader:
    """Makes requests of what one connection sends.

    A whole one is in `arrived`, with the connection's future; whoever takes it from there puts None.
    """

    __slots__ = (
        "_body", "_connection", "_hall", "_headers", "_held", "_in_line", "_last_fields", "_last_headers", "_left",
        "_limits", "_method", "_missing", "_parser", "_size", "_tail", "_target", "arrived", "client", "in_body",
        "scheme", "wants_continue",
    )  # fmt: skip

    def __init__(self, hall: Hall, client: str, scheme: str) -> None:
        self._hall, self._limits, self.client, self.scheme = hall, hall.limits, client, scheme
        self.arrived: tuple[Request, str] | None = None
        self.in_body = False
        self.wants_continue = False  # the client sends its body once it is told to
        self._parser = HttpRequestParser(self)
        self._target = b""
        self._headers: dict[str, str] = {}
        self._method = ""
        self._connection = STAYS
        self._body: list[bytes] = []
        self._tail = b""  # the last bytes of what came: the end of a head may come in two pieces
        self._size = 0  # of the body so far
        self._missing = 0  # bytes of the body that are still to come, where that is known
        self._held = 0  # bytes of this and of earlier bodies that count as being here
        self._left = hall.limits.head_bytes  # bytes that may still come before something must be complete
        self._in_line = True  # the request line may still be coming
        self._last_fields = b""  # the headers of the last request as they came, and what they say
        self._last_headers: Mapping[str, str] = {}

    @property
    def begun(self) -> bool:
        """Whether a part of a request is here."""
        return self.in_body or self._left != self._limits.head_bytes

    def feed(self, data: bytes, start: int) -> int:
        """Take what belongs to the present request; returns where that ends. Raises Rejected.

        So no byte behind a request is looked at before the request is answered.
        """
        stop = self._reach(data, start)
        piece = data[start:stop]
        fresh = self._left == self._limits.head_bytes
        if fresh and self._like_the_last(piece):
            return stop
        self._left -= len(piece)
        if self._left < 0 and not self.in_body:
            raise self._too_large(piece)
        if not piece.isascii() and self._in_line:
            piece = _escaped(piece)
        self._parse(piece)
        if self._left < 0 and self.in_body:  # looked at behind the content, which makes room for its frame
            raise self._too_large()
        if self.arrived is None:
            self._in_line = self._in_line and b"\r\n" not in self._tail + piece
            self._tail = (self._tail + piece)[1 - len(END_OF_HEAD) :]
        elif fresh and self._connection is STAYS and len(piece) <= REMEMBERED:
            self._last_fields = piece[piece.find(b"\r\n") :]
            self._last_headers = self.arrived[0].headers
        return stop

    def _reach(self, data: bytes, start: int) -> int:
        """Where the present head ends, or the present body."""
        if self._missing:
            return min(len(data), start + self._missing)
        if self._tail:
            seam = (self._tail + data[start : start + len(END_OF_HEAD) - 1]).find(END_OF_HEAD)
            if seam >= 0:
                return start + seam + len(END_OF_HEAD) - len(self._tail)
        end = data.find(END_OF_HEAD, start)  # the end of chunks looks the same
        return end + len(END_OF_HEAD) if end >= 0 else len(data)

    def _parse(self, piece: bytes) -> None:
        try:
            self._parser.feed_data(piece)
        except HttpParserUpgrade:
            pass  # no upgrade is on offer: the request is answered as it is (RFC 9110, section 7.8)
        except HttpParserError as error:
            raise (error.__context__ if isinstance(error.__context__, Rejected) else _malformed(error)) from None

    def _like_the_last(self, piece: bytes) -> bool:
        """Take a head that differs from the last one in its first line only: most of a client's do.

        Its headers have passed the parser once, byte by byte, so it need not look at them again.
        """
        end = piece.find(b"\r\n")
        if piece[end:] != self._last_fields:
            return False
        line = _PLAIN_LINE.fullmatch(piece, 0, end)
        if line is None:
            return False
        method, target = line.group().decode("ascii").split(" ", 2)[:2]
        self.arrived = Request(method, target, self._last_headers, b"", self.client, self.scheme), STAYS
        return True

    def release(self, size: int) -> None:
        """A body is done with."""
        size = min(size, self._held)  # nothing is left of a connection that is closed
        self._held -= size
        self._hall.body_bytes -= size

    def close(self) -> None:
        """Let go of the parser, which holds on to this, and of bodies that nobody will ask about."""
        del self._parser
        self.release(self._held)

    def last_words(self) -> Request:
        """What is known of a request that was refused."""
        target = self._target[:200].decode("latin-1")
        return Request(self._method, target, client=self.client, scheme=self.scheme)

    def _too_large(self, piece: bytes = b"") -> Rejected:
        if self.in_body:
            return Rejected(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too large")
        if self._in_line and b"\r\n" not in piece[: self._left + len(piece)]:
            return Rejected(HTTPStatus.REQUEST_URI_TOO_LONG, "the request line is too long")
        return Rejected(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too large")

    # -- the parser's callbacks ---------------------------------------------------------------

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_body:
            return  # a trailer; nobody here has asked for one
        key = _NAMES.get(name) or name.lower().decode("latin-1")
        text = value.rstrip().decode("latin-1")
        headers = self._headers
        headers[key] = f"{headers[key]}, {text}" if key in headers else text

    def on_headers_complete(self) -> None:
        headers = self._headers
        self._method = self._parser.get_method().decode("latin-1")
        if "connection" not in headers and self._parser.should_keep_alive():
            self._connection = STAYS
        else:
            self._connection = self._future()
        if "," in headers.get("host", "," if self._connection is STAYS else ""):
            raise Rejected(HTTPStatus.BAD_REQUEST, "a request names one Host")
        if "content-length" in headers or "transfer-encoding" in headers:
            self._expect_body()
        if self._method == "CONNECT":
            raise Rejected(HTTPStatus.NOT_IMPLEMENTED, "this is not a proxy")

    def on_body(self, part: bytes) -> None:
        self._size += len(part)
        self._missing = max(0, self._missing - len(part))
        self._left += FRAMING * len(part)
        self._held += len(part)
        self._hall.body_bytes += len(part)
        if self._size > self._limits.body_bytes:
            raise self._too_large()
        if self._hall.body_bytes > self._limits.bodies_bytes:
            raise Rejected(HTTPStatus.SERVICE_UNAVAILABLE, "too many bodies at once")
        self._body.append(part)

    def on_message_complete(self) -> None:
        target = self._target.decode("latin-1")
        if target[0] != "/":
            target = _origin_form(target)
        body = b"".join(self._body) if self._body else b""
        request = Request(self._method, target, self._headers, body, self.client, self.scheme)
        self.arrived = request, self._connection
        self._target, self._headers, self._tail = b"", {}, b""
        self._left = self._limits.head_bytes
        self._in_line = True
        if self.in_body:
            self.in_body, self.wants_continue, self._body, self._size = False, False, [], 0

    # -- the rarer parts ----------------------------------------------------------------------

    def _future(self) -> str:
        """What becomes of the connection, where that does not go without saying."""
        version = self._parser.get_http_version()
        if version not in {"1.0", "1.1"}:
            raise Rejected(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1 is spoken here")
        if version == "1.1" and "host" not in self._headers:
            raise Rejected(HTTPStatus.BAD_REQUEST, "a request names one Host")
        if version == "1.0" and "transfer-encoding" in self._headers:
            raise Rejected(HTTPStatus.BAD_REQUEST, "HTTP/1.0 has no chunks")  # RFC 9112, section 6.1
        if not self._parser.should_keep_alive():
            return ENDS
        return STAYS if version == "1.1" else STAYS_10

    def _expect_body(self) -> None:
        headers, limits = self._headers, self._limits
        if self._parser.should_upgrade():
            raise Rejected(HTTPStatus.BAD_REQUEST, "a request that wants to upgrade has no body here")
        if headers.get("transfer-encoding", "chunked").lower() != "chunked":
            raise Rejected(HTTPStatus.NOT_IMPLEMENTED, "the only transfer coding here is chunked")
        self.in_body = True
        self._missing = int(headers.get("content-length", "0"))
        if self._missing > limits.body_bytes:
            raise self._too_large()
        self._left = limits.head_bytes + self._missing
        if "expect" in headers and self._parser.get_http_version() == "1.1":
            if headers["expect"].lower() != "100-continue":
                raise Rejected(HTTPStatus.EXPECTATION_FAILED, "nothing but 100-continue can be expected here")
            self.wants_continue = headers.get("content-length") != "0"


def _malformed(error: HttpParserError) -> Rejected:
    return Rejected(HTTPStatus.BAD_REQUEST, f"not a request: {error}")


def _origin_form(target: str) -> str:
    """The target as it would be without its host: `http://any/path?query` is `/path?query`; `*` stays."""
    _, scheme, rest = target.partition("://")
    if not scheme:
        return target
    cut = re.search(r"[/?#]", rest)
    path = rest[cut.start() :] if cut else "/"
    return path if path.startswith("/") else f"/{path}"


def _escaped(piece: bytes) -> bytes:
    """The request line in ASCII: some clients send the raw bytes of a name, where `%` and two digits are due."""
    line, end, rest = piece.partition(b"\r\n")
    return _FOREIGN.sub(lambda byte: b"%%%02X" % byte[0][0], line) + end + rest
