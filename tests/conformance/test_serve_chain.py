"""A mirror as the Hub of another mirror, and of `hfmirror pull`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.conformance import questions
from tests.conformance import shelf as on
from tests.conformance.machine import Machine
from tests.conformance.scenes import DIRECT, Scene
from tests.conformance.serving import serving
from tests.conformance.tap import tapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conformance.clients import Client

    Build = Callable[[str], Client]
    Tell = Callable[[str, object], None]

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(600)]

PULLED = (on.ODD, f"{on.ODD}@v1.0", f"{on.ODD}@refs/pr/1", f"datasets/{on.ODD}", on.CANONICAL, on.CHINESE)


@pytest.fixture
def second(scene: Scene, tmp_path: Path) -> Iterator[Scene]:
    """The same state one mirror further: an empty mirror whose Hub is the one of the scene."""
    if scene.state == DIRECT:
        pytest.skip("there is no mirror in this state")
    machine = Machine(tmp_path / "second", scene.tap.endpoint)
    machine.home.mkdir()
    with serving(machine) as server, tapped(server.endpoint) as tap:
        yield Scene(scene.state, scene.shelf, tap, machine, scene.person)


def test_a_mirror_is_a_hub_for_a_mirror(
    second: Scene, scene: Scene, client: Build, record_property: Tell, tmp_path: Path
) -> None:
    record_property("client", "hfmirror serve")
    asked = [*questions.files(second), *questions.snapshots(second), *questions.pieces(second)]
    wishes = tmp_path / "wishes.json"
    wishes.write_text(json.dumps([one.wish for one in asked]), encoding="utf-8")
    between: list[str] = []
    for _ in range(2):  # the second time it is somebody else, and nothing comes again
        second.afresh()
        said = second.python(client("hub-2.4"), "remote.py", str(wishes))
        wrong = [(one.wish, answer) for one, answer in zip(asked, said["answers"], strict=True) if not one.fits(answer)]
        assert wrong == []
        files = [str(one) for one in scene.tap.exchanges if one.method == "GET" and "/resolve/" in one.path]
        assert not between or files == between
        between = files
    assert between
    second.mirror.hfmirror("verify")
    scene.exchanges += scene.tap.exchanges
    assert second.promises()
    assert scene.promises()


def test_pull_takes_a_mirror_for_the_hub(scene: Scene, record_property: Tell) -> None:
    record_property("client", "hfmirror pull")
    scene.person.endpoint = scene.tap.endpoint
    scene.person.hfmirror("pull", *PULLED)
    scene.person.hfmirror("verify")
    first = scene.tap.take()
    for repo, revision in ((on.ODD, "main"), (on.ODD, "v1.0"), (on.ODD, "refs/pr/1"), (on.CHINESE, "main")):
        folder = scene.person.path(f"{repo}@{revision}")
        assert folder.name == scene.shelf.commit(repo, revision)
        kept = {path: (folder / path).read_bytes() for path in scene.shelf.files(repo, revision)}
        assert kept == scene.shelf.files(repo, revision)

    scene.person.hfmirror("pull", *PULLED)
    again = scene.tap.take()
    assert [str(one) for one in again if "/resolve/" in one.path] == []
    missing = scene.person.hfmirror("pull", on.MISSING, ok=False)
    assert missing.returncode != 0
    assert "Traceback" not in missing.stderr
    scene.exchanges += [*first, *again, *scene.tap.take()]
    assert scene.promises()
