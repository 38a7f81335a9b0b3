"""What an answer means, by the headers that hubs were seen to send."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfmirror import errors
from hfmirror.model import Span
from hfmirror.sources.reply import Asked, Headers, failure, links, not_json, reading
from tests.contracts.scene import TINY, entry

HERE = Asked("https://hub", TINY, "main", "a/model.bin", page="https://hub/acme/tiny")
CDN = HERE.over(foreign=True)
FILE = entry(bytes(1000), "a/model.bin")
ALL, PART = Span(0, 1000), Span(100, 200)
NO_REPO = {
    "x-error-message": "Invalid username or password.",
    "www-authenticate": 'Bearer realm="Authentication required"',
}
NO_ENTRY = {"x-error-code": "EntryNotFound", "x-error-message": "Entry not found", "x-repo-commit": "c" * 40}
GATED = {"x-error-code": "GatedRepo", "x-error-message": "Access to model acme/tiny is restricted."}
EDGE = {"content-type": "text/html", "x-cache": "Error from cloudfront"}
LIMITED = {"ratelimit": '"resolvers";r=0;t=23', "ratelimit-policy": '"fixed window";"resolvers";q=3000;w=300'}


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected"),
    [
        (401, NO_REPO, "", errors.RepoNotFound),  # anonymous: missing or hidden
        (401, {"x-error-code": "RepoNotFound"}, "", errors.RepoNotFound),
        (404, {"x-error-code": "RepoNotFound", "x-error-message": "Repository not found"}, "", errors.RepoNotFound),
        (401, {"x-error-message": "Invalid credentials in Authorization header"}, "", errors.BadToken),
        (401, {}, '{"error": "Invalid credentials in Authorization header"}', errors.BadToken),
        (404, {"x-error-code": "RevisionNotFound"}, '{"error":"Invalid rev id: x"}', errors.RevisionNotFound),
        (404, NO_ENTRY, "Entry not found", errors.EntryNotFound),
        (401, GATED, "", errors.GatedRepo),
        (403, GATED, "", errors.GatedRepo),
        (403, {"x-error-message": "Access to this resource is disabled."}, "", errors.DisabledRepo),
        (403, {}, '{"error":"Access to this resource is disabled."}', errors.DisabledRepo),
        (403, {"x-error-message": "not for you"}, "", errors.AccessDenied),
        (404, {}, "", errors.ProtocolError),
        (404, {"x-error-code": "MirrorMiss"}, "", errors.NotHere),
        (404, {"x-error-code": "MirrorMiss", "retry-after": "2"}, "", errors.Unavailable),
        (429, LIMITED, "", errors.RateLimited),
        (429, EDGE, "<html>", errors.RateLimited),
        *[(status, {}, "", errors.Unavailable) for status in (408, 416, 500, 502, 503, 504)],
        (400, {}, "", errors.ProtocolError),
        (418, {}, "not json", errors.ProtocolError),
        (409, {}, '["a list"]', errors.ProtocolError),
        (409, {}, '{"error": ["a", "list"]}', errors.ProtocolError),
    ],
)
def test_a_refusal_of_the_hub_is_told_apart(
    status: int, headers: dict[str, str], body: str, expected: type[errors.MirrorError]
) -> None:
    assert type(failure(status, Headers(headers), body, HERE)) is expected


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_of_a_signed_address_means_ask_again(status: int) -> None:
    body = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
    assert type(failure(status, Headers({}), body, CDN)) is errors.LinkExpired


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        (LIMITED, 24.0),
        ({"retry-after": "7"}, 8.0),
        ({"ratelimit": '"api";r=0;t=9', "retry-after": "7"}, 10.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "²"}, None),
        (EDGE, None),
    ],
)
def test_the_wait_a_limit_asks_for_is_read(headers: dict[str, str], wait: float | None) -> None:
    error = failure(429, Headers(headers), "", HERE)
    assert isinstance(error, errors.RateLimited)
    assert error.retry_after_s == wait


@pytest.mark.parametrize(
    ("status", "headers", "span"),
    [
        (200, {"content-length": "1000"}, ALL),
        (200, {}, ALL),  # chunked
        (200, {"content-length": "1000"}, Span(0, 10)),  # no ranges, but the start is right
        (200, {"content-length": "1000", "content-type": "text/html"}, ALL),  # a page is a file, too
        (206, {"content-range": "bytes 100-199/1000", "content-length": "100"}, PART),
        (206, {"content-range": "bytes 100-199/*"}, PART),
        (206, {"content-range": "bytes 100-149/1000"}, PART),  # may end early
        (206, {"content-range": " bytes 100-199/1000 "}, PART),
        (200, {"content-encoding": "identity", "content-length": "1000"}, ALL),
    ],
)
def test_a_good_answer_starts_where_it_was_asked_to(status: int, headers: dict[str, str], span: Span) -> None:
    how = reading(status, Headers(headers), FILE, span, HERE)
    assert (how.start, [*how.plain(b"as it is")]) == (span.start, [b"as it is"])


@pytest.mark.parametrize(
    ("status", "headers", "span", "expected"),
    [
        (200, {"content-length": "1000"}, PART, errors.RangesIgnored),
        (200, {}, PART, errors.RangesIgnored),
        (200, {"content-length": "999"}, ALL, errors.Unavailable),
        (200, {"content-length": "88", "content-type": "text/html; charset=utf-8"}, ALL, errors.Intercepted),
        (200, {"content-type": "text/html"}, ALL, errors.Intercepted),
        (206, {}, PART, errors.Unavailable),
        (206, {"content-range": "bytes 99-198/1000"}, PART, errors.Unavailable),
        (206, {"content-range": "bytes 100-199/2000"}, PART, errors.Unavailable),
        (206, {"content-range": "bytes */1000"}, PART, errors.Unavailable),
        (206, {"content-range": "bytes 100-199/1000", "content-encoding": "gzip"}, PART, errors.RangesIgnored),
        (200, {"content-encoding": "br"}, ALL, errors.Unavailable),
        (200, {"content-encoding": "gzip"}, PART, errors.RangesIgnored),
    ],
)
def test_a_wrong_answer_is_told_before_its_first_byte(
    status: int, headers: dict[str, str], span: Span, expected: type[errors.MirrorError]
) -> None:
    with pytest.raises(errors.MirrorError) as caught:
        reading(status, Headers(headers), FILE, span, HERE)
    assert type(caught.value) is expected


@given(st.sampled_from(["content-length", "content-range", "retry-after", "ratelimit"]), st.text(max_size=12))
def test_no_header_makes_reading_stumble(name: str, value: str) -> None:
    for status, span in ((200, ALL), (206, PART)):
        try:
            reading(status, Headers({name: value}), FILE, span, HERE)
        except errors.MirrorError:
            continue
    assert isinstance(failure(429, Headers({name: value}), "", HERE), errors.RateLimited)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_packed_body_is_unpacked_piece_by_piece(pack: object) -> None:
    packed = pack(bytes(1000))  # type: ignore[operator]
    how = reading(200, Headers({"content-encoding": "gzip", "content-length": str(len(packed))}), FILE, ALL, HERE)
    pieces = [piece for at in range(0, len(packed), 7) for piece in how.plain(packed[at : at + 7])]
    assert b"".join(pieces) == bytes(1000)


def test_a_packed_body_that_is_none_is_told() -> None:
    how = reading(200, Headers({"content-encoding": "gzip"}), FILE, ALL, HERE)
    with pytest.raises(errors.Unavailable):
        list(how.plain(b"this was never packed"))


def test_what_should_have_been_json_is_told_apart_from_a_login_page() -> None:
    assert type(not_json("https://hub", "text/html")) is errors.Intercepted
    assert type(not_json("https://hub", "application/xml")) is errors.Unavailable


def test_links_are_read_in_all_their_forms() -> None:
    header = '<https://hub/a?cursor=b,c>; rel="next", </d>; rel=prev; title=x, <e>; rel="last first"'
    assert list(links(header)) == [
        ("next", "https://hub/a?cursor=b,c"),
        ("prev", "/d"),
        ("last", "e"),
        ("first", "e"),
    ]
    assert list(links("")) == []
