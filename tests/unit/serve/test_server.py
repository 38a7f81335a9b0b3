"""Limits that need a clock, room for newcomers, and a graceful end."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from hfmirror.serve.http.server import Limits, Server, raise_descriptor_limit
from hfmirror.serve.replies import Reply, Request
from tests.unit.serve.rig import Held, Line, Live, Rig, data_of, descriptors, get, hello, serving, threads, until

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

BIG = 32 * 2**20  # bytes; more than the kernel's buffers take in


def arrived(rig: Rig, line: Line, data: str) -> None:
    """Send something that is not a whole request, and wait until the server has it."""
    line.send(data)
    port = line.sock.getsockname()[1]

    def there() -> bool:
        return any(
            wire._reader.begun and wire._transport.get_extra_info("peername")[1] == port for wire in rig.hall.wires
        )

    until(lambda: rig.do(there))


# -- time -----------------------------------------------------------------------------------------


def test_a_connection_that_says_nothing_is_closed() -> None:
    with serving(hello, Limits(head_s=20)) as rig:
        line = rig.line()
        until(lambda: rig.hall.wires)
        rig.sweep(19)
        assert rig.hall.wires
        rig.sweep(2)
        assert line.closed


def test_a_head_that_trickles_in_is_given_up() -> None:
    with serving(hello, Limits(head_s=20, idle_s=75)) as rig:
        fresh, used = rig.line(), rig.line()
        used.send(get())
        used.answer()
        until(lambda: len(rig.hall.wires) == 2)
        rig.sweep(15)
        for line in (fresh, used):
            arrived(rig, line, "GET / HTTP/1.1\r\n")
        rig.sweep(6)
        assert fresh.answer().status == 408
        used.send("A: b\r\n")
        rig.sweep(15)
        assert used.answer().status == 408
        assert used.rest() == b""


def test_a_body_that_does_not_come_is_given_up() -> None:
    with serving(hello, Limits(head_s=20, stall_s=120)) as rig:
        line = rig.line()
        arrived(rig, line, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        rig.sweep(119)
        assert rig.hall.wires
        rig.sweep(2)
        assert line.answer().status == 408


def test_an_idle_connection_is_closed_without_a_word() -> None:
    with serving(hello, Limits(idle_s=75)) as rig:
        line = rig.line()
        line.send(get())
        line.answer()
        rig.sweep(74)
        line.send(get())
        line.answer()
        rig.sweep(74)
        line.send(get())
        line.answer()
        rig.sweep(76)
        assert line.closed


def test_a_client_that_takes_nothing_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(data_of(BIG))
    page = b"x" * BIG
    with serving(
        lambda request: Held(path).reply() if request.target == "/file" else Reply(200, pieces=(page,)),
        Limits(stall_s=120, head_s=1, idle_s=1),
    ) as rig:
        lines = [rig.line(buffer=4096), rig.line(buffer=4096)]
        for line, target in zip(lines, ("/file", "/page"), strict=True):
            line.send(get(target))
            line.head()
        until(lambda: rig.do(lambda: len([wire for wire in rig.hall.wires if not wire.idle]) == 2))
        rig.sweep(100)  # the first look may find progress, the second cannot
        rig.sweep(100)
        for wire in rig.hall.wires:
            until(lambda wire=wire: wire._out.clogged or (wire._out._push and wire._out._push.at))  # type: ignore[misc]
        until(lambda: rig.do(lambda: _settled(rig)))
        rig.sweep(0)
        rig.sweep(121)
        for line in lines:
            assert line.until_cut() == b"<cut>"
        until(lambda: not rig.hall.wires)


def _settled(rig: Rig) -> bool:
    """Whether the kernel takes nothing more for anybody."""
    before = [wire._out._mark for wire in rig.hall.wires]
    rig.hall.sweep(0.0)
    return before == [wire._out._mark for wire in rig.hall.wires]


def test_a_client_that_waits_for_us_is_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "live"
    path.write_bytes(data_of(1000))
    live = Live(path, here=10)
    gate = asyncio.Event()

    async def later(request: Request) -> Reply:
        await gate.wait()
        return hello(request)

    with serving(lambda request: live.reply() if request.target == "/live" else later(request)) as rig:
        flowing, waiting = rig.line(), rig.line()
        flowing.send(get("/live"))
        waiting.send(get("/later"))
        flowing.head()
        until(lambda: len(rig.requests) == 2)
        for _ in range(5):
            rig.sweep(1000)
        rig.do(lambda: live.arrive(1000))
        rig.do(gate.set)
        assert flowing.body(1000) == data_of(1000)
        assert waiting.answer().status == 200


def test_a_refused_client_has_time_to_read_and_no_more() -> None:
    with serving(hello) as rig:
        line = rig.line()
        line.send("rubbish\r\n\r\n", "x" * 100_000)
        assert line.answer().status == 400
        line.send("more")
        rig.sweep(1)
        assert rig.hall.wires
        rig.sweep(2)
        until(lambda: not rig.hall.wires)


# -- room -----------------------------------------------------------------------------------------


def test_a_newcomer_takes_the_place_of_the_longest_idle() -> None:
    with serving(hello, Limits(clients=3)) as rig:
        lines = [rig.line() for _ in range(3)]
        for line in (lines[1], lines[0], lines[2]):
            line.send(get())
            line.answer()
            rig.sweep(1)
        newcomer = rig.line()
        newcomer.send(get())
        assert newcomer.answer().status == 200
        assert lines[1].closed
        for line in (lines[0], lines[2]):
            line.send(get())
            assert line.answer().status == 200


def test_when_everyone_is_busy_a_newcomer_is_told_to_come_back() -> None:
    gate = asyncio.Event()

    async def later(request: Request) -> Reply:
        await gate.wait()
        return hello(request)

    with serving(later, Limits(clients=2)) as rig:
        lines = [rig.line() for _ in range(2)]
        for line in lines:
            line.send(get())
        until(lambda: len(rig.requests) == 2)
        newcomer = rig.line()
        answer = newcomer.answer()
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert newcomer.rest() == b""
        rig.do(gate.set)
        assert [line.answer().status for line in lines] == [200, 200]


def test_a_flood_of_newcomers_takes_no_more_room_than_there_is() -> None:
    gate = asyncio.Event()

    async def later(request: Request) -> Reply:
        await gate.wait()
        return hello(request)

    with serving(later, Limits(clients=2)) as rig:
        lines = [rig.line() for _ in range(2)]
        for line in lines:
            line.send(get())
        until(lambda: len(rig.requests) == 2)
        heard = []
        for _ in range(300):
            try:
                heard.append(rig.line().until_cut()[:12])
            except ConnectionResetError:  # even before it could say hello
                heard.append(b"<cut>")
            assert len(rig.hall.wires) <= 2 + 64
        assert heard == [b"HTTP/1.1 503"] * 64 + [b"<cut>"] * (300 - 64)
        rig.do(gate.set)
        assert [line.answer().status for line in lines] == [200, 200]


def test_a_thousand_idle_connections_hurt_nobody() -> None:
    raise_descriptor_limit()
    with serving(hello) as rig:
        for _ in range(1000):
            rig.line()
        line = rig.line()
        line.send(get())
        assert line.answer().status == 200
        until(lambda: len(rig.hall.wires) == 1001)
        rig.sweep(21)
        until(lambda: len(rig.hall.wires) == 1)


# -- the end --------------------------------------------------------------------------------------


def test_stopping_lets_answers_finish_and_closes_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(data_of(BIG))
    gate = asyncio.Event()

    async def later(request: Request) -> Reply:
        await gate.wait()
        return hello(request)

    def handler(request: Request) -> Reply | Awaitable[Reply]:
        return Held(path).reply() if request.target == "/big" else later(request)

    with serving(handler) as rig:
        idle, flowing, waiting = (rig.line() for _ in range(3))
        flowing.send(get("/big"), get("/never"))
        waiting.send(get("/later"), get("/never"))
        flowing.head()
        until(lambda: len(rig.requests) == 2 and len(rig.hall.wires) == 3)
        stopping = asyncio.run_coroutine_threadsafe(rig.server.stop(20), rig.loop)
        assert idle.closed
        with pytest.raises(ConnectionRefusedError):
            rig.line()
        assert not stopping.done()
        rig.do(gate.set)
        assert waiting.answer().body == b"GET /later 0"
        assert flowing.body(BIG) == data_of(BIG)
        assert (waiting.rest(), flowing.rest()) == (b"", b"")
        stopping.result(20)
        assert [request.target for request in rig.requests] == ["/big", "/later"]


def test_stopping_cuts_what_does_not_finish_in_time(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(data_of(BIG))
    live = Live(path, here=10)
    forever = asyncio.Event()

    async def later(request: Request) -> Reply:
        await forever.wait()
        return hello(request)

    replies = {"/big": Held(path).reply(), "/live": live.reply()}
    with serving(lambda request: replies.get(request.target) or later(request)) as rig:
        lines = [rig.line(buffer=4096) for _ in range(3)]
        for line, target in zip(lines, ("/big", "/live", "/later"), strict=True):
            line.send(get(target))
        until(lambda: len(rig.requests) == 3)
        rig.run(rig.server.stop(0.05))
        for line in lines:
            assert b"<a proper end>" not in line.until_cut()
        assert not rig.hall.tasks
        assert not live.waiting


def test_stopping_again_cuts_at_once() -> None:
    forever = asyncio.Event()

    async def later(request: Request) -> Reply:
        await forever.wait()
        return hello(request)

    with serving(later) as rig:
        line = rig.line()
        line.send(get())
        until(lambda: rig.requests)
        patiently = asyncio.run_coroutine_threadsafe(rig.server.stop(1000), rig.loop)
        until(lambda: rig.hall.stopping)
        rig.run(rig.server.stop(0))
        patiently.result(20)
        assert line.until_cut() == b"<cut>"
    assert threads() == []


def test_a_fault_in_the_sweep_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hfmirror.serve.http.server.SWEEP_S", 0.001)
    with serving(hello, Limits(idle_s=75)) as rig:
        line = rig.line()
        line.send(get())
        line.answer()
        with monkeypatch.context() as broken:
            broken.setattr(rig.hall, "sweep", lambda wall: [][0])
            until(lambda: len(rig.faults) > 1)
        rig.now += 76
        assert line.closed


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "big"
    path.write_bytes(data_of(BIG))
    before = descriptors()
    with serving(lambda _: Held(path).reply()) as rig:
        for _ in range(3):
            line = rig.line()
            line.send(get())
            line.head()
    assert (descriptors(), threads()) == (before, [])


def test_one_server_listens_on_several_addresses() -> None:
    async def main() -> None:
        server = Server(hello)
        first, second = [(await server.listen("127.0.0.1", 0))[0] for _ in range(2)]
        assert first != second
        for host, port in (first, second):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(get("/", "Connection: close").encode())
            assert (await reader.read()).endswith(b"GET / 0")
            writer.close()
        await server.stop(1)

    asyncio.run(main())


def test_a_name_with_several_addresses_is_served_on_one_port() -> None:
    async def main() -> None:
        server = Server(hello)
        addresses = await server.listen("localhost", 0)
        assert len({port for _, port in addresses}) == 1
        for host, port in addresses:
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
        await server.stop(1)

    asyncio.run(main())


def test_no_answer_waits_for_the_client_to_confirm_the_one_before() -> None:
    """Without TCP_NODELAY a body that follows its head comes 40 ms late."""
    with serving(hello) as rig:
        rig.line()
        (wire,) = until(lambda: rig.hall.wires)
        assert wire._transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_server_that_never_listened_stops_too() -> None:
    asyncio.run(Server(hello).stop(1))


def test_an_address_in_use_is_an_error() -> None:
    async def main() -> None:
        server = Server(hello)
        ((host, port),) = await server.listen("127.0.0.1", 0)
        with pytest.raises(OSError, match=r"(?i)address already in use"):
            await server.listen(host, port)
        await server.stop(1)

    asyncio.run(main())
