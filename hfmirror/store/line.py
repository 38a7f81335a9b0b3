"""One number that the processes of a store share: when the line they fetch over is free again.

It lies in a small file, as text, and is changed under a lock for an instant. All of it is courtesy: a
file that cannot be read or written, garbage in it, a lock that keeps nobody out or is held by one who
was stopped, each cost that this process goes by its own memory for once.
"""

from __future__ import annotations

import math
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from hfmirror.errors import StoreError
from hfmirror.store import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hfmirror.store.layout import Layout

LOCK_S: Final = 0.05  # seconds; who holds it, holds it for a few microseconds
LOOK_S: Final = 0.001  # seconds between two tries
LONGEST: Final = 64  # bytes of a number, surely


class SharedLine:
    """The number, and this process's memory of it. For one thread at a time."""

    def __init__(self, layout: Layout) -> None:
        self._path, self._lock = layout.line, layout.line.with_suffix(".lock")
        self._own = math.nan

    def change(self, to: Callable[[float], float]) -> float:
        """Replace the number by what `to` makes of it, and return that."""
        with self._courtesy():
            try:
                fd = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
            except OSError:
                self._own = to(self._own)
                return self._own
            try:
                self._own = to(self._read(fd))
                self._write(fd)
            finally:
                os.close(fd)
        return self._own

    def _read(self, fd: int) -> float:
        try:
            return float(os.read(fd, LONGEST))
        except (OSError, ValueError):
            return self._own

    def _write(self, fd: int) -> None:
        with suppress(OSError):
            os.lseek(fd, 0, os.SEEK_SET)
            os.write(fd, b"%20.6f\n" % self._own)  # as long each time, so that nothing is left of what was there
            os.ftruncate(fd, 21)

    @contextmanager
    def _courtesy(self) -> Iterator[None]:
        """With the others kept out, if that can be had at once."""
        from filelock import FileLock, Timeout  # noqa: PLC0415 - 26 ms, and only a limited pull needs it here

        lock = FileLock(self._lock)
        with suppress(Timeout, OSError, StoreError):
            files.ensure_folder(self._lock.parent)
            lock.acquire(timeout=LOCK_S, poll_interval=LOOK_S)
        try:
            yield
        finally:
            with suppress(OSError):
                lock.release()
