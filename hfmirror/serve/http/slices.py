"""Reading slices of files: at once when they are small, from one descriptor per content when they are not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfmirror.serve.replies import Content, Reply, Slice

SMALL: Final = 64 * 2**10  # bytes read in passing and sent with the head; more would hold up the loop


def _seek_and_read(fd: int, count: int, offset: int) -> bytes:
    """What `os.pread` does, where it is missing. The position belongs to one reply, so nobody else moves it."""
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, count)


pread: Final[Callable[[int, int, int], bytes]] = getattr(os, "pread", _seek_and_read)


def read_at(fd: int, start: int, stop: int) -> bytes:
    """Bytes [start, stop). Raises EOFError when the file is shorter."""
    block = pread(fd, stop - start, start)
    while len(block) < stop - start:
        more = pread(fd, stop - start - len(block), start + len(block))
        if not more:
            raise EOFError(f"the file ends at byte {start + len(block)}, not at {stop}")
        block += more
    return block


class Descriptors:
    """The open files of one reply: each content is opened once, all are closed together."""

    def __init__(self) -> None:
        self._open: dict[int, int] = {}

    def of(self, content: Content) -> int:
        """The descriptor of a content. Raises OSError."""
        if id(content) not in self._open:
            self._open[id(content)] = content.open()
        return self._open[id(content)]

    def __enter__(self) -> Descriptors:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._open.values():
            os.close(fd)


def at_once(reply: Reply) -> bytes | None:
    """The whole body, if it is in memory or small and here; None if it must be sent bit by bit.

    Raises OSError, EOFError.
    """
    pieces = reply.pieces
    if len(pieces) == 1:
        piece = pieces[0]
        return piece if isinstance(piece, bytes) else _read_if_small(piece)
    slices = [piece for piece in pieces if not isinstance(piece, bytes)]
    if sum(piece.stop - piece.start for piece in slices) > SMALL or not all(map(_here, slices)):
        return None
    with Descriptors() as files:
        return b"".join(
            piece if isinstance(piece, bytes) else read_at(files.of(piece.content), piece.start, piece.stop)
            for piece in pieces
        )


def _read_if_small(piece: Slice) -> bytes | None:
    if piece.stop - piece.start > SMALL or not _here(piece):
        return None
    fd = piece.content.open()
    try:
        return read_at(fd, piece.start, piece.stop)
    finally:
        os.close(fd)


def _here(piece: Slice) -> bool:
    return piece.content.ready(piece.start, piece.stop) >= piece.stop


def open_what_is_here(reply: Reply, files: Descriptors) -> None:
    """Open every content that has begun to arrive, so that a lost file is found out before the head is sent."""
    for piece in reply.pieces:
        if not isinstance(piece, bytes) and piece.content.ready(piece.start, piece.stop) > piece.start:
            files.of(piece.content)
