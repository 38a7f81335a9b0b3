"""A stream that a scanner may read as it likes, and that costs a bounded time and memory all the same.

Pickles name what they want in short strings; what is long in them is weights. So long values are
stepped over, and stand-ins that only claim their length are given instead. A pickle that uses such a
value as a name gets the name `unknown`, which the scanner takes for the worst.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import IO

LONG = 1024  # bytes of a value from which on it is stepped over: no name is so long
MOST_STEPS = 2**21  # reads; about a million opcodes: a checkpoint of 25 000 tensors has as many
MOST_KEPT = 2**25  # bytes of values that are really read, of one pickle
MOST_UNPACKED = 2**30  # bytes of compressed streams that are gone through
_SHORT = 16  # bytes; numbers, lengths: read even when no more is kept


class StandIn(bytes):
    """A value that was not read; it claims to be as long as it would have been."""

    claimed: int

    @classmethod
    def of(cls, size: int) -> StandIn:
        """For a value of so many bytes."""
        made = cls(b"unknown")
        made.claimed = size
        return made

    def __len__(self) -> int:
        return self.claimed


@dataclass(slots=True)
class Spent:
    """What looking at one content has cost so far, however many pickles are in it."""

    steps: int = 0
    unpacked: int = 0  # bytes


class Bounded:
    """One pickle stream, with a limit. After the limit it seems to end, and `exceeded` says so."""

    def __init__(self, stream: IO[bytes], size: int, spent: Spent | None = None, *, unpacked: bool = False) -> None:
        """`size` is what the stream holds, in bytes; `unpacked` if going on in it costs work."""
        self._stream, self._size, self._unpacked = stream, size, unpacked
        self._spent = spent or Spent()
        self._kept = 0
        self.exceeded = ""

    def read(self, size: int = -1) -> bytes:
        """The next bytes, or a stand-in for many."""
        if self._over():
            return b""
        if size < 0 or size <= _SHORT:
            return self._taken(self._stream.read(min(size, LONG) if size >= 0 else LONG))
        if size <= LONG and self._kept < MOST_KEPT:
            return self._taken(self._stream.read(size))
        at = self._stream.tell()
        if at + size > self._size:
            return b""  # it ends too early for such a value
        if self._unpacks_too_much(size):
            return b""
        self._stream.seek(size, io.SEEK_CUR)
        return StandIn.of(size)

    def readline(self) -> bytes:
        """The next line, if it is no longer than a name may be."""
        if self._over():
            return b""
        line = self._taken(self._stream.readline(LONG))
        if len(line) == LONG and not line.endswith(b"\n"):
            return self._long_line()
        return line

    def _long_line(self) -> bytes:
        """Step over the rest of a line: in the oldest protocol, text and numbers of any length are lines."""
        while not self._over():
            rest = self._stream.readline(2**16)
            if self._unpacks_too_much(len(rest)):
                break
            if rest.endswith(b"\n"):
                return b"'unknown'\n"
            if not rest:
                break
        return b""

    def _taken(self, data: bytes) -> bytes:
        self._kept += len(data)
        return data

    def _unpacks_too_much(self, size: int) -> bool:
        if self._unpacked:
            self._spent.unpacked += size
            if self._spent.unpacked > MOST_UNPACKED:
                self.exceeded = f"more than {MOST_UNPACKED} bytes in a compressed file"
        return bool(self.exceeded)

    def _over(self) -> bool:
        self._spent.steps += 1
        if self._spent.steps > MOST_STEPS:
            self.exceeded = f"more than {MOST_STEPS} steps"
        return bool(self.exceeded)

    def tell(self) -> int:
        """Where the stream is."""
        return self._stream.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go elsewhere in it."""
        return self._stream.seek(offset, whence)
