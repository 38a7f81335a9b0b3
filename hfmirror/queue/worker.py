"""The worker: does the jobs of one store, one after the other, until nothing is left to do."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from hfmirror.errors import StoreError, StoreLocked
from hfmirror.queue.decide import any_waits, next_due, verdict
from hfmirror.queue.job import Report
from hfmirror.store import locks

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from hfmirror.queue.child import Progress
    from hfmirror.queue.decide import Outcome, Standing
    from hfmirror.queue.job import Job
    from hfmirror.queue.shelf import Shelf

LOOK_S = 0.5  # how often to look whether somebody has paused, cancelled or added something
SAY_S = 2.0  # how often to say how far it is
SIGN_S = 60.0  # how often to say something although nothing is new: who is silent for long is taken for dead


class Running(Protocol):
    """A pull under way."""

    progress: Progress

    def ended(self, within_s: float) -> bool: ...
    @property
    def outcome(self) -> Outcome: ...


class Worker:
    """Takes the highest priority, then the oldest."""

    def __init__(
        self,
        shelf: Shelf,
        lock: Path,
        start: Callable[[Job], AbstractContextManager[Running]],
        tell: Callable[[str], None],
    ) -> None:
        self._shelf, self._lock, self._start, self._tell = shelf, lock, start, tell
        self._ending = False  # a plain word: it is changed in signal handlers, where no lock may be waited for
        self._name = ""

    def end(self) -> None:
        """Stop soon; what came is kept."""
        self._ending = True

    def run(self) -> bool:
        """Work until nothing is left to do; False when another worker is at it.

        After letting go of the lock it looks once more: whoever added a job meanwhile has found the
        lock taken, and relies on this one.
        """
        while True:
            with ExitStack() as stack:
                try:
                    stack.enter_context(locks.held(self._lock, timeout_s=0))
                except StoreLocked:
                    return False
                self._named()
            if self._ending or not any_waits(self._shelf.readable()):
                return True

    def _named(self) -> None:
        """Work under a name by which others tell whether this worker lives."""
        self._name = locks.new_owner()
        try:
            self._shelf.begin(self._name)
            self._tell("the worker begins")
            self._shelf.tidy(time.time())
            self._work()
            self._tell("the worker ends")
        finally:
            with suppress(StoreError):
                self._shelf.end(self._name)
            locks.let_go(self._name)

    def _work(self) -> None:
        while not self._ending:
            standings = self._shelf.readable()
            due = next_due(standings, time.time())
            if due is not None:
                self._do(due)
            elif any_waits(standings):
                time.sleep(LOOK_S)
            else:
                return

    def _do(self, due: Standing) -> None:
        """One job, until it is over or nobody wants it now."""
        job, before = due.job, due.report
        report = replace(before or Report(job.ticket, "", ""), ticket=job.ticket, worker=self._name, state="running")
        report = replace(report, again_at=0.0, rate=0.0, why="", at=time.time())
        self._shelf.say(job.number, report, durable=True)
        self._tell(f"job {job.number}: {job.order.repo}@{job.order.revision}")
        with self._start(job) as running:
            over = self._watched(job, running, report)
        if over:
            progress = running.progress.fetched > 0
            report = verdict(_so_far(report, running.progress), running.outcome, progress=progress, now=time.time())
        else:
            report = replace(_so_far(report, running.progress), state="waiting", rate=0.0, why="", at=time.time())
        self._shelf.say(job.number, report, durable=True)
        self._tell(f"job {job.number}: {_word(report, stopped=not over)}")

    def _watched(self, job: Job, running: Running, report: Report) -> bool:
        """Whether the pull came to an end of its own; False when it is to be stopped."""
        said = report.at
        while not running.ended(LOOK_S):
            if self._ending or not self._wanted(job):
                return False
            now, told = time.time(), _so_far(report, running.progress)
            if told.size != report.size or abs(now - said) >= (SAY_S if told != report else SIGN_S):
                said = now
                report = told
                with suppress(StoreError):  # how far it is, nobody needs to know
                    self._shelf.say(job.number, replace(told, at=now), durable=False)
        return True

    def _wanted(self, job: Job) -> bool:
        """Whether the job is still to be done, as it was when it began."""
        try:
            now = self._shelf.job(job.number)
        except StoreError:
            return True  # somebody has garbled its file: no reason to throw work away
        return now is not None and not now.paused and now.ticket == job.ticket


def _so_far(report: Report, progress: Progress) -> Report:
    """The report with what the pull has told; before it has planned, the last one's numbers stand."""
    if not progress.size:
        return replace(report, why=progress.why)
    rate = progress.rate(time.monotonic())
    return replace(report, size=progress.size, here=progress.here, rate=rate, why=progress.why)


def _word(report: Report, *, stopped: bool) -> str:
    if stopped:
        return "stopped; what came is kept"
    if report.state == "done":
        return "done"
    again = f"; trying again in {report.again_at - report.at:.0f} s" if report.state == "waiting" else ""
    return f"{report.message}{again}"
