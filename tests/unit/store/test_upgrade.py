"""A store of an earlier form is brought to this one, step by step, and through any death.

There was no earlier form yet, so two are made up here: in form -1 the pins were one text file, and in
form 0 they were files without a number.
"""

from __future__ import annotations

import itertools
import json
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from hfmirror import codec
from hfmirror.errors import StoreError, StoreTooNew
from hfmirror.model import Selection
from hfmirror.settings import Settings
from hfmirror.store import files, records
from hfmirror.store import upgrade as upgrades
from hfmirror.store.disk import DiskStore
from hfmirror.store.upgrade import upgrade
from tests.contracts.scene import COMMIT, TINY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hfmirror.store.drafts import Drafts
    from hfmirror.store.layout import Layout


def split_pins(layout: Layout, drafts: Drafts) -> None:
    """From form -1 to 0: a file for each line."""
    for line in (files.read_text(layout.root / "pins.txt") or "").splitlines():
        folder, commit, revision = line.split()
        drafts.publish_text(layout.pins / folder / f"{commit}.json", json.dumps({"revision": revision}))
    files.remove(layout.root / "pins.txt")


def number_pins(layout: Layout, drafts: Drafts) -> None:
    """From form 0 to 1: a number and the names in each."""
    for path in sorted(layout.pins.glob("*/*.json")):
        old = json.loads(files.read_text(path) or "")
        if "format" not in old:
            repo = path.parent.name.removeprefix("models--").replace("--", "/")
            wish = {"revision": old["revision"], "include": [], "exclude": []}
            new = {"format": 1, "repo": f"model:{repo}", "commit": path.stem, "asked": [wish], "used": ""}
            drafts.publish_text(path, codec.dump(new))


STEPS = {-1: split_pins, 0: number_pins}


@pytest.fixture
def old(tmp_path: Path) -> DiskStore:
    """A store of form -1 with three pins, and a field that somebody else put into its mark."""
    (tmp_path / "format.json").write_text('{"format": "hfmirror", "version": -1, "id": "x", "more": 1}')
    rows = [f"{TINY.folder} {digit * 40} main" for digit in "ab"]
    (tmp_path / "pins.txt").write_text("\n".join([*rows, f"{TINY.folder} {COMMIT} v1"]))
    return DiskStore(tmp_path)


def assert_new(store: DiskStore) -> None:
    mark = json.loads(store.layout.format.read_text(encoding="utf-8"))
    assert (mark["version"], mark["id"], mark["more"]) == (codec.FORMAT, "x", 1)
    assert [(pin.commit[0], pin.revision) for pin in store.pins_of(TINY)] == [("a", "main"), ("b", "main"), ("c", "v1")]
    assert all(pin.selection == Selection() for pin in store.pins())
    assert not (store.root / "pins.txt").exists()


def test_whoever_opens_an_older_store_brings_it_up_to_date(old: DiskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    from hfmirror.mirror import Mirror

    monkeypatch.setattr(records, "upgrade", lambda layout, drafts: upgrade(layout, drafts, STEPS))
    Mirror.open(Settings(old.root))
    assert_new(old)


def test_a_store_of_this_form_is_left_alone(tmp_path: Path) -> None:
    store = DiskStore(tmp_path)
    store.prepare()
    before = (store.layout.format.read_bytes(), store.layout.format.stat().st_mtime_ns)
    assert store.check()
    upgrade(store.layout, store.drafts, STEPS)
    assert (store.layout.format.read_bytes(), store.layout.format.stat().st_mtime_ns) == before


class Killed(BaseException):
    """As a kill: nothing below catches it."""


def test_it_may_die_anywhere_and_goes_on(old: DiskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at, died = 0, True
    while died:
        store = DiskStore(tmp_path / "copies" / str(at := at + 1))
        shutil.copytree(old.root, store.root, ignore=shutil.ignore_patterns("copies"))
        calls = itertools.count(1)

        def door(real: Callable[..., None], calls: Iterator[int] = calls, at: int = at) -> Callable[..., None]:
            def through(*words: object) -> None:
                if next(calls) == at:
                    raise Killed
                real(*words)

            return through

        with monkeypatch.context() as patch, suppress(Killed):
            patch.setattr(files, "replace", door(files.replace))
            patch.setattr(files, "remove", door(files.remove))
            upgrade(store.layout, store.drafts, STEPS)
            died = False
        upgrade(store.layout, store.drafts, STEPS)
        assert_new(store)
    assert at > 8


def test_a_store_that_is_too_old_is_refused_and_left_alone(old: DiskStore) -> None:
    before = {path: path.read_bytes() for path in old.root.rglob("*.json")}
    with pytest.raises(StoreError, match="format -1 is older than"):
        old.check()
    assert {path: path.read_bytes() for path in old.root.rglob("*.json")} == before


def test_a_store_that_is_too_new_says_which_version_it_needs(tmp_path: Path) -> None:
    mark = {"format": "hfmirror", "version": codec.FORMAT + 1, "needs": "3.2", "id": "x"}
    (tmp_path / "format.json").write_text(json.dumps(mark), encoding="utf-8")
    with pytest.raises(StoreTooNew) as caught:
        DiskStore(tmp_path).prepare()
    assert "needs hfmirror 3.2 or later" in caught.value.hint()
    for strange in ("`rm -rf ~`", "1; echo", "", 7, None):  # the file may come on somebody's stick
        (tmp_path / "format.json").write_text(json.dumps({**mark, "needs": strange}), encoding="utf-8")
        with pytest.raises(StoreTooNew) as caught:
            DiskStore(tmp_path).check()
        assert "rm" not in caught.value.hint()
        assert "echo" not in caught.value.hint()


def test_every_form_there_was_has_a_step() -> None:
    assert sorted(upgrades.STEPS) == list(range(1, codec.FORMAT))
