"""Two sources of which neither is good in every way: one brings the file all the same."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from hfmirror.model import PART
from tests.behaviour.lab import Lab
from tests.faults.cells import ENGINES
from tests.simulator import HubSimulator, Made, served

if TYPE_CHECKING:
    from pathlib import Path

REPO = "acme/tiny"
FILES = {"a.safetensors": Made(6 * PART, seed=1), "b.safetensors": Made(4 * PART + 3, seed=2)}
RATE = 4 * PART  # bytes a second and connection: so that the second file is not done before the first is proven


@pytest.mark.parametrize("engine", ENGINES)
def test_one_that_knows_no_ranges_does_not_wait_for_one_that_was_found_to_lie(engine: str, tmp_path: Path) -> None:
    hubs = [HubSimulator(), HubSimulator()]
    with ExitStack() as stack:
        for hub in hubs:
            hub.add(REPO, FILES)
            stack.enter_context(hub.failing(slow_rate=RATE, where="cdn"))
        stack.enter_context(hubs[0].failing(ignore_range=True, where="cdn"))
        for at in (10_000, 3 * PART):
            stack.enter_context(hubs[1].failing(garbage_at=at, where="cdn:a.safetensors"))
        sites = [stack.enter_context(served(hub)) for hub in hubs]
        lab = Lab(hubs[0], sites[0].endpoint, tmp_path, {"HFMIRROR_ENGINE": engine})
        done = lab.run("pull", REPO, "--from", sites[1].endpoint, longest_s=40)
    assert f"{sites[1].endpoint} is asked for nothing more" in done.err
    lab.assert_same(lab.snapshot(REPO), REPO)
