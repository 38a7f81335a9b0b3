"""The worker, with pulls that are over when the test says so."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hfmirror.model import Kind, RepoId
from hfmirror.queue import worker as work
from hfmirror.queue.child import Progress
from hfmirror.queue.decide import Outcome
from hfmirror.queue.job import Order, Report
from hfmirror.queue.shelf import Shelf
from hfmirror.queue.worker import Worker
from hfmirror.store import locks
from hfmirror.store.disk import DiskStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hfmirror.queue.job import Job


class Pulled:
    """A pull that is over when it is told."""

    def __init__(self, outcome: Outcome) -> None:
        self.progress, self.outcome = Progress(), outcome
        self.over = threading.Event()

    def ended(self, within_s: float) -> bool:
        return self.over.wait(within_s)


class Stage:
    """A shelf, and pulls that note when they run."""

    def __init__(self, folder: Path) -> None:
        self.store = DiskStore(folder)
        self.store.prepare()
        self.shelf = Shelf(self.store.layout.queue, self.store.drafts)
        self.ran: list[str] = []
        self.running = self.most = 0
        self.outcome = Outcome(0)
        self.hold = False
        self.started: list[Pulled] = []
        self.said: list[str] = []

    def add(self, name: str, priority: int = 0) -> Job:
        return self.shelf.add(Order(RepoId.of(Kind.MODEL, f"acme/{name}"), "main"), priority)

    @contextmanager
    def pulling(self, job: Job) -> Iterator[Pulled]:
        pulled = Pulled(self.outcome)
        if not self.hold:
            pulled.over.set()
        self.ran.append(job.order.repo.name.removeprefix("acme/"))
        self.running += 1
        self.most = max(self.most, self.running)
        self.started.append(pulled)
        yield pulled
        self.running -= 1

    def worker(self) -> Worker:
        return Worker(self.shelf, self.store.layout.locks / "queue.lock", self.pulling, self.said.append)

    def state(self, number: int) -> str:
        return self.shelf.find(number).state


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(work, "LOOK_S", 0.01)
    return Stage(tmp_path)


@contextmanager
def working(worker: Worker) -> Iterator[threading.Thread]:
    """A worker in a thread; ended at the end."""
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield thread
    finally:
        worker.end()
        thread.join(20)
        assert not thread.is_alive()


def until(stage: Stage, number: int) -> Pulled:
    """Wait until so many pulls have begun."""
    gone = threading.Event()
    for _ in range(4000):
        if len(stage.started) >= number:
            return stage.started[number - 1]
        gone.wait(0.005)
    raise AssertionError("it never began")


def test_it_does_what_waits_and_ends(stage: Stage) -> None:
    for name, priority in (("low", -1), ("first", 0), ("second", 0), ("high", 10)):
        stage.add(name, priority)
    assert stage.worker().run()
    assert stage.ran == ["high", "first", "second", "low"]
    assert {each.state for each in stage.shelf.readable()} == {"done"}
    assert stage.shelf.worker() is None


def test_a_newcomer_of_higher_priority_goes_next(stage: Stage) -> None:
    stage.hold = True
    stage.add("first")
    stage.add("second")
    with working(stage.worker()) as thread:
        first = until(stage, 1)
        stage.add("urgent", 5)
        first.over.set()
        until(stage, 2).over.set()
        until(stage, 3).over.set()
        thread.join(20)
    assert stage.ran == ["first", "urgent", "second"]


def test_what_is_added_when_the_worker_is_about_to_go_is_done(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever adds it finds the lock taken, and starts nobody."""
    stage.add("first")
    worker = stage.worker()

    def last_moment(name: str) -> None:
        if len(stage.ran) == 1:
            stage.add("late")
            assert not stage.worker().run()

    monkeypatch.setattr(stage.shelf, "end", last_moment)
    assert worker.run()
    assert stage.ran == ["first", "late"]


@pytest.mark.parametrize("what", ["pause", "cancel", "end"])
def test_it_stops_when_nobody_wants_the_job_any_more(stage: Stage, what: str) -> None:
    stage.hold = True
    stage.add("slow")
    worker = stage.worker()
    with working(worker) as thread:
        until(stage, 1)
        assert stage.state(1) == "running"
        if what == "pause":
            stage.shelf.pause(stage.shelf.find(1))
        elif what == "end":
            worker.end()
        else:
            stage.shelf.cancel(1)
        thread.join(20)
        assert not thread.is_alive()
    if what == "cancel":
        assert not stage.shelf.numbers()
    else:
        assert stage.state(1) == ("paused" if what == "pause" else "waiting")


def test_one_that_is_garbled_while_it_runs_is_not_thrown_away(stage: Stage) -> None:
    stage.hold = True
    stage.add("slow")
    with working(stage.worker()) as thread:
        pulled = until(stage, 1)
        (stage.shelf.folder / "1" / "job.json").write_text("{", encoding="utf-8")
        pulled.over.set()
        thread.join(20)
    report = stage.shelf.report(1)
    assert report is not None
    assert report.state == "done"


def test_two_workers_where_locks_exclude_nobody_share_the_jobs(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def not_held(path: Path, timeout_s: float) -> Iterator[None]:
        yield

    monkeypatch.setattr(locks, "held", not_held)
    stage.hold = True
    stage.add("first")
    stage.add("second")
    with working(stage.worker()) as one:
        until(stage, 1)
        with working(stage.worker()) as other:
            until(stage, 2)
            assert [stage.state(1), stage.state(2)] == ["running", "running"]
            for pulled in stage.started:
                pulled.over.set()
            other.join(20)
        one.join(20)
    assert sorted(stage.ran) == ["first", "second"]
    assert {each.state for each in stage.shelf.readable()} == {"done"}


def test_a_report_of_a_dead_worker_is_not_believed(stage: Stage) -> None:
    job = stage.add("first")
    dead = locks.new_owner()
    locks.let_go(dead)
    stage.shelf.say(1, Report(job.ticket, "running", dead, size=10, here=5), durable=False)
    found = stage.shelf.find(1)
    assert found.state == "waiting"
    assert found.report is not None
    assert found.report.here == 5
    assert stage.worker().run()
    assert stage.state(1) == "done"


def test_numbers_are_given_once(stage: Stage) -> None:
    def add(n: int) -> None:
        for m in range(8):
            stage.add(f"r{n}-{m}")

    threads = [threading.Thread(target=add, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each.job.order.repo for each in stage.shelf.readable()}) == 48
    assert stage.shelf.numbers() == list(range(1, 49))


def test_a_report_that_cannot_be_read_costs_a_retry(stage: Stage) -> None:
    stage.add("first")
    stage.worker().run()
    (stage.shelf.folder / "1" / "report.json").write_bytes(b"\xff")
    assert stage.state(1) == "waiting"


def test_no_number_is_given_twice(stage: Stage) -> None:
    """Else a word about the old job could be taken for one about the new."""
    for number in (1, 2, 3):
        assert stage.add(f"r{number}").number == number
    for number in (1, 2, 3):
        stage.shelf.cancel(number)
        os.utime(stage.shelf.folder / str(number), (0, 0))
    stage.worker().run()
    stage.shelf.tidy(time.time())
    assert sorted(path.name for path in stage.shelf.folder.iterdir() if path.is_dir()) == ["3"]
    assert stage.add("next").number == 4


def test_what_is_long_done_is_forgotten(stage: Stage) -> None:
    for name in ("old", "young"):
        stage.add(name)
    stage.worker().run()
    old = stage.shelf.report(1)
    assert old is not None
    stage.shelf.say(1, replace(old, at=old.at - 8 * 86_400), durable=False)
    stage.add("new")
    stage.worker().run()
    assert stage.shelf.numbers() == [2, 3]


def test_a_job_paused_while_it_failed_goes_on_when_resumed(stage: Stage) -> None:
    stage.outcome = Outcome(3, "RepoNotFound", "no")
    stage.add("first")
    stage.worker().run()
    assert stage.state(1) == "failed"
    before = stage.shelf.find(1)
    assert stage.shelf.pause(before).paused
    assert stage.state(1) == "failed"
    assert stage.shelf.resume(stage.shelf.find(1)).ticket != before.job.ticket
    assert stage.state(1) == "waiting"
