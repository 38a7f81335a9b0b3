"""Which bytes of a file a request wants: `Range`, `If-Range`, `If-None-Match` (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfmirror.model import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST = 4096  # characters of a header that are looked at
MOST_ASKED = 64  # ranges in a header; more is no reader's wish
MOST_PARTS = 16  # of an answer

CRLF = "\r\n"

_SPEC = re.compile(r"([0-9]*)-([0-9]*)")
_TAG = re.compile(r'(?:W/)?("[^"]*")')


@dataclass(frozen=True, slots=True)
class Whole:
    """The file from its first byte to its last: 200."""


@dataclass(frozen=True, slots=True)
class Parts:
    """One or more spans, none empty, none overlapping, in the order they were asked for: 206."""

    spans: tuple[Span, ...]
    open_ended: bool = False  # it was the one range `N-`: all there is from there on, even when that is everything


@dataclass(frozen=True, slots=True)
class Unsatisfiable:
    """Nothing the file has: 416."""


@dataclass(frozen=True, slots=True)
class Multipart:
    """The text around the parts of a multipart/byteranges body."""

    heads: tuple[bytes, ...]  # one before each part
    tail: bytes
    length: int  # of the whole body in bytes, the parts included


def wanted(range_header: str | None, if_range: str | None, etag: str, size: int) -> Whole | Parts | Unsatisfiable:
    """What to send of a file of `size` bytes. `etag` is strong and quoted, as the header has it.

    Whatever is malformed, of another unit or out of all proportion is ignored; so is any range of
    an empty file, for which clients cannot bear a refusal (protocol section 3.5).
    """
    if range_header is None or size == 0 or (if_range is not None and if_range.strip() != etag):
        return Whole()
    specs = _specs(range_header)
    spans = [span for span in (_span(spec, size) for spec in specs) if span]
    if specs and not spans:
        return Unsatisfiable()
    if not spans or sum(span.size for span in spans) > size:
        return Whole()
    joined = _joined(spans)
    if len(joined) > MOST_PARTS:
        return Whole()
    return Parts(tuple(joined), open_ended=len(specs) == 1 and specs[0][1] is None)


def _specs(header: str) -> list[tuple[int | None, int | None]]:
    """The ranges of a header as first and last byte; (None, k) for the last k. Empty when it is no good."""
    unit, equals, listed = header[: LONGEST + 1].strip().partition("=")
    texts = [text.strip(" \t") for text in listed.split(",", MOST_ASKED)]
    if len(header) > LONGEST or unit.lower() != "bytes" or not equals or len(texts) > MOST_ASKED:
        return []
    found = [_SPEC.fullmatch(text) for text in texts if text]
    specs = [_numbers(match) for match in found if match]
    return specs if len(specs) == len(found) and all(map(_sound, specs)) else []


def _numbers(match: re.Match[str]) -> tuple[int | None, int | None]:
    first, last = match.groups()
    return int(first) if first else None, int(last) if last else None


def _sound(spec: tuple[int | None, int | None]) -> bool:
    first, last = spec
    if first is None:
        return last is not None
    return last is None or first <= last


def _span(spec: tuple[int | None, int | None], size: int) -> Span | None:
    """The bytes a file of `size` has of a range, or None."""
    first, last = spec
    if first is None:
        first, last = max(size - (last or 0), 0), None
    stop = size if last is None else min(last + 1, size)
    return Span(first, stop) if first < stop else None


def _joined(spans: Sequence[Span]) -> list[Span]:
    """Overlapping and adjacent ones made one, each at the place of its first."""
    joined: list[Span] = []
    for span in spans:
        touching = [other for other in joined if other.start <= span.stop and span.start <= other.stop]
        at = joined.index(touching[0]) if touching else len(joined)
        joined = [other for other in joined if other not in touching]
        joined.insert(at, Span(min(s.start for s in (*touching, span)), max(s.stop for s in (*touching, span))))
    return joined


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether the client already has what `etag` (strong, quoted) names, so that 304 says all."""
    if if_none_match is None or len(if_none_match) > LONGEST:
        return False
    return if_none_match.strip() == "*" or etag in _TAG.findall(if_none_match)


def content_range(span: Span | None, size: int) -> str:
    """The header `Content-Range` of a part; without one, of the answer that there is none."""
    return f"bytes */{size}" if span is None else f"bytes {span.start}-{span.stop - 1}/{size}"


def multipart(spans: Sequence[Span], size: int, content_type: str, boundary: str) -> Multipart:
    """The frame of several parts in one body (RFC 9110, section 14.6). `boundary` must not occur in the file."""
    mark = f"--{boundary}\r\nContent-Type: {content_type}\r\n"
    fields = [f"{mark}Content-Range: {content_range(span, size)}\r\n\r\n" for span in spans]
    heads = tuple([f"{CRLF if at else ''}{text}".encode("latin-1") for at, text in enumerate(fields)])
    tail = f"\r\n--{boundary}--\r\n".encode("latin-1")
    length = sum(map(len, heads)) + len(tail) + sum(span.size for span in spans)
    return Multipart(heads, tail, length)
