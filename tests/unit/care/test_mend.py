"""What is to be mended, what gc takes besides, and why something is here: the decisions, without a network."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hfmirror.care import why
from hfmirror.errors import DamagedObject, NotHere, NothingMatches
from hfmirror.mirror import Mirror
from hfmirror.model import LOCAL, Manifest, Pin, Selection
from hfmirror.settings import Settings
from hfmirror.transfer.events import silent
from hfmirror.transfer.manner import Manner
from tests.contracts.scene import TINY, entry, head_of, manifest, pin_of

if TYPE_CHECKING:
    from pathlib import Path

KEPT, OTHER = entry(b"kept", "kept.bin"), entry(b"other", "other.bin")
LISTING = manifest([KEPT, OTHER])


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """A mirror with a commit of two objects in its view, and nobody to ask."""
    mirror = Mirror(Settings(tmp_path / "mirror", "http://127.0.0.1:9"))
    keep(mirror, LISTING, pin_of(LISTING))
    return mirror


def keep(mirror: Mirror, listing: Manifest, pin: Pin) -> None:
    mirror.store.keep(pin, listing)
    with mirror.store.batch() as batch:
        batch.add(KEPT, b"kept")
        batch.add(OTHER, b"other")
    mirror.store.publish(pin, head_of(listing))
    mirror.view.show(pin, listing, listing.entries)


def rot(mirror: Mirror) -> None:
    path = mirror.store.path(KEPT.digest)
    assert path is not None
    path.chmod(0o644)
    path.write_bytes(b"rots")
    assert [finding.digest for finding in mirror.verify() if not finding.sound] == [KEPT.digest]


def test_what_a_pin_selects_is_to_be_mended_and_nothing_else(mirror: Mirror) -> None:
    assert mirror.plan_repair().mendings == ()
    rot(mirror)
    (mending,) = mirror.plan_repair().mendings
    assert (mending.pin, mending.entries) == (pin_of(LISTING), (KEPT,))
    mirror.unpin(TINY, [LISTING.commit])
    mirror.store.keep(pin_of(LISTING, selection=Selection(("other.bin",))), LISTING)
    repair = mirror.plan_repair()
    assert (repair.mendings, repair.unwanted) == ((), (KEPT.digest,))


def test_what_clients_asked_for_is_to_be_mended_too(mirror: Mirror) -> None:
    mirror.unpin(TINY, [LISTING.commit])
    mirror.store.keep(Pin(TINY, LISTING.commit, "main", demand=True), LISTING)
    rot(mirror)
    (mending,) = mirror.plan_repair().mendings
    assert (mending.pin.demand, mending.entries) == (True, (KEPT,))


def test_what_is_here_again_is_shown_and_asks_nobody(mirror: Mirror) -> None:
    rot(mirror)
    place = mirror.view.snapshot(TINY, LISTING.commit) / "kept.bin"
    assert not place.exists()
    with mirror.store.batch() as batch:
        batch.add(KEPT, b"kept")
    assert mirror.repair(mirror.plan_repair(), Manner(None, 0.0), silent) == []
    assert place.read_bytes() == b"kept"
    assert mirror.store.damaged() == []


def test_a_repo_of_ones_own_cannot_be_fetched_and_that_is_said(tmp_path: Path) -> None:
    mirror = Mirror(Settings(tmp_path / "mirror", "http://127.0.0.1:9"))
    own = Manifest.of(TINY, LISTING.commit, [KEPT, OTHER], origin=LOCAL)
    keep(mirror, own, pin_of(own))
    rot(mirror)
    (failure,) = mirror.repair(mirror.plan_repair(), Manner(None, 0.0), silent)
    assert isinstance(failure, DamagedObject)
    assert str(TINY) in failure.hint()
    assert mirror.store.damaged() == [KEPT.digest], "it is all there is"


def test_what_was_converted_can_be_converted_again(tmp_path: Path) -> None:
    mirror = Mirror(Settings(tmp_path / "mirror", "http://127.0.0.1:9"))
    own = Manifest.of(TINY, LISTING.commit, [KEPT, OTHER], origin=LOCAL)
    pin = pin_of(own)
    keep(mirror, own, pin)
    mirror.store.publish(pin, replace(head_of(own), about={"convertedFrom": "f" * 40}))
    rot(mirror)
    (failure,) = mirror.repair(mirror.plan_repair(), Manner(None, 0.0), silent)
    assert f"hfmirror convert {TINY}@{'f' * 40} --revision {pin.revision}" in failure.hint()


def test_a_damaged_object_of_another_repo_is_left_alone(mirror: Mirror) -> None:
    rot(mirror)
    other = type(TINY)(TINY.kind, "some/other")
    assert mirror.plan_repair([other]).mendings == ()
    assert mirror.plan_repair([other]).unwanted == ()


# Pins


def test_a_pin_that_matches_nothing_changes_nothing(mirror: Mirror) -> None:
    with pytest.raises(NothingMatches):
        mirror.pin(TINY, "main", Selection(("*.gguf",)))
    with pytest.raises(NotHere):
        mirror.pin(TINY, "v9", Selection())
    assert list(mirror.store.pins()) == [pin_of(LISTING)]


def test_unpinning_leaves_the_demand(mirror: Mirror) -> None:
    demand = Pin(TINY, LISTING.commit, "main", demand=True)
    mirror.store.keep(demand, LISTING)
    mirror.unpin(TINY, [LISTING.commit])
    assert list(mirror.store.pins()) == [demand]
    assert mirror.sweep(0.0, dry=False).doomed == {}


def test_what_is_asked_for_again_before_gc_comes_stays(mirror: Mirror) -> None:
    mirror.unpin(TINY, [LISTING.commit])
    assert list(mirror.store.let_go()) == [(TINY, LISTING.commit)]
    mirror.store.keep(pin_of(LISTING), LISTING)
    mirror.store.unkeep(TINY, LISTING.commit, wanted_too=False)
    assert list(mirror.store.pins()) == [pin_of(LISTING)]


def test_rm_forgets_what_was_unpinned(mirror: Mirror) -> None:
    mirror.unpin(TINY, [LISTING.commit])
    mirror.remove(TINY, mirror.commits(TINY, None))
    with pytest.raises(NotHere):
        mirror.commits(TINY, None)


@pytest.mark.parametrize("used", ["2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "long ago", None])
def test_only_a_demand_that_is_known_to_be_old_is_dropped(mirror: Mirror, used: str | None) -> None:
    mirror.unpin(TINY, [LISTING.commit])
    mirror.store.keep(Pin(TINY, LISTING.commit, "main", demand=True), LISTING)
    path = mirror.store.layout.pin(TINY, LISTING.commit)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"used": used}))
    old = used == "2020-01-01T00:00:00Z"
    assert mirror.sweep(0.0, dry=True).idle == ()
    assert bool(mirror.sweep(0.0, 1.0, dry=True).idle) == old
    assert bool(mirror.sweep(0.0, 1.0, dry=False).doomed) == old
    assert bool(list(mirror.store.pins())) == (not old)


def test_a_wish_does_not_age(mirror: Mirror) -> None:
    path = mirror.store.layout.pin(TINY, LISTING.commit)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"used": "2020-01-01T00:00:00Z"}))
    sweep = mirror.sweep(0.0, 1.0, dry=False)
    assert (sweep.idle, sweep.doomed) == ((), {})


# Why


def test_why_names_each_pin_and_path(mirror: Mirror) -> None:
    (reason,) = mirror.why(str(KEPT.digest))
    assert reason.claims == (why.Claim(pin_of(LISTING), "kept.bin", "a hub"),)
    assert (reason.size, reason.parts) == (4, False)
    assert mirror.why("kept.bin") == [reason]
    with pytest.raises(NotHere):
        mirror.why("absent.bin")
    rot(mirror)
    with pytest.raises(NotHere):
        mirror.why("kept.bin")
