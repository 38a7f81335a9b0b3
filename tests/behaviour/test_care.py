"""Looking after a store: checks that sample, go on and keep to a rate; quotas; what is listed and explained."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.conftest import SIZE
from tests.behaviour.lab import INTERRUPTED, PART, wait_until
from tests.behaviour.test_store import damage
from tests.simulator import HubSimulator, Made

if TYPE_CHECKING:
    from pathlib import Path

    from tests.behaviour.lab import Lab

CARD = b"---\nlicense: mit\n---\n# a model\n"


@pytest.fixture
def pulled(lab: Lab) -> Lab:
    """A lab that has the model."""
    lab.run("pull", "acme/tiny")
    return lab


# Checks


def test_a_sample_reads_less(pulled: Lab) -> None:
    (report,) = pulled.run("verify", "--sample", "1%", "--json").lines
    assert 0 < report["size"] < SIZE
    assert report["damaged"] == []


def test_a_sample_of_all_finds_damage(hub: HubSimulator, pulled: Lab) -> None:
    digest = hub.stored("acme/tiny", "model.safetensors").digest
    damage(pulled.objects()[str(digest)])
    done = pulled.run("verify", "--sample", "100%", "--json", code=7)
    assert done.lines[0]["damaged"] == [str(digest)]
    report = (pulled.root / "quarantine" / f"sha256-{digest.hex}.txt").read_text()
    assert "acme/tiny@" in report
    assert "model.safetensors" in report
    pulled.run("repair")
    assert not list((pulled.root / "quarantine").iterdir())
    pulled.assert_same(pulled.snapshot())


def test_only_what_was_not_proven_lately(pulled: Lab) -> None:
    (report,) = pulled.run("verify", "--older-than", "1d", "--json").lines
    assert (report["checked"], report["skipped"]) == (0, 5)
    (report,) = pulled.run("verify", "--older-than", "0s", "--json").lines
    assert (report["checked"], report["skipped"]) == (5, 0)
    assert "5 objects were proven lately enough" in pulled.run("verify", "--older-than", "1d").err


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_check_that_is_broken_off_goes_on(hub: HubSimulator, lab: Lab, how: signal.Signals) -> None:
    for seed in range(8):
        hub.add("acme/many", {f"{number}.bin": Made(2 * PART, seed=number) for number in range(seed + 1)})
    lab.run("pull", "acme/many")
    record = lab.root / "proven"
    process = lab.start("verify", "--limit-rate", "4M")
    wait_until(lambda: record.exists() and record.read_text().count(" sha256:") > 1)
    process.send_signal(how)
    out, err = process.communicate()
    assert process.returncode == (INTERRUPTED if how == signal.SIGINT else -how), out + err
    (report,) = lab.run("verify", "--json").lines
    assert report["resumed"]
    assert report["checked"] + report["skipped"] == 8
    assert 2 <= report["skipped"] < 8
    (report,) = lab.run("verify", "--json").lines
    assert (report["resumed"], report["checked"]) == (False, 8)


@pytest.mark.parametrize(
    "words",
    [["--sample", "5"], ["--sample", "0%"], ["--sample", "101%"], ["--older-than", "soon"], ["--limit-rate", "fast"]],
)
def test_words_that_are_no_amounts(pulled: Lab, words: list[str]) -> None:
    done = pulled.run("verify", *words, code=2)
    assert words[0] in done.err
    assert "write it like" in done.err


# Quotas


def age(lab: Lab, repo: str, days: float, *, demand: bool) -> None:
    """As if a repo had been used last so long ago, by a client or a person."""
    (path,) = (lab.root / "pins" / f"models--{repo.replace('/', '--')}").iterdir()
    document = json.loads(path.read_text())
    document["used"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - days * 86_400))
    if demand:
        document |= {"asked": [], "demand": {"revision": "main"}}
    path.write_text(json.dumps(document))


@pytest.fixture
def crowded(hub: HubSimulator, lab: Lab) -> Lab:
    """A store with three repos of two parts each, of which clients asked for two."""
    for number, name in enumerate(["old", "older", "mine"]):
        hub.add(f"acme/{name}", {"model.bin": Made(2 * PART, seed=20 + number), "README.md": CARD})
    lab.run("pull", "acme/old", "acme/older", "acme/mine")
    age(lab, "acme/old", 5, demand=True)
    age(lab, "acme/older", 50, demand=True)
    age(lab, "acme/mine", 500, demand=False)
    return lab


def names(lab: Lab) -> set[str]:
    return {row["repo"] for row in lab.run("ls", "--json").lines[0]}


def test_gc_keeps_to_a_quota_and_says_what_goes(crowded: Lab) -> None:
    objects = set(crowded.objects())
    done = crowded.run("gc", "--to", "5M", "--dry-run")
    assert "acme/older@" in done.err
    assert "2.1 MB, last used 50 d ago, to make room" in done.err
    assert "acme/old@" not in done.err
    assert "would free 2.1 MB in 1 objects" in done.out
    assert set(crowded.objects()) == objects
    (report,) = crowded.run("gc", "--to", "5M", "--json").lines
    assert [(row["repo"], row["size"]) for row in report["evicted"]] == [("acme/older", 2 * PART)]
    assert (report["freed"], report["short"]) == (2 * PART, 0)
    assert names(crowded) == {"acme/old", "acme/mine"}


def test_a_quota_in_the_environment(crowded: Lab) -> None:
    done = crowded.run("gc", "--json", settings={"HFMIRROR_QUOTA": "1M"}, code=8)
    assert done.lines[0]["short"] > PART
    assert done.lines[1]["error"] == "QuotaFull"
    assert names(crowded) == {"acme/mine"}
    assert "quota of 1 MB" in done.err


def test_a_pull_makes_room_first(hub: HubSimulator, crowded: Lab) -> None:
    hub.add("acme/new", {"model.bin": Made(2 * PART, seed=50)})
    crowded.run("pull", "acme/new", settings={"HFMIRROR_QUOTA": "7M"})
    assert names(crowded) == {"acme/old", "acme/mine", "acme/new"}


def test_a_pull_for_which_no_room_can_be_made_changes_nothing(hub: HubSimulator, crowded: Lab) -> None:
    hub.add("acme/new", {"model.bin": Made(2 * PART, seed=50)})
    objects = set(crowded.objects())
    hub.reset_counts()
    done = crowded.run("pull", "acme/new", settings={"HFMIRROR_QUOTA": "4M"}, code=8)
    assert hub.bytes_served == 0
    assert "quota of 4 MB" in done.err
    assert "HFMIRROR_QUOTA" in done.err
    assert set(crowded.objects()) == objects


def test_room_is_left_on_the_disk(crowded: Lab) -> None:
    done = crowded.run("gc", "--min-free", "9000TB", "--dry-run", "--json", code=8)
    assert len(done.lines[0]["evicted"]) == 2
    assert "to be left free" in done.lines[1]["message"]


# What is listed, and why it is here


def test_ls_and_info_say_what_is_unique_when_it_was_used_and_the_licence(hub: HubSimulator, crowded: Lab) -> None:
    row = next(row for row in crowded.run("ls", "--json").lines[0] if row["repo"] == "acme/mine")
    assert (row["unique"], row["shared"], row["repo_unique"]) == (2 * PART, len(CARD), 2 * PART)
    assert (row["wanted"], row["size"], row["asked"]) == (2 * PART + len(CARD), 2 * PART + len(CARD), True)
    table = crowded.run("ls").out
    assert "LAST USE" in table
    assert "2.1 MB" in table
    info = crowded.run("info", "acme/mine")
    assert f"{len(CARD)} B are shared with other commits" in info.out
    assert "last use:" in info.out


def test_the_card_tells_the_licence_where_the_hub_said_nothing(crowded: Lab) -> None:
    for path in (crowded.root / "about").rglob("*.json"):
        path.unlink()
    (info,) = crowded.run("info", "acme/mine", "--json").lines
    assert (info["licence"], info["gated"]) == ("mit", False)
    assert "mit" in crowded.run("ls").out


def test_why_says_on_whose_word_and_when_it_was_proven(hub: HubSimulator, pulled: Lab) -> None:
    digest = str(hub.stored("acme/tiny", "config.json").digest)
    (reason,) = pulled.run("why", digest, "--json").lines[0]
    assert reason["wanted_by"][0]["told_by"] == pulled.endpoint
    came = reason["proven"]
    path: Path = pulled.objects()[digest]
    assert came == reason["since"]
    path.chmod(0o644)
    (pulled.root / "proven").write_text(f"hfmirror-proven 1\n1000000000 {digest}\n")
    (reason,) = pulled.run("why", digest, "--json").lines[0]
    assert reason["proven"].startswith("2001-09-")
    words = pulled.run("why", "config.json").out
    assert "last proven 2001-09-" in words
    assert f"as {pulled.endpoint} says" in words
