"""An import that dies at the n-th rename, link, sync or removal, for every n there is."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hfmirror.model import PART
from tests.behaviour.brought import put, traces
from tests.contracts.scene import data_of
from tests.crash.conftest import FILES, TINY, WEIGHTS
from tests.crash.driver import KILLED
from tests.crash.invariants import broken, shown, tree

if TYPE_CHECKING:
    from tests.crash.doer import Deed, Doer
    from tests.simulator import HubSimulator

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the driver forks")

CONTENT = {path: data_of(given) for path, given in FILES.items()}
BROUGHT = {f"我的/{number} ({number})": data for number, data in enumerate(CONTENT.values()) if data}
HALF = {"tiny": CONTENT["tiny.bin"], "model.safetensors.part": WEIGHTS.data()[: 2 * PART + 99]}


@dataclass(frozen=True)
class Death:
    """What one death left behind, and what the next import made of it."""

    at: int  # the call before which it died
    broken: list[str]
    lost: set[str]  # files that are neither with the user nor in the store
    changed: bool  # the user's files are not as they were
    next_status: int
    next_broken: list[str]
    content: dict[str, bytes]
    litter: set[str]


def begun(top: Path, name: str, files: dict[str, bytes]) -> Path:
    """A root with the user's files beside it."""
    put(Path(f"{top / name}.files"), files)
    return top / name


def deaths_of(doer: Doer, hub: HubSimulator, top: Path, deed: Deed) -> list[Death]:
    """Every death of an import into an empty store."""
    assert doer.do(begun(top, "clean", BROUGHT), deed).status == 0
    found: list[Death] = []
    while True:
        root = begun(top, str(len(found) + 1), BROUGHT)
        before = traces(Path(f"{root}.files"))
        end = doer.do(root, deed, die_at=len(found) + 1)
        if end.status != KILLED:
            assert end.status == 0, "the loop must end with an import that was not hit"
            return found
        after = traces(Path(f"{root}.files"))
        there = [row[3] for row in after.values()] + [
            p.read_bytes() for p in (root / "objects").rglob("*") if p.is_file()
        ]
        lost = {name for name, data in BROUGHT.items() if data not in there}
        wrong = broken(root, hub)
        status = doer.do(root, deed).status
        content = shown(root, TINY) if status == 0 else {}
        litter = tree(root) - tree(top / "clean")
        found.append(Death(len(found) + 1, wrong, lost, after != before, status, broken(root, hub), content, litter))
        shutil.rmtree(root)


@pytest.fixture(scope="module", params=["import", "import-move"])
def deaths(
    request: pytest.FixtureRequest, doer: Doer, crash_hub: HubSimulator, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, list[Death]]:
    """How the files are treated, and every death."""
    verb = request.param
    return verb, deaths_of(doer, crash_hub, tmp_path_factory.mktemp(verb), (verb, TINY.name))


def test_no_invariant_breaks_wherever_an_import_dies(deaths: tuple[str, list[Death]]) -> None:
    _, found = deaths
    assert len(found) > 30
    assert {death.at: death.broken for death in found if death.broken} == {}


def test_no_file_is_lost_wherever_an_import_dies(deaths: tuple[str, list[Death]]) -> None:
    verb, found = deaths
    assert {death.at: death.lost for death in found if death.lost} == {}
    if verb == "import":
        assert [death.at for death in found if death.changed] == []


def test_the_next_import_finishes_wherever_the_last_one_died(deaths: tuple[str, list[Death]]) -> None:
    _, found = deaths
    assert {death.at: death.next_status for death in found if death.next_status} == {}
    assert {death.at: death.next_broken for death in found if death.next_broken} == {}
    assert [death.at for death in found if death.content != CONTENT] == []
    assert {death.at: death.litter for death in found if death.litter} == {}


def test_a_pull_goes_on_wherever_an_import_of_a_half_finished_file_died(
    doer: Doer, crash_hub: HubSimulator, tmp_path: Path
) -> None:
    at = 0
    while True:
        root = begun(tmp_path, str(at := at + 1), HALF)
        status = doer.do(root, ("import", TINY.name), die_at=at).status
        assert broken_but_for_names(root, crash_hub) == [], f"dead at {at}"
        assert doer.do(root, ("pull", TINY.name)).status == 0
        assert (broken(root, crash_hub), shown(root, TINY)) == ([], CONTENT), f"dead at {at}"
        if status != KILLED:
            break
        shutil.rmtree(root)
    assert status == 0
    assert at > 20


def broken_but_for_names(root: Path, hub: HubSimulator) -> list[str]:
    """A name may lead to a commit of which a part is here: the import said what lacks."""
    return [what for what in broken(root, hub) if "lacks" not in what and "but not" not in what]
