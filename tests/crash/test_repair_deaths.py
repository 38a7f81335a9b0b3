"""A repair, a verify and a letting go that die at the n-th rename, link, sync or removal, for every n there is."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.contracts.scene import data_of
from tests.crash.conftest import FILES, OTHER, TINY
from tests.crash.driver import KILLED
from tests.crash.invariants import broken, shown, tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.crash.doer import Doer
    from tests.simulator import HubSimulator

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the driver forks")

CONTENT = {path: data_of(given) for path, given in FILES.items()}
MANY = 10  # places to die at; fewer would say that the loop looked at nothing


@pytest.fixture
def rotten(doer: Doer, tmp_path: Path) -> tuple[Path, Path]:
    """A sound store, and one in which a bit of the large object, and one of a small one, are wrong."""
    sound, rotten = tmp_path / "sound", tmp_path / "rotten"
    assert doer.do(sound, ("pull", TINY.name), ("pull", OTHER.name)).status == 0
    shutil.copytree(sound, rotten, symlinks=True)
    shutil.rmtree(rotten / "hub")  # its links became copies; the next pull lays it out anew
    assert doer.do(rotten, ("pull", TINY.name), ("pull", OTHER.name)).status == 0
    objects = [path for path in (rotten / "objects").rglob("*") if path.is_file()]
    shared = next(path for path in objects if path.read_bytes() == CONTENT["tiny.bin"])
    for path in (max(objects, key=lambda path: path.stat().st_size), shared):
        path.chmod(0o644)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        path.chmod(0o444)
    return sound, rotten


def again(doer: Doer, root: Path, *verbs: str) -> list[int]:
    """What the next run makes of it."""
    return [doer.do(root, (verb, TINY.name)).status for verb in verbs]


def test_a_repair_finishes_wherever_the_last_one_died(
    doer: Doer, crash_hub: HubSimulator, rotten: tuple[Path, Path], tmp_path: Path
) -> None:
    sound, damaged = rotten
    at = 0
    while True:
        root = tmp_path / str(at := at + 1)
        shutil.copytree(damaged, root, symlinks=True, copy_function=os.link)
        status = doer.do(root, ("mend", TINY.name), die_at=at).status
        assert [what for what in broken(root, crash_hub) if unforeseen(what)] == [], f"dead at {at}"
        if status != KILLED:
            break
        assert again(doer, root, "mend") == [0], f"dead at {at}"
        assert (broken(root, crash_hub), shown(root, TINY)) == ([], CONTENT), f"dead at {at}"
        assert shown(root, OTHER)["tiny.bin"] == CONTENT["tiny.bin"], f"dead at {at}"
        assert tree(root) ^ tree(sound) <= {"proven"}, f"dead at {at}"  # a note of the check that comes first
        shutil.rmtree(root)
    assert status == 0
    assert (broken(root, crash_hub), tree(root) ^ tree(sound)) == ([], {"proven"})
    assert at > MANY


def unforeseen(what: str) -> bool:
    """While damage is being mended, names may lead to commits that lack it, and what is yet unread may be damaged."""
    return not any(word in what for word in ("lacks", "but not", "is something else", "leads nowhere"))


def test_a_commit_that_was_let_go_goes_wherever_the_last_gc_died(
    doer: Doer, crash_hub: HubSimulator, tmp_path: Path
) -> None:
    full = tmp_path / "full"
    assert doer.do(full, ("pull", TINY.name), ("pull", OTHER.name)).status == 0
    expected = shown(full, OTHER)
    at = 0
    while True:
        root = tmp_path / str(at := at + 1)
        shutil.copytree(full, root, symlinks=True, copy_function=os.link)
        status = doer.do(root, ("let go", TINY.name), die_at=at).status
        found = broken(root, crash_hub)
        assert [what for what in found if "before any pin" not in what and "nobody pinned" not in what] == [], at
        assert shown(root, OTHER) == expected, f"dead at {at}"
        if status != KILLED:
            break
        assert doer.do(root, ("pull", TINY.name)).status == 0
        assert shown(root, TINY) == CONTENT, f"dead at {at}"
        assert again(doer, root, "let go") == [0], f"dead at {at}"
        assert not any((root / "parts").rglob("*.*")), "checksums of parts of nothing"
        assert shown(root, OTHER) == expected, f"dead at {at}"
        shutil.rmtree(root)
    assert status == 0
    assert at > MANY
    assert not [path for path in (root / "parts").rglob("*") if path.is_file()]
