"""Old checkpoints made into safetensors with the real torch, and loaded offline by transformers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.conformance.conftest import CHINESE
from tests.conformance.machine import HERE, answer, run
from tests.conformance.publishing import publish

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conformance.clients import Client
    from tests.conformance.machine import Machine
    from tests.simulator import HubSimulator

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(1200)]

NEW = "main-safetensors"


@pytest.fixture
def old(machine: Machine, chinese: Path, client: Callable[[str], Client], tmp_path: Path) -> Path:
    """Folders with the Chinese model's weights as old checkpoints."""
    out = tmp_path / "old"
    out.mkdir()
    python = client("transformers-5").python
    words = [str(python), str(HERE / "inside" / "shards.py"), str(chinese), str(out)]
    assert answer(run(words, machine.environment(), out))["tensors"] > 10
    return out


@pytest.mark.parametrize("style", ["one", "parts"])
def test_a_converted_checkpoint_gives_the_same_logits_offline(
    style: str, old: Path, hub: HubSimulator, machine: Machine, chinese: Path, client: Callable[[str], Client]
) -> None:
    publish(hub, CHINESE, old / style)
    machine.hfmirror("pull", CHINESE)
    python = client("transformers-5").python
    done = machine.hfmirror("convert", CHINESE, "--python", str(python), "--json")
    document = json.loads(done.stdout)
    targets = {row["to"] for row in document["converted"]}
    parts = {f"model-0000{number}-of-00002.safetensors" for number in (1, 2)}
    assert targets == ({"model.safetensors"} if style == "one" else parts)
    if style == "one":
        assert document["tied"]["model.safetensors"] == {"tied.to.the.words": "bert.embeddings.word_embeddings.weight"}
    snapshot = machine.path(f"{CHINESE}@{NEW}")
    assert not list(snapshot.rglob("*.bin"))
    said = machine.offline(client("transformers-5"), "converted.py", CHINESE, NEW, str(chinese))
    assert (said["equal"], said["same"]) == (True, True)
    again = machine.hfmirror("convert", CHINESE, "--python", str(python), "--json")
    assert json.loads(again.stdout)["commit"] == document["commit"]


def test_whatever_tensors_can_be_comes_out_the_same_to_the_last_bit(
    hub: HubSimulator, machine: Machine, client: Callable[[str], Client], tmp_path: Path
) -> None:
    python, script, made = client("transformers-5").python, str(HERE / "inside" / "odd.py"), tmp_path / "odd.bin"
    answer(run([str(python), script, "make", str(made)], machine.environment(), tmp_path))
    hub.add("acme/odd", {"pytorch_model.bin": made})
    machine.hfmirror("pull", "acme/odd")
    machine.hfmirror("convert", "acme/odd", "--python", str(python))
    new = machine.path(f"acme/odd@{NEW}", "model.safetensors")
    said = answer(run([str(python), script, "check", str(made), str(new)], machine.environment(), tmp_path))
    assert (said["compared"], said["written"]) == (15, 14)
    assert said["metadata"] == {"format": "pt", "lm_head.weight": "transformer.wte.weight"}


def test_what_needs_more_than_weights_is_refused_with_the_name_it_wanted(
    old: Path, hub: HubSimulator, machine: Machine, client: Callable[[str], Client]
) -> None:
    hub.add("acme/module", {"model.pt": old / "module.pt"})
    machine.hfmirror("pull", "acme/module")
    done = machine.hfmirror("convert", "acme/module", "--python", str(client("transformers-5").python), ok=False)
    assert done.returncode == 7
    assert "model.pt of acme/module needs more than weights: it wants torch.nn.modules.linear.Linear" in done.stderr
