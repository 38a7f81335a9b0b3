"""Where jobs lie: a folder for each, whose name is its number."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from secrets import token_hex
from typing import TYPE_CHECKING

from hfmirror import codec
from hfmirror.errors import BadManifest, StoreError, StoreTooNew, UsageError
from hfmirror.moments import utc
from hfmirror.queue.decide import KEEP_DONE_S, standing
from hfmirror.queue.job import Job, job_of, job_text, report_of, report_text
from hfmirror.store import files, locks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hfmirror.queue.decide import Standing
    from hfmirror.queue.job import Order, Report
    from hfmirror.store.drafts import Drafts

YOUNG_S = 3600.0  # a folder without a job may be about to get one; after so long it surely is not


class Shelf:
    """The jobs of one store. Making one touches nothing."""

    def __init__(self, folder: Path, drafts: Drafts) -> None:
        self.folder, self._drafts = folder, drafts

    # -- looking ------------------------------------------------------------------------------

    def numbers(self) -> list[int]:
        """The numbers of the jobs, oldest first."""
        return [number for number in self._given() if self._job(number).exists()]

    def _given(self) -> list[int]:
        """The numbers that were given, also of jobs that were cancelled: the highest is never forgotten."""
        if not self.folder.is_dir():
            return []
        with files.translated(self.folder):
            return sorted(int(path.name) for path in self.folder.iterdir() if _is_number(path.name))

    def job(self, number: int) -> Job | None:
        """A job; None when there is none of this number. Raises StoreError, StoreTooNew when it cannot be read."""
        path = self._job(number)
        try:
            text = files.read_text(path)
        except BadManifest as error:
            raise StoreError(str(path), f"is no job: it {error.why}; `hfmirror cancel {number}` removes it") from None
        return None if text is None else job_of(text, number, str(path))

    def report(self, number: int) -> Report | None:
        """What the worker said last about a job; None when it said nothing that can be read."""
        path = self._report(number)
        try:
            text = files.read_text(path)
            return None if text is None else report_of(text, str(path))
        except (BadManifest, StoreTooNew):
            return None  # it costs a retry at worst

    def standings(self) -> Iterator[Standing | tuple[int, StoreError]]:
        """How each job stands, oldest first; for one that cannot be read, its number and why."""
        for number in self.numbers():
            try:
                job = self.job(number)
            except StoreError as error:
                yield number, error
                continue
            if job is not None:
                yield standing(job, self.report(number), self.lives)

    def readable(self) -> list[Standing]:
        """How the jobs stand that can be read."""
        return [each for each in self.standings() if not isinstance(each, tuple)]

    def lives(self, worker: str) -> bool:
        """Whether a worker of this name is at work, as far as anybody can tell."""
        return not locks.is_dead(worker, self.folder)

    def worker(self) -> str | None:
        """The name of the worker that is at work; None when there is none."""
        path = self.folder / "worker.json"
        try:
            text = files.read_text(path)
            name = None if text is None else str(codec.load(text, str(path)).get("worker"))
        except (BadManifest, StoreTooNew):
            return None
        return name if name is not None and self.lives(name) else None

    # -- for those who ask --------------------------------------------------------------------

    def add(self, order: Order, priority: int) -> Job:
        """A new job; or the old one that asks for the same and is not done, which then takes this priority."""
        for each in self.readable():
            if each.job.order == order and each.state != "done":
                return self.resume(each, priority)
        job = Job(self._new_number(), order, token_hex(8), priority, utc(time.time()))
        self._write(job)
        return job

    def _new_number(self) -> int:
        """A number nobody else gets: making a folder succeeds once, on every disk."""
        files.ensure_folder(self.folder)
        number = max(self._given(), default=0)
        while True:
            number += 1
            with files.translated(self.folder):
                try:
                    (self.folder / str(number)).mkdir()
                except FileExistsError:
                    continue
                return number

    def pause(self, each: Standing) -> Job:
        """Let a job rest. The worker sees it within a second or two."""
        return each.job if each.job.paused else self._write(replace(each.job, paused=True))

    def resume(self, each: Standing, priority: int | None = None) -> Job:
        """Let a job go on, now. One that runs goes on running."""
        job = replace(each.job, paused=False, priority=each.job.priority if priority is None else priority)
        if each.report is not None and (each.report.state == "failed" or each.report.again_at):
            job = replace(job, ticket=token_hex(8))  # what was said of it is the past
        return self._write(job) if job != each.job else job

    def cancel(self, number: int) -> None:
        """Forget a job. The worker, if it is at it, stops. Its number is not given again."""
        files.remove(self._job(number))
        files.remove(self._report(number))

    def _write(self, job: Job) -> Job:
        self._drafts.publish_text(self._job(job.number), job_text(job))
        return job

    def _job(self, number: int) -> Path:
        return self.folder / str(number) / "job.json"

    def _report(self, number: int) -> Path:
        return self.folder / str(number) / "report.json"

    # -- for the worker -----------------------------------------------------------------------

    def say(self, number: int, report: Report, *, durable: bool) -> None:
        """Report on a job, if it is still there."""
        if self._job(number).exists():
            self._drafts.publish_text(self._report(number), report_text(report), durable=durable)

    def begin(self, worker: str) -> None:
        """A worker is at work from now on."""
        self._drafts.publish_text(
            self.folder / "worker.json", codec.dump({"format": codec.FORMAT, "worker": worker}), durable=False
        )

    def end(self, worker: str) -> None:
        """It is no more."""
        if self.worker() == worker:
            files.remove(self.folder / "worker.json")

    def tidy(self, now: float) -> None:
        """Forget jobs that are long done, and what is left of those that are forgotten."""
        for each in self.readable():
            if each.state == "done" and each.report is not None and each.report.at < now - KEEP_DONE_S:
                self.cancel(each.job.number)
        for number in self._given()[:-1]:
            folder = self.folder / str(number)
            with suppress(OSError):
                if not self._job(number).exists() and folder.stat().st_mtime < now - YOUNG_S:
                    files.remove_folder(folder)

    def find(self, number: int) -> Standing:
        """How one job stands. Raises UsageError when there is none, StoreError when it cannot be read."""
        job = self.job(number)
        if job is None:
            raise UsageError(f"there is no job {number}", "`hfmirror status` shows those that there are")
        return standing(job, self.report(number), self.lives)


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and not name.startswith("0")
