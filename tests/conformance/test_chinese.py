"""The five-line Chinese example, offline through the view, with two generations of transformers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.clients import TRANSFORMERS
from tests.conformance.conftest import CHINESE
from tests.conformance.machine import cut_off
from tests.conformance.publishing import publish
from tests.material import SENTENCE_IDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conformance.clients import Client
    from tests.conformance.machine import Machine
    from tests.simulator import HubSimulator

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(1200)]


def as_on_the_slide(said: dict[str, Any]) -> bool:
    """Whether the example gave what the public slide shows, and logits equal to a plain folder's."""
    assert said["ids"] == SENTENCE_IDS
    assert said["types"] == [[0] * 9]
    assert said["mask"] == [[1] * 9]
    assert said["labels"] == [f"star {star}" for star in range(1, 6)]
    assert said["label"] in said["labels"]
    assert said["shape"] == [1, 5]
    assert said["finite"]
    assert said["equal"]
    return True


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_the_example_works_offline(
    name: str, hub: HubSimulator, machine: Machine, chinese: Path, client: Callable[[str], Client]
) -> None:
    publish(hub, CHINESE, chinese)
    machine.hfmirror("pull", CHINESE)
    assert as_on_the_slide(machine.offline(client(name), "chinese.py", CHINESE, str(chinese)))


def test_one_variable_is_enough_where_no_route_leads_out(
    hub: HubSimulator, machine: Machine, chinese: Path, client: Callable[[str], Client]
) -> None:
    """Both at once: without HF_HUB_OFFLINE a client asks for two minutes before it believes there is no Hub."""
    if cut_off() is None:
        pytest.skip("this system grants no network namespace (`unshare -n`), so no place without a route")
    publish(hub, CHINESE, chinese)
    machine.hfmirror("pull", CHINESE)
    with ThreadPoolExecutor() as pool:
        asked = [
            pool.submit(machine.with_one_variable, client(name), "chinese.py", CHINESE, str(chinese))
            for name in TRANSFORMERS
        ]
    assert all(as_on_the_slide(future.result()) for future in asked)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_the_path_can_be_given_instead_of_the_name(
    name: str, hub: HubSimulator, machine: Machine, chinese: Path, client: Callable[[str], Client]
) -> None:
    publish(hub, CHINESE, chinese)
    machine.hfmirror("pull", CHINESE)
    folder = machine.path(CHINESE)
    assert as_on_the_slide(machine.offline(client(name), "chinese.py", str(folder), str(chinese)))
