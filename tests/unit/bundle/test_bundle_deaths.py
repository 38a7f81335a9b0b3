"""A carrier that dies before the n-th rename, write, sync or removal, for every n there is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from hfmirror.bundle import take_in, verify
from hfmirror.bundle.inventory import objects_of
from hfmirror.bundle.layout import SUMS, digest_of, parts_of
from hfmirror.model import Digest
from hfmirror.store.disk import DiskStore
from tests.crash.driver import KILLED
from tests.unit.bundle.shelf import FILES, FIRST, TINY, contents, export, put

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the carrier forks")

FAR = 10**9  # more calls than any deed makes


class Carrier(Protocol):
    """Does a deed; how it ended."""

    def __call__(self, deed: str, source: Path, target: Path, die_at: int = FAR) -> int: ...


@pytest.fixture(scope="module")
def carrier() -> Iterator[Carrier]:
    """A process for all deeds."""
    words = [sys.executable, "-m", "tests.unit.bundle.dying"]
    process = subprocess.Popen(
        words, cwd=Path(__file__).parents[3], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    told, said = process.stdin, process.stdout

    def carry(deed: str, source: Path, target: Path, die_at: int = FAR) -> int:
        order = {"deed": deed, "source": str(source), "target": str(target), "die_at": die_at}
        told.write(json.dumps(order) + "\n")
        told.flush()
        return int(said.readline())

    with process:
        yield carry
        told.close()


def lies(bundle: Path) -> list[str]:
    """Every object under its name that is something else, parts taken together; and sums that are not true."""
    found = []
    for digest in objects_of(bundle):
        whole = bundle / "objects" / digest.algorithm.value / digest.hex[:2] / digest.hex
        if whole.exists():
            data = whole.read_bytes()
        else:
            listed = bundle / "parts" / digest.algorithm.value / digest.hex[:2] / f"{digest.hex}.json"
            pieces = parts_of(listed.read_text("utf-8"), digest)
            data = b"".join((bundle / piece.name).read_bytes() for piece, _ in pieces)
        if Digest.of(digest.algorithm, data) != digest:
            found.append(str(digest))
    if (bundle / SUMS).exists():
        verify.check(str(bundle), lambda trouble: found.append(trouble.english()))
    return found


def files(folder: Path) -> set[str]:
    """Every name."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


@pytest.mark.parametrize("deed", ["export", "split"])
def test_an_export_can_die_anywhere(carrier: Carrier, tmp_path: Path, deed: str) -> None:
    store = DiskStore(tmp_path / "store")
    put(store)
    assert carrier(deed, store.root, tmp_path / "clean") == 0
    at = 0
    while (status := carrier(deed, store.root, stick := tmp_path / str(at := at + 1), die_at=at)) == KILLED:
        assert lies(stick) == [], f"dead at {at}"
        half = DiskStore(tmp_path / f"half {at}")
        if list((stick / "pins").glob("*/*.json")):
            take_in(stick, half)
            if TINY in {pin.repo for pin in half.pins()} and half.refs_of(TINY):
                assert contents(half) == FILES, f"dead at {at}: a name leads to a commit that is not whole"
        assert carrier(deed, store.root, stick) == 0, f"dead at {at}"
        assert lies(stick) == [], f"gone on after {at}"
        assert files(stick) == files(tmp_path / "clean"), f"gone on after {at}"
        target = DiskStore(tmp_path / f"target {at}")
        assert take_in(stick, target).problems == []
        assert contents(target) == FILES, f"gone on after {at}"
        for place in (stick, half.root, target.root):
            shutil.rmtree(place, ignore_errors=True)
    assert status == 0
    assert at > 50
    assert all(digest_of(name) for name in files(tmp_path / "clean") if name.startswith(("objects/", "parts/")))


def test_adding_to_a_bundle_can_die_anywhere(carrier: Carrier, tmp_path: Path) -> None:
    from hfmirror.model import CommitId, Pin

    store, old = DiskStore(tmp_path / "store"), DiskStore(tmp_path / "old")
    put(old, {"config.json": FILES["config.json"], "old.txt": b"old"}, Pin(TINY, CommitId("d" * 40), "v0"))
    from hfmirror.bundle import Wish

    export(old, tmp_path / "first", Wish(TINY, "v0"))
    put(store)
    at = 0
    while True:
        stick = tmp_path / str(at := at + 1)
        shutil.copytree(tmp_path / "first", stick)
        status = carrier("export", store.root, stick, die_at=at)
        assert lies(stick) == [], f"dead at {at}"
        assert contents(DiskStore(stick), TINY, "v0")["old.txt"] == b"old"
        if status != KILLED:
            break
        assert carrier("export", store.root, stick) == 0
        assert lies(stick) == []
        target = DiskStore(tmp_path / f"target {at}")
        assert take_in(stick, target).problems == [], f"gone on after {at}"
        assert (contents(target), len(contents(target, TINY, "v0"))) == (FILES, 2)
        for place in (stick, target.root):
            shutil.rmtree(place)
    assert status == 0
    assert at > 50


def lasting(root: Path) -> set[str]:
    """All but locks, and but the checksums of parts: who dies just before they are written leaves none."""
    return {name for name in files(root) if "locks/" not in name and not name.startswith("parts/")}


@pytest.mark.parametrize("deed", ["take in", "cache"])
def test_taking_in_can_die_anywhere(carrier: Carrier, tmp_path: Path, deed: str) -> None:
    store, stick = DiskStore(tmp_path / "store"), tmp_path / "stick"
    put(store)
    export(store, stick)
    assert carrier(deed, stick, tmp_path / "clean") == 0
    at = 0
    while (status := carrier(deed, stick, target := tmp_path / str(at := at + 1), die_at=at)) == KILLED:
        assert lies(target) == []
        assert named(target) in ({}, FILES), f"dead at {at}: a name leads to a commit that is not whole"
        assert carrier(deed, stick, target) == 0
        assert named(target) == FILES, f"gone on after {at}"
        assert lasting(target) == lasting(tmp_path / "clean"), f"gone on after {at}"
        shutil.rmtree(target)
    assert status == 0
    assert at > 20


def named(target: Path) -> dict[str, bytes]:
    """What a client finds under `main`, in the view of a store or in a plain cache."""
    cache = target / "hub" if (target / "format.json").exists() else target
    home = cache / TINY.folder
    if not (home / "refs" / "main").exists():
        return {}
    assert (home / "refs" / "main").read_text() == FIRST
    snapshot = home / "snapshots" / FIRST
    return {p.relative_to(snapshot).as_posix(): p.read_bytes() for p in snapshot.rglob("*") if p.is_file()}
