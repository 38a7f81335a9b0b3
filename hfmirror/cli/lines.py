"""Displays for where no one watches a screen: plain lines, JSON lines, nothing."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

from hfmirror.cli import pickles
from hfmirror.cli.exits import say
from hfmirror.cli.tally import Tally, announced, finished, noteworthy
from hfmirror.errors import human
from hfmirror.transfer.events import (
    Arrived,
    Dismissed,
    Limited,
    Planned,
    Refused,
    Resumed,
    Sealed,
    Stale,
    Suspected,
    Waiting,
)

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.transfer.events import Event
    from hfmirror.transfer.plan import Plan

EVERY_S = 5.0  # seconds between two lines of progress


class Nothing:
    """Says nothing at all."""

    def __call__(self, event: Event) -> None:
        """Ignore it."""

    def done(self, plan: Plan, where: Path) -> None:
        """Ignore it."""


class PlainLines:
    """A line now and then on stderr, the path at the end on stdout."""

    def __init__(self) -> None:
        self._tally, self._last = Tally(), time.monotonic()

    def __call__(self, event: Event) -> None:
        self._tally.count(event)
        if isinstance(event, Planned):
            say(announced(event.plan))
        elif isinstance(event, Arrived):
            self._progress()
        elif words := noteworthy(event):
            say(words)

    def _progress(self) -> None:
        now, plan = time.monotonic(), self._tally.plan
        if now - self._last < EVERY_S or plan is None:
            return
        self._last = now
        here, wanted = self._tally.arrived + self._tally.kept, plan.to_fetch
        left = (wanted - here) / self._tally.rate
        say(f"{human(here)} of {human(wanted)}, {human(self._tally.rate)}/s, about {left:.0f} s left")

    def done(self, plan: Plan, where: Path) -> None:  # noqa: ARG002 - the display's port
        """The last word."""
        say(finished(self._tally))
        print(where)  # noqa: T201 - the command's answer


class JsonLines:
    """One object a line on stdout, for machines."""

    def __init__(self) -> None:
        self._tally, self._last = Tally(), 0.0
        self._lock = threading.Lock()  # one object a line, whichever thread it comes from

    def __call__(self, event: Event) -> None:
        self._tally.count(event)
        with self._lock:
            document = self._document(event)
            if document:
                print(json.dumps(document, ensure_ascii=False), flush=True)  # noqa: T201 - the command's answer

    def _document(self, event: Event) -> dict[str, Any] | None:
        if isinstance(event, Planned):
            return _plan(event.plan)
        if isinstance(event, Sealed):
            return {
                "event": "sealed",
                "path": event.entry.path,
                "digest": str(event.entry.digest),
                "size": event.entry.size,
            }
        if isinstance(event, Resumed):
            return {"event": "resumed", "path": event.entry.path, "kept": event.kept}
        if isinstance(event, Limited | Waiting | Refused | Dismissed | Stale):
            return _hindered(event)
        if isinstance(event, Suspected):
            return {"event": "suspected", "repo": str(event.repo), "files": pickles.rows(event.files)}
        if isinstance(event, Arrived) and time.monotonic() - self._last > 1:
            self._last = time.monotonic()
            return {"event": "progress", "fetched": self._tally.arrived, "kept": self._tally.kept}
        return None

    def done(self, plan: Plan, where: Path) -> None:
        """The last object."""
        tally = self._tally
        print(  # noqa: T201 - the command's answer
            json.dumps(
                {
                    "event": "done",
                    "repo": str(plan.pin.repo),
                    "commit": plan.pin.commit,
                    "path": str(where),
                    "fetched": tally.arrived,
                    "sources": [{"source": source, "size": size} for source, size in tally.sources.items()],
                    "kept": tally.kept,
                    "retries": tally.retries,
                    "seconds": round(tally.seconds, 3),
                },
                ensure_ascii=False,
            )
        )


def _hindered(event: Limited | Waiting | Refused | Dismissed | Stale) -> dict[str, Any]:
    """Why it is not as fast, or as fresh, as could be."""
    if isinstance(event, Limited):
        return {"event": "limited", "rate": event.limit.rate, "until": event.limit.until or None}
    if isinstance(event, Waiting):
        return {"event": "waiting", "why": str(event.error), "seconds": round(event.seconds, 1)}
    if isinstance(event, Refused):
        return {"event": "refused", "why": str(event.error), "again": event.again, "banned": list(event.banned)}
    if isinstance(event, Dismissed):
        return {"event": "dismissed", "source": event.source, "why": str(event.error)}
    return {"event": "stale", "why": str(event.error)}


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "event": "planned",
        "repo": str(plan.pin.repo),
        "revision": plan.pin.revision,
        "commit": plan.pin.commit,
        "files": len(plan.selected),
        "size": plan.size,
        "to_fetch": plan.to_fetch,
        "lacking": [{"path": entry.path, "size": entry.size, "digest": str(entry.digest)} for entry in plan.lacking],
    }
