"""One Hub and one lab for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.behaviour.lab import Lab, place_faults
from tests.certificates import self_signed
from tests.simulator import HubSimulator, Made, Served

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulator.content import Given

SIZE = 6 * 2**20 + 123  # bytes of the large file
SMALL: dict[str, Given] = {
    "config.json": b'{"model_type":"bert"}',
    "README.md": b"# tiny\n",
    "sub/vocab.txt": b"one\ntwo\n",
    "empty.txt": b"",
}


@pytest.fixture
def hub() -> HubSimulator:
    """A hub with one model: a file of 6 MiB and a few small ones."""
    hub = HubSimulator()
    place_faults(hub)
    hub.add("acme/tiny", {**SMALL, "model.safetensors": Made(SIZE, seed=2)}, tags=("v1",), refs=("refs/pr/1",))
    return hub


@pytest.fixture
def lab(hub: HubSimulator, site: Served, tmp_path: Path) -> Lab:
    """Where commands run."""
    return Lab(hub, site.endpoint, tmp_path)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for the loopback that nobody trusts, and its key."""
    return self_signed(tmp_path)
