"""A list of repos is kept current: planned first, done, written down, and old commits let go."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.conftest import SIZE
from tests.behaviour.lab import INTERRUPTED, PART, Lab, kill, wait_until
from tests.simulator import Faults, HubSimulator, Made

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.model import CommitId

SLOW = Faults(slow_rate=4 * PART, where="cdn")  # for each connection
AT_ONCE_S = 4.0  # far more than it takes, far less than what it interrupts
TERMINATED = 143
OTHER = '[[repo]]\nname = "datasets/acme/rows"\n'


@pytest.fixture(autouse=True)
def rows(hub: HubSimulator) -> None:
    """A second repo."""
    hub.add("datasets/acme/rows", {"train.parquet": Made(300_000, seed=4), "README.md": b"# rows\n"})


def listed(lab: Lab, *lines: str, more: str = "", top: str = "") -> Path:
    """A list with the model in it."""
    file = lab.folder / "mirror.toml"
    file.write_text("\n".join([top, "[[repo]]", 'name = "acme/tiny"', *lines, more]), encoding="utf-8")
    return file


def move(hub: HubSimulator, n: int) -> CommitId:
    """The branch moves on: one small file is new."""
    return hub.add("acme/tiny", {"config.json": b"%d" % n, "model.safetensors": Made(SIZE, seed=2)})


def commits(lab: Lab) -> set[str]:
    """The commits of the model that are kept here."""
    return {row["commit"] for row in lab.run("ls", "--json").lines[0] if row["repo"] == "acme/tiny"}


def lock(lab: Lab) -> str:
    """What is written down."""
    return (lab.folder / "mirror.lock").read_text(encoding="utf-8")


def locked_commits(lab: Lab) -> list[str]:
    """The model's commits that are written down, newest first."""
    rows = json.loads(lock(lab))["repos"]
    return [commit for row in rows if row["repo"] == "acme/tiny" for commit in row["commits"]]


def other_lab(lab: Lab) -> Lab:
    """Another machine, with the list and its record."""
    folder = lab.folder / "elsewhere"
    folder.mkdir()
    for name in ("mirror.toml", "mirror.lock"):
        (folder / name).write_bytes((lab.folder / name).read_bytes())
    return Lab(lab.hub, lab.endpoint, folder)


# Following


def test_the_second_sync_costs_one_question_a_repo_and_changes_nothing(hub: HubSimulator, lab: Lab) -> None:
    listed(lab, more=OTHER)
    done = lab.run("sync")
    assert "to fetch" in done.err
    lab.assert_same(lab.snapshot())
    lab.assert_same(lab.snapshot("datasets/acme/rows"), "datasets/acme/rows")
    before = lock(lab)
    hub.reset_counts()
    lab.run("sync")
    assert hub.count() == 2
    assert lock(lab) == before


def test_all_names_are_asked_before_the_first_byte_is_fetched(hub: HubSimulator, lab: Lab) -> None:
    listed(lab, more=OTHER)
    events = lab.run("sync", "--json").lines
    assert [row["repo"] for row in events[0]["repos"]] == ["acme/tiny", "datasets/acme/rows"]
    assert events[0]["event"] == "plan"
    assert events[0]["to_fetch"] >= SIZE + 300_000
    assert events[-1] == {"event": "synced", "here": 2, "failed": [], "fetched": events[0]["to_fetch"], "let_go": []}
    asked = [at for at, record in enumerate(hub.requests) if "/revision/" in record.path]
    fetched = [at for at, record in enumerate(hub.requests) if "/resolve/" in record.path]
    assert max(asked) < min(fetched)


def test_a_moving_branch_is_followed_and_the_last_commits_are_kept(hub: HubSimulator, lab: Lab) -> None:
    listed(lab, "keep = 2")
    seen = [hub.repos[next(iter(hub.repos))].commit("main").id]
    lab.run("sync")
    for n in range(3):
        seen.append(move(hub, n))
        done = lab.run("sync", "--json")
        assert commits(lab) == set(seen[-2:])
        assert locked_commits(lab) == seen[: -3 if len(seen) > 2 else None : -1]
        gone = [row["commit"] for row in done.lines[-1]["let_go"]]
        assert gone == seen[-3:-2]
        assert [row["commit"] for row in done.lines[0]["let_go"]] == gone, "said before it is done"
    assert lab.snapshot().name == seen[-1]
    (before,) = lab.run("status", "--json").lines
    assert before["garbage"]["objects"] > 0, "the bytes wait for gc"
    lab.run("gc", "--min-age", "0")
    lab.assert_same(lab.snapshot())
    assert (lab.run("status", "--json").lines[0])["lacking"]["objects"] == 0


def test_without_keep_nothing_is_let_go(hub: HubSimulator, lab: Lab) -> None:
    listed(lab)
    lab.run("sync")
    for n in range(2):
        move(hub, n)
        lab.run("sync")
    assert len(commits(lab)) == 3


@pytest.mark.parametrize("words", [(), ("--include", "*.json"), ("--revision", "v1")])
@pytest.mark.parametrize("when", ["before", "after"])
def test_what_was_asked_for_by_hand_is_never_let_go(
    hub: HubSimulator, lab: Lab, words: tuple[str, ...], when: str
) -> None:
    listed(lab, "keep = 1")
    if when == "after":
        lab.run("sync")
        second = int(time.time())
        wait_until(lambda: int(time.time()) > second)  # the store notes the second in which something is asked for
    lab.run("pull", "acme/tiny", *words)
    (first,) = commits(lab)
    lab.run("sync")
    move(hub, 1)
    lab.run("sync")
    last = move(hub, 2)
    lab.run("sync")
    assert commits(lab) == {first, last}


def test_a_repo_that_vanishes_stops_nobody_and_loses_nothing(hub: HubSimulator, lab: Lab) -> None:
    listed(lab, "keep = 1", more=OTHER)
    lab.run("sync")
    before = lab.snapshot()
    kept = locked_commits(lab)
    hub.remove("acme/tiny")
    hub.add("datasets/acme/rows", {"train.parquet": b"new"})
    done = lab.run("sync", "--json", code=3)
    assert "acme/tiny" in done.err
    assert [(row["repo"], row["exit"]) for row in done.lines[-1]["failed"]] == [("acme/tiny", 3)]
    assert done.lines[-1]["here"] == 1
    assert before.is_dir()
    assert locked_commits(lab) == kept
    lab.assert_same(lab.snapshot("datasets/acme/rows"), "datasets/acme/rows")


def test_a_commit_that_fails_to_come_replaces_none(hub: HubSimulator, lab: Lab) -> None:
    listed(lab, "keep = 1")
    lab.run("sync")
    (first,) = commits(lab)
    second = hub.add("acme/tiny", {"model.safetensors": Made(SIZE, seed=7)})
    with hub.failing(garbage_at=5, where="cdn"):
        lab.run("sync", code=7)
    assert first in commits(lab)
    assert locked_commits(lab) == [first]
    third = move(hub, 3)
    lab.run("sync")
    assert commits(lab) == {third}, "the half one was made by nobody else, and goes too"
    assert second != third


def test_a_dry_run_touches_nothing(hub: HubSimulator, lab: Lab) -> None:
    listed(lab, more=OTHER)
    before = lab.files()
    done = lab.run("sync", "--dry-run", "--json")
    assert lab.files() == before
    assert len(done.lines) == 1
    assert done.lines[0]["to_fetch"] >= SIZE
    assert hub.bytes_served == 0


def test_killed_in_the_middle_it_goes_on_and_knows_its_own(hub: HubSimulator, lab: Lab) -> None:
    listed(lab, "keep = 1", top="connections = 1")
    with hub.failing(SLOW):
        process = lab.start("sync")
        wait_until(lambda: hub.bytes_served > 2.5 * PART)
        kill(process)
    lab.run("sync")
    hub.settle()
    assert hub.bytes_served <= SIZE * 1.02 + 2 * PART
    lab.assert_same(lab.snapshot())
    last = move(hub, 1)
    lab.run("sync")
    assert commits(lab) == {last}, "what the killed one had begun was its own, and may go"


def test_two_at_once_on_one_list_are_refused(hub: HubSimulator, lab: Lab) -> None:
    listed(lab)
    with hub.failing(SLOW):
        process = lab.start("sync")
        wait_until(lambda: hub.bytes_served > PART)
        assert "another hfmirror sync" in lab.run("sync", code=8).err
        lab.finish(process)


# Exactly


def test_locked_another_store_gets_the_same_objects(hub: HubSimulator, lab: Lab) -> None:
    listed(lab, "keep = 2", more=OTHER)
    lab.run("sync")
    move(hub, 1)
    lab.run("sync")
    first = lab.snapshot().name
    move(hub, 2)
    other = other_lab(lab)
    before = lock(other)
    other.run("sync", "--locked")
    assert other.objects().keys() == lab.objects().keys()
    assert other.snapshot().name == first
    assert commits(other) == commits(lab)
    assert lock(other) == before
    hub.reset_counts()
    other.run("sync", "--locked")
    assert hub.count() == 0
    lab.run("sync")
    (other.folder / "mirror.lock").write_bytes((lab.folder / "mirror.lock").read_bytes())
    other.run("sync", "--locked")
    assert other.snapshot().name == lab.snapshot().name != first


def test_locked_a_name_without_a_commit_is_refused_before_anything_is_done(hub: HubSimulator, lab: Lab) -> None:
    listed(lab)
    assert "mirror.lock" in lab.run("sync", "--locked", code=2).err
    lab.run("sync")
    listed(lab, more=OTHER)
    hub.reset_counts()
    assert "datasets/acme/rows@main" in lab.run("sync", "--locked", code=2).err
    assert hub.count() == 0


def test_the_record_of_another_store_frees_nothing_here(hub: HubSimulator, lab: Lab) -> None:
    listed(lab, "keep = 1")
    lab.run("sync")
    other = other_lab(lab)
    other.run("pull", "acme/tiny")
    first = other.snapshot().name
    last = move(hub, 1)
    other.run("sync")
    assert commits(other) == {first, last}


# Watching


def test_watching_it_goes_on_until_it_is_told_to_end(hub: HubSimulator, lab: Lab) -> None:
    listed(lab, top="every = 1")
    process = lab.start("sync", "--watch")
    wait_until(lambda: (lab.root / "hub").is_dir() and hub.count() > 0)
    last = move(hub, 1)
    wait_until(lambda: (lab.folder / "mirror.lock").exists() and locked_commits(lab)[:1] == [last])
    process.send_signal(signal.SIGTERM)
    lab.finish(process, code=TERMINATED, longest_s=AT_ONCE_S)
    assert lab.snapshot().name == last


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, TERMINATED), (signal.SIGINT, INTERRUPTED)])
def test_a_signal_ends_a_round_at_once_and_keeps_the_parts(
    hub: HubSimulator, lab: Lab, number: signal.Signals, code: int
) -> None:
    listed(lab, top="connections = 1")
    with hub.failing(slow_rate=PART, where="cdn"):
        process = lab.start("sync", "--watch")
        wait_until(lambda: hub.bytes_served > 2.5 * PART)
        process.send_signal(number)
        lab.finish(process, code=code, longest_s=AT_ONCE_S)
    lab.run("sync")
    hub.settle()
    assert hub.bytes_served <= SIZE * 1.02 + PART
    lab.assert_same(lab.snapshot())


def test_a_round_that_fails_does_not_end_the_watch(hub: HubSimulator, lab: Lab) -> None:
    file = listed(lab, top="every = 1")
    process = lab.start("sync", "--watch", "--json")
    wait_until(lambda: (lab.folder / "mirror.lock").exists())
    file.write_text("[[repo]", encoding="utf-8")
    assert process.stderr is not None
    for line in process.stderr:
        if "is no TOML" in line:
            break
    listed(lab, top="every = 1", more=OTHER)
    wait_until(lambda: "acme/rows" in lock(lab))
    process.send_signal(signal.SIGTERM)
    lab.finish(process, code=TERMINATED)


def test_what_the_list_may_not_say_is_refused(lab: Lab) -> None:
    listed(lab, "kep = 2")
    done = lab.run("sync", code=2)
    assert "'kep'" in done.err
    assert "keep" in done.err
    assert "cannot read nowhere.toml" in lab.run("sync", "nowhere.toml", code=2).err
    lab.run("sync", "--watch", "--dry-run", code=2)
    assert not lab.root.exists()
