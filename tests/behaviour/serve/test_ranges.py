"""Parts of files and conditions, by RFC 9110 and the ways of the clients (protocol, appendix A and 3.5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.serve.lab import resolve
from tests.behaviour.serve.world import CONFIG, EMPTY, LARGE, SIZE, SMALL, WEIGHTS

if TYPE_CHECKING:
    from tests.behaviour.serve.lab import Serving
    from tests.behaviour.serve.wire import Answer
    from tests.behaviour.serve.world import World

DATA = WEIGHTS.data()
FILE = resolve("acme/tiny", LARGE)
LITTLE = resolve("acme/tiny", SMALL)
NOTHING = resolve("acme/tiny", EMPTY)


@pytest.mark.parametrize(
    ("wish", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),  # the probe of jshub, tfjs and hf-hub in Rust
        ("bytes=0-", 0, SIZE),  # hf-hub in Rust asks so for a whole file
        ("bytes=5-9", 5, 10),
        ("bytes=1048575-1048576", 2**20 - 1, 2**20 + 1),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
        (f"bytes={SIZE - 10}-99999999999", SIZE - 10, SIZE),  # trap 59: clip
        ("bytes=-8", SIZE - 8, SIZE),  # trap 53: Parquet's and zip's ends
        (f"bytes=-{SIZE + 5}", 0, SIZE),
        (f"bytes={SIZE - 5}-{2**64}", SIZE - 5, SIZE),
        ("Bytes=5-9", 5, 10),  # RFC 9110 14.1: range units are case-insensitive
        ("bytes= 5-9", 5, 10),
    ],
)
def test_one_range(either: Serving, world: World, wish: str, start: int, stop: int) -> None:
    got = either.ask(FILE, headers={"Range": wish})
    assert (got.status, got["Content-Range"]) == (206, f"bytes {start}-{stop - 1}/{SIZE}")
    assert got["Content-Length"] == str(stop - start)
    assert got.whole == DATA[start:stop]
    assert (got["ETag"], got["X-Repo-Commit"]) == (world.etag(LARGE), world.commit)
    assert got["X-Hfmirror-Proven"] is None


@pytest.mark.parametrize("wish", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=99999999999-", "bytes=-0"])
def test_a_range_behind_the_end_cannot_be(either: Serving, wish: str) -> None:
    """Trap 52: a client that has the whole file asks for the rest of it."""
    got = either.ask(FILE, headers={"Range": wish})
    assert (got.status, got["Content-Range"]) == (416, f"bytes */{SIZE}")
    assert len(got.whole) < 1000


@pytest.mark.parametrize(
    "wish",
    [
        "bytes=9-5",
        "bytes=-",
        "bytes=",
        "bytes",
        "bytes=a-b",
        "bytes=5",
        "bytes=--5",
        "bytes=0x1-5",
        "bytes=1-2-3",
        "bytes=+1-5",
        "bytes=1.0-5",
        "lines=0-1",
        "=0-1",
        "",
        "bytes=0-1,x",
        "bytes=٣-٥".encode().decode("latin-1"),
    ],
)
def test_what_is_no_range_is_no_wish(either: Serving, wish: str) -> None:
    """Malformed or of another unit: ignored."""
    got = either.ask(LITTLE, headers={"Range": wish})
    assert (got.status, got["Content-Range"], got.whole) == (200, None, CONFIG)


def parts(got: Answer) -> list[tuple[int, int, int, bytes]]:
    """The parts of a multipart answer: start, stop, total, bytes."""
    kind = got["Content-Type"] or ""
    told = re.fullmatch(r'multipart/byteranges;\s*boundary="?([^"]+)"?', kind)
    assert told, kind
    boundary = b"--" + told.group(1).encode()
    assert got["Content-Range"] is None
    body = b"\r\n" + got.whole
    head, *found, tail = body.split(b"\r\n" + boundary)
    assert (head.strip(), tail.strip()) == (b"", b"--")
    rows = []
    for part in found:
        lines, _, data = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        span = re.search(rb"(?im)^content-range:\s*bytes (\d+)-(\d+)/(\d+)\s*$", lines)
        assert span, lines
        start, last, total = map(int, span.groups())
        rows.append((start, last + 1, total, data))
    return rows


@pytest.mark.parametrize(
    ("wish", "spans"),
    [
        ("bytes=0-1,5-6", [(0, 2), (5, 7)]),
        ("bytes=0-1, 5-6 ,-3", [(0, 2), (5, 7), (SIZE - 3, SIZE)]),
        (f"bytes=5-6,0-1,{SIZE - 1}-", [(5, 7), (0, 2), (SIZE - 1, SIZE)]),
        (f"bytes=0-1,{SIZE + 9}-,5-6", [(0, 2), (5, 7)]),  # what cannot be is left out
        ("bytes=0-1000000,2000000-3000000", [(0, 1_000_001), (2_000_000, 3_000_001)]),
    ],
)
def test_several_ranges(either: Serving, world: World, wish: str, spans: list[tuple[int, int]]) -> None:
    """Trap 51: several parts, or all of it; never one wrong part. The issue asks for the parts."""
    got = either.ask(FILE, headers={"Range": wish})
    assert got.status == 206
    assert got["ETag"] == world.etag(LARGE)
    rows = parts(got)
    assert {(a, b) for a, b, _, _ in rows} == set(spans)
    assert all(total == SIZE and data == DATA[a:b] for a, b, total, data in rows)


def test_several_ranges_of_which_one_can_be(either: Serving) -> None:
    got = either.ask(FILE, headers={"Range": f"bytes={SIZE + 1}-,7-9"})
    assert got.status == 206
    if got["Content-Range"]:
        assert (got["Content-Range"], got.whole) == (f"bytes 7-9/{SIZE}", DATA[7:10])
    else:
        assert parts(got) == [(7, 10, SIZE, DATA[7:10])]
    none = either.ask(FILE, headers={"Range": f"bytes={SIZE}-,{SIZE + 7}-"})
    assert (none.status, none["Content-Range"]) == (416, f"bytes */{SIZE}")


@pytest.mark.parametrize("wish", ["bytes=0-1", "bytes=5-", f"bytes={SIZE}-", "bytes=0-1,5-6"])
def test_head_knows_no_ranges(either: Serving, wish: str) -> None:
    """Appendix A: as without."""
    got = either.ask(FILE, "HEAD", headers={"Range": wish})
    assert (got.status, got["Content-Length"], got["Content-Range"]) == (200, str(SIZE), None)
    assert got.surplus == b""


@pytest.mark.parametrize("wish", ["bytes=0-0", "bytes=0-", "bytes=-5", "bytes=0-9", "bytes=5-", "bytes=0-0,2-3"])
def test_an_empty_file_is_whole_whatever_is_asked(either: Serving, world: World, wish: str) -> None:
    """Protocol 1.11 and 3.5, trap 31: a 416 breaks jshub and hf-hub in Rust."""
    got = either.ask(NOTHING, headers={"Range": wish})
    assert (got.status, got["Content-Length"], got["Content-Range"], got.body) == (200, "0", "bytes */0", b"")
    assert (got["ETag"], got["X-Repo-Commit"]) == (world.etag(EMPTY), world.commit)


def test_an_empty_file_is_empty(either: Serving) -> None:
    for method in ("GET", "HEAD"):
        got = either.ask(NOTHING, method)
        assert (got.status, got["Content-Length"], got["Content-Range"], got.surplus) == (200, "0", None, b"")


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("{etag}", 206),
        ('"other"', 200),
        ("W/{etag}", 200),  # a weak tag never fits (RFC 9110 13.1.5)
        ("Wed, 21 Oct 2015 07:28:00 GMT", 200),
        ("{bare}", 200),
        ("", 206),
    ],
)
def test_if_range(either: Serving, world: World, condition: str, status: int) -> None:
    """Trap 54: a resume over a file that has changed must start anew."""
    etag = world.etag(LARGE)
    given = condition.format(etag=etag, bare=etag.strip('"'))
    got = either.ask(FILE, headers={"Range": "bytes=5-9", **({"If-Range": given} if given else {})})
    assert got.status == status
    assert got.whole == (DATA[5:10] if status == 206 else DATA)


def test_if_range_without_a_range_is_nothing(either: Serving) -> None:
    assert either.ask(LITTLE, headers={"If-Range": '"other"'}).whole == CONFIG


@pytest.mark.parametrize("path", [LARGE, SMALL, EMPTY])
@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("{etag}", 304),
        ("W/{etag}", 304),  # the weak comparison (RFC 9110 13.1.2)
        ('"a", {etag}', 304),
        ('"a",{etag},"b"', 304),
        ("*", 304),
        ('"other"', 200),
        ('"a", "b"', 200),
        ("", 200),
    ],
)
def test_if_none_match(either: Serving, world: World, path: str, condition: str, status: int) -> None:
    """Protocol 2.2: hf-hub in Rust and browsers; GET and HEAD alike, and before any range."""
    etag = world.etag(path)
    for method in ("GET", "HEAD"):
        for extra in ({}, {"Range": "bytes=0-1"}):
            headers = {**extra, **({"If-None-Match": condition.format(etag=etag)} if condition else {})}
            got = either.ask(resolve("acme/tiny", path), method, headers=headers)
            if status == 304:
                assert (got.status, got.body + got.surplus) == (304, b"")
            else:
                assert got.status in {200, 206}
            assert (got["ETag"], got["X-Repo-Commit"]) == (etag, world.commit)


@pytest.mark.parametrize("wish", ["bytes=0-3", "bytes=4-", "bytes=-7"])
def test_raw_has_ranges_too(either: Serving, world: World, wish: str) -> None:
    for path in (SMALL, LARGE):
        whole = either.ask(f"/acme/tiny/raw/main/{path}").whole
        got = either.ask(f"/acme/tiny/raw/main/{path}", headers={"Range": wish})
        first, _, last = wish.removeprefix("bytes=").partition("-")
        start = int(first) if first else len(whole) - int(last)
        stop = int(last) + 1 if first and last else len(whole)
        assert (got.status, got["Content-Range"]) == (206, f"bytes {start}-{stop - 1}/{len(whole)}")
        assert got.whole == whole[start:stop]
