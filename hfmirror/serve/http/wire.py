"""One connection: requests in, answers out, in order, and as few steps as possible for a small one."""

from __future__ import annotations

import asyncio
import socket
import struct
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from hfmirror.errors import MirrorError
from hfmirror.serve.http.framing import BODILESS, CONTINUE, ENDS, Rejected, framed, head
from hfmirror.serve.http.hall import Done
from hfmirror.serve.http.pour import Outlet, pour
from hfmirror.serve.http.reader import Reader
from hfmirror.serve.http.slices import Descriptors, at_once, open_what_is_here
from hfmirror.serve.replies import Reply

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from hfmirror.serve.http.hall import Hall
    from hfmirror.serve.http.pour import Pusher
    from hfmirror.serve.replies import Request

BURST: Final = 64  # requests answered in a row before others have a turn: under a millisecond
TAKEN: Final = 2**16  # bytes read at once; asyncio's own 256 KiB cost a fresh piece of the system's memory each time
LINGER_S: Final = 2.0  # for a refused client to read the refusal before its unread bytes reset the connection
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset, so that a short body never looks like a whole one


class Wire(asyncio.Protocol):
    """The server's side of one connection."""

    __slots__ = (
        "_busy", "_hall", "_left_by_client", "_limit", "_out", "_over", "_pusher", "_reader", "_scheme",
        "_stash", "_task", "_transport", "since",
    )  # fmt: skip
    _transport: asyncio.Transport
    _out: Outlet
    _reader: Reader

    def __init__(self, hall: Hall, pusher: Pusher, scheme: str) -> None:
        self._hall, self._pusher, self._scheme = hall, pusher, scheme
        self._stash = b""  # came while an answer was on its way; not parsed yet
        self._busy = False  # an answer is on its way: nothing else may start
        self._over = False  # nothing more is read
        self._left_by_client = False  # the client has closed its side
        self._task: asyncio.Task[None] | None = None
        self._limit = "head_s"  # which of the limits holds for the present state
        self.since = hall.now  # when it began

    # -- the connection -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport
        transport.set_write_buffer_limits(0)
        transport.max_size = TAKEN  # type: ignore[attr-defined]  # of asyncio's own transports
        self._out = Outlet(transport, self._pusher)
        peer = transport.get_extra_info("peername")
        self._reader = Reader(self._hall, peer[0] if isinstance(peer, tuple) else "", self._scheme)
        if self._hall.stopping:
            self.cut()  # it was let in while the door closed
        elif not self._hall.admit(self) and not self._over:
            self._reject(Rejected(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections"))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's contract
        self._over = True
        self._hall.forget(self)
        self._reader.close()
        if self._task is not None:
            self._task.cancel()

    def eof_received(self) -> bool:
        """A client that has closed its side still gets what is flowing; one that only waits has left."""
        self._left_by_client = True
        return self._busy and self._out.flowing

    def pause_writing(self) -> None:
        self._out.clogged = self._busy = True

    def resume_writing(self) -> None:
        self._out.drained()
        if self._task is None:
            # Later: the transport is still at it, and would not bear to be closed now.
            asyncio.get_running_loop().call_soon(self._go_on)

    # -- requests in --------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        if self._busy:
            self._stash += data
            self._transport.pause_reading()  # what a client sends ahead waits with the client
        else:
            self._read(data)

    def _read(self, data: bytes) -> None:
        """Take up one request after the other, each when the one before it is answered."""
        reader, start, taken = self._reader, 0, 0
        while start < len(data) and not self._over:
            if taken == BURST and not self._busy:
                self._busy = True
                asyncio.get_running_loop().call_soon(self._go_on)
            if self._busy:
                self._stash = data[start:]
                return
            try:
                start = reader.feed(data, start)
            except Rejected as rejected:
                self._reject(rejected)
                return
            if reader.arrived is None:
                self._note_begun()
                continue
            request, connection = reader.arrived
            reader.arrived = None
            self._answer(request, ENDS if self._hall.stopping else connection)
            taken += 1

    def _note_begun(self) -> None:
        """A part of a request is here: the rest is due in time."""
        reader = self._reader
        if reader.in_body:
            if self._limit != "stall_s":
                self._limit, self.since = "stall_s", self._hall.now
            if reader.wants_continue:
                reader.wants_continue = False
                self._transport.write(CONTINUE)
        elif self._limit == "idle_s" and reader.begun:
            self._limit, self.since = "head_s", self._hall.now

    def _go_on(self) -> None:
        """The answer is out: on to what has come since."""
        if self._out.clogged or self._task is not None:
            return  # another one is under way
        self._busy = False
        if self._hall.stopping or self._over:
            self.leave()
            return
        stash, self._stash = self._stash, b""
        self._read(stash)
        if not self._busy and not self._over:
            if self._left_by_client:
                self.leave()
            else:
                self._transport.resume_reading()

    # -- answers out --------------------------------------------------------------------------

    def _answer(self, request: Request, connection: str) -> None:
        hall = self._hall
        began = hall.clock() if hall.logs else 0.0
        try:
            reply = hall.handler(request)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the client gets an answer
            reply = hall.stumbled(fault)
        if not (isinstance(reply, Reply) and self._answer_at_once(request, reply, connection, began)):
            self._busy = True
            self._task = asyncio.get_running_loop().create_task(self._work(request, reply, connection, began))
            hall.tasks.add(self._task)
            self._task.add_done_callback(hall.tasks.discard)

    def _answer_at_once(self, request: Request, reply: Reply, connection: str, began: float) -> bool:
        """Answer with a single write, if that can be; whether it could."""
        hall = self._hall
        try:
            bodiless = request.method == "HEAD" or reply.status in BODILESS
            body = b"" if bodiless else at_once(reply)
            if body is None:
                return False
            data = head(reply, framed(request.method, reply), hall.stamp(), connection) + body
        except Exception as fault:  # noqa: BLE001 - nothing is sent yet, so this can still be an honest answer
            reply = hall.stumbled(fault)
            body = b"" if request.method == "HEAD" else at_once(reply) or b""
            data = head(reply, reply.size, hall.stamp(), connection) + body
        self._transport.write(data)
        self._out.sent = len(body)
        self._answered(request, reply, connection, began)
        return True

    def _answered(self, request: Request, reply: Reply, connection: str, began: float, *, whole: bool = True) -> None:
        hall = self._hall
        if hall.logs:
            hall.log(Done(request, reply.status, self._out.sent, hall.clock() - began, reply.note, whole))
        self._limit, self.since = "idle_s", hall.now
        if request.body:
            self._reader.release(len(request.body))
        if connection is ENDS:
            self.leave()

    async def _work(self, request: Request, promised: Reply | Awaitable[Reply], connection: str, began: float) -> None:
        """The answer that takes its time."""
        try:
            reply = promised if isinstance(promised, Reply) else await self._kept(promised)
            if isinstance(promised, Reply) or not self._answer_at_once(request, reply, connection, began):
                await self._stream(request, reply, connection, began)
        except asyncio.CancelledError:
            if not self._over:
                self.cut()  # what was waited for has been called off: there is nothing to say, and nobody may wait
            raise
        self._task = None
        self._go_on()

    async def _kept(self, promise: Awaitable[Reply]) -> Reply:
        try:
            return await promise
        except Exception as fault:  # noqa: BLE001 - as for a handler that answers at once
            return self._hall.stumbled(fault)

    async def _stream(self, request: Request, reply: Reply, connection: str, began: float) -> None:
        with Descriptors() as files:
            try:
                open_what_is_here(reply, files)
                data = head(reply, framed(request.method, reply), self._hall.stamp(), connection)
            except Exception as fault:  # noqa: BLE001 - nothing is sent yet, so this can still be an honest answer
                self._answer_at_once(request, self._hall.stumbled(fault), connection, began)
                return
            self._out.sent, whole = 0, False
            try:
                self._transport.write(data)
                await pour(reply, files, self._out)
                whole = True
            except (ConnectionError, MirrorError):
                self.cut()  # the client has left, or the rest will never come: `whole` tells the log
            except Exception as fault:  # noqa: BLE001 - whatever it is, a short body must not look whole
                self._hall.report(fault)
                self.cut()
            finally:
                self._answered(request, reply, connection, began, whole=whole)

    def _reject(self, rejected: Rejected) -> None:
        """Say no, and end in a way that lets the client hear it."""
        request, reply = self._reader.last_words(), rejected.reply()
        body = b"" if request.method == "HEAD" else at_once(reply) or b""
        self._over, self.since = True, self._hall.now
        self._transport.write(head(reply, reply.size, self._hall.stamp(), ENDS) + body)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._hall.log(Done(request, reply.status, len(body), 0.0, reply.note, whole=True))

    # -- ending -------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether it waits for a request."""
        return not (self._busy or self._over)

    def leave(self) -> None:
        """Close once everything written is sent."""
        self._over = True
        self._transport.close()

    def cut(self) -> None:
        """Close at once, and so that nobody takes it for a proper end."""
        self._over = True
        sock = self._transport.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()

    def sweep(self, now: float) -> None:
        """Cut a client that keeps the server waiting for too long."""
        moved = self._out.moved()
        if moved is not None:
            if moved:
                self.since = now
            elif now - self.since > self._hall.limits.stall_s:
                self.cut()
        elif self._over:
            if now - self.since > LINGER_S:
                self._transport.abort()
        elif self._busy:
            self.since = now  # it waits for us
        elif now - self.since > getattr(self._hall.limits, self._limit):
            self._late()

    def _late(self) -> None:
        if self._reader.begun:
            self._reject(Rejected(HTTPStatus.REQUEST_TIMEOUT, "the request did not come to its end in time"))
        else:
            self.leave()
