"""A good neighbour: rates that hold, one budget for all, and quotas that are never run into.

How fast it was is not measured by a clock here. Whoever fetches within a budget takes pieces of the line,
and the store's file `locks/line` says how far the line is taken: so every byte leaves its mark.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from hfmirror.transfer.bucket import CREDIT_S
from hfmirror.transfer.budget import SLICE_S
from tests.behaviour.serve.lab import resolve, serve, wait_until
from tests.simulator import Made
from tests.simulator.quota import Quota

if TYPE_CHECKING:
    from pathlib import Path

    from tests.behaviour.lab import Lab
    from tests.simulator import HubSimulator

MIB = 2**20
LARGE = 3 * MIB + 5  # bytes; more than one part, and less than one span
FEW = 2 * MIB / 80  # bytes of each of many small files
EXAMPLE = "08:00 2M, 19:00 off"


@pytest.fixture(params=["requests", "curl"])
def engine(lab: Lab, request: pytest.FixtureRequest) -> str:
    """Both of them."""
    name = str(request.param)
    if name == "curl" and importlib.util.find_spec("pycurl") is None:
        pytest.skip("pycurl is not installed")
    lab.settings["HFMIRROR_ENGINE"] = name
    return name


@pytest.fixture(autouse=True)
def repos(hub: HubSimulator) -> None:
    """One large file, and many small ones."""
    hub.add("acme/large", {"model.bin": Made(LARGE, seed=5)})
    hub.add("acme/other", {"model.bin": Made(LARGE, seed=6)})
    hub.add("acme/turns", {f"{number}.bin": Made(100_000, seed=number) for number in range(12)})
    hub.add("acme/many", {f"{number}.bin": Made(int(FEW), seed=number) for number in range(80)})


def mark_of(lab: Lab) -> Path:
    """Where it stands how far the line is taken."""
    return lab.root / "locks" / "line"


def taken_s(lab: Lab, began: float) -> float:
    """Seconds of the line that were taken since then."""
    return float(mark_of(lab).read_text()) - began


def least_s(size: float, rate: float, processes: int = 1) -> float:
    """How much of the line so many bytes take, at least."""
    return size / rate - CREDIT_S - processes * SLICE_S[1]


def events(lines: list[Any], kind: str) -> list[Any]:
    return [line for line in lines if line.get("event") == kind]


# Rates


@pytest.mark.parametrize(("repo", "size"), [("acme/large", LARGE), ("acme/many", 80 * int(FEW))])
@pytest.mark.parametrize("more", [[], ["--connections", "16"]])
def test_a_pull_keeps_to_its_rate(lab: Lab, engine: str, repo: str, size: int, more: list[str]) -> None:
    began = time.time()
    lab.run("pull", repo, "--limit-rate", "2M", *more)
    assert taken_s(lab, began) >= least_s(size, 2 * MIB)
    lab.assert_same(lab.snapshot(repo), repo)


def test_what_is_held_back_by_us_is_no_stall_of_the_source(lab: Lab, engine: str) -> None:
    """A connection is left unread for longer than a source may be silent: twelve take turns on a thin line."""
    words = ["pull", "acme/turns", "--limit-rate", "256K", "--connections", "12", "--json"]
    done = lab.run(*words, settings={"HF_HUB_DOWNLOAD_TIMEOUT": "0.8"})
    assert events(done.lines, "waiting") == []
    assert done.lines[-1]["retries"] == 0


def test_what_is_not_wanted_is_not_asked_for(hub: HubSimulator, lab: Lab, engine: str) -> None:
    """Connections that help at the end, where the line is short, would bring bytes twice."""
    lab.run("pull", "acme/large", "--limit-rate", "1M")
    assert hub.ledger.settle(5)
    assert sum(record.sent for record in hub.requests if record.kind == "cdn") == LARGE


def test_two_pulls_share_one_budget(lab: Lab) -> None:
    began = time.time()
    pulls = [lab.start("pull", repo, "--limit-rate", "3M") for repo in ("acme/large", "acme/other")]
    for pull in pulls:
        lab.finish(pull)
    assert taken_s(lab, began) >= least_s(2 * LARGE, 3 * MIB, 2)


def test_a_server_and_a_pull_share_one_budget(lab: Lab) -> None:
    with serve(lab, "--limit-rate", "3M") as serving:
        began = time.time()
        pull = lab.start("pull", "acme/other", "--limit-rate", "3M")
        answer = serving.ask(resolve("acme/large", "model.bin"))
        lab.finish(pull)
    assert answer.whole == Made(LARGE, seed=5).data()
    assert taken_s(lab, began) >= least_s(2 * LARGE, 3 * MIB, 2)


def test_readers_of_a_server_get_what_is_held_without_limit(lab: Lab) -> None:
    with serve(lab, "--limit-rate", "4M") as serving:
        target = resolve("acme/large", "model.bin")
        assert serving.ask(target).whole == Made(LARGE, seed=5).data()
        wait_until(lambda: any(path.stat().st_size == LARGE for path in lab.objects().values()))
        mark = mark_of(lab).read_text()
        assert serving.ask(target).whole == Made(LARGE, seed=5).data()
        assert mark_of(lab).read_text() == mark


def test_the_other_commands_keep_to_it_too(lab: Lab) -> None:
    (lab.folder / "mirror.toml").write_text('[[repo]]\nname = "acme/large"\n')
    began = time.time()
    assert "at most 3.15 MB/s" in lab.run("sync", "--limit-rate", "3M").err
    assert taken_s(lab, began) >= least_s(LARGE, 3 * MIB)
    (damaged,) = [path for path in lab.objects().values() if path.stat().st_size == LARGE]
    damaged.chmod(0o644)
    damaged.write_bytes(bytes(LARGE))
    lab.run("verify", code=7)
    began = time.time()
    assert "at most 3.15 MB/s" in lab.run("repair", "--limit-rate", "3M").err
    assert taken_s(lab, began) >= least_s(LARGE, 3 * MIB)


def test_of_the_option_the_list_and_the_variable_the_first_one_counts(lab: Lab) -> None:
    (lab.folder / "mirror.toml").write_text('limit_rate = "3M"\n[[repo]]\nname = "acme/large"\n')
    variable = {"HFMIRROR_LIMIT_RATE": "1M"}
    began = time.time()
    assert "at most 3.15 MB/s" in lab.run("sync", settings=variable).err
    assert taken_s(lab, began) >= least_s(LARGE, 3 * MIB)
    elsewhere = {**variable, "HFMIRROR_HOME": str(lab.folder / "other")}
    assert "at most 5.24 MB/s" in lab.run("sync", "--limit-rate", "5M", settings=elsewhere).err


def test_python_may_say_the_rate_as_well(lab: Lab) -> None:
    code = "import hfmirror\nhfmirror.pull('acme/large', limit_rate='3M', watch=lambda event: None)\n"
    began = time.time()
    subprocess.run([sys.executable, "-c", code], env=lab.environment(), cwd=lab.folder, check=True, timeout=60)
    assert taken_s(lab, began) >= least_s(LARGE, 3 * MIB)


def test_without_a_limit_the_line_is_not_touched(lab: Lab) -> None:
    assert "at most" not in lab.run("pull", "acme/large", "--limit-rate", "off").said
    assert not mark_of(lab).exists()


# Words


def test_the_display_says_what_limits_it(lab: Lab) -> None:
    said = lab.run("pull", "acme/large", "--limit-rate", "00:00 5M, 00:01 5M").err
    assert "at most 5.24 MB/s\n" in said
    assert "until" not in said, "it never changes"
    lines = lab.run("pull", "acme/other", "--limit-rate", "5M", "--json").lines
    assert events(lines, "limited") == [{"event": "limited", "rate": 5 * MIB, "until": None}]


def test_the_display_says_until_when(lab: Lab) -> None:
    told = lab.run("pull", "acme/many", "--limit-rate", "00:00 5M, 12:00 6M", "--json").lines
    rates = {5 * MIB: "12:00", 6 * MIB: "00:00"}
    limits = events(told, "limited")
    assert limits
    assert all(rates[limit["rate"]] == limit["until"] for limit in limits)


def test_a_server_says_it_as_well(lab: Lab) -> None:
    with serve(lab, "--limit-rate", "5M") as serving:
        wait_until(lambda: "clients need" in serving.said)
    assert "at most 5.24 MB/s" in serving.err.read_text()
    first = json.loads(serving.out.read_text().partition("\n")[0])
    assert first["limit"] == {"rate": 5 * MIB, "until": None}


def test_the_environment_limits_and_the_option_wins(lab: Lab) -> None:
    settings = {"HFMIRROR_LIMIT_RATE": "5M"}
    assert "at most 5.24 MB/s" in lab.run("pull", "acme/large", settings=settings).err
    assert "at most 6.29 MB/s" in lab.run("pull", "acme/other", "--limit-rate", "6M", settings=settings).err


@pytest.mark.parametrize("command", ["pull", "serve", "sync", "repair"])
def test_a_rate_that_makes_no_sense_is_refused_with_an_example(lab: Lab, command: str) -> None:
    (lab.folder / "mirror.toml").write_text('[[repo]]\nname = "acme/large"\n')
    words = [command, "acme/large"] if command == "pull" else [command]
    done = lab.run(*words, "--limit-rate", "fast", code=2)
    assert "--limit-rate" in done.err
    assert EXAMPLE in done.err
    done = lab.run(*words, code=2, settings={"HFMIRROR_LIMIT_RATE": "08:00"})
    assert "HFMIRROR_LIMIT_RATE" in done.err
    assert EXAMPLE in done.err


# Quotas


def test_a_quota_is_obeyed_before_the_hub_refuses(hub: HubSimulator, lab: Lab, engine: str) -> None:
    """Eighty files, and thirty requests in two seconds."""
    hub.quotas["resolvers"] = quota = Quota(30, window_s=2.0)
    lab.run("pull", "acme/many", "--quiet")
    assert quota.refused == 0
    lab.assert_same(lab.snapshot("acme/many"), "acme/many")


class UsedUp(Quota):
    """Others have left nothing of it: its first window begins empty."""

    def draw(self, now: float) -> tuple[bool, int, int]:
        with self._lock:
            if not self._ends:
                self._ends = now + self.window_s
        return super().draw(now)


def test_a_quota_that_somebody_else_uses_up_is_waited_out(hub: HubSimulator, lab: Lab, engine: str) -> None:
    hub.quotas["resolvers"] = quota = UsedUp(1000, window_s=1.0)
    done = lab.run("pull", "acme/many", "--include", "1*.bin", "--json")
    assert quota.refused > 0
    assert any("too many requests" in event["why"] for event in events(done.lines, "waiting"))
    assert quota.refused <= 16, "no more than were under way when it was first said"


def test_names_are_asked_for_within_their_quota(hub: HubSimulator, lab: Lab) -> None:
    hub.quotas["api"] = quota = Quota(2, window_s=1.0)
    repos = ["acme/tiny", "acme/large", "acme/other"]
    (lab.folder / "mirror.toml").write_text("".join(f'[[repo]]\nname = "{repo}"\n' for repo in repos))
    lab.run("sync")
    assert quota.refused == 0
