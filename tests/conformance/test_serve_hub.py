"""huggingface_hub from 0.23 to 2.4, and the `hf` command, with a mirror as their Hub."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance import questions
from tests.conformance import shelf as on
from tests.conformance.clients import HUBS, RECIPES
from tests.conformance.scenes import DIRECT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tests.conformance.clients import Client
    from tests.conformance.questions import Question
    from tests.conformance.scenes import Scene

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(1200)]


def ask(
    scene: Scene, client: Client, asked: Sequence[Question], more: Mapping[str, str] | None = None
) -> list[tuple[dict[str, Any], Any, Any]]:
    """All questions in one process; the wishes that were answered wrongly, with both answers."""
    wishes = scene.person.home / "wishes.json"
    wishes.write_text(json.dumps([one.wish for one in asked]), encoding="utf-8")
    said = scene.python(client, "remote.py", str(wishes), more=more)
    assert f"huggingface_hub {said['version']}" == RECIPES[client.name].client
    answers = zip(asked, said["answers"], strict=True)
    return [
        (one.wish, answer, "" if callable(one.right) else one.right) for one, answer in answers if not one.fits(answer)
    ]


def judge(scene: Scene, wrong: list[tuple[dict[str, Any], Any, Any]]) -> None:
    """Fail, with all that was answered wrongly, and what was asked over the wire."""
    lines = [f"{wish}\n    said  {str(said)[:900]}\n    right {str(right)[:900]}" for wish, said, right in wrong]
    if lines:
        pytest.fail("\n".join([*lines, "", scene.transcript()]), pytrace=False)


@pytest.mark.parametrize("name", HUBS)
def test_the_python_client_is_at_home(
    name: str, scene: Scene, client: Callable[[str], Client], record_property: Callable[[str, object], None]
) -> None:
    record_property("client", RECIPES[name].client)
    one = client(name)
    judge(scene, ask(scene, one, questions.everything(scene)))

    before = len(scene.exchanges)
    judge(scene, ask(scene, one, questions.local(scene)))
    again = scene.exchanges[before:]
    assert again, "without a request this proves nothing"
    gets = [str(said) for said in again if said.method == "GET" and "/resolve/" in said.path]
    assert gets == [], "a file that is in the client's cache came again"

    before = len(scene.exchanges)
    judge(scene, ask(scene, one, questions.local(scene), {"HF_HUB_OFFLINE": "1"}))
    assert scene.exchanges[before:] == []
    assert scene.promises()


def test_the_hf_command_is_at_home(
    scene: Scene, client: Callable[[str], Client], record_property: Callable[[str, object], None]
) -> None:
    record_property("client", "hf 2.4.0")
    hf = str(client("hub-2.4").command("hf"))
    shas, plain = scene.shelf.shas(on.ODD), {"NO_COLOR": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    for _ in range(2):  # the second time on another machine of the lab
        scene.afresh()
        done = scene.command(hf, "download", on.ODD, more=plain)
        assert scene.shelf.commit(on.ODD) in done.stdout
        scene.command(hf, "cache", "verify", on.ODD, more=plain)
    folder = scene.person.home / "folder"
    scene.command(hf, "download", on.ODD, "--revision", "v1.0", "--local-dir", str(folder), more=plain)
    assert digests(folder) == scene.shelf.shas(on.ODD, "v1.0")
    scene.command(hf, "download", f"datasets/{on.ODD}", on.LARGE, "c++.txt", more=plain)
    done = scene.command(hf, "models", "info", on.ODD, more=plain)
    assert scene.shelf.commit(on.ODD) in done.stdout

    blob = next((scene.person.home / "hf" / "hub" / "models--acme--odd" / "snapshots").glob("*/c++.txt")).resolve()
    blob.chmod(0o644)
    blob.write_bytes(b"not what it was")
    assert scene.command(hf, "cache", "verify", on.ODD, more=plain, ok=False).returncode != 0
    assert len(shas) > 5
    assert scene.state == DIRECT or sound(scene)
    assert scene.promises()


def digests(folder: Path) -> dict[str, str]:
    """The sha256 of every file of a folder but the client's own."""
    from hashlib import sha256

    paths = (path for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts)
    return {path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest() for path in paths}


def sound(scene: Scene) -> bool:
    """Whether all that the mirror keeps is what its name says."""
    return scene.mirror.hfmirror("verify").returncode == 0
