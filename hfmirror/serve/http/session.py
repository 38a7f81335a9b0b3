"""The thread's side of a TLS connection: handshake, decrypting, encrypting, sending."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import struct
from collections import deque
from typing import TYPE_CHECKING, Final

from hfmirror.serve.http.rounds import AGAIN, ASLEEP, OVER, READ, WRITE, Round
from hfmirror.serve.http.slices import pread

if TYPE_CHECKING:
    from hfmirror.serve.http.tls import TlsTransport

BLOCK: Final = 2**18  # bytes encrypted at once; smaller ones cost more calls, larger ones gain nothing
TURN_BLOCKS: Final = 4  # blocks a client gets before the next one has its turn
RECEIVED: Final = 2**16  # bytes decrypted at once
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset
_WANTED = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError)


class TlsPush:
    """A range of a file, in its place among the bytes to send."""

    def __init__(self, transport: TlsTransport, fd: int, start: int, stop: int) -> None:
        """The descriptor is the push's own from now on."""
        self._transport, self._fd, self.at, self._stop = transport, fd, start, stop
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def drop(self) -> None:
        """Nothing can follow half a file, so the connection goes with it."""
        if self._fd >= 0:
            self._transport.abort()

    def block(self) -> bytes:
        """What comes next, the same until it is sent. Raises OSError; EOFError when the file ends before it should."""
        block = pread(self._fd, min(BLOCK, self._stop - self.at), self.at)
        if not block:
            raise EOFError(f"the file ends at byte {self.at}, not at {self._stop}")
        return block

    def sent(self, size: int) -> bool:
        """Go on by so many bytes; whether that was all."""
        self.at += size
        return self.at >= self._stop

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)
        self._fd = -1

    def finish(self, error: BaseException | None) -> None:
        """Tell whoever waits. Called in the loop."""
        if self.done.done():
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


class TlsSession:
    """The thread's side of a connection. Each attribute is written by one side only, but for `may_read`."""

    def __init__(self, sock: ssl.SSLSocket, transport: TlsTransport, home: Round) -> None:
        self._sock, self._transport, self._home = sock, transport, home
        self._shaken = self._shut = False
        self._armed = False  # the socket is being watched for bytes to read
        self._error: Exception | None = None
        self.queue: deque[memoryview | TlsPush] = deque()  # appended to by the loop
        self.taken = 0  # bytes of what was written that are sent
        self.may_read = True  # cleared here, set by the loop: one block at a time is on its way to the protocol
        self.ending = False  # from the loop: close when the queue is sent
        self.falling_silent = False  # from the loop: close our side when the queue is sent
        self.aborted = False  # from the loop: close at once

    def fileno(self) -> int:
        return self._sock.fileno()

    def turn(self) -> int:
        self._transport.poked = False  # before looking, so that nothing is missed
        if self.aborted or (self.ending and not self._shaken):
            return OVER
        try:
            if not self._shaken:
                self._sock.do_handshake()
                self._shaken = True
            return self._work()
        except _WANTED as wanted:  # by the handshake
            return _event(wanted)
        except OSError as error:  # TLS errors are among them
            self._error = error
            return OVER

    def _work(self) -> int:
        ending, falling_silent = self.ending, self.falling_silent  # looked at before the queue: nothing is added after
        wants, blocked = self._read(), self._write()
        if self.queue:
            return wants | blocked if blocked else AGAIN
        if self._transport.full:
            self._home.tell(self._transport.relieve)
        if ending:
            self._fall_silent()
            return OVER
        if falling_silent and not self._shut:
            self._fall_silent()
        return wants or ASLEEP

    def _read(self) -> int:
        """Take a block in, if one may come; what to wait for to try again."""
        if not self.may_read:
            return 0
        if not (self._armed or self._sock.pending()):
            self._armed = True
            return READ  # rather than to be told by an error that nothing is here yet
        try:
            data = self._sock.recv(RECEIVED)
        except _WANTED as wanted:
            return _event(wanted)
        self.may_read = self._armed = False
        self._home.tell(lambda: self._transport.received(data))
        return 0

    def _write(self) -> int:
        """Send a turn's worth; what to wait for if the socket would not take it."""
        for _ in range(TURN_BLOCKS):
            if not self.queue:
                break
            piece = self.queue[0]
            try:
                if isinstance(piece, TlsPush):
                    self._send_file(piece)
                else:
                    self._send_bytes(piece)
            except _WANTED as wanted:
                return _event(wanted)
        return 0

    def _send_bytes(self, piece: memoryview) -> None:
        sent = self._sock.send(piece)
        self.taken += sent
        if sent < len(piece):
            self.queue[0] = piece[sent:]
        else:
            self.queue.popleft()

    def _send_file(self, piece: TlsPush) -> None:
        try:
            block = piece.block()
        except (OSError, EOFError) as error:
            self._let_go(piece, error)
            return
        if piece.sent(self._sock.send(block)):
            self._let_go(piece, None)

    def _let_go(self, piece: TlsPush, error: BaseException | None) -> None:
        self.queue.popleft()
        piece.close()
        self._home.tell(lambda: piece.finish(error))

    def _fall_silent(self) -> None:
        """Say that nothing follows. What the client still sends is then read as it is, for nobody looks at it."""
        self._shut = True
        with contextlib.suppress(OSError):
            self._sock.unwrap()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        if self.aborted:
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._sock.close()
        self._home.tell(lambda: self._transport.lost(self._error))


def _event(wanted: BaseException) -> int:
    return WRITE if isinstance(wanted, ssl.SSLWantWriteError) else READ
