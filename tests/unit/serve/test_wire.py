"""One connection: what is answered, in which order, and in which frame."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfmirror.errors import Unavailable
from hfmirror.serve.http.hall import Hall, Hooks, Limits
from hfmirror.serve.http.pump import Pump
from hfmirror.serve.http.wire import BURST, Wire
from hfmirror.serve.replies import Reply, Request, Slice
from tests.unit.serve.rig import Held, Live, data_of, descriptors, get, hello, serving, until

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

BIG = 8 * 2**20 + 77  # bytes; more than the kernel's buffers take in


def test_a_request_reaches_the_handler_as_it_was_sent() -> None:
    with serving(hello) as rig:
        answer = rig.ask(get("/a%2Fb?x=%20&y", "X-One: a ", "x-one:b", "Empty:"))
        request = rig.requests[0]
        assert (answer.status, answer.body) == (200, b"GET /a%2Fb?x=%20&y 0")
        assert (request.method, request.target, request.client, request.scheme) == (
            "GET",
            "/a%2Fb?x=%20&y",
            "127.0.0.1",
            "http",
        )
        assert request.headers["x-one"] == "a, b"
        assert request.headers["empty"] == ""


@pytest.mark.parametrize(
    ("sent", "target"),
    [
        ("http://other/a/b?c=d", "/a/b?c=d"),
        ("http://other:80/", "/"),
        ("HTTPS://other", "/"),
        ("http://other?c=/d", "/?c=/d"),
        ("http://u:p@other/x//y", "/x//y"),
        ("//other/x", "//other/x"),
        ("/a?u=http://b/c", "/a?u=http://b/c"),
    ],
)
def test_a_request_that_names_another_host_is_still_for_this_one(sent: str, target: str) -> None:
    with serving(hello) as rig:
        rig.ask(get(sent))
        assert rig.requests[0].target == target


def test_raw_bytes_of_a_name_are_escaped() -> None:
    with serving(hello) as rig:
        rig.ask(get("/模型?q=é", "X-Name: 模型"))
        assert rig.requests[0].target == "/%E6%A8%A1%E5%9E%8B?q=%C3%A9"
        assert rig.requests[0].headers["x-name"].encode("latin-1").decode() == "模型"


def test_an_answer_has_a_length_a_date_and_the_headers_it_was_given() -> None:
    with serving(hello) as rig:
        answer = rig.ask(get("/x"))
        again = rig.ask(get("/x"))
    assert answer.headers.pop("date").endswith(" GMT")
    assert answer.headers.pop("x-request-id") != again.headers["x-request-id"]
    assert answer.headers == {"content-type": "text/plain", "content-length": "8"}


def test_one_connection_serves_many_requests() -> None:
    with serving(hello) as rig:
        line = rig.line()
        for number in range(50):
            line.send(get(f"/{number}"))
            assert line.answer().body == f"GET /{number} 0".encode()
        assert len(rig.hall.wires) == 1


def test_a_request_may_come_byte_by_byte() -> None:
    with serving(hello) as rig:
        line = rig.line()
        for byte in get("/slow", "A: b") + "\r\n":  # and an empty line too many, as some clients send it
            line.send(byte)
        assert line.answer().body == b"GET /slow 0"
        line.send(get("/next"))
        assert line.answer().body == b"GET /next 0"


def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(data_of(BIG))

    async def later(request: Request) -> Reply:
        await asyncio.sleep(0)
        return hello(request)

    def handler(request: Request) -> Reply | Awaitable[Reply]:
        if request.target == "/big":
            return Held(path).reply()
        return later(request) if request.target.startswith("/later") else hello(request)

    with serving(handler) as rig:
        line = rig.line()
        line.send(get("/later/1"), get("/2"), get("/big"), get("/3", method="HEAD"), get("/later/4"), get("/5"))
        assert line.answer().body == b"GET /later/1 0"
        assert line.answer().body == b"GET /2 0"
        assert line.answer().body == data_of(BIG)
        assert line.answer("HEAD").headers["content-length"] == "9"
        assert line.answer().body == b"GET /later/4 0"
        assert line.answer().body == b"GET /5 0"


def test_no_request_is_taken_up_while_another_is_answered() -> None:
    gate = asyncio.Event()

    async def handler(request: Request) -> Reply:
        await gate.wait()
        return hello(request)

    with serving(handler) as rig:
        line = rig.line()
        line.send(*[get(f"/{number}") for number in range(500)])
        until(lambda: rig.requests)
        assert [request.target for request in rig.requests] == ["/0"]
        rig.do(gate.set)
        for number in range(500):
            assert line.answer().body == f"GET /{number} 0".encode()


def test_a_client_that_reads_nothing_is_not_asked_for_more() -> None:
    page = b"x" * 2**20

    with serving(lambda _: Reply(200, pieces=(page,))) as rig:
        line = rig.line(buffer=4096)
        line.send(*[get(f"/{number}") for number in range(200)])
        until(lambda: any(not wire.idle for wire in rig.hall.wires))
        assert len(rig.requests) < 20
        for _ in range(200):
            assert len(line.answer().body) == len(page)


def test_head_has_the_headers_of_get_and_no_body(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(data_of(BIG))
    held = Held(path)

    def handler(request: Request) -> Reply:
        if request.target == "/long":
            return Reply(200, length=123_456_789)
        return held.reply()

    with serving(handler) as rig:
        line = rig.line()
        line.send(get("/long", method="HEAD"), get(method="HEAD"), get())
        assert line.answer("HEAD").headers["content-length"] == "123456789"
        assert line.answer("HEAD").headers["content-length"] == str(BIG)
        assert line.answer().body == data_of(BIG)
        assert held.opened == 1


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_answers_without_a_body(method: str) -> None:
    replies = {
        "/204": Reply(204),
        "/304": Reply(304, (("ETag", '"a"'),)),
        "/304/long": Reply(304, length=77),
        "/200": Reply(200),
    }
    with serving(lambda request: replies[request.target]) as rig:
        line = rig.line()
        line.send(*[get(target, method=method) for target in replies])
        lengths = {target: line.answer(method).headers.get("content-length") for target in replies}
        assert lengths == {"/204": None, "/304": None, "/304/long": "77", "/200": "0"}


def test_an_answer_of_several_pieces(tmp_path: Path) -> None:
    data = data_of(BIG)
    path = tmp_path / "big"
    path.write_bytes(data)
    held = Held(path)
    small = Reply(206, pieces=(b"<", Slice(held, 5, 9), b"|", Slice(held, 100, 100), Slice(held, 70, 80), b">"))
    large = Reply(206, pieces=(b"<", Slice(held, 5, 300_000), b"|", Slice(held, 7, 9), Slice(held, 400_000, BIG), b">"))
    with serving(lambda request: small if request.target == "/small" else large) as rig:
        line = rig.line()
        line.send(get("/small"))
        assert line.answer().body == b"<" + data[5:9] + b"|" + data[70:80] + b">"
        assert held.opened == 1
        line.send(get("/large"))
        assert line.answer().body == b"<" + data[5:300_000] + b"|" + data[7:9] + data[400_000:] + b">"
        assert held.opened == 2


def test_a_file_that_is_still_arriving_is_sent_as_it_comes(tmp_path: Path) -> None:
    data = data_of(BIG)
    path = tmp_path / "live"
    path.write_bytes(data)
    live = Live(path)
    with serving(lambda _: live.reply((10, BIG))) as rig:
        line = rig.line()
        line.send(get("/live"), get("/live"))
        assert line.head()[1]["content-length"] == str(BIG - 10)
        at = 10
        for here in (11, 5000, 400_000, BIG):
            until(lambda: live.waiting)
            rig.do(lambda here=here: live.arrive(here))  # type: ignore[misc]
            assert line.body(here - at) == data[at:here]
            at = here
        assert line.answer().body == data[10:]
        assert live.opened == 2
        until(lambda: len(rig.done) == 2)
        assert [(done.whole, done.sent) for done in rig.done] == [(True, BIG - 10)] * 2


def test_a_file_that_will_never_arrive_cuts_the_connection(tmp_path: Path) -> None:
    path = tmp_path / "live"
    path.write_bytes(data_of(BIG))
    live = Live(path, here=200_000)
    with serving(lambda _: live.reply()) as rig:
        line = rig.line()
        line.send(get())
        line.head()
        assert line.body(200_000) == data_of(200_000)
        until(lambda: live.waiting)
        rig.do(live.fail)
        assert line.until_cut() == b"<cut>"
        until(lambda: rig.done)
        assert (rig.done[0].whole, rig.done[0].sent, rig.faults) == (False, 200_000, [])


def test_a_file_shorter_than_promised_cuts_the_connection(tmp_path: Path) -> None:
    path = tmp_path / "short"
    path.write_bytes(data_of(300_000))
    held = Held(path)
    with serving(lambda _: held.reply((0, BIG))) as rig:
        line = rig.line()
        line.send(get())
        line.head()
        assert b"<a proper end>" not in line.until_cut()
        until(lambda: rig.done)
        assert not rig.done[0].whole
        assert isinstance(rig.faults[0], EOFError)


def test_a_file_that_cannot_be_opened_is_an_honest_error(tmp_path: Path) -> None:
    lost = Held(tmp_path / "lost")
    sizes = {"/small": 10, "/large": BIG}
    with serving(lambda request: lost.reply((0, sizes.get(request.target, 0)))) as rig:
        line = rig.line()
        line.send(get("/small"), get("/large"), get("/small", method="HEAD"))
        assert line.answer().status == line.answer().status == 500
        assert line.answer("HEAD").status == 200
        assert len(rig.faults) == 2


def test_a_handler_that_raises_is_a_500_and_the_connection_lives() -> None:
    async def fail_later(request: Request) -> Reply:
        raise ZeroDivisionError(request.target)

    def handler(request: Request) -> Reply | Awaitable[Reply]:
        if request.target == "/now":
            raise ZeroDivisionError(request.target)
        if request.target == "/forged":
            return Reply(200, (("X-Name", "a\r\nX-Forged: b"),))
        return fail_later(request) if request.target == "/later" else hello(request)

    with serving(handler) as rig:
        line = rig.line()
        for target in ("/now", "/later", "/forged"):
            line.send(get(target), get(target, method="HEAD"), get("/fine"))
            answer = line.answer()
            assert answer.status == 500
            assert answer.body.startswith(b'{"error":"')
            assert line.answer("HEAD").status == 500
            assert line.answer().status == 200
        until(lambda: len(rig.done) == 9)
        assert [done.status for done in rig.done] == [500, 500, 200] * 3
        assert [type(fault) for fault in rig.faults] == [ZeroDivisionError] * 4 + [ValueError] * 2


def test_a_log_that_fails_disturbs_nobody() -> None:
    with serving(hello) as rig:
        rig.hall._hooks.done = lambda done: [][done.sent]
        line = rig.line()
        line.send(get(), get())
        assert line.answer().status == line.answer().status == 200
        until(lambda: [type(fault) for fault in rig.faults] == [IndexError] * 2)


def test_each_answer_is_logged() -> None:
    with serving(hello) as rig:
        line = rig.line()
        line.send(get("/a"), get("/b", method="HEAD"), "rubbish\r\n\r\n")
        line.rest()
        until(lambda: len(rig.done) == 3)
        seen = [(done.request.method, done.request.target, done.status, done.sent, done.note) for done in rig.done]
    assert seen[:2] == [("GET", "/a", 200, 8, "said"), ("HEAD", "/b", 200, 0, "said")]
    assert seen[2][2] == 400
    assert all(done.whole for done in rig.done)


# -- keeping and ending connections ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "header", "stays"),
    [
        ("1.1", "A: b", None),
        ("1.1", "Connection: keep-alive", None),
        ("1.1", "Connection: close", "close"),
        ("1.1", "Connection: Keep-Alive, Close", "close"),
        ("1.0", "A: b", "close"),
        ("1.0", "Connection: keep-alive", "keep-alive"),
    ],
)
def test_the_connection_ends_when_the_client_says_so(version: str, header: str, stays: str | None) -> None:
    with serving(hello) as rig:
        line = rig.line()
        line.send(get("/", header, version=version))
        assert line.answer().headers.get("connection") == stays
        if stays == "close":
            assert line.closed
        else:
            line.send(get("/again"))
            assert line.answer().status == 200


def test_http_1_0_needs_no_host() -> None:
    with serving(hello) as rig:
        assert rig.ask("GET /old HTTP/1.0\r\n\r\n").status == 200


def test_a_client_that_closes_its_side_still_gets_its_answers(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(data_of(BIG))
    with serving(lambda request: Held(path).reply() if request.target == "/big" else hello(request)) as rig:
        line = rig.line()
        line.send(get("/a"), get("/big"), get("/b"))
        line.head()
        line.body(8)
        until(lambda: any(wire._out._push for wire in rig.hall.wires))
        line.sock.shutdown(1)
        assert line.answer().body == data_of(BIG)
        assert line.answer().body == b"GET /b 0"
        assert line.closed


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(data_of(BIG))
    with serving(lambda _: Held(path).reply((0, BIG))) as rig:
        before = descriptors()
        for _ in range(5):
            line = rig.line(buffer=4096)
            line.send(get())
            line.head()
            line.sock.close()
        until(lambda: not rig.hall.wires and not rig.hall.tasks)
        until(lambda: descriptors() == before)
        assert [done.whole for done in rig.done] == [False] * 5


def test_a_client_that_leaves_while_waiting_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "live"
    path.write_bytes(data_of(BIG))
    live = Live(path, here=5000)
    forever = asyncio.Event()
    ended: list[str] = []

    async def wait() -> Reply:
        try:
            await forever.wait()
        finally:
            ended.append("cancelled")
        return Reply(200)

    with serving(lambda request: live.reply() if request.target == "/live" else wait()) as rig:
        before = descriptors()
        line = rig.line()
        line.send(get("/live"))
        line.head()
        line.body(5000)
        until(lambda: live.waiting)
        line.sock.close()
        until(lambda: not live.waiting)
        line = rig.line()
        line.send(get("/wait"))
        until(lambda: len(rig.requests) == 2)
        line.sock.close()
        until(lambda: ended)
        until(lambda: not rig.hall.wires and not rig.hall.tasks and descriptors() == before)


def test_an_upstream_error_in_the_handler_is_no_end_of_the_connection() -> None:
    async def handler(request: Request) -> Reply:
        raise Unavailable("upstream", "is gone")

    with serving(handler) as rig:
        line = rig.line()
        line.send(get(), get())
        assert line.answer().status == line.answer().status == 500


@pytest.mark.parametrize("target", ["/now", "/live"])
def test_a_wait_that_is_called_off_cuts_the_connection(target: str, tmp_path: Path) -> None:
    path = tmp_path / "live"
    path.write_bytes(data_of(BIG))

    class CalledOff(Live):
        async def more(self, start: int, stop: int) -> None:
            raise asyncio.CancelledError

    async def call_off() -> Reply:
        raise asyncio.CancelledError

    with serving(lambda request: CalledOff(path).reply() if request.target == "/live" else call_off()) as rig:
        line = rig.line()
        line.send(get(target))
        assert b"<a proper end>" not in line.until_cut()
        until(lambda: not rig.hall.wires and not rig.hall.tasks)


def test_a_content_that_promises_more_than_it_has_cuts_the_connection(tmp_path: Path) -> None:
    class Liar(Live):
        async def more(self, start: int, stop: int) -> None:
            await asyncio.sleep(0)

    with serving(lambda _: Liar(tmp_path).reply((0, BIG))) as rig:
        line = rig.line()
        line.send(get())
        assert b"<a proper end>" not in line.until_cut()
        until(lambda: [type(fault) for fault in rig.faults] == [RuntimeError])


# -- however it comes -----------------------------------------------------------------------------


class Deaf(asyncio.Transport):
    """Remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.is_open = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high == 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.is_open = False


REQUESTS = [
    get("/a"),
    get("/b"),
    get("/b", "Range: bytes=0-1"),
    get("/c?d", method="HEAD"),
    get("http://other/d"),
    get("/\u00e9"),
    get("/e", "A: " + "x" * 3000),
    get("/f", "Content-Length: 0"),
    "\r\n" + get("/g"),
    "POST /h HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nGET\r\n\r\n /",
    "POST /i HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n0\r\nA: b\r\n\r\n",
    get("/j", "Connection: upgrade", "Upgrade: h2c"),
    "GET /k HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
]


@given(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=6), st.data())
def test_requests_are_the_same_however_the_bytes_are_cut(requests: list[str], data: st.DataObject) -> None:
    stream = "".join(requests).encode()
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=8)))
    pieces = [stream[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert asyncio.run(_heard(pieces)) == asyncio.run(_heard([request.encode() for request in requests]))


async def _heard(pieces: list[bytes]) -> list[Request]:
    heard: list[Request] = []

    def handler(request: Request) -> Reply:
        heard.append(request)
        return hello(request)

    wire = Wire(Hall(handler, Limits(), Hooks(None, None), lambda: 0.0), Pump().push, "http")
    transport = Deaf()
    wire.connection_made(transport)
    for piece in pieces:
        wire.data_received(piece)
    assert transport.is_open
    assert len(transport.written) == len(heard)
    wire.connection_lost(None)
    return heard


def test_a_long_row_of_requests_lets_others_have_their_turn() -> None:
    with serving(hello) as rig:
        many, one = rig.line(), rig.line()
        until(lambda: len(rig.hall.wires) == 2)
        row = BURST * 20

        def together() -> None:  # in the loop: both are there before it looks again
            many.send(*[get("/row")] * row)
            one.send(get("/one"))

        rig.do(together)
        assert one.answer().body == b"GET /one 0"
        for _ in range(row):
            assert many.answer().body == b"GET /row 0"
        assert [request.target for request in rig.requests].index("/one") <= 4 * BURST
