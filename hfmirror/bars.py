"""A tqdm bar for notebooks and scripts."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from hfmirror.transfer.events import Arrived, Planned, Resumed, Suspected, Waiting

if TYPE_CHECKING:
    from typing_extensions import Self

    from hfmirror.transfer.events import Event


class Bar:
    """A `Watcher` that draws one bar: bytes fetched of bytes wanted."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def __call__(self, event: Event) -> None:
        with self._lock:
            if isinstance(event, Planned) and event.plan.lacking:
                name = str(event.plan.pin.repo)
                self._bar = tqdm(total=event.plan.to_fetch, unit="B", unit_scale=True, desc=name)
            elif isinstance(event, Suspected):
                tqdm.write(event.sentence, file=sys.stderr)
            elif self._bar is None:
                return
            elif isinstance(event, Arrived):
                self._bar.update(event.size)
            elif isinstance(event, Resumed):
                self._bar.update(event.kept)
            elif isinstance(event, Waiting) and event.seconds:
                self._bar.write(f"{event.error}; trying again in {event.seconds:.0f} s")
