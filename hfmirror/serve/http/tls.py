"""TLS connections. They leave the loop: threads encrypt, decrypt and send; the loop sees a transport like any other.

The loop's own TLS copies every byte several times and holds everyone up while it encrypts; it reaches
a tenth of what a thread with a plain `SSLSocket` does.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any, Final

from hfmirror.serve.http.rounds import Crew, Round
from hfmirror.serve.http.session import TlsPush, TlsSession

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

THREADS: Final = 2  # as for the pump
MUCH: Final = 2**18  # bytes waiting to be sent, above which the protocol is told to pause
ACCEPT_PAUSE_S: Final = 0.5  # when there are no descriptors left; some may be given back until then


class TlsTransport(asyncio.Transport):
    """The loop's side of a connection."""

    def __init__(self, sock: ssl.SSLSocket, address: Any, protocol: asyncio.Protocol, home: Round) -> None:
        super().__init__({"peername": address})
        self._protocol, self._home = protocol, home
        self._session = TlsSession(sock, self, home)
        self._written = 0
        self._paused = self._eof = self._lost = False
        self.full = False  # the protocol was told to pause
        self.poked = False  # the thread will look

    def start(self) -> None:
        """Introduce the protocol, and shake hands."""
        self._protocol.connection_made(self)
        self._home.add(self._session)

    def _poke(self) -> None:
        if not self.poked:
            self.poked = True
            self._home.call(lambda: self._home.wake(self._session))

    # -- what the protocol asks for -----------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not data or self.is_closing():
            return
        self._written += len(data)
        self._session.queue.append(memoryview(data))
        if not self.full and self.get_write_buffer_size() > MUCH:
            self.full = True
            self._protocol.pause_writing()
        self._poke()

    def push(self, fd: int, start: int, stop: int) -> TlsPush:
        """Send bytes [start, stop) of a file after what was written. Raises OSError."""
        if self.is_closing():
            raise ConnectionAbortedError("the connection is closed")
        push = TlsPush(self, os.dup(fd), start, stop)
        self._session.queue.append(push)
        self._poke()
        return push

    def get_write_buffer_size(self) -> int:
        return self._written - self._session.taken

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The limits stay as they are: what is written here never overtakes anything."""

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            self._ask_for_more()

    def _ask_for_more(self) -> None:
        if not (self._paused or self._eof or self._lost):
            self._session.may_read = True
            self._poke()

    def is_closing(self) -> bool:
        return self._lost or self._session.ending or self._session.aborted

    def close(self) -> None:
        if not self.is_closing():  # after an abort, a goodbye would make a short body look whole
            self._session.ending = True
            self._poke()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._session.falling_silent = True
        self._poke()

    def abort(self) -> None:
        self._session.aborted = True
        self._poke()

    # -- what the thread has to tell, told in the loop ----------------------------------------

    def received(self, data: bytes) -> None:
        """Bytes from the client; none: it sends no more."""
        if self.is_closing():
            return
        if data:
            self._protocol.data_received(data)
            self._ask_for_more()
            return
        self._eof = True
        if not self._protocol.eof_received():
            self.close()

    def relieve(self) -> None:
        """All that was written is sent."""
        if self.full and not self._session.queue:
            self.full = False
            self._protocol.resume_writing()

    def lost(self, error: Exception | None) -> None:
        """The connection is no more."""
        self._lost = True
        for piece in self._session.queue:
            if isinstance(piece, TlsPush):
                piece.close()
                piece.finish(error or ConnectionAbortedError("the connection is closed"))
        self._protocol.connection_lost(error)


class Tls(Crew):
    """The threads that look after TLS connections."""

    def __init__(self, threads: int = THREADS) -> None:
        super().__init__("tls", threads)

    async def accept(
        self, listener: socket.socket, context: ssl.SSLContext, protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        """Take connections until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, address = await loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                secure = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            except OSError:
                sock.close()  # left before it was let in
                continue
            TlsTransport(secure, address, protocol(), self.least_loaded()).start()


def push(transport: asyncio.Transport, fd: int, start: int, stop: int) -> TlsPush:
    """The way of a file into a TLS connection."""
    assert isinstance(transport, TlsTransport)  # noqa: S101 - for the type checker
    return transport.push(fd, start, stop)
