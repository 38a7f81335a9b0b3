"""How jobs stand, which one is next, and when one that failed is tried again. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hfmirror import errors
from hfmirror.errors import MirrorError, StoreLocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hfmirror.queue.job import Job, Report

FIRST_S, MOST_S = 60.0, 3600.0  # until a job that failed is tried again: the first time, and at most
KEEP_DONE_S = 7 * 86_400.0  # a week; so long a job that is done is still shown


@dataclass(frozen=True, slots=True)
class Standing:
    """How a job stands."""

    job: Job
    report: Report | None  # the last that a worker said, if it is about this job as it was last asked for
    state: str  # "waiting", "running", "paused", "failed" or "done"

    @property
    def unfinished(self) -> bool:
        """Whether something may yet be fetched for it."""
        return self.state not in {"failed", "done"}

    def due_at(self, now: float) -> float:
        """From when on its turn may come, in seconds since 1970: never long after now, whatever a clock said once."""
        return 0.0 if self.report is None else min(self.report.again_at, now + MOST_S)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a pull ended."""

    code: int  # as the command exits; below zero: a signal ended it
    error: str = ""  # the class
    message: str = ""
    hint: str = ""


def standing(job: Job, report: Report | None, lives: Callable[[str], bool]) -> Standing:
    """How a job stands; `lives` says whether a worker of this name does."""
    if report is not None and report.ticket != job.ticket:
        report = replace(report, state="waiting", again_at=0.0, failures=0, why="", error="", message="", hint="")
    if report is not None and report.state == "running" and not lives(report.worker):
        report = replace(report, state="waiting", why="", rate=0.0)
    state = "waiting" if report is None else report.state
    if job.paused and state not in {"done", "failed"}:
        state = "paused"
    return Standing(job, report, state)


def next_due(standings: Iterable[Standing], now: float) -> Standing | None:
    """The one whose turn it is: the highest priority, then the oldest; None while none is due."""
    due = [each for each in standings if each.state == "waiting" and each.due_at(now) <= now]
    return min(due, key=lambda each: (-each.job.priority, each.job.number), default=None)


def any_waits(standings: Iterable[Standing]) -> bool:
    """Whether anything is left for a worker, now or later."""
    return any(each.state == "waiting" for each in standings)


def verdict(report: Report, outcome: Outcome, *, progress: bool, now: float) -> Report:
    """What follows from how a pull ended; `progress`: whether it brought anything new."""
    report = replace(report, rate=0.0, why="", at=now)
    if outcome.code == 0:
        return replace(report, state="done", here=report.size, failures=0, error="", message="", hint="")
    failures = 1 if progress else report.failures + 1
    told = replace(
        report, failures=failures, error=outcome.error, message=outcome.message or _ended(outcome), hint=outcome.hint
    )
    if not _may_pass(outcome):
        return replace(told, state="failed")
    return replace(told, state="waiting", again_at=now + pause_after(failures))


def pause_after(failures: int) -> float:
    """Seconds until the next try, after so many failures in a row."""
    return min(MOST_S, FIRST_S * 2.0 ** min(failures - 1, 16))


def _may_pass(outcome: Outcome) -> bool:
    """Whether trying again later may help: the line, somebody else's lock, or somebody has killed the pull."""
    kind = getattr(errors, outcome.error, None)
    if isinstance(kind, type) and issubclass(kind, MirrorError):
        return kind.retryable or issubclass(kind, StoreLocked)
    return outcome.code < 0 or outcome.code > 128  # 128 + signal, as shells count


def _ended(outcome: Outcome) -> str:
    if outcome.code < 0:
        return f"the pull was ended by signal {-outcome.code}"
    return f"the pull ended with exit code {outcome.code}"
