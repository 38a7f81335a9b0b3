"""Sending a body whose bytes are still on their way, and may be taken back."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from hfmirror.errors import Unavailable
from hfmirror.serve.http.pour import PROMISES, Outlet, pour
from hfmirror.serve.http.slices import Descriptors
from hfmirror.serve.replies import Reply, Slice
from tests.unit.serve.rig import data_of

if TYPE_CHECKING:
    from pathlib import Path

SIZE, HERE = 200_000, 50_000


class Wavering:
    """A content whose bytes are ready when `more` looks, and taken back at once, so many times."""

    def __init__(self, path: Path, times: int, *, gone: bool = False) -> None:
        self._path, self._times, self._gone = path, times, gone
        self.asked = 0

    def open(self) -> int:
        return os.open(self._path, os.O_RDONLY)

    def ready(self, start: int, stop: int) -> int:
        return stop if self.asked > self._times else max(start, min(stop, HERE))

    async def more(self, start: int, stop: int) -> None:
        assert self.ready(start, stop) <= start, "it was asked to wait for what is here"
        self.asked += 1
        if self._gone and self.asked > self._times:
            raise Unavailable("upstream", "is gone")


class Taken(Outlet):
    """A client that takes everything."""

    def __init__(self) -> None:
        self.data = b""

    async def write(self, data: bytes) -> None:
        self.data += data

    async def push(self, fd: int, start: int, stop: int) -> None:
        self.data += os.pread(fd, stop - start, start)


def poured(content: Wavering) -> Taken:
    taken = Taken()
    with Descriptors() as files:
        reply = Reply(200, pieces=(b"head ", Slice(content, 0, SIZE), b" tail"))
        asyncio.run(pour(reply, files, taken))
    return taken


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(data_of(SIZE))
    return path


@pytest.mark.parametrize("times", [0, 1, PROMISES - 1])
def test_bytes_that_are_taken_back_are_waited_for_again(times: int, path: Path) -> None:
    content = Wavering(path, times)
    assert poured(content).data == b"head " + data_of(SIZE) + b" tail"
    assert content.asked == times + 1


def test_bytes_that_never_come_end_it_with_the_reason(path: Path) -> None:
    with pytest.raises(Unavailable):
        poured(Wavering(path, 1, gone=True))


def test_promises_that_are_never_kept_end_it(path: Path) -> None:
    with pytest.raises(RuntimeError):
        poured(Wavering(path, PROMISES))
