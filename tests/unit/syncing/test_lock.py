"""The record of a list: the same bytes for the same content, and nothing believed that is not right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hfmirror.errors import UsageError
from hfmirror.model import Kind, Pin, RepoId, Selection, commit_id
from hfmirror.syncing.lock import Lock, Made, beside, lock_of, lock_text
from hfmirror.syncing.record import Record

A, B = commit_id("a" * 40), commit_id("b" * 40)
MODEL, ROWS = RepoId(Kind.MODEL, "owner/name"), RepoId(Kind.DATASET, "owner/data")
MADE = Made(Pin(MODEL, A, "main", Selection(("*.json",), ("x/*",))), "2026-01-01T00:00:00Z")
LOCK = Lock(
    "one", {(ROWS, "main"): (A,), (MODEL, "main"): (B, A)}, frozenset({MADE, Made(Pin(ROWS, A, "main", Selection()))})
)


def test_what_is_written_is_read() -> None:
    assert lock_of(lock_text(LOCK), "mirror.lock") == LOCK


def test_the_text_is_sorted_whatever_the_order_was() -> None:
    turned = Lock("one", dict(reversed([*LOCK.commits.items()])), frozenset(sorted(LOCK.made, key=str)))
    assert lock_text(turned) == lock_text(LOCK)
    rows = json.loads(lock_text(LOCK))["repos"]
    assert [(row["repo"], row["commits"]) for row in rows] == [("datasets/owner/data", [A]), ("owner/name", [B, A])]


def test_of_the_pins_of_another_store_nothing_is_known() -> None:
    assert LOCK.of_store("one") == LOCK
    other = LOCK.of_store("two")
    assert (other.made, other.commits) == (frozenset(), LOCK.commits)


GOOD = json.loads(lock_text(LOCK))
ROW = GOOD["repos"][0]


@pytest.mark.parametrize(
    "change",
    [
        {"repos": [{**ROW, "repo": "../../etc"}]},
        {"repos": [{**ROW, "revision": "../../etc"}]},
        {"repos": [{**ROW, "commits": ["main"]}]},
        {"repos": [{"repo": "owner/name"}]},
        {"repos": 7},
        {"made": [{"repo": "owner/name"}]},
        {"format": 2},
        {"format": None},
    ],
)
def test_a_record_that_is_wrong_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(UsageError) as refused:
        lock_of(json.dumps({**GOOD, **change}), "mirror.lock")
    assert "mirror.lock" in str(refused.value)
    assert refused.value.hint()


@pytest.mark.parametrize("text", ["", "[]", "7", "{}"])
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"mirror\.lock"):
        lock_of(text, "mirror.lock")


@pytest.mark.parametrize(("toml", "lock"), [("mirror.toml", "mirror.lock"), ("v1.0", "v1.0.lock")])
def test_the_record_lies_beside_the_list(toml: str, lock: str) -> None:
    assert beside(Path("lists", toml)) == Path("lists", lock)


def test_a_record_that_says_the_same_is_not_written_again(tmp_path: Path) -> None:
    record = Record(tmp_path / "mirror.lock")
    assert record.read() is None
    record.write(LOCK)
    before = record.path.stat()
    record.write(LOCK)
    assert (record.path.stat().st_ino, record.path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert record.read() == LOCK
    assert [path.name for path in tmp_path.iterdir()] == ["mirror.lock"]
