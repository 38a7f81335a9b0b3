"""A process that dies at the n-th rename, link, sync or removal, for every n there is."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.contracts.scene import data_of
from tests.crash.conftest import FILES, OTHER, TINY
from tests.crash.driver import KILLED
from tests.crash.invariants import broken, shown, tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.crash.doer import Deed, Doer
    from tests.simulator import HubSimulator

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the driver forks")

PULL: Deed = ("pull", TINY.name)
CONTENT = {path: data_of(given) for path, given in FILES.items()}


@dataclass(frozen=True)
class Death:
    """What one death left behind, and what the next run made of it."""

    at: int  # the call before which it died
    broken: list[str]
    next_status: int
    next_broken: list[str]
    content: dict[str, bytes]
    litter: set[str]  # names that a pull without a death does not leave


@pytest.fixture(scope="module")
def deaths(doer: Doer, crash_hub: HubSimulator, tmp_path_factory: pytest.TempPathFactory) -> list[Death]:
    """Every death of a first pull."""
    top = tmp_path_factory.mktemp("deaths")
    assert doer.do(top / "clean", PULL).status == 0
    found: list[Death] = []
    while (end := doer.do(root := top / str(len(found) + 1), PULL, die_at=len(found) + 1)).status == KILLED:
        wrong = broken(root, crash_hub)
        status = doer.do(root, PULL).status
        content = shown(root, TINY) if status == 0 else {}
        litter = tree(root) - tree(top / "clean")
        found.append(Death(len(found) + 1, wrong, status, broken(root, crash_hub), content, litter))
        shutil.rmtree(root)
    assert end.status == 0, "the loop must end with a pull that was not hit"
    return found


def test_there_are_many_places_to_die_at(deaths: list[Death]) -> None:
    assert len(deaths) > 40


def test_no_invariant_breaks_wherever_a_pull_dies(deaths: list[Death]) -> None:
    assert {death.at: death.broken for death in deaths if death.broken} == {}


def test_the_next_pull_finishes_wherever_the_last_one_died(deaths: list[Death]) -> None:
    assert {death.at: death.next_status for death in deaths if death.next_status} == {}
    assert {death.at: death.next_broken for death in deaths if death.next_broken} == {}
    assert [death.at for death in deaths if not death.content.items() >= CONTENT.items()] == []


def test_a_snapshot_shows_no_file_that_the_commit_does_not_hold(deaths: list[Death]) -> None:
    more = {death.at: death.content.keys() - CONTENT.keys() for death in deaths}
    assert {at: names for at, names in more.items() if names} == {}


def test_nothing_of_a_dead_pull_is_left_lying_about(deaths: list[Death]) -> None:
    assert {death.at: death.litter for death in deaths if death.litter} == {}


def test_a_death_while_removing_costs_no_other_repo_a_byte(doer: Doer, crash_hub: HubSimulator, tmp_path: Path) -> None:
    full, remove = tmp_path / "full", ("remove", TINY.name)
    assert doer.do(full, PULL, ("pull", OTHER.name)).status == 0
    expected = shown(full, OTHER)
    at = 0
    while True:
        root = tmp_path / str(at := at + 1)
        shutil.copytree(full, root, symlinks=True, copy_function=os.link)
        status = doer.do(root, remove, die_at=at).status
        assert broken_but_for_garbage(root, crash_hub) == [], f"dead at {at}"
        assert shown(root, OTHER) == expected, f"dead at {at}"
        if status != KILLED:
            break
        assert doer.do(root, PULL).status == 0
        assert (broken_but_for_garbage(root, crash_hub), shown(root, TINY)) == ([], CONTENT), f"dead at {at}"
        shutil.rmtree(root)
    assert status == 0
    assert at > 10


def broken_but_for_garbage(root: Path, hub: HubSimulator) -> list[str]:
    """After a removal bytes may well be here without a pin."""
    return [what for what in broken(root, hub) if "before any pin" not in what]
