"""Corners: odd hubs, odd repos, odd ways to start the command."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.conftest import SIZE
from tests.behaviour.lab import INTERRUPTED, PART, digests
from tests.simulator import Faults, HubSimulator, Made, served

if TYPE_CHECKING:
    from tests.behaviour.lab import Lab

ODD_HUBS = {
    "no ranges, no length, 401 for 404": Faults(unranged_hub=True),
    "never a range": Faults(ignore_range=True),
    "never a length": Faults(no_length=True),
    "never an ETag twice": Faults(etag_changes=True),
    "gzip for all but ranges": Faults(gzip_anyway=True, where="api"),
}


@pytest.mark.parametrize("hidden", ["", "pycurl"])
@pytest.mark.parametrize("name", ODD_HUBS)
def test_an_odd_hub_does_no_harm(hub: HubSimulator, lab: Lab, name: str, hidden: str) -> None:
    if hidden:
        (lab.folder / "hidden").mkdir()
        (lab.folder / "hidden" / "pycurl.py").write_text("raise ImportError('hidden by a test')\n")
        lab.settings["PYTHONPATH"] = str(lab.folder / "hidden")
    with hub.failing(ODD_HUBS[name]):
        lab.run("pull", "acme/tiny", "--patience", "5")
    lab.assert_same(lab.snapshot())
    lab.assert_objects_sound()


def test_a_hub_without_a_cdn(hub: HubSimulator, lab: Lab) -> None:
    with served(hub, cdn=False) as site:
        lab.endpoint = site.endpoint
        with hub.failing(reset_after=0, every=2 * PART, where="resolve"):
            lab.run("pull", "acme/tiny")
    hub.settle()
    lab.assert_same(lab.snapshot())
    assert hub.bytes_served <= SIZE * 1.02 + 3 * PART


def test_a_redirect_in_circles_comes_to_an_end(hub: HubSimulator, lab: Lab) -> None:
    with hub.failing(redirect_to="{target}"):
        done = lab.run("pull", "acme/tiny", "--patience", "1", code=None, longest_s=30)
    assert done.code in {5, 9}


def test_a_repo_without_files(hub: HubSimulator, lab: Lab) -> None:
    hub.add("acme/empty", {})
    done = lab.run("pull", "acme/empty", code=None)
    assert done.code in {0, 3}
    assert "acme/empty" in done.err


def test_a_repo_of_empty_files(hub: HubSimulator, lab: Lab) -> None:
    hub.add("acme/empties", {"a.txt": b"", "b/c.bin": b"", "d.safetensors": b""})
    lab.run("pull", "acme/empties")
    assert digests(lab.snapshot("acme/empties")) == lab.expected("acme/empties")
    lab.run("verify")


def test_an_object_that_went_missing_is_fetched_again(hub: HubSimulator, lab: Lab) -> None:
    lab.run("pull", "acme/tiny")
    victim = hub.stored("acme/tiny", "config.json").digest
    lab.objects()[str(victim)].unlink()
    (status,) = lab.run("status", "--json").lines
    assert status["lacking"]["objects"] == 1
    lab.run("pull", "acme/tiny")
    lab.assert_same(lab.snapshot())
    assert str(victim) in lab.objects()


def test_a_file_that_somebody_replaced_in_the_view_is_put_right(lab: Lab) -> None:
    lab.run("pull", "acme/tiny")
    place = lab.snapshot() / "config.json"
    place.unlink()
    place.write_bytes(b"tampered")
    lab.run("verify")  # the objects are as they were
    lab.run("pull", "acme/tiny")
    assert place.read_bytes() in {b"tampered", lab.hub.content("acme/tiny", "config.json")}
    lab.assert_objects_sound()


@pytest.mark.parametrize("words", [["ls"], ["pull", "acme/tiny"], ["info", "acme/tiny"], ["--help"]])
def test_nobody_reads_what_it_prints(lab: Lab, words: list[str]) -> None:
    lab.run("pull", "acme/tiny")
    with subprocess.Popen(
        [sys.executable, "-m", "hfmirror", *words],
        env=lab.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
    assert b"Traceback" not in err
    assert b"Exception ignored" not in err


def test_a_root_that_is_relative_or_at_home(lab: Lab) -> None:
    lab.run("pull", "acme/tiny", "--include", "*.json", "--root", "here")
    assert lab.run("path", "--root", "here").out == f"{lab.folder}/here/hub\n"
    lab.settings["HFMIRROR_HOME"] = "~/models"
    assert lab.run("path").out == f"{lab.folder}/home/models/hub\n"


def test_the_root_is_where_the_platform_keeps_data(lab: Lab) -> None:
    place = lab.run("path", settings={"HFMIRROR_HOME": ""}).out
    assert place.startswith(str(lab.folder / "home"))
    data = str(lab.folder / "data")
    if sys.platform == "linux":
        assert lab.run("path", settings={"HFMIRROR_HOME": "", "XDG_DATA_HOME": data}).out.startswith(data)


def test_a_pull_without_a_home_that_can_be_written(hub: HubSimulator, lab: Lab) -> None:
    lab.run("pull", "acme/tiny", settings={"HOME": "/nonexistent", "HF_HOME": ""})
    lab.assert_same(lab.snapshot())


def test_two_verifies_and_an_interrupted_one(hub: HubSimulator, lab: Lab) -> None:
    hub.add("acme/large", {"model.bin": Made(64 * PART, seed=4)})
    lab.run("pull", "acme/large")
    both = [lab.start("verify", "--json") for _ in range(2)]
    for process in both:
        assert lab.finish(process).lines[-1]["damaged"] == []
    process = lab.start("verify")
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert lab.finish(process, code=None, longest_s=10).code in {0, INTERRUPTED, -signal.SIGINT}
