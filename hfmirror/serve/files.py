"""The reply with a file: its headers, and which of its bytes go out."""

from __future__ import annotations

from dataclasses import dataclass
from secrets import token_hex
from typing import TYPE_CHECKING

from hfmirror.model import Algorithm, Span, is_commit
from hfmirror.serve.answers import CORS
from hfmirror.serve.forms import content_disposition
from hfmirror.serve.grammar import ranges
from hfmirror.serve.replies import Reply, Slice

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfmirror.model import Digest
    from hfmirror.serve.answers import Headers
    from hfmirror.serve.replies import Content, Request

_SANDBOX = ("Content-Security-Policy", "default-src 'none'; sandbox")  # a repo's HTML shall not run in our name


@dataclass(frozen=True, slots=True)
class Shown:
    """A file as one address shows it."""

    path: str
    size: int  # bytes
    digest: Digest
    commit: str
    revision: str  # as asked
    public: bool
    extra: Headers = ()

    @property
    def etag(self) -> str:
        """Strong, quoted: the digest, which is also the file's name in every client's cache."""
        return f'"{self.digest.hex}"'


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which bytes a request wants, decided before any of them is looked for."""

    status: int  # 200, 206, 304 or 416
    spans: tuple[Span, ...] = ()
    collects: bool = False  # the client puts the file together to its end: the whole of it, or the rest


def wanted(request: Request, shown: Shown) -> Wanted:
    """Read the conditional headers. A HEAD knows no ranges."""
    if ranges.matches(request.headers.get("if-none-match"), shown.etag):
        return Wanted(304)
    whole = Wanted(200, (Span(0, shown.size),), collects=True)
    if request.method == "HEAD":
        return whole
    asked = ranges.wanted(request.headers.get("range"), request.headers.get("if-range"), shown.etag, shown.size)
    if isinstance(asked, ranges.Unsatisfiable):
        return Wanted(416)
    if isinstance(asked, ranges.Whole):
        return whole
    return Wanted(206, asked.spans, collects=asked.open_ended)


def headers_of(shown: Shown) -> Headers:
    """What is said of a file whichever of its bytes are sent (protocol section 3.1)."""
    large = shown.digest.algorithm is Algorithm.SHA256
    linked = (("X-Linked-Etag", shown.etag), ("X-Linked-Size", str(shown.size))) if large else ()
    keep = "max-age=31536000, immutable" if is_commit(shown.revision) else "no-cache"
    return (
        ("Content-Type", "application/octet-stream" if large else "text/plain; charset=utf-8"),
        ("ETag", shown.etag),
        ("X-Repo-Commit", shown.commit),
        ("Accept-Ranges", "bytes"),
        *linked,
        ("Content-Disposition", content_disposition(shown.path)),
        ("Cache-Control", keep if shown.public else f"private, {keep}"),
        _SANDBOX,
        *CORS,
        *shown.extra,
    )


def file_reply(request: Request, shown: Shown, want: Wanted, content: Content | bytes, note: str) -> Reply:
    """The answer. `content` gives the bytes; for a HEAD it is not touched."""
    headers = headers_of(shown)
    if want.status == 304:
        return Reply(304, headers, length=shown.size, note=note)
    if want.status == 416:
        return Reply(416, (*headers, ("Content-Range", ranges.content_range(None, shown.size))), note=note)
    if want.status == 200:
        if shown.size == 0 and "range" in request.headers:  # what clients take for an answer to a range of nothing
            headers = (*headers, ("Content-Range", "bytes */0"))
        return Reply(200, headers, _pieces(content, want.spans[0]), length=shown.size, note=note)
    if len(want.spans) == 1:
        span = want.spans[0]
        told = ("Content-Range", ranges.content_range(span, shown.size))
        return Reply(206, (*headers, told), _pieces(content, span), length=span.size, note=note)
    return _multipart(shown, want.spans, headers, lambda span: _pieces(content, span), note)


def _multipart(
    shown: Shown,
    spans: tuple[Span, ...],
    headers: Headers,
    pieces: Callable[[Span], tuple[bytes | Slice, ...]],
    note: str,
) -> Reply:
    kind, boundary = headers[0][1], token_hex(16)
    frame = ranges.multipart(spans, shown.size, kind, boundary)
    body = [piece for head, span in zip(frame.heads, spans, strict=True) for piece in (head, *pieces(span))]
    told = (("Content-Type", f"multipart/byteranges; boundary={boundary}"), *headers[1:])
    return Reply(206, told, (*body, frame.tail), length=frame.length, note=note)


def _pieces(content: Content | bytes, span: Span) -> tuple[bytes | Slice, ...]:
    if isinstance(content, bytes):
        return (content[span.start : span.stop],)
    return (Slice(content, span.start, span.stop),) if span.size else ()
