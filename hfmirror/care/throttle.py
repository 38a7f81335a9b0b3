"""How fast a store is read through: as fast as it goes, at a rate, or only while nobody else wants anything."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfmirror.timetable import Timetable
    from hfmirror.transfer.budget import Budget

GLANCE_S = 1.0  # between two looks whether it is quiet again


class Stopped(Exception):
    """Nothing more is to be read."""


class Throttle:
    """What readers ask before each block. Thread-safe."""

    def __init__(self, rate: Timetable | None = None, idle: Callable[[], bool] = lambda: True) -> None:
        self._budget = None if rate is None else _budget(rate)
        self._idle, self._stopping = idle, threading.Event()

    @property
    def limited(self) -> bool:
        """Whether there is a rate to keep to."""
        return self._budget is not None

    def stop(self) -> None:
        """Let every reader end at its next block."""
        self._stopping.set()

    def take(self, size: int) -> None:
        """Wait until so many bytes may be read. Raises Stopped."""
        while not self._idle() and not self._stopping.is_set():
            self._stopping.wait(GLANCE_S)
        while size > 0:
            if self._stopping.is_set():
                raise Stopped
            size -= size if self._budget is None else self._budget.spend(size)


def _budget(rate: Timetable) -> Budget:
    from hfmirror.transfer.bucket import OwnLine  # noqa: PLC0415 - for those who limit
    from hfmirror.transfer.budget import Budget  # noqa: PLC0415 - as above

    return Budget(rate, OwnLine())
