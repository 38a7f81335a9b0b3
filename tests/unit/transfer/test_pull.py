"""A pull in steps: from a hub in memory into a store on disk."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hfmirror.errors import DiskFull, NothingMatches, OutOfPatience, RepoNotFound, UnsafePath
from hfmirror.model import Head, Pin, Selection
from hfmirror.store import files
from hfmirror.transfer import patience
from hfmirror.transfer.events import Planned, Stale, silent
from hfmirror.transfer.manner import Manner
from hfmirror.transfer.plan import missing, plan_pull, refuse_clashes
from hfmirror.transfer.pull import Pull
from tests.contracts.scene import FILES, TINY, data_of, entry, manifest, publish

if TYPE_CHECKING:
    from hfmirror.store.disk import DiskStore
    from hfmirror.transfer.events import Event
    from tests.simulator import HubSimulator

ALL = Selection()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that take no time."""
    monkeypatch.setattr(patience, "FIRST_S", 0.001)
    monkeypatch.setattr(patience, "MOST_S", 0.002)


def pull_of(hub: HubSimulator, store: DiskStore, patience_s: float = 5.0, events: list[Event] | None = None) -> Pull:
    """A pull that gives up soon."""
    watch = silent if events is None else events.append
    return Pull(hub, store, Manner(patience_s=patience_s), watch)


def pull(hub: HubSimulator, store: DiskStore, selection: Selection = ALL, revision: str = "main") -> None:
    """All of it."""
    steps = pull_of(hub, store)
    steps.carry_out(steps.plan(TINY, revision, selection))


def test_a_pull_asks_for_the_name_the_listing_and_each_content_once(hub: HubSimulator, store: DiskStore) -> None:
    publish(hub)
    pull(hub, store)
    contents = len({data_of(given) for given in FILES.values() if given})
    first_spans = 1  # of the large file, whose first answer shows that ranges work
    assert hub.count("revision") == hub.count("tree") == 1
    assert hub.count("resolve") == contents + first_spans
    assert hub.bytes_served == sum(map(len, {data_of(given) for given in FILES.values()}))


def test_a_second_pull_asks_for_the_name_only(hub: HubSimulator, store: DiskStore) -> None:
    publish(hub)
    pull(hub, store)
    hub.reset_counts()
    pull(hub, store)
    assert [record.kind for record in hub.requests] == ["revision"]


def test_a_commit_that_is_known_is_asked_for_nowhere(hub: HubSimulator, store: DiskStore) -> None:
    commit = publish(hub)
    pull(hub, store)
    hub.reset_counts()
    pull(hub, store, revision=commit)
    assert hub.requests == []


def test_a_new_commit_costs_only_what_changed(hub: HubSimulator, store: DiskStore) -> None:
    publish(hub)
    pull(hub, store)
    hub.reset_counts()
    hub.add(TINY, FILES | {"config.json": b"changed"})
    pull(hub, store)
    assert hub.bytes_served == len(b"changed")


def test_what_another_pull_brings_to_its_end_needs_no_hub(hub: HubSimulator, store: DiskStore) -> None:
    publish(hub)
    pull(hub, store)
    events: list[Event] = []
    with hub.failing(refuse=True):
        steps = pull_of(hub, store, events=events)
        steps.carry_out(steps.plan(TINY, "main", ALL))
    assert [type(event) for event in events if isinstance(event, Stale)] == [Stale]


def test_a_hub_that_stays_away_ends_the_patience_when_something_lacks(hub: HubSimulator, store: DiskStore) -> None:
    publish(hub)
    pull(hub, store, Selection(("*.json",)))
    with hub.failing(refuse=True), pytest.raises(OutOfPatience):
        pull_of(hub, store, patience_s=0.0).plan(TINY, "main", ALL)


def test_a_passing_failure_of_the_api_is_waited_out(hub: HubSimulator, store: DiskStore) -> None:
    publish(hub)
    with hub.failing(status=503, where="api", times=3) as armed:
        pull(hub, store)
    assert armed.strikes == 3


def test_a_refusal_is_not_tried_again(hub: HubSimulator, store: DiskStore) -> None:
    with pytest.raises(RepoNotFound):
        pull(hub, store)
    assert len(hub.requests) == 1
    assert list(store.pins()) == []


def test_the_wish_is_on_disk_before_the_first_byte(hub: HubSimulator, store: DiskStore) -> None:
    publish(hub)
    with hub.failing(status=403, where="files"), pytest.raises(Exception, match="no access"):
        pull(hub, store)
    assert [pin.revision for pin in store.pins()] == ["main"]
    assert store.refs_of(TINY) == {}


def test_a_full_disk_is_noticed_before_the_first_byte(
    hub: HubSimulator, store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(hub)
    monkeypatch.setattr(files, "free_space", lambda where: 1000)
    with pytest.raises(DiskFull):
        pull(hub, store)
    assert hub.bytes_served == 0


def test_what_gc_took_between_the_plan_and_the_pin_is_fetched_again(hub: HubSimulator, store: DiskStore) -> None:
    commit = publish(hub)
    pull(hub, store)
    store.unkeep(TINY, commit)  # garbage now, and old
    steps = pull_of(hub, store)
    plan = steps.plan(TINY, "main", ALL)
    for digest in list(store.objects()):
        store.discard(digest)
    steps.carry_out(plan)
    assert all(store.has(one.digest) for one in plan.selected), "main has a name here, but not its bytes"


def test_patterns_that_match_nothing_are_told_with_examples(hub: HubSimulator, store: DiskStore) -> None:
    publish(hub)
    with pytest.raises(NothingMatches) as caught:
        pull(hub, store, Selection(("*.gguf",)))
    assert "config.json" in caught.value.examples
    assert list(store.pins()) == []


def test_an_empty_repo_is_pulled(hub: HubSimulator, store: DiskStore) -> None:
    hub.add(TINY, {})
    pull(hub, store)
    assert store.refs_of(TINY).keys() == {"main"}


# -- the plan -----------------------------------------------------------------------------------

NAMES = ["aux.json", "sub/NUL", "com1.txt.gz", "LPT9 .txt"]


@pytest.mark.parametrize("path", NAMES)
def test_names_of_devices_are_refused_unless_left_out(store: DiskStore, path: str) -> None:
    listing = manifest([entry(b"a", path), entry(b"b", "good.txt")])
    pin, head = Pin(listing.repo, listing.commit, "main"), Head(listing.commit)
    with pytest.raises(UnsafePath) as caught:
        plan_pull(pin, head, listing, store)
    assert caught.value.path == path
    without = replace(pin, selection=Selection(exclude=(path,)))
    assert len(plan_pull(without, head, listing, store).selected) == 1


@pytest.mark.parametrize("pair", [("a", "A"), ("sub/x", "SUB/y"), ("straße", "STRASSE"), ("é.txt", "É.txt")])
def test_names_that_clash_are_refused_where_case_is_not_told_apart(store: DiskStore, pair: tuple[str, str]) -> None:
    listing = manifest([entry(b"1", pair[0]), entry(b"2", pair[1])])
    pin, head = Pin(listing.repo, listing.commit, "main"), Head(listing.commit)
    plan = plan_pull(pin, head, listing, store)
    assert len(plan.selected) == 2, "where case is told apart"
    with pytest.raises(UnsafePath):
        refuse_clashes(plan.selected)


def test_the_largest_comes_first_and_one_content_once(store: DiskStore) -> None:
    small, large, again = entry(b"s", "a"), entry(b"large", "z"), entry(b"large", "b")
    assert [one.size for one in missing([small, large, again], store)] == [5, 1]


def test_a_plan_tells_its_sizes(hub: HubSimulator, store: DiskStore) -> None:
    publish(hub)
    events: list[Event] = []
    plan = pull_of(hub, store, events=events).plan(TINY, "main", ALL)
    assert plan.size == sum(len(data_of(given)) for given in FILES.values())
    assert plan.to_fetch == plan.size - len(data_of(FILES["config.json"]))
    assert Planned(plan) in events


def test_a_file_that_was_added_upstream_can_be_pulled_by_name(hub: HubSimulator, store: DiskStore) -> None:
    hub.add(TINY, {"config.json": b"{}"})
    pull(hub, store)
    hub.add(TINY, {"config.json": b"{}", "new.gguf": b"new"})
    pull(hub, store, Selection(("new.gguf",)))
    assert store.has(entry(b"new").digest)


def test_a_listing_that_cannot_be_read_is_fetched_again(hub: HubSimulator, store: DiskStore) -> None:
    commit = publish(hub)
    pull(hub, store)
    whole, pinned = store.layout.manifest(TINY, commit), store.layout.pin(TINY, commit)
    for garbled in (whole, pinned):
        garbled.write_bytes(b"\xff\xfe not text")
    pull(hub, store)
    assert store.manifest(TINY, commit).entries
    assert [pin.commit for pin in store.pins()] == [commit]
