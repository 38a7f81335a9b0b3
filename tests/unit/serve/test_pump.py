"""Pushing files into sockets: whole, fair, and gone when nobody wants them any more."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from hfmirror.serve.http.pump import EASY, FilePush, Pump, Pushed
from tests.unit.serve.rig import PATIENCE_S, data_of, descriptors, threads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 6 * 2**20 + 5


class Transport(asyncio.Transport):
    """What a push needs of a transport."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__({"socket": sock})


class Pair:
    """Both ends of a connection."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair()
        self.near.settimeout(0)
        self.transport = Transport(self.near)

    def close(self) -> None:
        self.near.close()
        self.far.close()


@contextmanager
def pumping(many: int = 1) -> Iterator[Pump]:
    """A pump in the running loop, and nothing left of it."""
    pump = Pump(many)
    pump.start()
    try:
        yield pump
    finally:
        pump.stop()
        assert threads() == []


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "file"
    path.write_bytes(data_of(SIZE))
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


async def read(pair: Pair, size: int) -> bytes:
    """What the client reads, in a thread of its own."""

    def reading() -> bytes:
        pair.far.settimeout(PATIENCE_S)
        seen = bytearray()
        while len(seen) < size and (block := pair.far.recv(2**18)):
            seen += block
        return bytes(seen)

    return await asyncio.get_running_loop().run_in_executor(None, reading)


def run(work: Any) -> None:
    before = descriptors()
    asyncio.run(asyncio.wait_for(work, PATIENCE_S))
    assert descriptors() == before


@pytest.mark.parametrize("zero_copy", [True, False])
def test_a_push_sends_its_range(fd: int, zero_copy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not zero_copy:
        monkeypatch.delattr(os, "sendfile")

    async def main() -> None:
        with pumping() as pump:
            pair = Pair()
            push = pump.push(pair.transport, fd, 3, SIZE - 2)
            assert await read(pair, SIZE - 5) == data_of(SIZE)[3:-2]
            await push.done
            assert push.at == SIZE - 2
            pair.close()

    run(main())


def test_where_sendfile_is_refused_the_bytes_are_copied(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> int:
        raise OSError(22, "not for this file system")

    monkeypatch.setattr(os, "sendfile", refuse)

    async def main() -> None:
        with pumping() as pump:
            pair = Pair()
            push = pump.push(pair.transport, fd, 0, SIZE)
            assert await read(pair, SIZE) == data_of(SIZE)
            await push.done
            pair.close()

    run(main())


def test_a_short_range_goes_out_at_once_if_it_can(fd: int) -> None:
    async def main() -> None:
        with pumping() as pump:
            pair = Pair()
            push = pump.push(pair.transport, fd, 7, 1007)
            assert isinstance(push, Pushed)
            await push.done
            assert (push.at, await read(pair, 1000)) == (1007, data_of(1007)[7:])
            pair.close()

    run(main())


def test_what_the_socket_does_not_take_of_a_short_range_is_pushed(fd: int) -> None:
    async def main() -> None:
        with pumping() as pump:
            pair = Pair()
            pair.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            push = pump.push(pair.transport, fd, 7, 7 + EASY)
            assert isinstance(push, FilePush)
            assert await read(pair, EASY) == data_of(7 + EASY)[7:]
            await push.done
            pair.close()

    run(main())


def test_everyone_gets_a_turn_of_the_same_size(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that takes all it is given gets no more than one that started with it."""
    turns: list[int] = []
    started = threading.Event()

    def watched(self: FilePush, count: int) -> int:
        started.wait(PATIENCE_S)
        turns.append(self._sock.fileno())
        return min(count, 2**18)  # a socket that never fills up

    monkeypatch.setattr(FilePush, "_send", watched)

    async def main() -> None:
        with pumping() as pump:
            pairs = [Pair() for _ in range(4)]
            pushes = [pump.push(pair.transport, fd, 0, 2**20) for pair in pairs]
            started.set()
            await asyncio.gather(*[push.done for push in pushes])
            for pair in pairs:
                pair.close()

    run(main())
    assert len(turns) == 16
    for at in (1, 5, 9):  # the very first turn may have come before the other pushes
        assert len(set(turns[at : at + 4])) == 4


def test_a_client_that_takes_nothing_holds_up_nobody(fd: int) -> None:
    async def main() -> None:
        with pumping() as pump:
            slow, fast = Pair(), Pair()
            stuck = pump.push(slow.transport, fd, 0, SIZE)
            flowing = pump.push(fast.transport, fd, 0, SIZE)
            assert len(await read(fast, SIZE)) == SIZE
            await flowing.done
            assert stuck.at < SIZE
            assert len(await read(slow, SIZE)) == SIZE
            await stuck.done
            slow.close()
            fast.close()

    run(main())


def test_a_client_that_leaves_ends_its_push(fd: int) -> None:
    async def main() -> None:
        with pumping() as pump:
            pair = Pair()
            push = pump.push(pair.transport, fd, 0, SIZE)
            await asyncio.get_running_loop().run_in_executor(None, pair.far.recv, 1000)
            pair.far.close()
            with pytest.raises(ConnectionError):
                await push.done
            pair.close()

    run(main())


def test_a_file_that_is_shorter_ends_its_push(fd: int) -> None:
    async def main() -> None:
        with pumping() as pump:
            pair = Pair()
            push = pump.push(pair.transport, fd, SIZE - 10, SIZE + 10)
            with pytest.raises(EOFError):
                await push.done
            assert push.at == SIZE
            pair.close()

    run(main())


def test_a_dropped_push_lets_go_of_everything(fd: int) -> None:
    async def main() -> None:
        with pumping() as pump:
            before = descriptors()
            pairs = [Pair() for _ in range(3)]
            pushes = [pump.push(pair.transport, fd, 0, SIZE) for pair in pairs]
            for push in pushes:
                push.drop()
                push.drop()
                with pytest.raises(ConnectionAbortedError):
                    await push.done
                push.drop()
            for pair in pairs:
                pair.near.close()
                assert len(await read(pair, SIZE)) < SIZE
                pair.close()
            assert descriptors() == before

    run(main())


def test_stopping_drops_what_is_under_way(fd: int) -> None:
    async def main() -> None:
        pair = Pair()
        with pumping(2) as pump:
            pushes = [pump.push(pair.transport, fd, 0, SIZE) for _ in range(4)]
        for push in pushes:
            with pytest.raises(ConnectionAbortedError):
                await push.done
        pair.close()

    run(main())


def test_a_closed_socket_is_not_pushed_into(fd: int) -> None:
    async def main() -> None:
        with pumping() as pump:
            before = descriptors()
            pair = Pair()
            pair.close()
            with pytest.raises(OSError, match="Bad file descriptor"):
                pump.push(pair.transport, fd, 0, 10)
            assert descriptors() == before

    run(main())


def test_pushes_are_spread_over_the_threads(fd: int) -> None:
    async def main() -> None:
        with pumping(2) as pump:
            pairs = [Pair() for _ in range(4)]
            pushes = [pump.push(pair.transport, fd, 0, SIZE) for pair in pairs]
            assert sorted(Counter(push._home for push in pushes if isinstance(push, FilePush)).values()) == [2, 2]
            for pair in pairs:
                await read(pair, SIZE)
            await asyncio.gather(*[push.done for push in pushes])
            for pair in pairs:
                pair.close()

    run(main())
