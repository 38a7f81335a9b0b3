"""Over TLS everything is as it is in clear; and what only TLS has: handshakes."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import pytest

from hfmirror.serve.http.server import Limits
from hfmirror.serve.replies import Reply, Request, Slice
from tests.certificates import self_signed
from tests.unit.serve.rig import Held, Live, data_of, descriptors, get, hello, serving, threads, until

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.unit.serve.rig import Rig

    Contexts = tuple[ssl.SSLContext, ssl.SSLContext]

BIG = 12 * 2**20 + 77  # bytes; more than the kernel's buffers take in


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    """The server's context and the clients'."""
    cert, key = self_signed(tmp_path_factory.mktemp("tls"))
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(cert, key)
    return ours, ssl.create_default_context(cafile=cert)


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "big"
    path.write_bytes(data_of(BIG))
    return path


def answers(path: Path) -> Callable[[Request], Reply | Awaitable[Reply]]:
    """A handler with an answer of each kind."""
    held, lost = Held(path), Held(path.with_name("lost"))
    replies = {
        "/big": held.reply(),
        "/small": held.reply((5, 5000)),
        "/many": Reply(206, pieces=(b"<", Slice(held, 5, 300_000), b"|", Slice(held, 7, 9), Slice(held, 10, BIG))),
        "/304": Reply(304, (("ETag", '"a"'),)),
        "/lost": lost.reply((0, BIG)),
        "/page": Reply(200, pieces=(data_of(5 * 2**20),)),
    }

    async def later(request: Request) -> Reply:
        await asyncio.sleep(0)
        return hello(request)

    def handler(request: Request) -> Reply | Awaitable[Reply]:
        return replies.get(request.target) or (later(request) if request.target == "/later" else hello(request))

    return handler


CONVERSATION = [
    get("/a"),
    get("/later"),
    get("/big", method="HEAD"),
    get("/big"),
    get("/small"),
    get("/many"),
    get("/304"),
    get("/lost"),
    get("/page"),
    "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    get("/z", "Connection: close"),
]


def test_a_conversation_over_tls_is_the_one_in_clear(tls: Contexts, big: Path) -> None:
    heard = []
    for contexts in (None, tls):
        with serving(answers(big), tls=contexts) as rig:
            line = rig.line()
            for request in CONVERSATION:
                line.send(request)
                heard.append(line.answer("HEAD" if request.startswith("HEAD") else "GET"))
            assert line.rest() == b""
            line = rig.line()
            line.send(*CONVERSATION)
            heard += [line.answer("HEAD" if request.startswith("HEAD") else "GET") for request in CONVERSATION]
            assert {request.scheme for request in rig.requests} == {"https" if contexts else "http"}
            assert {request.client for request in rig.requests} == {"127.0.0.1"}
    for answer in heard:
        del answer.headers["date"], answer.headers["x-request-id"]
    once = heard[: len(CONVERSATION)]
    assert heard == once * 4
    assert once[3].body == data_of(BIG)


def test_many_clients_at_once(tls: Contexts, big: Path) -> None:
    with serving(answers(big), tls=tls) as rig:
        lines = [rig.line() for _ in range(12)]
        for line in lines:
            line.send(get("/big"), get("/a"))
        for line in reversed(lines):
            assert line.answer().body == data_of(BIG)
            assert line.answer().body == b"GET /a 0"


def test_a_large_body_comes_in(tls: Contexts) -> None:
    with serving(hello, tls=tls) as rig:
        line = rig.line()
        line.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {2**21}\r\n\r\n", b"\r\n\r\n" * 2**19, get("/b"))
        assert line.answer().body == f"POST / {2**21}".encode()
        assert line.answer().body == b"GET /b 0"


def test_what_is_still_arriving_flows_as_it_comes(tls: Contexts, big: Path) -> None:
    live = Live(big)
    with serving(lambda _: live.reply(), tls=tls) as rig:
        line = rig.line()
        line.send(get())
        line.head()
        at = 0
        for here in (1, 5000, 400_000, BIG):
            until(lambda: live.waiting)
            rig.do(lambda here=here: live.arrive(here))  # type: ignore[misc]
            assert line.body(here - at) == data_of(BIG)[at:here]
            at = here


def test_what_will_never_arrive_cuts_the_connection(tls: Contexts, big: Path) -> None:
    live = Live(big, here=200_000)
    with serving(lambda _: live.reply(), tls=tls) as rig:
        line = rig.line()
        line.send(get())
        line.head()
        assert line.body(200_000) == data_of(200_000)
        until(lambda: live.waiting)
        rig.do(live.fail)
        assert line.until_cut() == b"<cut>"
        until(lambda: rig.done)
        assert (rig.done[0].whole, rig.done[0].sent) == (False, 200_000)


def test_a_file_shorter_than_promised_cuts_the_connection(tls: Contexts, tmp_path: Path) -> None:
    path = tmp_path / "short"
    path.write_bytes(data_of(300_000))
    with serving(lambda _: Held(path).reply((0, BIG)), tls=tls) as rig:
        line = rig.line()
        line.send(get())
        line.head()
        assert b"<a proper end>" not in line.until_cut()
        until(lambda: rig.done)
        assert not rig.done[0].whole
        assert isinstance(rig.faults[0], EOFError)


def test_a_client_that_leaves_leaves_nothing_behind(tls: Contexts, big: Path) -> None:
    live = Live(big, here=10)
    with serving(lambda request: live.reply() if request.target == "/live" else Held(big).reply(), tls=tls) as rig:
        before = descriptors()
        for target in ("/big", "/live", "/big", "/live"):
            line = rig.line(buffer=4096)
            line.send(get(target))
            line.head()
            line.sock.close()
        until(lambda: not rig.hall.wires and not rig.hall.tasks and not live.waiting)
        until(lambda: descriptors() == before)
        assert [done.whole for done in rig.done] == [False] * 4


def test_a_client_that_takes_nothing_is_cut(tls: Contexts, big: Path) -> None:
    with serving(answers(big), Limits(stall_s=120), tls=tls) as rig:
        line = rig.line(buffer=4096)
        line.send(get("/big"))
        line.head()
        until(lambda: settled(rig))
        rig.sweep(121)
        assert line.until_cut() == b"<cut>"
        until(lambda: not rig.hall.wires)


def settled(rig: Rig) -> bool:
    """Whether the kernel takes nothing more for anybody."""
    before = [wire._out._mark for wire in rig.hall.wires]
    rig.sweep(0)
    rig.sweep(0.01)
    after = [wire._out._mark for wire in rig.hall.wires]
    return bool(after) and before == after and (-1, -1) not in after


def test_a_slow_client_holds_up_nobody(tls: Contexts, big: Path) -> None:
    with serving(answers(big), tls=tls) as rig:
        slow = [rig.line(buffer=4096) for _ in range(4)]  # on each thread
        for line in slow:
            line.send(get("/big"))
            line.head()
        fast = rig.line()
        fast.send(get("/big"))
        assert fast.answer().body == data_of(BIG)


def test_a_client_that_reads_no_answers_is_not_asked_for_more(tls: Contexts, big: Path) -> None:
    with serving(answers(big), tls=tls) as rig:
        line = rig.line(buffer=4096)
        line.send(*[get("/page")] * 50)
        until(lambda: any(not wire.idle for wire in rig.hall.wires))
        assert len(rig.requests) < 20
        for _ in range(50):
            assert len(line.answer().body) == 5 * 2**20


# -- handshakes -----------------------------------------------------------------------------------


def test_a_handshake_that_never_begins_is_given_up(tls: Contexts) -> None:
    with serving(hello, Limits(head_s=20), tls=tls) as rig:
        with rig.dial() as sock:
            until(lambda: rig.hall.wires)
            rig.sweep(21)
            assert sock.recv(1) == b""
        until(lambda: not rig.hall.wires)


@pytest.mark.parametrize("rubbish", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\0" * 5000])
def test_what_is_no_handshake_is_turned_away(tls: Contexts, rubbish: bytes) -> None:
    with serving(hello, tls=tls) as rig:
        before = descriptors()
        with rig.dial() as sock:
            sock.sendall(rubbish)
            try:
                while sock.recv(1000):
                    pass
            except ConnectionResetError:
                pass
        until(lambda: not rig.hall.wires and descriptors() == before)
        assert rig.faults == []
        assert rig.ask(get("/a")).body == b"GET /a 0"


def test_a_client_that_leaves_during_the_handshake(tls: Contexts) -> None:
    with serving(hello, tls=tls) as rig:
        before = descriptors()
        for start in (b"", b"\x16\x03\x01"):
            sock = rig.dial()
            sock.sendall(start)
            sock.close()
        assert rig.ask(get("/a")).body == b"GET /a 0"
        rig.lines.pop().sock.close()
        until(lambda: not rig.hall.wires and descriptors() == before)


def test_a_refusal_can_be_read(tls: Contexts) -> None:
    with serving(hello, Limits(body_bytes=1000), tls=tls) as rig:
        line = rig.line()
        line.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", b"x" * 500_000)
        assert line.answer().status == 413
        line.send(b"x" * 500_000)
        assert line.rest() == b""
        line.sock.close()
        until(lambda: not rig.hall.wires)


def test_a_newcomer_is_told_to_come_back(tls: Contexts) -> None:
    gate = asyncio.Event()

    async def later(request: Request) -> Reply:
        await gate.wait()
        return hello(request)

    with serving(later, Limits(clients=1), tls=tls) as rig:
        line = rig.line()
        line.send(get())
        until(lambda: rig.requests)
        assert rig.line().answer().status == 503
        rig.do(gate.set)
        assert line.answer().status == 200


# -- the end --------------------------------------------------------------------------------------


def test_stopping_lets_answers_finish(tls: Contexts, big: Path) -> None:
    before = descriptors()
    with serving(answers(big), tls=tls) as rig:
        idle, flowing = rig.line(), rig.line()
        flowing.send(get("/big"))
        flowing.head()
        until(lambda: len(rig.hall.wires) == 2)
        stopping = asyncio.run_coroutine_threadsafe(rig.server.stop(20), rig.loop)
        assert idle.closed
        assert flowing.body(BIG) == data_of(BIG)
        assert flowing.rest() == b""
        stopping.result(20)
    assert (descriptors(), threads()) == (before, [])


def test_stopping_cuts_what_does_not_finish(tls: Contexts, big: Path) -> None:
    before = descriptors()
    with serving(answers(big), tls=tls) as rig:
        line = rig.line(buffer=4096)
        line.send(get("/big"))
        line.head()
        raw = rig.dial()  # in the middle of a handshake
        until(lambda: len(rig.hall.wires) == 2)
        rig.run(rig.server.stop(0.05))
        assert b"<a proper end>" not in line.until_cut()
        with raw:
            raw.settimeout(20)
            assert _end_of(raw)
    assert (descriptors(), threads()) == (before, [])


def _end_of(sock: socket.socket) -> bool:
    try:
        return not sock.recv(1)
    except ConnectionResetError:
        return True
