"""`hfmirror convert` where torch is not: what it would do, what it refuses, what it says is missing."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from tests import pickled
from tests.pickled import SYSTEM, Payload

if TYPE_CHECKING:
    from pathlib import Path

    from tests.behaviour.lab import Lab
    from tests.simulator import HubSimulator

REPO = "acme/old"
FILES = {
    "config.json": b"{}",
    "pytorch_model.bin": pickled.torch_zip(pickled.harmless()),
    "training_args.bin": b"\x80\x02ctransformers.training_args\nTrainingArguments\n.",
}


@pytest.fixture
def old(lab: Lab, hub: HubSimulator) -> Lab:
    """A lab with an old checkpoint in it."""
    hub.add(REPO, FILES)
    lab.run("pull", REPO, "--quiet")
    return lab


def test_a_dry_run_says_what_would_become_of_each_file(old: Lab) -> None:
    done = old.run("convert", REPO, "--dry-run")
    assert "would make main-safetensors of acme/old@main: 1 checkpoint" in done.err
    assert "1 files are taken over" in done.err
    assert "left out: training_args.bin: what training left, not weights" in done.err
    document = json.loads(old.run("convert", REPO, "--dry-run", "--json", "--revision", "mine").out)
    assert document == {
        "repo": REPO,
        "revision": "main",
        "new": "mine",
        "converted": [{"from": "pytorch_model.bin", "to": "model.safetensors"}],
        "kept": ["config.json"],
        "left_out": [{"path": "training_args.bin", "why": "what training left, not weights"}],
    }
    assert {row["revisions"][0] for row in json.loads(old.run("ls", "--json").out)} == {"main"}


def test_without_torch_the_command_that_brings_it_is_said(old: Lab, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "$@"\n', encoding="utf-8")
    bare.chmod(0o755)
    done = old.run("convert", REPO, "--python", str(bare), code=2)
    assert "converting needs torch, safetensors and numpy" in done.err
    assert "pip install 'hfmirror-cli[convert]'" in done.err


def test_a_dangerous_checkpoint_is_refused_by_name(old: Lab, hub: HubSimulator, tmp_path: Path) -> None:
    payload = Payload(tmp_path / "ran")
    hub.add("acme/evil", {"pytorch_model.bin": pickled.torch_zip(payload.pickled())})
    old.run("pull", "acme/evil", "--quiet")
    done = old.run("convert", "acme/evil", code=7)
    assert f"pytorch_model.bin of acme/evil would run {SYSTEM} when it is loaded" in done.err
    assert "--exclude 'pytorch_model.bin'" in done.err
    assert not payload.ran


def test_slips_are_said(old: Lab) -> None:
    assert "is not in this store" in old.run("convert", "acme/unknown", code=6).err
    assert "no checkpoint here to convert" in old.run("convert", REPO, "--exclude", "pytorch_model.bin", code=2).err
    assert "is a revision of the Hub's" in old.run("convert", REPO, "--revision", "main", code=2).err
