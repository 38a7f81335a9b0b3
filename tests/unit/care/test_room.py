"""Quotas: what goes to make room, in which order, and what never goes."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from hfmirror.care import room, skim, uses
from hfmirror.care.limits import Limits
from hfmirror.errors import QuotaFull, UsageError
from hfmirror.mirror import Mirror
from hfmirror.model import CommitId, Entry, Kind, Manifest, Pin, RepoId
from hfmirror.moments import utc
from hfmirror.settings import Settings
from hfmirror.store import files
from tests.contracts.scene import entry, head_of

if TYPE_CHECKING:
    from pathlib import Path

SHARED = entry(b"s" * 1000, "shared.bin")
DATA = {name: name.encode() * 1000 for name in "abcd"}  # of 1 000 bytes each
OWN = {name: entry(data, f"{name}.bin") for name, data in DATA.items()}
DAY_S = 86_400.0


def commit_of(name: str) -> tuple[RepoId, CommitId]:
    return RepoId(Kind.MODEL, f"acme/{name}"), CommitId(name * 40)


def bring(mirror: Mirror, name: str, days_ago: float, *, demand: bool = True) -> None:
    """A commit of one file of its own and one that all share, last used so long ago."""
    listing = Manifest.of(*commit_of(name), [OWN[name], SHARED])
    pin = Pin(listing.repo, listing.commit, "main", demand=demand)
    mirror.store.keep(pin, listing)
    with mirror.store.batch() as batch:
        for one, data in ((OWN[name], DATA[name]), (SHARED, b"s" * 1000)):
            if not mirror.store.has(one.digest):
                batch.add(one, data)
    mirror.store.publish(pin, head_of(listing))
    mirror.view.show(pin, listing, listing.entries)
    path = mirror.store.layout.pin(listing.repo, listing.commit)
    used = utc(time.time() - days_ago * DAY_S)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"used": used}))


def mirror_of(folder: Path, quota: int | None = None, min_free: int = 0) -> Mirror:
    mirror = Mirror(Settings(folder / "mirror", "http://127.0.0.1:9", quota=quota, min_free=min_free))
    bring(mirror, "a", 3)
    bring(mirror, "b", 9)
    bring(mirror, "c", 20, demand=False)
    return mirror


def held(mirror: Mirror) -> set[str]:
    return {name for name, one in OWN.items() if mirror.store.has(one.digest)}


def test_the_longest_unused_goes_first_and_no_more_than_needed(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    sweep = mirror.sweep(room=Limits(3500), dry=True)
    assert [(str(going.pin.repo), going.freed) for going in sweep.evicted] == [("acme/b", 1000)]
    assert (set(sweep.doomed), sweep.short) == ({OWN["b"].digest}, 0)
    assert held(mirror) == {"a", "b", "c"}
    assert mirror.sweep(room=Limits(3500), dry=False).freed == 1000
    assert held(mirror) == {"a", "c"}
    assert not mirror.view.snapshot(*commit_of("b")).exists()
    assert mirror.view.snapshot(*commit_of("a")).exists()
    assert mirror.sweep(room=Limits(3500), dry=True).evicted == ()


def test_what_was_asked_for_never_goes_and_what_lacks_is_said(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    sweep = mirror.sweep(room=Limits(500), dry=False)
    assert held(mirror) == {"c"}
    assert (sweep.freed, sweep.short) == (2000, 1500)
    assert mirror.store.has(SHARED.digest)


def test_what_is_in_use_does_not_go(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    bring(mirror, "a", 0)
    bring(mirror, "b", room.BUSY_S / DAY_S / 2)
    assert mirror.sweep(room=Limits(0), dry=True).evicted == ()


def test_a_file_that_was_read_makes_its_repo_younger(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    path = mirror.store.path(OWN["b"].digest)
    shared = mirror.store.path(SHARED.digest)
    assert path is not None
    assert shared is not None
    now = time.time()
    for each, read in ((path, now), (shared, now)):
        os.utime(each, (read - 30 * DAY_S, read - 30 * DAY_S))
    assert uses.read_at(str(path), now + 1) is None, "its name was changed later than it was read"
    assert uses.read_at(str(tmp_path / "none"), now) is None
    assert uses.last("2026-01-01T00:00:00Z", None, now) == uses.noted("2026-01-01T00:00:00Z")
    assert uses.last("garbage", None, now) is None
    fresh = tmp_path / "fresh"
    fresh.write_bytes(b"x")
    later = fresh.stat().st_ctime + uses.SETTLED_S + 100
    os.utime(fresh, (later, fresh.stat().st_mtime))
    assert uses.read_at(str(fresh), later + 1) == pytest.approx(later)
    assert uses.read_at(str(fresh), later - 1) is None, "a time that is still to come is none"
    os.utime(fresh, (fresh.stat().st_ctime + 100, fresh.stat().st_mtime))
    assert uses.read_at(str(fresh), later) is None, "whoever brought it has read it"
    os.utime(fresh, (later, fresh.stat().st_mtime))
    assert uses.last("2001-01-01T00:00:00Z", str(fresh), later + 1) == pytest.approx(later)


def test_the_disk_is_left_some_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = mirror_of(tmp_path)
    monkeypatch.setattr(files, "free_space", lambda where: 5000)
    assert mirror.sweep(room=Limits(None, 4000), dry=True).evicted == ()
    assert len(mirror.sweep(room=Limits(None, 5500), dry=True).evicted) == 1
    assert mirror.sweep(room=Limits(None, 9000), dry=True).short == 2000


def test_nothing_goes_while_nobody_knows_what_is_wanted(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    mirror.store.layout.manifest(*commit_of("c")).unlink()
    sweep = mirror.sweep(room=Limits(0), dry=False)
    assert (sweep.evicted, sweep.doomed) == ((), {})
    assert held(mirror) == {"a", "b", "c"}


def test_what_is_used_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = mirror_of(tmp_path)
    plan = mirror._plan_room

    def used_just_then(*words: object) -> object:
        eviction = plan(*words)  # type: ignore[arg-type]
        bring(mirror, "b", 0)
        return eviction

    monkeypatch.setattr(mirror, "_plan_room", used_just_then)
    assert mirror.sweep(room=Limits(3500), dry=False).doomed == {}
    assert held(mirror) == {"a", "b", "c"}


# Making room


def test_a_pull_makes_room_before_it_fetches(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path, quota=10_000)
    mirror.store.room_for([Entry("x", 1000, OWN["d"].digest)])
    assert held(mirror) == {"a", "b", "c"}
    again = Mirror(mirror.settings)
    again.store.room_for([Entry("x", 2000, OWN["d"].digest)])  # and the room that a file takes beyond its size
    assert held(mirror) == {"a", "c"}


def test_when_it_cannot_be_made_nothing_goes(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path, quota=10_000)
    with pytest.raises(QuotaFull) as caught:
        mirror.store.room_for([Entry("x", 50_000, OWN["d"].digest)])
    assert held(mirror) == {"a", "b", "c"}
    assert caught.value.exit_code == 8
    assert "quota of 10 kB" in str(caught.value)
    assert "HFMIRROR_QUOTA" in caught.value.hint()


def test_the_disk_may_be_what_lacks_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "free_space", lambda where: 100_000)
    mirror = mirror_of(tmp_path, min_free=99_000)
    with pytest.raises(QuotaFull, match="99 kB to be left free"):
        mirror.store.room_for([Entry("x", 50_000, OWN["d"].digest)])


def test_a_fill_makes_room_too(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path, quota=4500)
    keeper = room.Roomed(mirror.store, mirror.store.make_room)
    large = entry(b"d" * 1000, "d.bin")
    with keeper.receive(large) as intake:
        assert intake.missing()
        assert held(mirror) == {"a", "c"}
    assert keeper.has(SHARED.digest)
    assert keeper.path(SHARED.digest) == mirror.store.path(SHARED.digest)
    with keeper.batch() as batch:
        batch.add(OWN["d"], DATA["d"])
    assert keeper.has(OWN["d"].digest)


def test_what_is_coming_counts_before_it_is_here(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path, quota=5500)
    mirror.make_room(1000)
    assert held(mirror) == {"a", "b", "c"}
    mirror.make_room(1000)
    assert held(mirror) == {"a", "c"}


def test_without_limits_nothing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = mirror_of(tmp_path)
    monkeypatch.setattr(skim, "sizes", lambda store: pytest.fail("nobody asked"))
    mirror.store.room_for([Entry("x", 2000, OWN["d"].digest)])
    mirror.sweep(dry=True)


def test_unfinished_downloads_and_what_was_set_aside_count(tmp_path: Path) -> None:
    mirror = mirror_of(tmp_path)
    before = room.Gauge(mirror.store).taken()
    mirror.store.set_aside(OWN["a"].digest)
    after = room.Gauge(mirror.store).taken()
    assert 4000 <= before <= after


# What people write


@pytest.mark.parametrize(
    ("text", "size"),
    [("500G", 500 * 10**9), ("1.5TB", 15 * 10**11), ("20 GiB", 20 * 2**30), ("7", 7), ("3k", 3000), ("", None)],
)
def test_a_quota_as_people_write_it(text: str, size: int | None, tmp_path: Path) -> None:
    assert Settings.of({"HFMIRROR_QUOTA": text, "HFMIRROR_MIN_FREE": text}, tmp_path).quota == size


@pytest.mark.parametrize("text", ["much", "-1G", "5%", "1e9", "G"])
def test_what_is_no_size_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="HFMIRROR_MIN_FREE"):
        Settings.of({"HFMIRROR_MIN_FREE": text}, tmp_path)
