"""The bytes of a file, as the wire wants them: held in the store, or still on their way into it."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfmirror.model import PART
from hfmirror.transfer.flights import wrong_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfmirror.transfer.flights import Fill

_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True)
class Held:
    """A proven object."""

    path: str

    def open(self) -> int:
        """A descriptor of it."""
        return os.open(self.path, _FLAGS)

    def ready(self, start: int, stop: int) -> int:  # noqa: ARG002 - the protocol's
        """All of it."""
        return stop

    async def more(self, start: int, stop: int) -> None:
        """There is nothing to wait for."""


class Live:
    """A content that is being filled, seen by one reader.

    With `tail_held` the last part is not given out before the whole is proven, so that no reader of
    the whole file ever completes a wrong one; with `all_held`, nothing is.
    """

    def __init__(self, fill: Fill, *, tail_held: bool, all_held: bool = False) -> None:
        self._fill, self._round = fill, fill.round
        size = fill.entry.size
        self._free = 0 if all_held else max(size - PART, 0) if tail_held else size

    def open(self) -> int:
        """A descriptor of what has come so far."""
        return self._fill.descriptor()

    def ready(self, start: int, stop: int) -> int:
        """As far as the bytes are here, and free."""
        if self._fill.round != self._round:
            return start
        limit = stop if self._fill.proven else min(stop, self._free)
        return max(start, min(self._fill.reach(start), limit)) if limit > start else start

    async def more(self, start: int, stop: int) -> None:
        """Wait for more. Raises MirrorError when the bytes were wrong, or will not come."""
        changed, wake = _alarm()
        self._fill.hurry(start)
        while True:
            changed.clear()
            self._fill.when_changed(wake)
            if self.ready(start, stop) > start:
                return
            if self._fill.error is not None or self._fill.round != self._round:
                raise wrong_bytes(self._fill)
            await changed.wait()


async def begun(fill: Fill, start: int) -> None:
    """Wait until there is something to send from `start` on. Raises why there never will be."""
    changed, wake = _alarm()
    fill.hurry(start)
    while True:
        changed.clear()
        fill.when_changed(wake)
        if fill.error is not None:
            raise fill.error
        if fill.proven or (fill.round == 0 and fill.reach(start) > start):
            return
        await changed.wait()


def _alarm() -> tuple[asyncio.Event, Callable[[], None]]:
    """An event, and the way to set it from another thread."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        with suppress(RuntimeError):  # the loop has ended: nobody waits any more
            loop.call_soon_threadsafe(event.set)

    return event, wake
