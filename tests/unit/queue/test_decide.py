"""How jobs stand, and which one is next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hfmirror.model import Kind, RepoId
from hfmirror.queue.decide import FIRST_S, MOST_S, Outcome, Standing, any_waits, next_due, standing, verdict
from hfmirror.queue.job import Job, Order, Report
from hfmirror.queue.why import why

ORDER = Order(RepoId.of(Kind.MODEL, "acme/tiny"), "main")
NOW = 1_000_000.0


def job(number: int = 1, **fields: object) -> Job:
    return replace(Job(number, ORDER, "t"), **fields)  # type: ignore[arg-type]


def report(state: str, **fields: object) -> Report:
    return replace(Report("t", state, "me", size=100, here=40), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("lives", [True, False])
@pytest.mark.parametrize("paused", [True, False])
@pytest.mark.parametrize("said", [None, "waiting", "running", "failed", "done"])
def test_how_a_job_stands(said: str | None, paused: bool, lives: bool) -> None:
    told = standing(job(paused=paused), None if said is None else report(said), lambda _: lives)
    if said in {"failed", "done"}:
        assert told.state == said
    elif paused:
        assert told.state == "paused"
    else:
        assert told.state == ("running" if said == "running" and lives else "waiting")
    assert told.unfinished == (said not in {"failed", "done"})


def test_what_was_said_of_an_earlier_time_is_the_past_but_for_what_is_here() -> None:
    old = report("failed", ticket="old", failures=7, again_at=NOW + 9, message="no")
    told = standing(job(), old, lambda _: True)
    assert told.state == "waiting"
    assert told.due_at(NOW) <= NOW
    assert told.report is not None
    assert (told.report.failures, told.report.message, told.report.here) == (0, "", 40)


def waits(number: int, priority: int = 0, again_at: float = 0.0) -> Standing:
    return standing(job(number, priority=priority), report("waiting", again_at=again_at), lambda _: True)


def test_the_highest_then_the_oldest_of_those_that_are_due() -> None:
    rows = [waits(1), waits(2, 5, NOW + 1), waits(3, 1), waits(4, 1), standing(job(5), report("done"), lambda _: True)]
    found = next_due(rows, NOW)
    assert found is not None
    assert found.job.number == 3
    later = next_due(rows, NOW + 1)
    assert later is not None
    assert later.job.number == 2
    assert next_due(rows[1:2], NOW) is None
    assert any_waits(rows[1:2])
    assert not any_waits(rows[4:])


def test_a_clock_that_was_wrong_once_holds_nothing_up_for_ever() -> None:
    assert next_due([waits(1, again_at=NOW + 1e9)], NOW) is None
    assert waits(1, again_at=NOW + 1e9).due_at(NOW) <= NOW + MOST_S


def test_each_failure_without_a_byte_waits_longer_up_to_an_hour() -> None:
    told = report("running")
    pauses = []
    for _ in range(9):
        told = verdict(told, Outcome(5, "OutOfPatience", "no", "wait"), progress=False, now=NOW)
        pauses.append(told.again_at - NOW)
    assert pauses[:3] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S]
    assert pauses[-1] == MOST_S
    again = verdict(told, Outcome(5, "OutOfPatience", "no"), progress=True, now=NOW)
    assert again.again_at - NOW == FIRST_S


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome(0), "done"),
        (Outcome(5, "Unreachable", "no"), "waiting"),
        (Outcome(5, "RateLimited", "no"), "waiting"),
        (Outcome(8, "StoreLocked", "held"), "waiting"),
        (Outcome(-9), "waiting"),
        (Outcome(130), "waiting"),
        (Outcome(5, "Untrusted", "no"), "failed"),
        (Outcome(3, "RepoNotFound", "no"), "failed"),
        (Outcome(4, "GatedRepo", "no"), "failed"),
        (Outcome(7, "DigestMismatch", "no"), "failed"),
        (Outcome(8, "DiskFull", "no"), "failed"),
        (Outcome(1, "ValueError", "no"), "failed"),
        (Outcome(2), "failed"),
    ],
    ids=str,
)
def test_what_may_pass_waits_and_the_rest_fails(outcome: Outcome, state: str) -> None:
    told = verdict(report("running", rate=7.0), outcome, progress=False, now=NOW)
    assert (told.state, told.rate) == (state, 0.0)
    assert bool(told.message) == (state != "done")
    assert (told.again_at > NOW) == (state == "waiting")
    assert told.here == (100 if state == "done" else 40)


def test_every_job_that_is_not_done_says_why() -> None:
    fails = standing(job(), report("failed", message="gated"), lambda _: True)
    assert why(fails, None, NOW, worker=True) == "gated"
    helped = standing(job(), report("failed", message="gated", hint="log in"), lambda _: True)
    assert why(helped, None, NOW, worker=True) == "gated; log in"
    assert why(standing(job(paused=True), None, lambda _: True), None, NOW, worker=True).startswith("`hfmirror resume")
    assert why(waits(2), 1, NOW, worker=True) == "after job 1"
    assert why(waits(2), None, NOW, worker=True)
    assert "no worker" in why(waits(2), None, NOW, worker=False)
    assert "trying again at" in why(waits(2, again_at=NOW + 5), 1, NOW, worker=True)
    assert why(standing(job(), report("done"), lambda _: True), 1, NOW, worker=True) == ""
    runs = standing(job(), report("running", why="503; trying again in 4 s"), lambda _: True)
    assert why(runs, 1, NOW, worker=True) == "503; trying again in 4 s"
