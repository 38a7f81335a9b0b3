"""Pull from a hub that nobody here wrote."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.conformance.conftest import unavailable
from tests.conformance.machine import Machine
from tests.conformance.olah_hub import check_in, lacking, olah
from tests.conformance.publishing import odd_files
from tests.material import identity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conformance.clients import Client

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(1200)]

LARGE = {"model.safetensors": b"tensors " * 400_000, "deep/weights.bin": b"more tensors " * 90_000}
SMALL = {"config.json": b'{"model_type": "bert"}\n', "vocab.txt": "今\n天\n".encode() * 5000, "a b/c++.txt": b"odd\n"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where olah's files lie."""
    if reason := lacking():
        unavailable(reason)
    place = tmp_path / "olah"
    place.mkdir()
    return place


@pytest.mark.parametrize("prefix", ["", "datasets/"])
def test_a_repo_comes_whole_from_olah(
    prefix: str, folder: Path, tmp_path: Path, client: Callable[[str], Client]
) -> None:
    files = LARGE | SMALL
    commit = check_in(folder, f"{prefix or 'models/'}acme/tiny", files, tag="v1.0")
    with olah(client("olah"), folder) as endpoint:
        machine = Machine(tmp_path, endpoint)
        machine.hfmirror("pull", f"{prefix}acme/tiny")
        machine.hfmirror("pull", f"{prefix}acme/tiny@{commit}")

    snapshot = machine.path(f"{prefix}acme/tiny")
    assert snapshot.name == commit
    for path, data in files.items():
        assert (snapshot / path).read_bytes() == data, path
    for data in LARGE.values():
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" in machine.objects
    checkout = folder / "mirrors" / (prefix or "models/") / "acme" / "tiny"
    for path in (*SMALL, ".gitattributes"):
        assert identity(checkout / path, "git-sha1") in machine.objects, path
    machine.hfmirror("verify")


def test_what_olah_calls_forbidden_is_told_as_missing(
    folder: Path, tmp_path: Path, client: Callable[[str], Client]
) -> None:
    check_in(folder, "models/acme/tiny", odd_files("small"), tag="v1.0")
    with olah(client("olah"), folder) as endpoint:
        machine = Machine(tmp_path, endpoint)
        done = machine.hfmirror("pull", "acme/tinny", ok=False)
    assert done.returncode == 3, done.stderr
    assert "acme/tinny" in done.stderr
    assert "Traceback" not in done.stderr
