"""A store to export from. Nothing here outlives the test, so nothing waits for the disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hfmirror.store.disk import DiskStore
from tests.unit.bundle.shelf import put

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at here need not outlive a power cut."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    monkeypatch.setattr("hfmirror.store.files._syncfs", lambda fd: True)


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    """Where it comes from."""
    store = DiskStore(tmp_path / "store")
    put(store)
    return store
