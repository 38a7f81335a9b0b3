"""Sending a body bit by bit: what is here at once, what is still on its way as it arrives."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from hfmirror.serve.http.slices import SMALL, read_at

if TYPE_CHECKING:
    from hfmirror.serve.http.slices import Descriptors
    from hfmirror.serve.replies import Content, Reply, Slice

PROMISES: Final = 5  # times a content may say that there is more and take it back; then the fault is its own
_UNKNOWN: Final = (-1, -1)


class Push(Protocol):
    """Bytes of a file on their way into a socket."""

    at: int  # offset of the next byte to send
    done: asyncio.Future[None]

    def drop(self) -> None:
        """Stop, and let go of everything. May be called again, and after the end."""
        ...


class Pusher(Protocol):
    """Starts pushes."""

    def __call__(self, transport: asyncio.Transport, fd: int, start: int, stop: int, /) -> Push:
        """Send bytes [start, stop) of a file. Duplicates the descriptors it needs. Raises OSError."""
        ...


class Outlet:
    """The way to one client."""

    __slots__ = ("_drained", "_mark", "_push", "_pusher", "_transport", "clogged", "sent")

    def __init__(self, transport: asyncio.Transport, pusher: Pusher) -> None:
        self._transport, self._pusher = transport, pusher
        self.clogged = False  # the client does not take what is written
        self.sent = 0  # bytes of the present body
        self._drained: asyncio.Future[None] | None = None
        self._push: Push | None = None
        self._mark = _UNKNOWN  # how far the client had taken its answer when last looked at

    @property
    def flowing(self) -> bool:
        """Whether there are bytes the client could take."""
        return self.clogged or self._push is not None

    def moved(self) -> bool | None:
        """Whether the client has taken something since the last call; None when there is nothing to take."""
        owed, push = self._transport.get_write_buffer_size(), self._push
        if not owed and push is None:
            self._mark = _UNKNOWN
            return None
        last, self._mark = self._mark, (owed, push.at if push is not None else 0)
        return self._mark != last

    def drained(self) -> None:
        """The client has taken all that was written."""
        self.clogged = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    async def write(self, data: bytes) -> None:
        """Send bytes; returns when the client can take more."""
        self._transport.write(data)
        self.sent += len(data)
        await self._drain()

    async def push(self, fd: int, start: int, stop: int) -> None:
        """Send bytes of a file; returns when they are sent. Raises OSError; EOFError when the file is shorter."""
        await self._drain()
        push = self._push = self._pusher(self._transport, fd, start, stop)
        try:
            await push.done
        finally:
            push.drop()
            self.sent += push.at - start
            self._push = None

    async def _drain(self) -> None:
        if self.clogged:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained


async def pour(reply: Reply, files: Descriptors, out: Outlet) -> None:
    """Send the body. Raises OSError, EOFError, and what `Content.more` raises."""
    for piece in reply.pieces:
        if isinstance(piece, bytes):
            await out.write(piece)
        else:
            await _flow(piece, files, out)


async def _flow(piece: Slice, files: Descriptors, out: Outlet) -> None:
    at, content = piece.start, piece.content
    while at < piece.stop:
        here = content.ready(at, piece.stop)
        if here <= at:
            here = await _more(content, at, piece.stop)
        if here - at <= SMALL:
            await out.write(read_at(files.of(content), at, here))
        else:
            await out.push(files.of(content), at, here)
        at = here


async def _more(content: Content, at: int, stop: int) -> int:
    """The offset up to which there are bytes from `at` on, once there are. Some are taken back as soon as they come."""
    for _ in range(PROMISES):
        await content.more(at, stop)
        here = content.ready(at, stop)
        if here > at:
            return here
    raise RuntimeError("a content promises more again and again, and there is none")
