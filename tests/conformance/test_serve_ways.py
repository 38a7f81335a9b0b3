"""Other ways to the same mirror: a token of somebody's, a path prefix, TLS, a pinned commit, eight at once."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.bench.hub import PeerMissing
from tests.bench.tls import new_certificate
from tests.conformance import questions, scenes
from tests.conformance import shelf as on
from tests.conformance.conftest import unavailable
from tests.conformance.machine import HERE, Machine, answer, run, said
from tests.conformance.serving import serving
from tests.conformance.tap import tapped
from tests.simulator import HubSimulator, Made, served

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.conformance.clients import Client
    from tests.conformance.questions import Question
    from tests.conformance.scenes import Scene

    Build = Callable[[str], Client]

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(600)]

ENDS = ("hub-0.23", "hub-2.4")  # the oldest client and the newest
LIMIT_S = 120
EIGHT = 8
LINE_B_S = 10e6  # bytes per second and connection
SLACK = 0.25  # of the file: what was under way wherever one run gave way to another
MEBIBYTES_20 = Made(20 * 2**20 + 12_345, seed=21)
EVERY_STATE = pytest.mark.parametrize("scene", scenes.STATES, indirect=True)
ONLY_WARM = pytest.mark.parametrize("scene", ["warm"], indirect=True)
STRANGER = "hf_" + "abcdefghijklmnopqrstuvwxyz01234567"  # nobody's token, of the right form


def asked(scene: Scene) -> list[Question]:
    """Enough to see that nothing is missing."""
    return [*questions.files(scene), *questions.snapshots(scene), *questions.listings(scene)]


def wrong(scene: Scene, python: Path, about: Sequence[Question], more: dict[str, str]) -> list[str]:
    """What was answered wrongly to a client with these variables."""
    wishes = scene.person.home / "wishes.json"
    wishes.write_text(json.dumps([one.wish for one in about]), encoding="utf-8")
    command = [str(python), str(HERE / "inside" / "remote.py"), str(wishes)]
    done = run(command, scene.environment(more), scene.person.home)
    assert done.returncode == 0, said(done)
    answers = zip(about, answer(done)["answers"], strict=True)
    return [f"{one.wish}: {str(told)[:500]}" for one, told in answers if not one.fits(told)]


@EVERY_STATE
@pytest.mark.parametrize("name", ENDS)
def test_a_token_that_is_not_for_this_mirror_hurts_nobody(name: str, scene: Scene, client: Build) -> None:
    assert wrong(scene, client(name).python, asked(scene), {"HF_TOKEN": STRANGER}) == []
    scene.exchanges += scene.tap.take()
    assert scene.promises()


@ONLY_WARM
def test_a_held_commit_costs_the_hub_no_request(scene: Scene, client: Build) -> None:
    commit = scene.shelf.commit(on.ODD)
    shas = scene.shelf.shas(on.ODD)
    about = questions.about(on.ODD, commit)
    some = [
        questions.Question({"act": "files", **about, "paths": sorted(shas)}, {"files": shas, "commits": [commit]}),
        questions.Question({"act": "snapshot", **about, "patterns": None}, {"files": shas, "commit": commit}),
    ]
    assert wrong(scene, client("hub-2.4").python, some, {}) == []
    assert [record.path for record in scene.hub.requests] == []


@ONLY_WARM
@pytest.mark.parametrize("name", ENDS)
def test_a_path_prefix_is_kept_in_every_address(name: str, scene: Scene, client: Build) -> None:
    with serving(scene.mirror, "--prefix", "/hf") as server, tapped(server.endpoint) as tap:
        scene.tap = tap
        more = {"HF_ENDPOINT": f"{tap.endpoint}/hf"}
        assert wrong(scene, client(name).python, asked(scene), more) == []
        scene.exchanges += tap.take()
        assert scene.exchanges
        assert [str(one) for one in scene.exchanges if not one.target.startswith("/hf/")] == []
        assert scene.promises()


@ONLY_WARM
@pytest.mark.parametrize("name", ENDS)
def test_https_is_as_good(name: str, scene: Scene, client: Build, tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    folder.mkdir()
    try:
        paper = new_certificate(folder)
    except PeerMissing as missing:
        unavailable(str(missing))
    with serving(scene.mirror, "--tls-cert", str(paper.public), "--tls-key", str(paper.secret)) as server:
        assert server.endpoint.startswith("https://")
        scene.beside = (server.endpoint,)
        trusted = {"SSL_CERT_FILE": str(paper.authority), "REQUESTS_CA_BUNDLE": str(paper.authority)}
        about = [*asked(scene), *questions.absences(scene), *questions.pieces(scene)]
        more = {"HF_ENDPOINT": server.endpoint, **trusted}
        assert wrong(scene, client(name).python, about, more) == []


def test_eight_at_once_cost_the_hub_one_file(tmp_path: Path) -> None:
    hub = HubSimulator()
    hub.add("acme/large", {"model.safetensors": MEBIBYTES_20})
    hub.add("acme/same", {"renamed.bin": MEBIBYTES_20})
    # At the loopback's own speed an answer that is given up costs what its buffers held; on a line it does not.
    with served(hub) as at, hub.failing(where="cdn", slow_rate=LINE_B_S):
        machine = Machine(tmp_path, at.endpoint)
        with serving(machine) as server:
            addresses = [
                f"{server.endpoint}/acme/{path}"
                for path in ("large/resolve/main/model.safetensors", "same/resolve/main/renamed.bin")
            ]
            curl = ["curl", "-sSf", "--noproxy", "*", "-o"]
            running = [
                subprocess.Popen([*curl, str(tmp_path / f"out{n}"), addresses[n % 2]], env=machine.environment())
                for n in range(EIGHT)
            ]
            assert [one.wait(LIMIT_S) for one in running] == [0] * EIGHT
        expected = hub.content("acme/large", "model.safetensors")
        assert all((tmp_path / f"out{n}").read_bytes() == expected for n in range(EIGHT))
        hub.settle()
    assert len(expected) <= hub.bytes_served <= len(expected) * (1 + SLACK), scenes.upstream(hub)
