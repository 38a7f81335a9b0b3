"""A repo of the user's own: each large file is read once, and nothing has a name before its pin."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from hfmirror import codec, model
from hfmirror.adopt.bring import Bringing, Wish
from hfmirror.adopt.matching import Way
from hfmirror.adopt.targets import Names
from hfmirror.errors import DiskFull, StoreError
from hfmirror.model import PART, Kind, RepoId
from hfmirror.store import adopting, files
from hfmirror.store.disk import DiskStore
from hfmirror.transfer.events import silent
from tests.behaviour.brought import put

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.adopt.report import Report

MINE = RepoId(Kind.MODEL, "me/mine")
LARGE, OTHER = os.urandom(2 * PART + 5), os.urandom(2 * PART + 6)


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    return DiskStore(tmp_path / "mirror")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = {"config.json": b"{}", "a.safetensors": LARGE, "again/a.safetensors": LARGE, "b.bin": OTHER}
    return put(tmp_path / "mine", rows)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of files of which a hash was begun."""
    sizes: list[int] = []

    def noting(algorithm: Any, size: int) -> Any:
        sizes.append(size)
        return model.new_hasher(algorithm, size)

    monkeypatch.setattr(adopting, "new_hasher", noting)
    return sizes


def bring(store: DiskStore, folder: Path, **more: Any) -> Report:
    wish = Wish((str(folder),), MINE, own=True, **more)
    return Bringing(wish, Names(None, store, silent), store, lambda _: None).run()


@pytest.mark.parametrize("way", [Way(), Way(link=True)], ids=["copy", "link"])
def test_each_large_file_is_read_once(store: DiskStore, folder: Path, hashed: list[int], way: Way) -> None:
    report = bring(store, folder, way=way)
    assert sorted(size for size in hashed if size > PART) == sorted([len(LARGE), len(LARGE), len(OTHER)])
    assert report.shelves[0].lacking == ()
    for entry in report.shelves[0].target.entries:
        place = store.path(entry.digest)
        assert place is not None
        assert place.read_bytes() == (folder / entry.path).read_bytes()
    assert [path.name for path in store.layout.incoming.iterdir()] == []


def test_a_new_version_copies_only_what_is_new(store: DiskStore, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(store, folder)
    (folder / "c.bin").write_bytes(OTHER[::-1] + b"more")
    room: list[int] = []
    monkeypatch.setattr(DiskStore, "room_for", lambda self, entries: room.extend(entry.size for entry in entries))
    report = bring(store, folder)
    assert sorted(took.entry.path for took in report.took) == ["c.bin"]
    assert set(room) == {len(OTHER) + 4}


def test_a_dry_run_reads_and_writes_nothing(store: DiskStore, folder: Path) -> None:
    report = bring(store, folder, dry=True)
    assert len(report.took) == 3
    assert not store.root.exists()


def test_a_file_that_changes_between_its_proof_and_its_name_is_not_taken(
    store: DiskStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_commit = codec.own_commit

    def written_to(*words: Any) -> Any:
        with (folder / "b.bin").open("r+b") as stream:
            stream.write(b"changed")
        return own_commit(*words)

    monkeypatch.setattr(codec, "own_commit", written_to)  # asked when all files are proven
    with pytest.raises(StoreError, match="changed"):
        bring(store, folder)
    assert all(path.read_bytes() != (folder / "b.bin").read_bytes() for path in store.layout.objects.glob("*/*/*"))
    assert not list(store.layout.incoming.glob("draft~*"))


def test_a_disk_that_is_too_full_says_so_before_the_first_byte(
    store: DiskStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "free_space", lambda where: 2 * PART)
    with pytest.raises(DiskFull):
        bring(store, folder)
    assert not list(store.layout.objects.glob("*/*/*"))
    assert not list(store.pins())
