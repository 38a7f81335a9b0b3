"""The real MiniLM, over a line that breaks, to real libraries with the cable out."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.conformance.publishing import publish
from tests.material import MINILM_REPO
from tests.simulator import Faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conformance.clients import Client
    from tests.conformance.machine import Machine
    from tests.simulator import HubSimulator

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(1200)]

RESET_EVERY = 7_000_000  # bytes
BAD_LINE = (
    Faults(where="cdn", every=RESET_EVERY, reset_after=0),
    Faults(where="cdn", stall_after=300_000, stall_s=60, times=1),
    Faults(where="files", status=503, times=2),
    Faults(where="cdn", garbage_at=1_000_000, times=1),
)


def test_minilm_comes_over_a_bad_line_and_loads_with_the_cable_out(
    hub: HubSimulator, machine: Machine, minilm: Path, client: Callable[[str], Client]
) -> None:
    publish(hub, MINILM_REPO, minilm)
    with ExitStack() as line:
        armed = [line.enter_context(hub.failing(faults)) for faults in BAD_LINE]
        machine.hfmirror("pull", MINILM_REPO)
    assert all(fault.strikes for fault in armed), "a fault that never struck tests nothing"
    machine.hfmirror("verify")

    said = machine.offline(client("transformers-5"), "sentences.py", MINILM_REPO)
    assert said["width"] == 384
    assert said["cat_kitten"] == pytest.approx(0.660, abs=0.001)
    assert said["cat_kitten_plain"] == pytest.approx(said["cat_kitten"], abs=1e-4)
    assert said["cat_other"] < said["cat_kitten"]
