"""Pulls in the background: one after the other, paused, resumed, and found again after any death."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from hfmirror.model import Kind, RepoId, Selection
from hfmirror.queue.job import Order
from hfmirror.queue.shelf import Shelf
from hfmirror.store.disk import DiskStore
from tests.behaviour.conftest import SIZE, SMALL
from tests.behaviour.lab import INTERRUPTED, PART, Lab, wait_until
from tests.simulator import Faults, HubSimulator, Made

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kills and looks at processes as POSIX has them")

HELD = Faults(slow_rate=2 * PART, hold_from=3 * PART, where="cdn")  # a file comes slowly, and half of it, until lifted
ONE = ("--connections", "1")
TOKEN = "hf_" + "Q" * 30


@pytest.fixture(autouse=True)
def nothing_left(lab: Lab) -> Iterator[None]:
    """Whatever a test did, no worker and no pull of its outlives it."""
    yield
    left = {pid for pid in (worker(lab), *pulls(lab)) if pid is not None}
    lab.run("cancel", "all", code=None)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: worker(lab) is None and not pulls(lab))


def worker(lab: Lab) -> int | None:
    """The process that works on the queue."""
    found = processes(lab, "resume")
    return found[0] if found else None


def pulls(lab: Lab) -> list[int]:
    """The pulls that it has under way."""
    return processes(lab, "pull")


def processes(lab: Lab, word: str) -> list[int]:
    """Our own processes on this store, by their words."""
    listed = subprocess.run(["ps", "-eww", "-o", "pid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    ours = re.compile(rf"\s*(\d+) [^Z\s]\S* .*import main; main\(\) {word} .*--root={re.escape(str(lab.root))}(\s|$)")
    return [int(match.group(1)) for match in map(ours.match, listed.splitlines()) if match]


def jobs(lab: Lab) -> dict[int, dict[str, Any]]:
    """What `status` says of each job."""
    (document,) = lab.run("status", "--json").lines
    return {row["job"]: row for row in document["jobs"]}


def states(lab: Lab) -> dict[int, str]:
    """How the jobs stand."""
    return {number: row["state"] for number, row in jobs(lab).items()}


def log(lab: Lab) -> str:
    """What the worker wrote down."""
    path = lab.root / "queue" / "log"
    return path.read_text("utf-8") if path.exists() else ""


def until_state(lab: Lab, number: int, state: str) -> dict[str, Any]:
    """Wait for a job to stand so."""
    report = lab.root / "queue" / str(number) / "report.json"
    wait_until(lambda: report.exists() and json.loads(report.read_text("utf-8"))["state"] == state)
    return jobs(lab)[number]


def begun(lab: Lab, hub: HubSimulator) -> None:
    """A pull in the background that has come some way, and goes no further for now."""
    lab.run("pull", "acme/tiny", "--background", *ONE)
    wait_until(lambda: hub.bytes_served > 2.5 * PART)


def reported(lab: Lab, number: int = 1) -> dict[str, Any]:
    """What the worker said last of a job."""
    report = lab.root / "queue" / str(number) / "report.json"
    told: dict[str, Any] = (
        json.loads(report.read_text("utf-8")) if report.exists() else {"here": 0, "rate": 0, "why": ""}
    )
    return told


def queued(lab: Lab, *repos: str, **fields: Any) -> Shelf:
    """Jobs that nobody works on: as after a restart of the machine."""
    store = DiskStore(lab.root)
    store.prepare()
    shelf = Shelf(store.layout.queue, store.drafts)
    settings = {"HF_ENDPOINT": lab.endpoint}
    for repo in repos:
        order = Order(RepoId.of(Kind.MODEL, repo), "main", Selection(), settings=settings, folder=str(lab.folder))
        shelf.add(order, **{"priority": 0, **fields})
    return shelf


# Coming


def test_it_comes_while_nobody_waits_and_the_worker_ends_by_itself(hub: HubSimulator, lab: Lab) -> None:
    with hub.failing(HELD):
        said = lab.run("pull", "acme/tiny", "--background").said
        assert "job 1" in said
        assert "hfmirror status" in said
        assert not list((lab.root / "refs").glob("*/*")), "the command came back before it was there"
    row = until_state(lab, 1, "done")
    assert (row["here"], row["why"]) == (row["size"], "")
    assert row["size"] == SIZE + sum(len(text) for text in SMALL.values() if isinstance(text, bytes))
    lab.assert_same(lab.snapshot())
    wait_until(lambda: worker(lab) is None)
    assert not (lab.root / "queue" / "worker.json").exists()


def test_status_says_how_far_it_is_and_why_the_next_one_waits(hub: HubSimulator, lab: Lab) -> None:
    hub.add("acme/next", {"a.bin": b"a"})
    with hub.failing(HELD):
        begun(lab, hub)
        lab.run("pull", "acme/next", "--background")
        wait_until(lambda: reported(lab)["rate"] > 0)
        shown = jobs(lab)
        text = lab.run("status").out
    assert 0 < shown[1]["here"] < shown[1]["size"]
    assert (shown[2]["state"], shown[2]["why"]) == ("waiting", "after job 1")
    assert re.search(r"1  running .* acme/tiny@main +\d+ %", text)
    until_state(lab, 2, "done")


def test_two_who_ask_at_once_start_one_worker(hub: HubSimulator, lab: Lab) -> None:
    hub.add("acme/other", {"a.bin": Made(PART * 4, seed=5)})
    with hub.failing(HELD):
        both = [lab.start("pull", repo, "--background") for repo in ("acme/tiny", "acme/other")]
        for process in both:
            lab.finish(process)
        assert set(states(lab)) == {1, 2}
    for number in (1, 2):
        until_state(lab, number, "done")
    assert log(lab).count("the worker begins") == 1
    hub.settle()
    assert hub.bytes_served <= (SIZE + 4 * PART) * 1.02 + PART


def test_the_highest_priority_goes_first_then_the_oldest(hub: HubSimulator, lab: Lab) -> None:
    for name in ("low", "first", "second", "high"):
        hub.add(f"acme/{name}", {"a.bin": name.encode()})
    queued(lab, "acme/low", priority=-5)
    queued(lab, "acme/first", "acme/second")
    queued(lab, "acme/high", priority=7)
    lab.run("resume", "--stay")
    assert re.findall(r"job \d+: acme/(\w+)@", log(lab)) == ["high", "first", "second", "low"]
    assert set(states(lab).values()) == {"done"}


def test_who_asks_again_for_the_same_gets_the_same_job(hub: HubSimulator, lab: Lab) -> None:
    with hub.failing(HELD):
        begun(lab, hub)
        lab.run("pull", "acme/tiny", "--background", *ONE, "--priority", "3")
        assert {number: row["priority"] for number, row in jobs(lab).items()} == {1: 3}
        lab.run("pull", "acme/tiny", "--background", "--include", "*.json")
        assert jobs(lab)[2]["include"] == ["*.json"]


def test_a_job_carries_the_options_of_the_pull(lab: Lab) -> None:
    words = ("--revision", "v1", "--include", "*.json", "--include", "sub/*", "--exclude", "README*")
    (lab.folder / "stick").mkdir()
    more = ("--patience", "70", "--limit-rate", "50M", "--from", "stick", "--pickles", "off")
    lab.run("pull", "acme/tiny", "--background", *words, "--local-dir", "mine", *more)
    row = until_state(lab, 1, "done")
    assert row["options"] == {
        "local-dir": str(lab.folder / "mine"),
        "patience": 70,
        "limit-rate": "50M",
        "from": [str(lab.folder / "stick")],
        "pickles": "off",
    }
    assert (row["revision"], row["exclude"]) == ("v1", ["README*"])
    wanted = ("config.json", "sub/vocab.txt")
    assert {p.relative_to(lab.folder / "mine").as_posix() for p in (lab.folder / "mine").rglob("*.*")} >= set(wanted)
    assert not (lab.folder / "mine" / "model.safetensors").exists()


def test_the_token_comes_from_the_environment_and_is_written_nowhere(hub: HubSimulator, lab: Lab) -> None:
    hub.add("acme/secret", {"a.bin": b"secret"}, private=True, token=TOKEN)
    lab.run("pull", "acme/secret", "--background", settings={"HF_TOKEN": TOKEN})
    until_state(lab, 1, "done")
    texts = [path.read_bytes() for path in (lab.root / "queue").rglob("*") if path.is_file()]
    assert len(texts) >= 3
    assert not any(TOKEN.encode() in text for text in texts)


def test_a_password_in_an_address_is_refused_before_it_is_written(lab: Lab) -> None:
    settings = {"HF_ENDPOINT": lab.endpoint.replace("://", "://me:sesame@")}
    done = lab.run("pull", "acme/tiny", "--background", code=2, settings=settings)
    assert "HF_ENDPOINT holds a password" in done.err
    assert "sesame" not in done.said
    words = ("--from", "https://me:sesame@elsewhere")
    assert "--from holds a password" in lab.run("pull", "acme/tiny", "--background", *words, code=2).err
    assert not lab.root.exists()


@pytest.mark.parametrize("word", ["--dry-run", "--print-urls"])
def test_what_fetches_nothing_has_no_place_in_the_background(lab: Lab, word: str) -> None:
    assert "--background" in lab.run("pull", "acme/tiny", "--background", word, code=2).err
    assert not lab.root.exists()


@pytest.mark.parametrize("words", [("--priority", "3"), ("--background", "--limit-rate", "much"), ("--background",)])
def test_what_makes_no_sense_is_said_while_somebody_listens(lab: Lab, words: tuple[str, ...]) -> None:
    repo = () if words == ("--background",) else ("acme/tiny",)
    lab.run("pull", *repo, *words, code=2)
    assert not lab.root.exists()


# Pausing


def test_paused_in_mid_file_and_resumed_it_fetches_at_most_a_part_again(hub: HubSimulator, lab: Lab) -> None:
    with hub.failing(HELD):
        begun(lab, hub)
        wait_until(lambda: reported(lab)["here"] >= PART)
        assert "job 1" in lab.run("pause").said
        wait_until(lambda: not pulls(lab))
        row = jobs(lab)[1]
        assert row["state"] == "paused"
        assert "hfmirror resume 1" in row["why"]
        assert row["here"] >= PART
    wait_until(lambda: worker(lab) is None)
    hub.settle()
    served = hub.bytes_served
    lab.run("gc", "--min-age", "0")
    lab.run("resume", "1")
    until_state(lab, 1, "done")
    hub.settle()
    assert hub.bytes_served <= SIZE * 1.02 + PART
    assert hub.bytes_served < served + SIZE - PART / 2, "what had come was taken up again"
    lab.assert_same(lab.snapshot())


def test_paused_while_the_hub_asks_for_patience_it_stops_at_once(hub: HubSimulator, lab: Lab) -> None:
    with hub.failing(status=429, retry_after_s=1000):
        lab.run("pull", "acme/tiny", "--background")
        wait_until(lambda: "trying again" in reported(lab)["why"])
        assert "too many requests" in jobs(lab)[1]["why"]
        lab.run("pause", "all")
        wait_until(lambda: not pulls(lab) and worker(lab) is None)


def test_started_by_a_script_that_cannot_be_interrupted_it_can_be_paused(hub: HubSimulator, lab: Lab) -> None:
    line = f"trap '' INT; exec {sys.executable} -m hfmirror pull acme/tiny --background --connections 1"
    with hub.failing(HELD):
        subprocess.run(["sh", "-c", line], env=lab.environment(), cwd=lab.folder, check=True, capture_output=True)
        wait_until(lambda: hub.bytes_served > PART)
        lab.run("pause")
        wait_until(lambda: not pulls(lab))
        wait_until(lambda: "stopped" in log(lab))


def test_cancelled_it_stops_and_what_came_stays_until_it_is_forgotten(hub: HubSimulator, lab: Lab) -> None:
    with hub.failing(HELD):
        begun(lab, hub)
        said = lab.run("cancel", "1").said
        wait_until(lambda: not pulls(lab) and worker(lab) is None)
    assert "hfmirror rm" in said
    assert states(lab) == {}
    assert not (lab.root / "queue" / "1" / "job.json").exists()
    lab.run("gc", "--min-age", "0")
    (status,) = lab.run("status", "--json").lines
    assert status["unfinished"][0]["kept"] >= PART
    lab.run("rm", "acme/tiny")
    lab.run("gc", "--min-age", "0")
    (status,) = lab.run("status", "--json").lines
    assert (status["unfinished"], status["held"]["objects"]) == ([], 0)
    assert "no job 1" in lab.run("resume", "1", code=2).err


# Dying


def test_killed_in_mid_file_the_worker_is_followed_by_another(hub: HubSimulator, lab: Lab) -> None:
    with hub.failing(HELD):
        begun(lab, hub)
        found = worker(lab)
        assert found is not None
        os.kill(found, signal.SIGKILL)
        wait_until(lambda: not pulls(lab))  # it finds nobody who listens
        row = jobs(lab)[1]
        assert row["state"] == "waiting"
        assert "hfmirror resume" in row["why"]
        assert not (lab.root / "hub").exists()
        lab.run("resume")
    until_state(lab, 1, "done")
    hub.settle()
    assert hub.bytes_served <= SIZE * 1.02 + 2 * PART
    lab.assert_same(lab.snapshot())


def test_after_the_power_failed_what_ran_goes_on_and_what_was_paused_rests(hub: HubSimulator, lab: Lab) -> None:
    hub.add("acme/rests", {"a.bin": b"a"})
    shelf = queued(lab, "acme/rests")
    shelf.pause(shelf.find(1))
    with hub.failing(HELD):
        begun(lab, hub)
        for pid in (worker(lab), *pulls(lab)):
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: worker(lab) is None and not pulls(lab))
        assert states(lab) == {1: "paused", 2: "waiting"}
    lab.run("resume", "--waiting", "--stay")
    assert states(lab) == {1: "paused", 2: "done"}
    hub.settle()
    assert hub.bytes_served <= SIZE * 1.02 + 2 * PART
    lab.assert_same(lab.snapshot())


def test_serve_goes_on_with_what_waits(hub: HubSimulator, lab: Lab) -> None:
    queued(lab, "acme/tiny")
    server = lab.start("serve", "--port", "0", "--quiet")
    until_state(lab, 1, "done")
    server.send_signal(signal.SIGTERM)
    lab.finish(server, code=None)
    lab.assert_same(lab.snapshot())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_worker_that_stays_ends_in_good_order(hub: HubSimulator, lab: Lab, number: int) -> None:
    queued(lab, "acme/tiny")
    with hub.failing(HELD):
        process = lab.start("resume", "--stay")
        wait_until(lambda: hub.bytes_served > PART)
        assert "another worker" in lab.run("resume", "--stay").err
        process.send_signal(number)
        said = lab.finish(process).err
    assert "stopped; what came is kept" in said
    assert not pulls(lab)
    assert states(lab) == {1: "waiting"}


# Failing


def test_a_job_that_fails_for_good_says_why_and_stops_nobody(hub: HubSimulator, lab: Lab) -> None:
    queued(lab, "acme/nobody", "acme/tiny")
    lab.run("resume", "--stay")
    shown = jobs(lab)
    assert (shown[1]["state"], shown[1]["error"]) == ("failed", "RepoNotFound")
    assert "knows no repo acme/nobody" in shown[1]["why"]
    assert "check the spelling" in shown[1]["hint"]
    assert shown[2]["state"] == "done"
    hub.add("acme/nobody", {"a.bin": b"a"})
    lab.run("resume", "--waiting", "--stay")
    assert states(lab)[1] == "failed"
    lab.run("resume", "all", "--stay")
    assert states(lab)[1] == "done"


def test_out_of_patience_it_waits_and_says_until_when(hub: HubSimulator, lab: Lab) -> None:
    with hub.failing(status=503):
        lab.run("pull", "acme/tiny", "--background", "--patience", "0")
        row = until_state(lab, 1, "waiting")
    assert row["error"] == "OutOfPatience"
    assert re.search(r"503.*; trying again at \d\d:\d\d:\d\d", row["why"])
    assert row["again_at"] > row["created"]
    assert worker(lab) is not None, "somebody must be there when the time has come"
    lab.run("resume", "1")
    until_state(lab, 1, "done")
    lab.assert_same(lab.snapshot())


def test_a_file_that_is_no_job_is_named_and_stops_nobody(lab: Lab) -> None:
    queued(lab, "acme/tiny")
    for number, text in (("7", "{"), ("8", '{"format": 1}'), ("9", '{"format": 99}')):
        (lab.root / "queue" / number).mkdir()
        (lab.root / "queue" / number / "job.json").write_text(text, encoding="utf-8")
    lab.run("resume", "--stay")
    shown = jobs(lab)
    assert shown[1]["state"] == "done"
    assert {shown[number]["state"] for number in (7, 8, 9)} == {"unreadable"}
    assert "hfmirror cancel 7" in shown[7]["why"]
    assert "newer" in shown[9]["why"]
    assert "unreadable" in lab.run("status").out
    assert "is no job" in lab.run("resume", "8", code=8).err
    lab.run("cancel", "7")
    assert set(states(lab)) == {1, 8, 9}
    assert "no job" in lab.run("cancel", "7", code=2).err
    assert "no job" in lab.run("pause", "x", code=2).err


def test_an_interrupted_pull_in_the_foreground_is_no_business_of_the_queue(hub: HubSimulator, lab: Lab) -> None:
    with hub.failing(HELD):
        process = lab.start("pull", "acme/tiny")
        wait_until(lambda: hub.bytes_served > PART)
        process.send_signal(signal.SIGINT)
        lab.finish(process, code=INTERRUPTED)
    assert states(lab) == {}
    assert not (lab.root / "queue").exists()
    assert "there is no such job" in lab.run("resume").err
