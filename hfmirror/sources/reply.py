"""What an answer of a Hub means. Pure, so that every byte engine reads answers alike.

Facts: huggingface_hub 2.4.0 `utils/_http.py` (`hf_raise_for_status`) for the meaning of the error
headers; header sets recorded from the Hub in 2025 and 2026 for the redirects and the CDN's refusals.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

from hfmirror.errors import (
    AccessDenied,
    BadToken,
    DisabledRepo,
    EntryNotFound,
    GatedRepo,
    Intercepted,
    LinkExpired,
    MirrorError,
    NotHere,
    ProtocolError,
    RangesIgnored,
    RateLimited,
    RepoNotFound,
    RevisionNotFound,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hfmirror.model import Entry, RepoId, Span

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
DECODED = 2**20  # bytes that are decompressed at once, whatever a small body claims to hold
DIGITS = 18  # of a number in a header; more is no number of bytes or seconds
_TRY_LATER = {408, 416, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request was about, for the sentences of its errors."""

    source: str  # how the server is called
    repo: RepoId | str  # or whatever else the question was about
    revision: str
    path: str = ""
    page: str = ""  # where a person accepts a gated repo's terms
    foreign: bool = False  # the answer came over a redirect to another origin, by a signed address

    def over(self, *, foreign: bool) -> Asked:
        """The same question, with where its answer came from."""
        return replace(self, foreign=foreign)


@dataclass(frozen=True, slots=True)
class Headers:
    """An answer's headers, by lower-case name."""

    fields: Mapping[str, str]

    def get(self, name: str) -> str:
        """The field's value, or an empty string."""
        return self.fields.get(name, "")

    def number(self, name: str) -> int | None:
        """The field as a count, or None."""
        value = self.get(name)
        return int(value) if value.isascii() and value.isdigit() and len(value) <= DIGITS else None


def failure(status: int, headers: Headers, body: str, asked: Asked) -> MirrorError:
    """The error that an answer other than 200, 206 or a redirect stands for."""
    if asked.foreign and status in (400, 401, 403, 404, 410):
        return LinkExpired(asked.source, f"the signed address is refused ({status})")
    if status == 429:
        return RateLimited(asked.source, _wait(headers))
    if status in _TRY_LATER:
        return Unavailable(asked.source, f"answers {status}")
    code, said = headers.get("x-error-code"), printable(headers.get("x-error-message") or _message(body))
    if code == "MirrorMiss" and headers.get("retry-after"):  # an hfmirror whose own Hub is away just now (ADR 16)
        return Unavailable(asked.source, said)
    return _refusal(status, code, said, asked)


def _refusal(status: int, code: str, said: str, asked: Asked) -> MirrorError:
    lacking = _lacking(code, asked)
    if lacking is not None:
        return lacking
    if code == "GatedRepo":
        return GatedRepo(asked.repo, asked.page)
    if said == "Access to this resource is disabled.":
        return DisabledRepo(asked.repo)
    if said == "Invalid credentials in Authorization header":
        return BadToken(asked.repo)
    if code == "RepoNotFound" or status == 401:
        return RepoNotFound(asked.repo, asked.source)
    if status == 403:
        return AccessDenied(asked.repo, said)
    return ProtocolError(asked.source, f"status {status} {said}".rstrip())  # a Hub's 404 has a code


def _lacking(code: str, asked: Asked) -> MirrorError | None:
    """What a code says of a revision or a file that is not there."""
    if code == "RevisionNotFound":
        return RevisionNotFound(asked.repo, asked.revision)
    if code == "EntryNotFound":
        return EntryNotFound(asked.repo, asked.path or "?")
    if code == "MirrorMiss" and asked.path:
        return NotHere(f"{asked.path}, asked of {asked.source},")  # which says nothing of whether there is such a file
    return None


def printable(text: str) -> str:
    """What the other end said, fit for a terminal: one short line without control characters."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+", " ", text)[:300].strip()


def onward(url: str, location: str) -> str:
    """The absolute address a `Location` leads to. Raises ProtocolError for one that is none."""
    raw = location.encode("latin-1") if location.isascii() or max(location) <= "\xff" else location.encode()
    try:
        target = urljoin(url, quote(raw, safe="%/:=&?~#+!$,;'@()*[]"))
        parts = urlsplit(target)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return target
    except ValueError:
        pass
    raise ProtocolError(_place(url), f"it redirects to {printable(location)!r}")


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def not_json(source: str, kind: str) -> MirrorError:
    """The error for an answer that should have been JSON and is of another type."""
    if kind == "text/html":
        return Intercepted(source, "a web page came instead of an answer")
    return Unavailable(source, f"answered with {kind} where JSON was due")


def _message(body: str) -> str:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    said = document.get("error") if isinstance(document, dict) else ""
    return said if isinstance(said, str) else ""


def _wait(headers: Headers) -> float | None:
    """Seconds a 429 asks for: the Hub's `RateLimit: "bucket";r=0;t=23`, else `Retry-After`."""
    limit = re.search(r"\bt=(\d{1,9})\b", headers.get("ratelimit"))
    seconds = int(limit.group(1)) if limit else headers.number("retry-after")
    return None if seconds is None else seconds + 1.0


@dataclass(slots=True)
class Reading:
    """How to read a body: all of it from `start` on, perhaps through a decoder."""

    start: int  # offset in the file of the first byte that comes
    decoder: zlib._Decompress | None = None

    def plain(self, data: bytes | memoryview) -> Iterator[bytes | memoryview]:
        """The file's bytes in what came over the wire, a bounded piece at a time. Raises Unavailable."""
        if self.decoder is None:
            yield data
            return
        if self.decoder.eof:
            raise Unavailable("the server", "sent more than one compressed body")
        try:
            while True:
                piece = self.decoder.decompress(data, DECODED)
                if piece:
                    yield piece
                data = self.decoder.unconsumed_tail
                if not data:
                    return
        except zlib.error as error:
            raise Unavailable("the server", f"sent a broken compressed body ({error})") from error


def reading(status: int, headers: Headers, entry: Entry, span: Span, asked: Asked) -> Reading:
    """How to read the body of a 200 or 206 to a request for `span` of `entry`.

    Raises RangesIgnored, Intercepted, Unavailable: the answer is not the bytes that were asked for.
    """
    coding = headers.get("content-encoding").lower().strip()
    if status == 206:
        return _part(headers, coding, entry, span, asked)
    length = headers.number("content-length")
    if coding in ("", "identity") and length is not None and length != entry.size:
        raise _not_the_file(headers, length, entry, asked)
    if length is None and "text/html" in headers.get("content-type") and not entry.path.endswith((".html", ".htm")):
        raise _not_the_file(headers, None, entry, asked)
    if span.start > 0:
        raise RangesIgnored(asked.source)
    return Reading(0, _decoder(coding, asked))


def _part(headers: Headers, coding: str, entry: Entry, span: Span, asked: Asked) -> Reading:
    if coding not in ("", "identity"):
        raise RangesIgnored(asked.source)  # a range of a compressed body is of no use
    told = _CONTENT_RANGE.fullmatch(headers.get("content-range").strip())
    if told is None:
        raise Unavailable(asked.source, "sent a part of the file without saying which")
    start, _, total = told.groups()
    if int(start) != span.start or total not in ("*", str(entry.size)):
        raise Unavailable(asked.source, f"sent bytes {told.group(0)[6:]} of {entry.path} where {span.start} was asked")
    return Reading(span.start)


def _not_the_file(headers: Headers, length: int | None, entry: Entry, asked: Asked) -> MirrorError:
    if "text/html" in headers.get("content-type"):
        return Intercepted(asked.source, "a web page came instead of the file")
    return Unavailable(asked.source, f"offers {length} bytes for {entry.path}, which has {entry.size}")


def _decoder(coding: str, asked: Asked) -> zlib._Decompress | None:
    if coding in ("", "identity"):
        return None
    if coding in ("gzip", "x-gzip", "deflate"):
        return zlib.decompressobj(wbits=47)  # 32 + 15: either wrapper, told by its header
    raise Unavailable(asked.source, f"compresses with {coding}, which was not asked for")


def links(header: str) -> Iterator[tuple[str, str]]:
    """The (relation, address) pairs of a `Link` header."""
    for target, rest in re.findall(r"<([^>]*)>([^<]*)", header):
        for relations in re.findall(r'rel="?([^";]+)"?', rest):
            for relation in relations.split():
                yield relation.rstrip(","), target
