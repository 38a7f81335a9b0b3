"""`hfmirror doctor`, from outside: a machine that is well, and some that are not."""

from __future__ import annotations

import getpass
import json
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.simulator import Made

if TYPE_CHECKING:
    from tests.behaviour.lab import Done, Lab
    from tests.simulator import HubSimulator

CLOSED = "http://127.0.0.1:9"  # nobody listens there
DISK = {"space", "write", "locks", "links", "rename", "case", "paths"}
OFFLINE_S = 20.0  # the checks give up after ten; starting a program on a busy machine takes a few


def levels(done: Done) -> dict[str, str]:
    """The level of each check."""
    (document,) = done.lines
    return {row["check"]: row["level"] for row in document["findings"]}


def test_a_machine_that_is_well(lab: Lab) -> None:
    before = lab.files()
    done = lab.run("doctor", "--json")
    found = levels(done)
    assert DISK | {"store", "settings", "engine", "proxy", "dns", "connect", "clock", "endpoint", "token"} == set(found)
    assert "fail" not in found.values()
    assert done.lines[0]["exit"] == 0
    assert lab.files() == before, "it leaves nothing behind"


def test_words_for_people(lab: Lab) -> None:
    done = lab.run("doctor", code=5, settings={"HF_ENDPOINT": CLOSED})
    assert "fail  connect   no connection to 127.0.0.1:9" in done.out
    assert "-> check the cable" in done.out
    assert "to mend before it can work" in done.err
    assert "space" in done.out


def test_without_a_network_it_ends_soon_and_tells_all_about_the_disk(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = lab.run("doctor", "--json", code=5, settings={"HF_ENDPOINT": endpoint}, longest_s=OFFLINE_S)
    found = levels(done)
    assert set(found) >= DISK
    assert found["endpoint"] == "fail"


def test_quick_asks_nobody(lab: Lab, hub: HubSimulator) -> None:
    found = levels(lab.run("doctor", "--json", "--quick"))
    assert DISK | {"store", "settings", "engine"} == set(found)
    assert hub.count() == 0


def test_a_login_page(lab: Lab, hub: HubSimulator) -> None:
    with hub.failing(html_200=True):
        done = lab.run("doctor", "--json", code=5)
    assert levels(done)["portal"] == "fail"


def test_a_redirect_to_a_login_page(lab: Lab, hub: HubSimulator) -> None:
    with hub.failing(redirect_to="http://login.hotel.example/"):
        done = lab.run("doctor", code=5)
    assert "login.hotel.example" in done.out


def test_a_token_that_is_refused(lab: Lab) -> None:
    done = lab.run("doctor", "--json", code=4, settings={"HF_TOKEN": "hf_verysecret"})
    assert levels(done)["token"] == "fail"
    assert "verysecret" not in done.said


def test_nothing_secret_is_in_the_report(lab: Lab) -> None:
    settings = {
        "HF_TOKEN": "hf_verysecret",
        "HTTP_PROXY": "http://me:verysecret@127.0.0.1:9",
        "REQUESTS_CA_BUNDLE": "/home/verysecret/ca.pem",
        "HFMIRROR_HOME": str(lab.folder / "home" / "mirror"),
        "HF_ENDPOINT": "http://me:verysecret@hub.test",
    }
    done = lab.run("doctor", "--json", code=5, settings=settings)
    found: dict[str, Any] = done.lines[0]
    assert found["root"] in ("~/mirror", "~\\mirror")
    assert "verysecret" not in done.said
    assert str(lab.folder) not in json.dumps(found["findings"])
    assert {row["check"]: row["level"] for row in found["findings"]}["proxy"] == "fail"


def test_the_rate(lab: Lab, hub: HubSimulator) -> None:
    hub.add("acme/large", {"model.bin": Made(4 * 2**20, seed=3)})
    done = lab.run("doctor", "--json", "--rate", "--repo", "acme/large")
    assert levels(done)["rate"] in ("ok", "note")
    assert not lab.root.exists(), "the bytes are thrown away"


@pytest.mark.parametrize("words", [("--rate",), ("--repo", "acme/tiny"), ("--rate", "--repo", "acme/tiny", "--quick")])
def test_words_that_make_no_sense(lab: Lab, words: tuple[str, ...]) -> None:
    done = lab.run("doctor", *words, code=2)
    assert "--rate" in done.err


@pytest.mark.skipif(sys.platform == "win32" or getpass.getuser() == "root", reason="needs folders that refuse us")
def test_a_folder_nobody_may_write_to(lab: Lab) -> None:
    lab.root.mkdir(mode=0o500)
    assert levels(lab.run("doctor", "--json", "--quick", code=8))["write"] == "fail"


def test_a_store_of_a_later_version(lab: Lab) -> None:
    lab.root.mkdir()
    (lab.root / "format.json").write_text('{"format": "hfmirror", "version": 99, "id": "x"}')
    done = lab.run("doctor", "--json", "--quick", code=8)
    assert levels(done)["store"] == "fail"
