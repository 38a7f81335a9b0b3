"""Jobs and reports as they are written."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfmirror.errors import BadManifest, StoreError, StoreTooNew
from hfmirror.model import Kind, RepoId, Selection
from hfmirror.queue.job import Job, Order, Report, job_of, job_text, report_of, report_text

REPO = RepoId.of(Kind.DATASET, "acme/rows")
ORDER = Order(REPO, "main", Selection(("*.json",), ("x*",)), {"connections": 2, "from": ["a", "b"]}, {}, "/home/me")
JOB = Job(3, ORDER, "t", 5, "2026-01-01T00:00:00Z", paused=True)
REPORT = Report("t", "running", "me", 10, 5, 2.0, "because", 1, 1_800_000_000.0, "TimedOut", "slow", "wait", 1e9)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
VALUES = TEXT | st.integers(0, 9) | st.floats(0, 9) | st.booleans() | st.lists(TEXT, max_size=2)


@given(st.dictionaries(st.sampled_from(["from", "limit-rate", "patience"]), VALUES), st.integers(-10, 10), TEXT)
def test_a_job_is_read_as_it_was_written(options: dict[str, str], priority: int, pattern: str) -> None:
    job = replace(JOB, order=replace(ORDER, options=options, selection=Selection((pattern,))), priority=priority)
    assert job_of(job_text(job), 3, "here") == job


def test_a_report_is_read_as_it_was_written() -> None:
    for report in (REPORT, replace(REPORT, again_at=0.0)):
        assert report_of(report_text(report), "here") == report


def test_what_a_later_version_wrote_beside_it_is_kept() -> None:
    text = json.dumps({**json.loads(job_text(JOB)), "colour": "red"})
    job = job_of(text, 3, "here")
    assert json.loads(job_text(replace(job, paused=False)))["colour"] == "red"


@pytest.mark.parametrize(
    "change",
    [
        {"repo": "model:"},
        {"repo": "x"},
        {"repo": None},
        {"revision": "../x"},
        {"include": 5},
        {"exclude": "*.bin"},
        {"options": []},
        {"options": {"root": "/elsewhere"}},
        {"options": {"-x": "1"}},
        {"options": {"connections": None}},
        {"options": {"connections": {}}},
        {"settings": None},
        {"priority": "high"},
        {"priority": None},
        {"priority": float("inf")},
        {"folder": "/a\0b"},
        {"include": ["\ud800"]},
        {"options": {"from": ["a\0b"]}},
        {"options": {"limit-rate": "\0"}},
        {"settings": {"HF_HOME": "\0"}},
        {"format": "1"},
    ],
    ids=str,
)
def test_what_is_no_job_is_named(change: dict[str, object]) -> None:
    text = json.dumps({**json.loads(job_text(JOB)), **change})
    with pytest.raises(StoreError, match=r"here: is no job.*hfmirror cancel 3") as caught:
        job_of(text, 3, "here")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", sorted({*json.loads(job_text(JOB))} - {"format"}))
def test_a_job_that_lacks_a_field_is_none(field: str) -> None:
    document = json.loads(job_text(JOB))
    del document[field]
    with pytest.raises(StoreError, match="is no job"):
        job_of(json.dumps(document), 3, "here")


def test_only_the_settings_that_a_job_may_have_are_taken() -> None:
    text = json.dumps({**json.loads(job_text(JOB)), "settings": {"HF_ENDPOINT": "http://x", "LD_PRELOAD": "x.so"}})
    assert job_of(text, 3, "here").order.settings == {"HF_ENDPOINT": "http://x"}


def test_a_later_form_is_left_to_a_later_version() -> None:
    with pytest.raises(StoreTooNew):
        job_of('{"format": 99}', 3, "here")
    with pytest.raises(StoreTooNew):
        report_of('{"format": 99}', "here")


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", '{"format": 1}', "[" * 10_000, report_text(REPORT).replace("10", '"x"')),
        report_text(REPORT).replace('"rate": 2', '"rate": NaN'),
        report_text(REPORT).replace('"rate": 2', '"rate": -2'),
        report_text(REPORT).replace('"failures": 1', '"failures": Infinity'),
    ],
)
def test_what_is_no_report_is_not_believed(text: str) -> None:
    with pytest.raises(BadManifest):
        report_of(text, "here")
