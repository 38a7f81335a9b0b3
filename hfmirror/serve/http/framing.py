"""Heads of answers as bytes, and the answers the wire gives by itself."""

from __future__ import annotations

import json
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from hfmirror.serve.replies import Reply

# What the answer says about the connection's future: the very line of its head.
STAYS: Final = ""  # HTTP/1.1 stays by itself
STAYS_10: Final = "Connection: keep-alive\r\n"  # HTTP/1.0 wants to be told
ENDS: Final = "Connection: close\r\n"

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
SAME_HEADERS: Final = 1024  # sets of headers kept as lines; the answers about one file all have the same
BODILESS: Final = frozenset({204, 304})

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


class Rejected(Exception):
    """A request the wire answers itself; the connection ends with it."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(status, why)
        self.status, self.why = status, why

    def reply(self) -> Reply:
        """The answer."""
        headers = (("Retry-After", "5"),) if self.status == HTTPStatus.SERVICE_UNAVAILABLE else ()
        return error(self.status, self.why, headers)


def error(status: int, why: str, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """An error as the Hub words it: JSON with the one key `error`."""
    body = json.dumps({"error": why}, separators=(",", ":")).encode()
    return Reply(status, (("Content-Type", "application/json"), *headers), (body,), note="refused")


def head(reply: Reply, length: int | None, date: str, connection: str) -> bytes:
    """Status line and headers, up to and with the empty line. Raises ValueError for a header that would forge lines."""
    status = _STATUS_LINES.get(reply.status) or f"HTTP/1.1 {reply.status} \r\n"
    size = "" if length is None else f"Content-Length: {length}\r\n"
    return f"{status}{_lines(reply.headers)}{size}{date}{connection}\r\n".encode("latin-1")


@lru_cache(SAME_HEADERS)
def _lines(headers: tuple[tuple[str, str], ...]) -> str:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise ValueError("a line break in a header")
    return lines


def framed(method: str, reply: Reply) -> int | None:
    """The Content-Length of the answer; None for none (RFC 9110, section 8.6).

    Raises ValueError when a body would not be as long as it says.
    """
    if reply.status in BODILESS:
        return reply.length if reply.status == HTTPStatus.NOT_MODIFIED else None
    size = reply.size
    if method != "HEAD" and reply.length is not None and size != Reply(200, pieces=reply.pieces).size:
        raise ValueError(f"{size} bytes announced, but not given")
    return size
