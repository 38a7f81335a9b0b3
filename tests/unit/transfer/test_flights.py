"""Contents on their way in while they are read."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from hfmirror.errors import DigestMismatch, EntryNotFound, TooBusy
from hfmirror.model import PART, Selection
from hfmirror.transfer import flights as room
from hfmirror.transfer import patience
from hfmirror.transfer.flights import Fill, Flights, wrong_bytes
from tests.contracts.scene import CONFIG, TINY, WEIGHTS, data_of, entry, manifest, publish
from tests.simulator import Faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hfmirror.model import Entry, Manifest
    from hfmirror.store.disk import DiskStore
    from tests.simulator import HubSimulator

LONG_S = 20.0


class Watch:
    """Waits for a fill to come to something."""

    def __init__(self, fill: Fill) -> None:
        self.fill, self._changed = fill, threading.Event()

    def until(self, there: Callable[[], bool]) -> None:
        """Return once it is so; fails after a long while."""
        while not there():
            self._changed.clear()
            self.fill.when_changed(self._changed.set)
            if not there():
                assert self._changed.wait(LONG_S), "it never came to that"


@pytest.fixture
def listing(hub: HubSimulator) -> Manifest:
    commit = publish(hub)
    return hub.manifest(TINY, commit, Selection())


@pytest.fixture
def ended() -> list[Fill]:
    return []


@pytest.fixture
def flights(store: DiskStore, ended: list[Fill], monkeypatch: pytest.MonkeyPatch) -> Iterator[Flights]:
    monkeypatch.setattr(patience, "FIRST_S", 0.001)
    monkeypatch.setattr(room, "PATIENCE_S", 0.2)
    flights = Flights(store, 4, ended.append)
    yield flights
    flights.close()


def find(listing: Manifest, path: str) -> Entry:
    found = listing.get(path)
    assert found is not None
    return found


def read(fill: Fill) -> bytes:
    fd = fill.descriptor()
    try:
        return b"".join(iter(lambda: os.read(fd, PART), b""))
    finally:
        os.close(fd)


def test_a_large_content_can_be_read_while_it_comes(
    hub: HubSimulator, flights: Flights, listing: Manifest, store: DiskStore
) -> None:
    weights = find(listing, "model.safetensors")
    with hub.failing(Faults(hold_from=2 * PART, hold_to=2 * PART + 1)):
        fill = flights.join(hub, listing, weights)
        assert flights.join(hub, listing, weights) is fill is flights.get(weights.digest)
        Watch(fill).until(lambda: fill.reach(0) == 2 * PART)
        assert not fill.proven
        fd = fill.descriptor()
        assert os.pread(fd, 100, PART) == WEIGHTS.data()[PART : PART + 100]
        os.close(fd)
    Watch(fill).until(lambda: store.has(weights.digest))
    assert fill.proven
    assert fill.reach(5) == weights.size
    assert read(fill) == WEIGHTS.data()


def test_a_small_content_is_there_when_it_is_proven_and_then_gets_its_name(
    hub: HubSimulator, flights: Flights, listing: Manifest, store: DiskStore
) -> None:
    fill = flights.join(hub, listing, find(listing, "config.json"))
    Watch(fill).until(lambda: fill.proven)
    assert fill.data == CONFIG
    flights.close()
    assert store.has(fill.entry.digest)
    assert flights.get(fill.entry.digest) is None


def test_a_waiting_reader_is_served_first(hub: HubSimulator, flights: Flights, listing: Manifest) -> None:
    weights = find(listing, "model.safetensors")
    with hub.failing(Faults(hold_from=0, hold_to=PART)):
        fill = flights.join(hub, listing, weights)
        fill.hurry(3 * PART + 7)
        Watch(fill).until(lambda: fill.reach(3 * PART) == weights.size)
        assert fill.reach(0) < PART


def test_wrong_bytes_are_thrown_away_and_readers_can_tell(
    hub: HubSimulator, flights: Flights, listing: Manifest, store: DiskStore, ended: list[Fill]
) -> None:
    weights = find(listing, "model.safetensors")
    with hub.failing(Faults(garbage_at=5)):
        fill = flights.join(hub, listing, weights)
        Watch(fill).until(lambda: bool(ended))
    assert isinstance(fill.error, DigestMismatch)
    assert wrong_bytes(fill) is fill.error
    assert fill.round == 2
    assert not store.has(weights.digest)
    assert flights.get(weights.digest) is None
    assert data_of(WEIGHTS) == WEIGHTS.data()


def test_bytes_that_were_wrong_once_are_told_apart_from_those_that_follow(
    hub: HubSimulator, flights: Flights, listing: Manifest, store: DiskStore
) -> None:
    weights = find(listing, "model.safetensors")
    with hub.failing(Faults(garbage_at=5, times=1)):
        fill = flights.join(hub, listing, weights)
        Watch(fill).until(lambda: store.has(weights.digest))
    assert fill.round == 1
    assert isinstance(wrong_bytes(fill), DigestMismatch)
    assert read(fill) == WEIGHTS.data()


def test_what_cannot_be_had_says_why(hub: HubSimulator, flights: Flights, listing: Manifest, ended: list[Fill]) -> None:
    stranger = entry(b"never published", "nope.txt")
    fill = flights.join(hub, manifest([stranger], commit=listing.commit), stranger)
    Watch(fill).until(lambda: bool(ended))
    assert isinstance(fill.error, EntryNotFound)
    assert ended == [fill]


def test_too_many_fills_are_put_off(hub: HubSimulator, store: DiskStore, listing: Manifest) -> None:
    flights = Flights(store, 1, lambda _: None)
    with hub.failing(Faults(hold_from=0, hold_to=PART)):
        fill = flights.join(hub, listing, find(listing, "model.safetensors"))
        with pytest.raises(TooBusy):
            flights.join(hub, listing, find(listing, "config.json"))
        assert len(flights) == 1
    Watch(fill).until(lambda: store.has(fill.entry.digest))
    flights.close()


def test_what_is_held_by_then_is_not_fetched(hub: HubSimulator, flights: Flights, listing: Manifest) -> None:
    weights = find(listing, "model.safetensors")
    first = flights.join(hub, listing, weights)
    Watch(first).until(lambda: first.proven and flights.get(weights.digest) is None)
    asked = hub.count()
    second = flights.join(hub, listing, weights)
    Watch(second).until(lambda: second.proven)
    assert read(second) == WEIGHTS.data()
    assert hub.count() == asked
