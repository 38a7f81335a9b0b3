"""What a pull has come to so far: the numbers every display shows."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hfmirror.errors import human
from hfmirror.transfer.events import (
    Arrived,
    Dismissed,
    Elsewhere,
    Limited,
    Linked,
    Planned,
    Refused,
    Resumed,
    Sealed,
    Stale,
    Suspected,
    Waiting,
)

if TYPE_CHECKING:
    from hfmirror.transfer.events import Event
    from hfmirror.transfer.plan import Plan


@dataclass(slots=True)
class Tally:
    """Counts events. Called from many threads."""

    plan: Plan | None = None
    arrived: int = 0  # bytes that came
    sources: dict[str, int] = field(default_factory=dict)  # the same by whom they came from
    kept: int = 0  # bytes an earlier run had left
    sealed: int = 0  # files
    retries: int = 0
    began: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, event: Event) -> None:
        """Take an event into account."""
        with self._lock:
            if isinstance(event, Arrived):
                self.arrived += event.size
                self.sources[event.source] = self.sources.get(event.source, 0) + event.size
            elif isinstance(event, Sealed):
                self.sealed += 1
            elif isinstance(event, Resumed):
                self.kept += event.kept
            elif isinstance(event, Waiting | Refused):
                self.retries += 1
            elif isinstance(event, Planned):
                self.plan = event.plan

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return max(time.monotonic() - self.began, 0.001)

    @property
    def rate(self) -> float:
        """Bytes per second, on the whole."""
        return self.arrived / self.seconds


def announced(plan: Plan) -> str:
    """What a pull is about to do, in a sentence."""
    repo, commit = plan.pin.repo, plan.pin.commit[:12]
    files = f"{len(plan.selected)} file{'' if len(plan.selected) == 1 else 's'}, {human(plan.size)}"
    if not plan.lacking:
        return f"{repo}@{commit}: {files}; all of it is here"
    return f"{repo}@{commit}: {files}; {len(plan.lacking)} to fetch, {human(plan.to_fetch)}"


def noteworthy(event: Event) -> str:
    """What a person should be told of an event; empty for most."""
    if isinstance(event, Waiting) and event.seconds:
        return (
            f"{event.error}; trying again in {event.seconds:.0f} s"
            if event.seconds >= 1
            else f"{event.error}; trying again"
        )
    if isinstance(event, Refused | Dismissed):
        return _let_down(event)
    if isinstance(event, Limited | Suspected):
        return str(event.limit) if isinstance(event, Limited) else event.sentence
    if isinstance(event, Resumed):
        return f"{event.entry.path}: going on after the {human(event.kept)} that are here"
    if isinstance(event, Elsewhere):
        return f"{event.entry.path}: another hfmirror is fetching it; waiting for its result"
    if isinstance(event, Stale):
        return f"{event.error}; using what {event.repo}@{event.revision} was when last asked"
    if isinstance(event, Linked) and "copy" in event.how:
        return "the view needs copies: this disk makes no hard links"
    return ""


def _let_down(event: Refused | Dismissed) -> str:
    """That a source did not keep its word, or does not go on."""
    if isinstance(event, Dismissed):
        whose = "" if event.source in str(event.error) else f" ({event.source})"
        return f"{event.error}{whose}; going on with the others"
    if event.banned:
        return f"{event.error}; {' and '.join(event.banned)} is asked for nothing more that others have"
    return f"{event.error}; thrown away{', fetching it once more' if event.again else ''}"


def finished(tally: Tally) -> str:
    """The last word: what came, from where, how fast."""
    words = [f"fetched {human(tally.arrived)} in {tally.seconds:.1f} s ({human(tally.rate)}/s)"]
    if not tally.arrived:
        words = ["nothing to fetch"]
    if len(tally.sources) > 1:
        shares = sorted(tally.sources.items(), key=lambda share: -share[1])
        words.append(", ".join(f"{human(size)} from {source}" for source, size in shares))
    if tally.kept:
        words.append(f"{human(tally.kept)} kept from before")
    if tally.retries:
        words.append(f"{tally.retries} retr{'y' if tally.retries == 1 else 'ies'}")
    return "; ".join(words)
