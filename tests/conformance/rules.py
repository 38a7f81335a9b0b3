"""What every answer to a real client must be, whatever was asked. Sections are those of the Hub's protocol."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.conformance.tap import Exchange

_COMMIT = re.compile(r"[0-9a-f]{40}")
_ETAG = re.compile(r'"(?:[0-9a-f]{40}|[0-9a-f]{64})"')  # strong, git's sha1 or a sha256
_FILE = re.compile(r"^/(?!api/)(?:[^/]+/){1,4}?resolve/")
_DATE = re.compile(r'"(?:lastModified|createdAt|date)":"([^"]*)"')
_NEXT = re.compile(r'<([^>]*)>;\s*rel="next"')
_TRIED_AGAIN = {408, 429, 500, 502, 503, 504}  # clients repeat these for some 23 seconds


def broken(exchanges: Iterable[Exchange]) -> list[str]:
    """Every rule that some answer breaks, as sentences; none when all is well."""
    known = list(exchanges)
    found = [f"{one}: {what}" for one in known for what in _of_one(one)]
    return [*found, *_heads_that_differ(known)]


def _of_one(one: Exchange) -> Iterator[str]:
    if one.status == 0 or not one.whole:
        if not one.left:
            yield "the body is shorter than it says" if one.status else "no answer"
        if one.status == 0:
            return
    yield from _xet(one)
    yield from _lengths(one)
    yield from _pages(one)
    if _FILE.match(one.path):
        yield from _file(one)
    if one.is_json and one.body:
        yield from _document(one)
    if one.status >= 400:
        yield from _error(one)
    elif 300 <= one.status < 400 and one.status != 304:
        yield from _redirect(one)


def _pages(one: Exchange) -> Iterator[str]:
    """Section 2.9."""
    link = _NEXT.search(one.headers.get("link", ""))
    if link and urlsplit(link.group(1))[:2] != ("http", one.asked["host"]):
        yield f"the next page is elsewhere: {link.group(1)}"


def _xet(one: Exchange) -> Iterator[str]:
    """No Xet signal, since no Xet is served (section 9.6)."""
    if leaked := [name for name in one.headers if name.startswith("x-xet")]:
        yield f"Xet headers {leaked}"
    if "xet-" in one.headers.get("link", ""):
        yield "a Link to Xet"
    if one.is_json and b'"xetHash"' in one.body:
        yield "xetHash in the document"
    if "xet-read-token" in one.path or "/reconstructions/" in one.path:
        yield "the client took to Xet"


def _lengths(one: Exchange) -> Iterator[str]:
    chunked = "chunked" in one.headers.get("transfer-encoding", "")
    if "content-length" not in one.headers and not chunked and one.status not in {204, 304}:
        yield "neither a length nor chunks"
    several = one.headers.get("content-type", "").startswith("multipart/byteranges")
    if one.status == 206 and "content-range" not in one.headers and not several:
        yield "206 without Content-Range"


def _file(one: Exchange) -> Iterator[str]:
    """Section 3.1."""
    code, commit = one.headers.get("x-error-code"), one.headers.get("x-repo-commit")
    if one.status in {200, 206, 304} or code == "EntryNotFound":
        if not _COMMIT.fullmatch(commit or ""):
            yield "no X-Repo-Commit"
    elif commit is not None and one.status in {401, 403, 404}:
        yield f"X-Repo-Commit beside {one.status} {code}: the client would remember that the file is absent"
    if one.status in {200, 206}:
        yield from _body(one)


def _body(one: Exchange) -> Iterator[str]:
    """What a client reads from the head of a file's bytes."""
    if not _ETAG.fullmatch(one.headers.get("etag", "")):
        yield f"ETag is {one.headers.get('etag')}"
    if one.headers.get("accept-ranges") != "bytes":
        yield "no Accept-Ranges: bytes"
    if "content-encoding" in one.headers:
        yield "encoded content"
    if "content-length" not in one.headers:
        yield "no Content-Length"


def _document(one: Exchange) -> Iterator[str]:
    """Section 2.10; compact, since hfd searches it as text."""
    try:
        document = one.json
    except ValueError:
        yield "what it calls JSON is none"
        return
    compact = [json.dumps(document, separators=(",", ":"), ensure_ascii=ascii).encode() for ascii in (True, False)]
    if one.body not in compact:
        yield "JSON with blanks"
    dates = _DATE.findall(one.body.decode("utf-8", "replace"))
    if wrong := [date for date in dates if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", date)]:
        yield f"dates that clients cannot read: {wrong[:3]}"


def _error(one: Exchange) -> Iterator[str]:
    """Section 2.6."""
    if one.status in _TRIED_AGAIN:
        yield f"{one.status} makes clients try again and again"
    if one.status == 416:
        return
    if "x-error-message" not in one.headers:
        yield "no X-Error-Message"
    if "x-request-id" not in one.headers:
        yield "no X-Request-Id"
    if one.method != "HEAD" and not (one.is_json and _told(one)):
        yield f"an error without JSON: {one.body[:80]!r}"


def _told(one: Exchange) -> bool:
    """Whether its document is an error's."""
    try:
        said = one.json
    except ValueError:
        return False
    return isinstance(said, dict) and "error" in said


def _redirect(one: Exchange) -> Iterator[str]:
    """Section 2.8: path only, and nothing that is lost with the query."""
    place = one.headers.get("location", "")
    if not place.startswith("/"):
        yield f"redirects to {place}"
    if "?" in place and place.partition("?")[2] != one.target.partition("?")[2]:
        yield f"redirects to a query of its own: {place}"


def _heads_that_differ(exchanges: list[Exchange]) -> Iterator[str]:
    """HEAD says the same as GET about the same address."""
    heads = {(one.target): one for one in exchanges if one.method == "HEAD" and one.status == 200}
    for one in exchanges:
        head = heads.get(one.target)
        if head is None or one.method != "GET" or one.status != 200 or not one.whole:
            continue
        if head.headers.get("content-length") != str(one.size):
            yield f"{one}: HEAD said {head.headers.get('content-length')}"
        if head.headers.get("etag") != one.headers.get("etag"):
            yield f"{one}: HEAD named it {head.headers.get('etag')}"
