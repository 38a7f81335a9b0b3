"""What tests of one part of the house have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hfmirror.store.disk import DiskStore

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    """An empty store."""
    store = DiskStore(tmp_path / "mirror")
    store.prepare()
    return store
