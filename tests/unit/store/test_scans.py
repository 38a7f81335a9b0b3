"""What was found in objects: kept, read again, believed as far as it goes, gone with the object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hfmirror.errors import BadManifest
from hfmirror.store.disk import DiskStore
from hfmirror.store.scans import DANGEROUS, SAFE, UNREADABLE, VERDICTS, Import, Scan, parsed, text_of
from tests.contracts.scene import entry
from tests.contracts.store import fill

if TYPE_CHECKING:
    from pathlib import Path

DATA = b"bytes of an object" * 100
DIGEST = entry(DATA).digest
EVIL = Scan(DANGEROUS, (Import("posix", "system", DANGEROUS),), "", "picklescan 1.0.5 rules 1", "2026-11-20T10:00:00Z")


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    """A store with one object."""
    store = DiskStore(tmp_path / "mirror")
    store.prepare()
    fill(store, entry(DATA), DATA)
    return store


@pytest.mark.parametrize("scan", [EVIL, Scan(SAFE, scanner="s 1"), Scan(UNREADABLE, why="it is packed", scanner="s 1")])
def test_what_is_kept_is_read_again(store: DiskStore, scan: Scan) -> None:
    store.scans.keep(DIGEST, scan)
    assert store.scans.of(DIGEST) == scan
    assert dict(store.scans.all()) == {DIGEST: scan}
    assert store.layout.scan(DIGEST).parent.name == DIGEST.hex[:2]


def test_nothing_is_known_of_what_was_not_looked_at(store: DiskStore) -> None:
    assert store.scans.of(DIGEST) is None
    assert list(store.scans.all()) == []


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"format": 1}', '{"format": 999, "imports": [], "verdict": "safe"}', text_of(DIGEST, EVIL)[:-20]],
)
def test_what_cannot_be_read_is_as_good_as_absent(store: DiskStore, text: str) -> None:
    store.scans.keep(DIGEST, EVIL)
    store.layout.scan(DIGEST).write_text(text)
    assert store.scans.of(DIGEST) is None


def test_a_verdict_of_a_later_version_is_none() -> None:
    assert parsed(text_of(DIGEST, EVIL).replace('"verdict": "dangerous"', '"verdict": "delicious"'), "here") is None
    with pytest.raises(BadManifest):
        parsed(text_of(DIGEST, EVIL).replace('"imports"', '"exports"'), "here")


def test_it_goes_with_the_object(store: DiskStore) -> None:
    store.scans.keep(DIGEST, EVIL)
    store.discard(DIGEST)
    assert store.scans.of(DIGEST) is None


def test_a_sweep_removes_what_a_kill_left(store: DiskStore) -> None:
    other = entry(b"another").digest
    store.scans.keep(DIGEST, EVIL)
    store.scans.keep(other, EVIL)
    store.sweep_parts()
    assert dict(store.scans.all()) == {DIGEST: EVIL}


def test_the_verdicts_go_from_good_to_bad() -> None:
    scans = [Scan(verdict) for verdict in VERDICTS]
    assert sorted(scans, key=Scan.badness) == scans
    assert [scan.safe for scan in scans] == [True, False, False, False]
