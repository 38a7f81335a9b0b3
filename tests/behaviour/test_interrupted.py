"""Killed, interrupted, started twice: what has come is kept, and fetched once."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.conftest import SIZE
from tests.behaviour.lab import INTERRUPTED, PART, kill, wait_until
from tests.simulator import Faults, HubSimulator, Made

if TYPE_CHECKING:
    from tests.behaviour.lab import Lab

SLOW = Faults(slow_rate=4 * PART, where="cdn")  # for each connection
LARGE = 24 * PART + 5
AT_ONCE_S = 4.0  # far more than it takes, far less than the transfer it interrupts


@pytest.mark.parametrize("connections", ["1", "4"])
def test_killed_again_and_again_it_fetches_at_most_the_parts_in_flight(
    hub: HubSimulator, lab: Lab, connections: str
) -> None:
    hub.add("acme/large", {"model.safetensors": Made(LARGE, seed=5), "config.json": b"{}"})
    words = ("pull", "acme/large", "--connections", connections)
    kills = [5, 9, 12, 17]
    with hub.failing(SLOW):
        for parts in kills:
            process = lab.start(*words)
            wait_until(lambda parts=parts: hub.bytes_served > parts * PART)  # type: ignore[misc]
            kill(process)
            assert process.returncode == -signal.SIGKILL
            assert not list((lab.root / "objects").rglob("*.safetensors"))
            lab.assert_objects_sound()
    lab.run(*words)
    hub.settle()
    in_flight = len(kills) * int(connections) * PART
    assert hub.bytes_served <= LARGE * 1.02 + in_flight
    lab.assert_same(lab.snapshot("acme/large"), "acme/large")
    assert not list((lab.root / "incoming").iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_pull_says_how_to_go_on(hub: HubSimulator, lab: Lab, number: signal.Signals) -> None:
    with hub.failing(slow_rate=PART, where="cdn"):
        process = lab.start("pull", "acme/tiny", "--connections", "1")
        wait_until(lambda: hub.bytes_served > 2.5 * PART)
        process.send_signal(number)
        done = lab.finish(process, code=INTERRUPTED if number == signal.SIGINT else None, longest_s=AT_ONCE_S)
    if number == signal.SIGINT:
        assert "hfmirror pull" in done.err or "same command again" in done.err
        assert "kept" in done.err
    assert done.code not in {0, None}
    hub.settle()
    lab.run("pull", "acme/tiny")
    hub.settle()
    assert hub.bytes_served <= SIZE * 1.02 + PART
    lab.assert_same(lab.snapshot())


def test_an_interrupted_wait_ends_at_once(hub: HubSimulator, lab: Lab) -> None:
    with hub.failing(refuse=True):
        process = lab.start("pull", "acme/tiny", "--json")
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        done = lab.finish(process, code=INTERRUPTED, longest_s=AT_ONCE_S)
    assert all(isinstance(line, dict) for line in done.lines)


def test_a_stall_can_be_interrupted(hub: HubSimulator, lab: Lab) -> None:
    with hub.failing(stall_after=PART + 1000, stall_s=600, where="cdn"):
        process = lab.start("pull", "acme/tiny")
        wait_until(lambda: hub.bytes_served > PART)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        lab.finish(process, code=INTERRUPTED, longest_s=AT_ONCE_S)


def test_status_tells_what_is_unfinished(hub: HubSimulator, lab: Lab) -> None:
    with hub.failing(SLOW):
        process = lab.start("pull", "acme/tiny")
        wait_until(lambda: hub.bytes_served > 2 * PART)
        kill(process)
    (status,) = lab.run("status", "--json").lines
    assert status["wanted"]["objects"] == 5
    assert status["lacking"]["size"] >= SIZE
    assert status["unfinished"]
    assert lab.run("path", "acme/tiny", code=None).code in {0, 6}


def test_parts_that_were_damaged_on_the_disk_are_fetched_again(hub: HubSimulator, lab: Lab) -> None:
    with hub.failing(SLOW):
        process = lab.start("pull", "acme/tiny", "--connections", "1")
        wait_until(lambda: hub.bytes_served > 4.5 * PART)
        kill(process)
    (data,) = [p for p in (lab.root / "incoming").rglob("data") if p.stat().st_size >= PART]
    with data.open("r+b") as file:
        file.seek(PART // 2)
        byte = file.read(1)
        file.seek(PART // 2)
        file.write(bytes([byte[0] ^ 1]))
    lab.run("pull", "acme/tiny")
    hub.settle()
    assert hub.bytes_served <= SIZE * 1.02 + 2 * PART
    lab.assert_same(lab.snapshot())
    lab.assert_objects_sound()


# Two at a time


def test_two_pulls_of_one_repo_at_the_same_time(hub: HubSimulator, lab: Lab) -> None:
    with hub.failing(slow_rate=8 * PART, where="cdn"):
        both = [lab.start("pull", "acme/tiny") for _ in range(2)]
        for process in both:
            lab.finish(process)
    hub.settle()
    assert hub.bytes_served <= SIZE * 1.02 + PART
    lab.assert_same(lab.snapshot())
    lab.assert_objects_sound()
    assert not list((lab.root / "incoming").iterdir())


def test_a_pull_goes_on_where_another_one_that_shared_its_work_was_killed(hub: HubSimulator, lab: Lab) -> None:
    with hub.failing(SLOW):
        first = lab.start("pull", "acme/tiny", "--connections", "1")
        wait_until(lambda: hub.bytes_served > 2 * PART)
        second = lab.start("pull", "acme/tiny", "--connections", "1")
        wait_until(lambda: hub.bytes_served > 3 * PART)
        kill(first)
        lab.finish(second)
    hub.settle()
    assert hub.bytes_served <= SIZE * 1.02 + 4 * PART
    lab.assert_same(lab.snapshot())


def test_many_pulls_of_different_repos_share_a_file(hub: HubSimulator, lab: Lab) -> None:
    for n in range(3):
        hub.add(f"acme/copy{n}", {"model.safetensors": Made(SIZE, seed=2), "config.json": b"%d" % n})
    with hub.failing(slow_rate=8 * PART, where="cdn"):
        for process in [lab.start("pull", f"acme/copy{n}") for n in range(3)]:
            lab.finish(process)
    hub.settle()
    assert hub.bytes_served <= SIZE * 1.02 + PART
    inodes = {(lab.snapshot(f"acme/copy{n}") / "model.safetensors").stat().st_ino for n in range(3)}
    assert len(inodes) == 1


# Shared files, and requests that need not be


def test_a_file_of_two_repos_and_two_commits_is_fetched_and_kept_once(hub: HubSimulator, lab: Lab) -> None:
    weights = Made(SIZE, seed=2)
    lab.run("pull", "acme/tiny")
    first = lab.snapshot()
    hub.add("other/fork", {"weights/model.bin": weights, "notes.bin": weights})
    hub.add("acme/tiny", {"model.safetensors": weights, "config.json": b"new"})
    hub.settle()
    before = hub.bytes_served
    lab.run("pull", "other/fork")
    lab.run("pull", "acme/tiny")
    hub.settle()
    assert hub.bytes_served - before == len(b"new")
    places = [first / "model.safetensors", lab.snapshot() / "model.safetensors"]
    places += [lab.snapshot("other/fork") / name for name in ("weights/model.bin", "notes.bin")]
    assert first != lab.snapshot()
    assert len({(os.stat(p).st_dev, os.stat(p).st_ino) for p in places}) == 1
    large = [p for p in lab.objects().values() if p.stat().st_size == SIZE]
    assert len(large) == 1
    assert large[0].stat().st_ino == places[0].stat().st_ino


def test_a_repo_of_n_files_takes_two_and_n_requests(hub: HubSimulator, lab: Lab) -> None:
    files: dict[str, bytes] = {f"f{n}.txt": b"x%d" % n for n in range(15)}
    hub.add("acme/many", {**files, "a.safetensors": b"w" * 1000, "b.bin": b"v" * 1000})
    lab.run("pull", "acme/many")
    assert (
        hub.count(origin="hub") - hub.count("resolve-cache") == 2 + 17
    )  # the way of a small file goes over a redirect
    assert hub.count("resolve-cache") == 15
    assert hub.count(method="HEAD") == 0
    assert hub.count(method="GET") == hub.count()


def test_a_second_pull_asks_once_and_one_of_a_commit_not_at_all(hub: HubSimulator, lab: Lab) -> None:
    commit = hub.add("acme/tiny", {"config.json": b"1", "model.safetensors": b"w" * 1000})
    lab.run("pull", "acme/tiny")
    hub.reset_counts()
    lab.run("pull", "acme/tiny")
    assert hub.count() == 1
    hub.reset_counts()
    for words in (["acme/tiny", "--revision", commit], [f"acme/tiny@{commit}"]):
        done = lab.run("pull", *words)
        assert str(lab.snapshot()) in done.out
    assert hub.count() == 0
    for words in (["path", "acme/tiny"], ["ls"], ["info", "acme/tiny"], ["status"], ["verify"], ["env"]):
        lab.run(*words)
    assert hub.count() == 0


def test_with_the_hub_gone_what_is_here_is_good_enough(hub: HubSimulator, lab: Lab) -> None:
    lab.run("pull", "acme/tiny")
    with hub.failing(refuse=True):
        done = lab.run("pull", "acme/tiny", longest_s=30)
        assert "last asked" in done.err
        assert str(lab.snapshot()) in done.out
        quick = lab.run("pull", "acme/tiny", "--json", longest_s=30)
        assert quick.lines[-1]["event"] == "done"
    with hub.failing(status=503):
        lab.run("pull", "acme/tiny", longest_s=30)
    with hub.failing(html_200=True):
        lab.run("pull", "acme/tiny", longest_s=30)
    lab.settings["HF_ENDPOINT"] = "http://hub.invalid"
    lab.run("pull", "acme/tiny", longest_s=30)


def test_with_the_hub_gone_a_part_is_not_taken_for_the_whole(hub: HubSimulator, lab: Lab) -> None:
    lab.run("pull", "acme/tiny", "--include", "*.json")
    with hub.failing(refuse=True):
        lab.run("pull", "acme/tiny", "--include", "*.json", longest_s=30)
        lab.run("pull", "acme/tiny", "--patience", "0.5", code=5, longest_s=30)


def test_the_hubs_no_is_not_overruled_by_what_is_here(hub: HubSimulator, lab: Lab) -> None:
    lab.run("pull", "acme/tiny")
    hub.remove("acme/tiny")
    done = lab.run("pull", "acme/tiny", code=3)
    assert "acme/tiny" in done.err
    assert (lab.snapshot() / "config.json").exists()
    assert json.loads(lab.run("ls", "--json").out)
