"""The Hub's clients for Node, with a mirror as their Hub."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from tests.conformance import clients
from tests.conformance import shelf as on
from tests.conformance.conftest import unavailable
from tests.conformance.questions import SPANS
from tests.conformance.scenes import DIRECT
from tests.material import SENTENCE, SENTENCE_IDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conformance.scenes import Scene

    Tell = Callable[[str, object], None]

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(1200)]

WIDTH, WORDS = 8, 1000  # of the browser's table: how wide, and when its numbers begin again
CLEAR = ("a b.txt", "c++.txt", "é/ü.txt", "config.json", "empty.txt", "deep/er/still.txt", on.LARGE)


@pytest.fixture(autouse=True)
def packages() -> None:
    """Both clients, in a folder of their own."""
    try:
        clients.packages()
    except clients.ClientMissing as missing:
        unavailable(f"the clients for Node: {missing}")


@pytest.mark.parametrize("revision", ["main", "refs/pr/1"])
def test_the_javascript_client_is_at_home(revision: str, scene: Scene, record_property: Tell) -> None:
    record_property("client", f"@huggingface/hub {clients.NODE['@huggingface/hub']}")
    shelf = scene.shelf
    # It puts `%`, `?` and `#` into addresses as they are, so files with these in their names are beyond it.
    clear = [path for path in CLEAR if scene.state != DIRECT or path != "empty.txt"]  # 416 from a plain server
    wishes = {"repo": on.ODD, "revision": revision, "paths": clear, "large": on.LARGE, "spans": SPANS}
    said = scene.node("hub.mjs", json.dumps({**wishes, "query": "odd", "missing": on.MISSING}))
    assert said["version"] == clients.NODE["@huggingface/hub"]
    shas, rows, main = shelf.shas(on.ODD, revision), shelf.rows(on.ODD, revision), shelf.commit(on.ODD)
    large = shelf.files(on.ODD, revision)[on.LARGE]
    assert said["files"] == {path: shas[path] for path in clear}
    assert said["pieces"] == [hashlib.sha256(large[start:stop]).hexdigest() for start, stop in SPANS]
    assert said["absent"] is None
    assert said["exists"] == [True, False, True]
    assert (said["info"]["id"], said["info"]["sha"]) == (on.ODD, main)
    assert sorted(said["info"]["files"]) == sorted(shelf.files(on.ODD))
    assert said["listed"] == {path: row[0] for path, row in rows.items()}
    assert said["some"] == [[on.LARGE, rows[on.LARGE][2]]]
    assert said["commits"][0] == shelf.commit(on.ODD, revision)
    assert on.ODD in said["models"]
    assert scene.state == DIRECT or all("odd" in name.lower() for name in said["models"])
    assert said["missing"]["status"] in ({404} if scene.state != DIRECT else {401, 404})
    assert scene.promises()


def test_a_snapshot_by_the_javascript_client(scene: Scene, record_property: Tell) -> None:
    record_property("client", f"@huggingface/hub {clients.NODE['@huggingface/hub']}")
    said = scene.node("snapshot.mjs", on.BROWSER)
    assert said == {"commit": scene.shelf.commit(on.BROWSER), "files": scene.shelf.shas(on.BROWSER)}
    assert scene.promises()


def test_transformers_for_javascript_is_at_home(scene: Scene, record_property: Tell) -> None:
    record_property("client", f"@huggingface/transformers {clients.NODE['@huggingface/transformers']}")
    said = scene.node("browser.mjs", on.BROWSER, SENTENCE, on.MISSING)
    assert said["version"] == clients.NODE["@huggingface/transformers"]
    assert said["kind"] == "bert"
    assert [said["ids"]] == SENTENCE_IDS
    assert said["dims"] == [1, len(SENTENCE_IDS[0]), WIDTH]
    row = [(WIDTH * SENTENCE_IDS[0][0] + column) % WORDS / WORDS for column in range(WIDTH)]
    assert said["first"] == pytest.approx(row, abs=1e-6)
    assert said["missing"] != ""
    assert scene.promises()
