"""A client's copies become links to the store's objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hfmirror.store.disk import DiskStore
from hfmirror.view.relink import Relinked, relink
from tests.contracts.scene import entry

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.model import Entry

DATA = b"weights" * 100


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    store = DiskStore(tmp_path / "store")
    with store.batch() as batch:
        batch.add(entry(DATA), DATA)
    return store


def blob(cache: Path, wanted: Entry, data: bytes) -> Path:
    path = cache / "models--acme--tiny" / "blobs" / wanted.digest.hex
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_copy_becomes_the_object(store: DiskStore, tmp_path: Path) -> None:
    path = blob(tmp_path / "cache", entry(DATA), DATA)
    assert relink(tmp_path / "cache", store, store.drafts) == Relinked(1, len(DATA))
    held = store.path(entry(DATA).digest)
    assert held is not None
    assert path.samefile(held)
    assert relink(tmp_path / "cache", store, store.drafts) == Relinked()


def test_a_damaged_copy_is_mended(store: DiskStore, tmp_path: Path) -> None:
    path = blob(tmp_path / "cache", entry(DATA), b"half")
    relink(tmp_path / "cache", store, store.drafts)
    assert path.read_bytes() == DATA


def test_what_is_not_held_and_what_is_no_blob_stays(store: DiskStore, tmp_path: Path) -> None:
    other = blob(tmp_path / "cache", entry(b"other"), b"other")
    half = other.with_name(f"{other.name}.incomplete")
    half.write_bytes(b"x")
    link = other.with_name(entry(DATA).digest.hex)
    link.symlink_to(other.name)
    assert relink(tmp_path / "cache", store, store.drafts) == Relinked()
    assert (other.read_bytes(), half.read_bytes(), link.is_symlink()) == (b"other", b"x", True)


def test_a_cache_that_is_not_there_is_no_trouble(store: DiskStore, tmp_path: Path) -> None:
    assert relink(tmp_path / "nowhere", store, store.drafts) == Relinked()
