"""A soak of some seconds, and that its last look sees what it is there to see. The long one: `tests.faults.soak`."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from tests.faults.soak import Soak
from tests.faults.soak_check import FOLDER, wrong_files, wrong_store

if TYPE_CHECKING:
    from pathlib import Path

COMMIT = "c" * 40


@pytest.mark.timeout(300)
def test_after_faults_kills_and_restarts_nothing_is_lost_wrong_or_left_over(tmp_path: Path) -> None:
    soak = Soak(tmp_path, seed=3, files=60, loud=False)
    with soak.standing():
        soak.run(10.0)
    assert soak.wrong == []
    assert soak.did["pulls that ended with 0"] >= 1
    assert soak.did["strikes of faults"] >= 1


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store as it ought to be, with one object."""
    data = b"weights"
    name = hashlib.sha256(data).hexdigest()
    texts = {
        "format.json": "{}",
        f"pins/{FOLDER}/{COMMIT}.json": json.dumps({"commit": COMMIT}),
        f"objects/sha256/{name[:2]}/{name}": data.decode(),
    }
    for path, text in texts.items():
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    (tmp_path / f"objects/sha256/{name[:2]}/{name}").chmod(0o444)
    return tmp_path


def wanted(root: Path) -> dict[str, dict[str, str]]:
    """What the Hub has of that commit."""
    return {COMMIT: {path.name: path.name for path in (root / "objects").rglob("*") if path.is_file()}}


def test_the_last_look_finds_nothing_in_a_store_that_is_right(root: Path) -> None:
    assert [*wrong_store(root, wanted(root))] == []


@pytest.mark.parametrize(
    "path", ["stray.txt", "incoming/sha256-00~1/data", "hub/models--acme--many/blobs/.part", "quarantine/sha256-00"]
)
def test_the_last_look_finds_what_is_nobodys(root: Path, path: str) -> None:
    before = wanted(root)
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text("?")
    assert [*wrong_store(root, before)] != []


def test_the_last_look_finds_an_orphan_and_a_wrong_byte(root: Path) -> None:
    assert any("no pin" in problem for problem in wrong_store(root, {COMMIT: {}}))
    before = wanted(root)
    (place,) = [path for path in (root / "objects").rglob("*") if path.is_file()]
    place.chmod(0o644)
    place.write_bytes(b"Weights")
    problems = [*wrong_store(root, before)]
    assert [problem.partition("object ")[2].split(" ", 1)[1] for problem in problems] == [
        "is something else",
        "can be written to",
    ]


def test_what_a_snapshot_lacks_or_has_otherwise_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    told = hashlib.sha256(b"a").hexdigest()
    assert wrong_files(tmp_path, {"a": told, "b": told, "c": told}) == ["c is lost", "b is wrong"]
    assert wrong_files(tmp_path, {"a": told}) == ["b is nobody's"]
