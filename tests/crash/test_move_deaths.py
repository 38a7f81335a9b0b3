"""A move that dies at the n-th rename, link, sync or removal, for every n there is."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from hfmirror.errors import StoreElsewhere
from hfmirror.store.disk import DiskStore
from tests.contracts.scene import data_of
from tests.crash.conftest import FILES, TINY
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
    """What one death left behind, and what the next move made of it."""

    at: int  # the call before which it died
    usable: list[str]  # which of the two places takes commands
    lost: set[str]  # objects that are in neither
    broken: list[str]  # of whatever can be used
    next_status: int
    next_broken: list[str]
    content: dict[str, bytes]
    left: set[str]  # names at the old place
    odd: set[str]  # names that the new place has, or lacks, beside those of a store that was never moved


def usable(root: Path) -> bool:
    """Whether commands work on a store there."""
    try:
        return DiskStore(root).check()
    except StoreElsewhere:
        return False


def objects(*roots: Path) -> set[str]:
    """Their names. That the bytes are right, `broken` sees to."""
    return {str(digest) for root in roots for digest in DiskStore(root).objects()}


def deaths_of(doer: Doer, hub: HubSimulator, full: Path, top: Path, deed: Deed) -> list[Death]:
    """Every death of a move."""
    found: list[Death] = []
    while True:
        old, new = top / str(len(found) + 1), top / f"{len(found) + 1}.new"
        shutil.copytree(full, old, symlinks=True, copy_function=os.link)
        end = doer.do(old, deed, die_at=len(found) + 1)
        if end.status != KILLED:
            assert end.status == 0, "the loop must end with a move that was not hit"
            return found
        here = [place.name.partition(".")[2] or "old" for place in (old, new) if usable(place)]
        lost = objects(full) - objects(old, new)
        wrong = [what for place in (old, new) if usable(place) for what in broken(place, hub)]
        status = doer.do(old, deed).status
        content = shown(new, TINY) if status == 0 else {}
        odd = tree(new) ^ tree(full)
        found.append(Death(len(found) + 1, here, lost, wrong, status, broken(new, hub), content, tree(old), odd))
        shutil.rmtree(old)
        shutil.rmtree(new)


@pytest.fixture(scope="module", params=["move", "move far"])
def deaths(
    request: pytest.FixtureRequest, doer: Doer, crash_hub: HubSimulator, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, list[Death]]:
    """How far the store goes, and every death on the way."""
    top = tmp_path_factory.mktemp("move")
    assert doer.do(top / "full", PULL).status == 0
    return request.param, deaths_of(doer, crash_hub, top / "full", top, (request.param, TINY.name))


def test_there_are_many_places_to_die_at(deaths: tuple[str, list[Death]]) -> None:
    verb, found = deaths
    assert len(found) > (60 if verb == "move far" else 8)


def test_no_object_is_lost_and_never_are_there_two_stores(deaths: tuple[str, list[Death]]) -> None:
    _, found = deaths
    assert {death.at: death.lost for death in found if death.lost} == {}
    assert {death.at: death.usable for death in found if len(death.usable) > 1} == {}
    assert {death.at: death.broken for death in found if death.broken} == {}


def test_the_same_command_finishes_wherever_it_died(deaths: tuple[str, list[Death]]) -> None:
    _, found = deaths
    assert {death.at: death.next_status for death in found if death.next_status} == {}
    assert {death.at: death.next_broken for death in found if death.next_broken} == {}
    assert [death.at for death in found if death.content != CONTENT] == []
    assert {death.at: death.left for death in found if death.left != {"moved.json"}} == {}
    assert {death.at: death.odd for death in found if death.odd} == {}
