"""What the real Hub publishes for a real model, against what hfmirror makes of the same bytes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.conformance.publishing import publish
from tests.material import MINILM_GOLDEN, MINILM_REPO, MINILM_SIZES, identity

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conformance.machine import Machine
    from tests.simulator import HubSimulator

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(1200)]


def test_a_pull_names_every_object_as_the_real_hub_does(hub: HubSimulator, machine: Machine, minilm: Path) -> None:
    commit = publish(hub, MINILM_REPO, minilm)
    machine.hfmirror("pull", MINILM_REPO)

    for path, golden in MINILM_GOLDEN.items():
        kept = machine.objects[golden]
        algorithm, _, name = golden.partition(":")
        assert identity(kept, algorithm) == golden, path
        assert kept.stat().st_mode & 0o222 == 0, f"{path} can be written to"
        snapshot = machine.path(MINILM_REPO, path)
        assert snapshot.samefile(kept), path
        assert kept.samefile(machine.path() / "models--sentence-transformers--all-MiniLM-L6-v2" / "blobs" / name)
        assert snapshot.parts[-2 - path.count("/")] == commit
    for path, size in MINILM_SIZES.items():
        assert machine.objects[MINILM_GOLDEN[path]].stat().st_size == size


def test_the_manifest_holds_exactly_the_published_ids(hub: HubSimulator, machine: Machine, minilm: Path) -> None:
    commit = publish(hub, MINILM_REPO, minilm)
    machine.hfmirror("pull", MINILM_REPO)

    folder = machine.root / "manifests" / "models--sentence-transformers--all-MiniLM-L6-v2"
    manifest = json.loads((folder / f"{commit}.json").read_text(encoding="utf-8"))
    digests = {entry["path"]: entry["digest"] for entry in manifest["entries"]}
    assert {path: digests[path] for path in MINILM_GOLDEN} == MINILM_GOLDEN
    assert set(machine.objects) == set(digests.values())
