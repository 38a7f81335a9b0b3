"""Pushing files into sockets with `sendfile`, in threads of their own: the loop never waits for a disk or a client."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import Final

from hfmirror.serve.http.rounds import AGAIN, OVER, WRITE, Crew, Round
from hfmirror.serve.http.slices import pread

THREADS: Final = 2  # as fast as the memory allows on the machines measured; more only take turns
TURN: Final = 2**21  # bytes a client gets before the next one has its turn: about a millisecond
EASY: Final = 2**18  # bytes sent without a thread if the socket takes them: less work than to wake one
COPY: Final = 2**18  # bytes copied at once where there is no sendfile; fits a processor's cache


class FilePush:
    """One range of a file on its way into one socket. Made in the loop, worked on in a round."""

    __slots__ = ("_error", "_fd", "_home", "_sock", "_stop", "_zero_copy", "at", "done")

    def __init__(self, home: Round, sock: socket.socket, fd: int, span: tuple[int, int]) -> None:
        """Both the socket and the descriptor are the push's own from now on."""
        self._home, self._sock, self._fd = home, sock, fd
        self.at, self._stop = span
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._error: Exception | None = ConnectionAbortedError("dropped")
        self._zero_copy = hasattr(os, "sendfile")

    def drop(self) -> None:
        if self._sock.fileno() >= 0:  # it is not over
            self._home.drop(self)

    def fileno(self) -> int:
        return self._sock.fileno()

    def turn(self) -> int:
        try:
            sent = self._send(min(TURN, self._stop - self.at))
        except BlockingIOError:
            return WRITE
        except OSError as error:
            return self._failed(error)
        self.at += sent
        if not sent:
            self._error = EOFError(f"the file ends at byte {self.at}, not at {self._stop}")
        elif self.at >= self._stop:
            self._error = None
        else:
            return AGAIN
        return OVER

    def _send(self, count: int) -> int:
        if self._zero_copy:
            return os.sendfile(self._sock.fileno(), self._fd, self.at, count)
        return self._sock.send(pread(self._fd, min(count, COPY), self.at))

    def _failed(self, error: OSError) -> int:
        if self._zero_copy and not isinstance(error, ConnectionError):
            self._zero_copy = False  # not every file system has it; if that was not the reason, copying says so too
            return AGAIN
        self._error = error
        return OVER

    def close(self) -> None:
        self._sock.close()
        os.close(self._fd)
        self._home.tell(self._finish)

    def _finish(self) -> None:
        if self.done.done():
            return  # nobody waits any more
        if self._error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(self._error)


class Pushed:
    """A push that was over before it began."""

    __slots__ = ("at", "done")

    def __init__(self, stop: int) -> None:
        self.at = stop
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.done.set_result(None)

    def drop(self) -> None:
        """Nothing is under way."""


class Pump(Crew):
    """The threads that push, and who is pushed where."""

    def __init__(self, threads: int = THREADS) -> None:
        super().__init__("pump", threads)

    def push(self, transport: asyncio.Transport, fd: int, start: int, stop: int) -> FilePush | Pushed:
        """Send bytes [start, stop) of a file; everything written to the transport must be sent. Raises OSError."""
        sock = transport.get_extra_info("socket").fileno()
        if stop - start <= EASY:
            start += _send_now(sock, fd, start, stop - start)
            if start == stop:
                return Pushed(stop)
        own = os.dup(fd)
        try:
            # The transport may close its own at any time. Family and type matter only for addresses.
            own_sock = socket.fromfd(sock, socket.AF_INET, socket.SOCK_STREAM)
        except BaseException:
            os.close(own)
            raise
        home = self.least_loaded()
        push = FilePush(home, own_sock, own, (start, stop))
        home.add(push)
        return push


def _send_now(sock: int, fd: int, at: int, count: int) -> int:
    """How much of a short range the socket takes at once; what hinders the rest shows when it is pushed."""
    with contextlib.suppress(OSError, AttributeError):  # it would block; there is no sendfile
        return os.sendfile(sock, fd, at, count)
    return 0
