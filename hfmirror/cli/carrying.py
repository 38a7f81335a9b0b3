"""The display of a copy from disk to disk: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

from hfmirror.cli.exits import say
from hfmirror.errors import human
from hfmirror.transfer.events import Arrived, Suspected

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from typing_extensions import Self

    from hfmirror.transfer.events import Event

EVERY_S = 5.0  # seconds between two lines of progress


class Carrying:
    """A watcher for the time of the `with`; `size` bytes are to be copied, if that is known; else 0."""

    def __init__(self, size: int, *, quiet: bool) -> None:
        self._size, self._quiet = size, quiet
        self._copied, self._last = 0, time.monotonic()
        self._began = self._last
        self._lock = threading.Lock()  # two objects may be on their way at once
        self._bar: tuple[Progress, TaskID] | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and not self._quiet and self._size:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

            columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
            bar = Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=5)
            self._bar = (bar, bar.add_task("", total=self._size))
            bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar[0].stop()
        if self._copied and not self._quiet:
            seconds = max(time.monotonic() - self._began, 0.001)
            say(f"copied {human(self._copied)} in {seconds:.1f} s ({human(self._copied / seconds)}/s)")

    def __call__(self, event: Event) -> None:
        """Count what was copied."""
        if isinstance(event, Arrived):
            with self._lock:
                self._count(event)
        elif isinstance(event, Suspected) and not self._quiet:
            say(event.sentence)

    def _count(self, event: Arrived) -> None:
        self._copied += event.size
        if self._bar is not None:
            self._bar[0].advance(self._bar[1], event.size)
        elif not self._quiet and time.monotonic() - self._last >= EVERY_S:
            self._last = time.monotonic()
            say(f"{human(self._copied)} of {human(self._size)}" if self._size else f"{human(self._copied)} so far")
