"""Requests and answers as values, before any socket is involved."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.simulator.content import Content

EXPOSED = (
    "X-Repo-Commit,X-Request-Id,X-Error-Code,X-Error-Message,X-Total-Count,ETag,Link,Accept-Ranges,"
    "Content-Range,X-Linked-Size,X-Linked-ETag,X-Xet-Hash"
)


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes [start, stop) of a file."""

    content: Content
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.stop - self.start


Part = bytes | Slice


def length(part: Part) -> int:
    """Bytes in a part."""
    return len(part) if isinstance(part, bytes) else part.size


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent."""

    origin: str  # "hub" or "cdn"
    method: str
    target: str  # raw path and query
    headers: Mapping[str, str]  # names in lower case
    body: bytes = b""
    base: str = ""  # scheme and host the client used, for absolute links
    cdn: str = ""  # the CDN's origin; empty: the Hub sends all bytes itself

    def get(self, name: str) -> str | None:
        """A header field, by its name in lower case."""
        return self.headers.get(name)

    def whole(self) -> Request:
        """The same without its wish for a range."""
        return replace(self, headers={n: v for n, v in self.headers.items() if n not in {"range", "if-range"}})


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. The length is told in a header unless `chunked`."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: tuple[Part, ...] = ()
    chunked: bool = False

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return sum(map(length, self.body))

    @property
    def is_file(self) -> bool:
        """Whether the body is made of a file's bytes."""
        return any(isinstance(part, Slice) for part in self.body)

    def header(self, name: str) -> str | None:
        """A header field, whatever its case."""
        return next((v for n, v in self.headers.items() if n.lower() == name.lower()), None)

    def having(self, **changes: str | None) -> Answer:
        """With header fields changed (`_` for `-`), or removed by None."""
        names = {name.replace("_", "-").lower(): value for name, value in changes.items()}
        kept = {n: v for n, v in self.headers.items() if n.lower() not in names}
        new = {name.title(): value for name, value in names.items() if value is not None}
        return replace(self, headers={**kept, **new})


def json_answer(data: object, headers: Mapping[str, str] | None = None, status: int = 200) -> Answer:
    """Compact JSON, as the Hub sends it."""
    body = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
    return Answer(status, {"Content-Type": "application/json; charset=utf-8", **(headers or {})}, (body,))


def text_answer(status: int, text: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Plain text."""
    return Answer(status, {"Content-Type": "text/plain; charset=utf-8", **(headers or {})}, (text.encode(),))


def xml_error(status: int, code: str, message: str) -> Answer:
    """An error as object storage and its CDN write it."""
    text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    body = f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode()
    return Answer(status, {"Content-Type": "application/xml"}, (body,))


def file_answer(request: Request, content: Content, headers: Mapping[str, str]) -> Answer:
    """The file, or the range of it that was asked for (RFC 9110; several ranges get the whole)."""
    fields = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", **headers}
    wanted = None if request.method == "HEAD" else request.get("range")
    if wanted is None or not _still_valid(request, fields.get("ETag")):
        return Answer(200, fields, (Slice(content, 0, content.size),))
    span = parse_range(wanted, content.size)
    if span is None:
        return Answer(200, fields, (Slice(content, 0, content.size),))
    start, stop = span
    if start >= stop:
        return Answer(416, {**fields, "Content-Range": f"bytes */{content.size}"})
    fields["Content-Range"] = f"bytes {start}-{stop - 1}/{content.size}"
    return Answer(206, fields, (Slice(content, start, stop),))


def _still_valid(request: Request, etag: str | None) -> bool:
    condition = request.get("if-range")
    return condition is None or condition == etag


def parse_range(text: str, size: int) -> tuple[int, int] | None:
    """[start, stop) of one range; empty when unsatisfiable; None when it is to be ignored."""
    match = re.fullmatch(r"bytes=\s*(\d*)-(\d*)\s*", text)
    if match is None or match.group(1) == match.group(2) == "":
        return None
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size
    start, stop = int(first), min(size, int(last) + 1) if last else size
    if last and int(last) < start:
        return None
    return (start, stop) if start < size else (size, size)
