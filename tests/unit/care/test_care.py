"""What is wanted, held and sound; and what gc takes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hfmirror.care import gc
from hfmirror.errors import StoreLocked
from hfmirror.mirror import Mirror
from hfmirror.model import Selection
from hfmirror.settings import Settings
from tests.contracts.scene import TINY, entry, head_of, manifest, pin_of

if TYPE_CHECKING:
    from pathlib import Path

KEPT, LOOSE, ABSENT = entry(b"kept", "kept.bin"), entry(b"loose", "loose.bin"), entry(b"absent", "absent.bin")


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """A mirror that wants one object it has and one it lacks, and has one nobody wants."""
    mirror = Mirror(Settings(tmp_path / "mirror"))
    listing = manifest([KEPT, ABSENT])
    mirror.store.keep(pin_of(listing), listing)
    with mirror.store.batch() as batch:
        batch.add(KEPT, b"kept")
        batch.add(LOOSE, b"loose")
    mirror.store.publish(pin_of(listing), head_of(listing))
    return mirror


def test_the_status_is_a_difference_of_sets(mirror: Mirror) -> None:
    status = mirror.status()
    assert (set(status.wanted), set(status.held)) == ({KEPT.digest, ABSENT.digest}, {KEPT.digest, LOOSE.digest})
    assert (set(status.lacking), set(status.garbage)) == ({ABSENT.digest}, {LOOSE.digest})


def test_gc_spares_the_young(mirror: Mirror) -> None:
    sweep = mirror.sweep(dry=False)
    assert (sweep.doomed, sweep.spared) == ({}, {LOOSE.digest: 5})
    assert mirror.store.has(LOOSE.digest)


def test_gc_takes_what_is_old_and_unwanted_and_nothing_else(mirror: Mirror) -> None:
    for one in (KEPT, LOOSE):
        path = mirror.store.path(one.digest)
        assert path is not None
        old = path.stat().st_mtime - gc.GRACE_S - 1
        os.utime(path, (old, old))
    assert mirror.sweep(dry=True).doomed == {LOOSE.digest: 5}
    assert mirror.store.has(LOOSE.digest)
    assert mirror.sweep(dry=False).freed == 5
    assert set(mirror.store.objects()) == {KEPT.digest}


def test_gc_refuses_where_locks_keep_nobody_out(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror.store, "locks_exclude", lambda: False)
    with pytest.raises(StoreLocked):
        mirror.sweep(0.0, dry=False)
    assert mirror.store.has(LOOSE.digest)


def test_removing_makes_garbage_of_what_no_other_pin_wants(mirror: Mirror) -> None:
    listing = manifest([KEPT], TINY, manifest([]).commit.replace("c", "d"))  # type: ignore[arg-type]
    mirror.store.keep(pin_of(listing), listing)
    mirror.remove(TINY, [manifest([]).commit])
    assert mirror.status().garbage == {LOOSE.digest}
    mirror.remove(TINY, [listing.commit])
    assert mirror.status().garbage == {LOOSE.digest, KEPT.digest}


def test_a_damaged_object_is_found_and_taken_out_of_the_store_and_the_view(mirror: Mirror) -> None:
    listing = manifest([KEPT, ABSENT])
    pin = pin_of(listing, selection=Selection(("kept.bin",)))
    mirror.view.show(pin, listing, [KEPT])
    path = mirror.store.path(KEPT.digest)
    assert path is not None
    path.chmod(0o644)
    path.write_bytes(b"rots")
    findings = list(mirror.verify())
    assert {finding.digest for finding in findings if not finding.sound} == {KEPT.digest}
    assert not mirror.store.has(KEPT.digest)
    assert not (mirror.view.snapshot(TINY, listing.commit) / "kept.bin").exists()
    assert (mirror.store.layout.quarantine / f"sha256-{KEPT.digest.hex}").read_bytes() == b"rots"
    assert all(finding.sound for finding in mirror.verify())


def test_what_cannot_be_read_just_now_is_not_thrown_out(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    held = set(mirror.store.objects())

    def refuse(*words: object, **more: object) -> object:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr("hfmirror.care.verify.FileIO", refuse)
        findings = list(mirror.verify())
    assert findings
    assert not any(finding.sound for finding in findings)
    assert set(mirror.store.objects()) == held
