"""What the wire takes from nobody, and that nothing it refuses or leaves unread garbles what follows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from hfmirror.serve.http.server import Limits
from tests.unit.serve.rig import Line, Rig, get, hello, serving, until

if TYPE_CHECKING:
    from hfmirror.serve.replies import Reply, Request

HEAD = "POST /a HTTP/1.1\r\nHost: mirror\r\n"
CHUNKED = HEAD + "Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: mirror\r\n\r\n"

MALFORMED = {
    "no request": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a method in small letters": "get / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a space in the target": "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "a relative target": "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
    "bare line feeds": "GET / HTTP/1.1\nHost: a\n\n",
    "a bare line feed after a header": "GET / HTTP/1.1\r\nHost: a\nB: c\r\n\r\n",
    "a bare carriage return": "GET / HTTP/1.1\r\nHost: a\rB: c\r\n\r\n",
    "a bare line feed at the end": "GET / HTTP/1.1\r\nHost: a\r\n\n",
    "a folded header": "GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n d\r\n\r\n",
    "a fold before the first header": "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "a space before the colon": HEAD + "Content-Length : 3\r\n\r\nabc",
    "a header without a name": HEAD + ": a\r\n\r\n",
    "a zero byte": HEAD + "A: b\x00\r\n\r\n",
    "no host": "GET / HTTP/1.1\r\n\r\n",
    "no host, but a connection": "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
    "two hosts": "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "length and chunks": HEAD + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": HEAD + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "the same length twice": HEAD + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "a list of lengths": HEAD + "Content-Length: 3, 3\r\n\r\nabc",
    "a signed length": HEAD + "Content-Length: +3\r\n\r\nabc",
    "a negative length": HEAD + "Content-Length: -3\r\n\r\nabc",
    "a hexadecimal length": HEAD + "Content-Length: 0x3\r\n\r\nabc",
    "an empty length": HEAD + "Content-Length:\r\n\r\n",
    "an endless length": HEAD + "Content-Length: 99999999999999999999999\r\n\r\nabc",
    "chunks twice": HEAD + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunks that are not last": HEAD + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": "POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a bare line feed after a chunk size": CHUNKED + "3\nabc\r\n0\r\n\r\n",
    "a space after a chunk size": CHUNKED + "3 \r\nabc\r\n0\r\n\r\n",
    "a chunk longer than its size": CHUNKED + "3\r\nabcd\r\n0\r\n\r\n",
    "a signed chunk size": CHUNKED + "-3\r\nabc\r\n0\r\n\r\n",
    "a chunk size with a prefix": CHUNKED + "0x3\r\nabc\r\n0\r\n\r\n",
    "an endless chunk size": CHUNKED + "ffffffffffffffffff\r\nabc",
    "a line feed in a chunk extension": CHUNKED + "3;a\nb\r\nabc\r\n0\r\n\r\n",
    "a length among the trailers": CHUNKED + "3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n",
    "an upgrade with a body": HEAD + "Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc",
    "the start of HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}

OTHERWISE = {
    "a coding": (501, HEAD + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "two codings in two lines": (501, HEAD + "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "an empty coding": (501, HEAD + "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"),
    "a proxy": (501, "CONNECT other:443 HTTP/1.1\r\nHost: other\r\n\r\n"),
    "HTTP/2": (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    "HTTP/0.9": (505, "GET /\r\n\r\n"),
    "an expectation": (417, HEAD + "Content-Length: 3\r\nExpect: a miracle\r\n\r\n"),
}


def refused(rig: Rig, line: Line, status: int) -> None:
    """One refusal, nothing after it, and the handler has not been asked."""
    code, headers = line.head()
    assert (code, headers["connection"]) == (status, "close")
    assert line.rest().startswith(b'{"error":"')
    assert [request.target for request in rig.requests] == ["/before"]


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_refused_and_nothing_behind_it_is_read(name: str) -> None:
    with serving(hello) as rig:
        line = rig.line()
        line.send(get("/before"), MALFORMED[name].encode("latin-1"), SMUGGLED)
        assert line.answer().status == 200
        refused(rig, line, 400)


@pytest.mark.parametrize(
    ("status", "line_"),
    [
        (400, "GET /a b HTTP/1.1"),
        (400, "GET /a\tb HTTP/1.1"),
        (400, "GET /a\x00 HTTP/1.1"),
        (400, "GET /a\n HTTP/1.1"),
        (400, "GET a HTTP/1.1"),
        (400, "GET /a HTTP/1.1 "),
        (400, "get /a HTTP/1.1"),
        (400, " GET /a HTTP/1.1"),
        (505, "GET /a HTTP/2.0"),
        (505, "GET /a"),
        (501, "CONNECT a:80 HTTP/1.1"),
    ],
)
def test_a_first_line_is_looked_at_even_if_the_headers_are_known(status: int, line_: str) -> None:
    with serving(hello) as rig:
        line = rig.line()
        line.send(get("/before"), get("/before"), get("/before").replace("GET /before HTTP/1.1", line_), SMUGGLED)
        assert line.answer().status == line.answer().status == 200
        assert rig.requests.pop(0) == rig.requests[0]
        refused(rig, line, status)


@pytest.mark.parametrize("name", OTHERWISE)
def test_a_request_for_what_is_not_offered_is_refused(name: str) -> None:
    status, request = OTHERWISE[name]
    with serving(hello) as rig:
        line = rig.line()
        line.send(get("/before"), request, SMUGGLED)
        assert line.answer().status == 200
        refused(rig, line, status)


def test_an_upgrade_is_declined_by_answering_in_http_1_1() -> None:
    with serving(hello) as rig:
        line = rig.line()
        line.send(get("/a", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"))
        assert line.answer().body == b"GET /a 0"
        line.send(get("/b", "Connection: upgrade", "Upgrade: websocket"), get("/c"))
        assert line.answer().body == b"GET /b 0"
        assert line.answer().body == b"GET /c 0"


# -- bodies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "framed",
    [
        "Content-Length: 11\r\n\r\nhello\r\n\r\nyo",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n\r\n\r\nyo\r\n0\r\nTrailer: a\r\n\r\n",
    ],
)
def test_a_body_belongs_to_its_request(framed: str) -> None:
    with serving(hello) as rig:
        line = rig.line()
        line.send(HEAD, framed, get("/next"))
        assert line.answer().body == b"POST /a 11"
        assert line.answer().body == b"GET /next 0"
        assert rig.requests[0].body == b"hello\r\n\r\nyo"
        assert "trailer" not in rig.requests[0].headers


def test_a_body_in_many_pieces() -> None:
    with serving(hello) as rig:
        line = rig.line()
        line.send(HEAD, "Content-Length: 300000\r\n\r\n")
        for _ in range(30):
            line.send(b"\r\n\r\n" + b"x" * 9996)
        line.send(get("/next"))
        assert line.answer().body == b"POST /a 300000"
        assert line.answer().body == b"GET /next 0"


def test_a_body_nobody_wanted_is_read_all_the_same() -> None:
    with serving(hello) as rig:
        line = rig.line()
        line.send(get("/a", f"Content-Length: {len(SMUGGLED)}"), SMUGGLED, get("/b"))
        assert line.answer().status == 200
        assert line.answer().body == b"GET /b 0"


def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    with serving(hello) as rig:
        line = rig.line()
        for _ in range(2):
            line.send(HEAD, "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            assert line.head() == (100, {})
            line.send("hello")
            assert line.answer().body == b"POST /a 5"
        line.send(HEAD, "Content-Length: 5\r\n\r\nhello", HEAD, "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert line.answer().body == b"POST /a 5"
        assert line.head() == (100, {})
        line.send(HEAD[:2])
        assert line.answer().body == b"POST /a 2"


@pytest.mark.parametrize(
    "start",
    [
        "Content-Length: 1001\r\n\r\n",
        "Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1f5\r\n" + "x" * 501 + "\r\n1f4\r\n" + "x" * 500,
        "Transfer-Encoding: chunked\r\n\r\n" + "1;" + "x" * 40_000,
        "Transfer-Encoding: chunked\r\n\r\n0\r\nTrailer: " + "x" * 40_000,
    ],
)
def test_a_body_that_is_too_large_is_refused(start: str) -> None:
    with serving(hello, Limits(body_bytes=1000, head_bytes=1000)) as rig:
        line = rig.line()
        line.send(get("/before"), HEAD + start)
        assert line.answer().status == 200
        refused(rig, line, 413)


def test_a_body_as_large_as_allowed_is_taken() -> None:
    with serving(hello, Limits(body_bytes=1000)) as rig:
        chunks = "".join("1\r\nx\r\n" for _ in range(300)) + "0\r\n\r\n"
        assert rig.ask(HEAD, "Content-Length: 1000\r\n\r\n", "x" * 1000).body == b"POST /a 1000"
        assert rig.ask(CHUNKED, chunks).body == b"POST /a 300"


def test_many_clients_cannot_fill_the_memory_with_bodies() -> None:
    gate = asyncio.Event()

    async def later(request: Request) -> Reply:
        await gate.wait()
        return hello(request)

    with serving(later, Limits(body_bytes=1000, bodies_bytes=2500)) as rig:
        busy, trickling, leaving, late = (rig.line() for _ in range(4))
        body = "Content-Length: 1000\r\n\r\n" + "x" * 900
        for line, rest in ((busy, "x" * 100), (trickling, ""), (leaving, "")):
            line.send(HEAD, body[:-300] if line is leaving else body, rest)
        until(lambda: rig.hall.body_bytes == 2500)
        late.send(HEAD, body)
        assert late.answer().status == 503
        leaving.sock.close()
        late.sock.close()
        until(lambda: rig.hall.body_bytes == 1900)
        trickling.send("x" * 100)
        rig.do(gate.set)
        assert busy.answer().status == trickling.answer().status == 200
        until(lambda: rig.hall.body_bytes == 0)


def test_http_1_0_expects_nothing() -> None:
    with serving(hello) as rig:
        line = rig.line()
        line.send("POST /a HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", "hello")
        assert line.answer().body == b"POST /a 5"


# -- heads ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (414, "GET /" + "x" * 40_000),
        (414, "GET /" + "x" * 40_000 + " HTTP/1.1\r\n\r\n"),
        (431, HEAD + "A: " + "x" * 40_000),
        (431, HEAD + "A: " + "x" * 40_000 + "\r\n\r\n"),
        (431, HEAD + "A: b\r\n" * 10_000),
        (431, HEAD + "x" * 40_000),
    ],
)
@pytest.mark.parametrize("step", [1000, 100_000])
def test_a_head_without_end_is_refused(status: int, request_: str, step: int) -> None:
    with serving(hello) as rig:
        line = rig.line()
        line.send(get("/before"))
        line.answer()
        for at in range(0, len(request_), step):
            line.send(request_[at : at + step])
        refused(rig, line, status)


def test_every_head_has_the_whole_allowance() -> None:
    with serving(hello) as rig:
        line = rig.line()
        for _ in range(5):
            line.send(get("/a", "A: " + "x" * 30_000))
            assert line.answer().status == 200
