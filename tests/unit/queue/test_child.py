"""A pull of the queue as a command, and what it tells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hfmirror.model import Kind, RepoId, Selection
from hfmirror.queue.child import RATE_S, Progress, environment_of, words_of
from hfmirror.queue.decide import Outcome
from hfmirror.queue.job import Job, Order, Value

ROOT = Path("/the store")


def test_a_job_is_spelled_so_that_no_word_is_taken_for_another() -> None:
    selection = Selection(("--root=/x", "*.json"), ("-q",))
    options: dict[str, Value] = {"connections": 2, "from": ["a", "-b"], "loud": True, "mute": False}
    order = Order(RepoId.of(Kind.DATASET, "acme/rows"), "-v1", selection, options)
    assert words_of(Job(1, order, "t"), ROOT) == [
        *("pull", "--root=/the store", "--json", "--revision=-v1"),
        *("--include=--root=/x", "--include=*.json", "--exclude=-q"),
        *("--connections=2", "--from=a", "--from=-b", "--loud"),
        *("--", "datasets/acme/rows"),
    ]


def test_a_job_is_done_with_the_settings_it_was_asked_with() -> None:
    order = Order(RepoId.of(Kind.MODEL, "acme/tiny"), "main", settings={"HFMIRROR_ENGINE": "requests"})
    ours = {"HF_ENDPOINT": "http://elsewhere", "HFMIRROR_ENGINE": "curl", "HF_TOKEN": "x", "PATH": "/bin"}
    assert environment_of(Job(1, order, "t"), ours) == {"HFMIRROR_ENGINE": "requests", "HF_TOKEN": "x", "PATH": "/bin"}


def told(*events: dict[str, object]) -> Progress:
    progress = Progress()
    for second, event in enumerate(events):
        progress.hear(json.dumps(event), float(second))
    return progress


PLANNED = {"event": "planned", "size": 1000, "to_fetch": 800}


def test_what_is_here_is_counted_once() -> None:
    resumed = {"event": "resumed", "path": "a", "kept": 100}
    progress = told(PLANNED, resumed)
    assert progress.here == 300
    progress.hear(json.dumps({"event": "progress", "fetched": 50, "kept": 100}), 3.0)
    assert (progress.here, progress.fetched) == (350, 50)
    progress.hear(json.dumps({"event": "progress", "fetched": 5000, "kept": 100}), 4.0)
    assert progress.here == 1000, "bytes that came twice are not more than all"


def test_the_rate_is_that_of_the_last_seconds() -> None:
    progress = told(*({"event": "progress", "fetched": 10 * second, "kept": 0} for second in range(100)))
    assert progress.rate(99.0) == pytest.approx(10.0)
    assert progress.rate(99.0 + 2 * RATE_S) == 0.0
    assert Progress().rate(5.0) == 0.0


def test_it_says_why_nothing_comes_until_something_does() -> None:
    waiting = {"event": "waiting", "why": "503", "seconds": 4.2}
    assert told(waiting).why == "503; trying again in 4 s"
    assert told({**waiting, "seconds": 0}).why == ""
    assert told(waiting, {"event": "progress", "fetched": 1, "kept": 0}).why == ""


def test_the_last_word_is_the_error() -> None:
    error = {"error": "RepoNotFound", "message": "no", "hint": "spell it", "exit": 3}
    assert told(PLANNED, error).outcome == Outcome(3, "RepoNotFound", "no", "spell it")


def test_words_that_are_none_of_ours_are_passed_over() -> None:
    progress = Progress()
    progress.hear("a warning of some library\n", 0.0)
    assert progress.here == 0
