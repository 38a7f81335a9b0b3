"""Which commits are meant, and by whose word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hfmirror.adopt.folders import repo_of_address
from hfmirror.adopt.found import Claim, Told
from hfmirror.adopt.own import algorithm_for
from hfmirror.adopt.targets import Names, claimed, hearsay, named, selecting
from hfmirror.codec import own_commit
from hfmirror.errors import NotFound, Unavailable
from hfmirror.model import (
    CACHE,
    HUB,
    Algorithm,
    CommitId,
    Digest,
    Entry,
    Head,
    Kind,
    Manifest,
    RepoId,
    Selection,
    is_commit,
)
from hfmirror.store.disk import DiskStore
from hfmirror.transfer.events import silent
from tests.contracts.scene import COMMIT, TINY, entry, head_of, manifest, pin_of, publish
from tests.simulator import HubSimulator

if TYPE_CHECKING:
    from pathlib import Path

SHA = Digest(Algorithm.SHA256, "ab" * 32)
FILES = (Told("config.json", "/c/config.json", 5, SHA), Told("a/b.bin", "/c/b", 9, SHA))
CLAIM = Claim(TINY, COMMIT, "/c", FILES, {"main": 7.0})


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    """An empty store."""
    return DiskStore(tmp_path / "mirror")


class Dead(HubSimulator):
    """A hub that nobody reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def resolve(self, repo: RepoId, revision: str) -> Head:
        self.asked.append(f"{repo}@{revision}")
        raise Unavailable("hub", "no route")

    def manifest(self, repo: RepoId, commit: CommitId, selection: Selection) -> Manifest:
        self.asked.append(f"{repo}@{commit}")
        raise Unavailable("hub", "no route")


steps = st.lists(st.sampled_from(["a", "b", "[x]", "*", "c.json"]), min_size=1, max_size=3)
paths = st.sets(steps.map("/".join), min_size=1)


@given(paths, st.data())
def test_a_selection_takes_just_what_it_was_made_for(listed: set[str], data: st.DataObject) -> None:
    files = {path for path in listed if not any(other.startswith(f"{path}/") for other in listed)}
    wanted = data.draw(st.sets(st.sampled_from(sorted(files))))
    listing = manifest([entry(path.encode(), path) for path in files])
    selection = selecting(wanted, listing)
    taken = set() if selection is None else {entry.path for entry in selection.of(listing)}
    assert taken == wanted


patterns = st.lists(steps.map("/".join) | st.sampled_from(["a/", "*.json", "b*", "[x]*", "a/b"]), max_size=4)


@given(paths, patterns, patterns)
def test_a_selection_of_a_listing_is_what_it_takes_one_by_one(
    listed: set[str], include: list[str], exclude: list[str]
) -> None:
    listing = manifest([entry(path.encode(), path) for path in listed])
    selection = Selection(tuple(include), tuple(exclude))
    assert [row.path for row in selection.of(listing)] == [
        row.path for row in listing.entries if selection.takes(row.path)
    ]


def test_hearsay_of_a_large_snapshot_takes_no_age(store: DiskStore) -> None:
    files = tuple(Told(f"train/{number}.jpg", "/c", 9, SHA) for number in range(20_000))
    target = hearsay(Claim(TINY, COMMIT, "/c", files), TINY, {})
    assert target is not None
    store.keep(target.pins[0], target.manifest)
    listing = store.manifest(TINY, COMMIT, target.selection)
    assert len(list(target.selection.of(listing))) == 20_000


def test_hearsay_covers_what_lies_there_and_denies_nothing() -> None:
    target = hearsay(CLAIM, TINY, CLAIM.names)
    assert target is not None
    listing = target.manifest
    assert (listing.origin, {row.path for row in listing.entries}) == (CACHE, {"config.json", "a/b.bin"})
    assert not listing.denies("other.txt")
    assert listing.reach.includes(target.selection.reach())
    assert {row.path for row in target.entries} == {"config.json", "a/b.bin"}


def test_a_claim_is_checked_with_the_authority_and_kept_apart_when_it_is_silent(store: DiskStore) -> None:
    hub = HubSimulator()
    commit = publish(hub)
    claim = Claim(
        TINY, commit, "/c", (Told("config.json", "/c", 1, None), Told("gone.txt", "/d", 1, None)), {"main": 7.0}
    )
    target, trouble = claimed(claim, (), Names(hub, store, silent), store)
    assert (target is not None, trouble) == (True, None)
    assert target is not None
    assert (target.manifest.origin, target.manifest.reach.everything) == (HUB, True)
    assert [row.path for row in target.entries] == ["config.json"]
    told, trouble = claimed(CLAIM, (), Names(Dead(), store, silent), store)
    assert told is not None
    assert told.manifest.origin == CACHE
    nothing, trouble = claimed(Claim(TINY, COMMIT, "/c", whole=True), (), Names(Dead(), store, silent), store)
    assert nothing is None
    assert trouble is not None


def test_a_repo_that_was_named_wants_the_authoritys_word(store: DiskStore) -> None:
    hub = HubSimulator()
    commit = publish(hub)
    names = Names(hub, store, silent)
    target = named(TINY, None, Selection(), names, [])
    assert (target.manifest.commit, target.revisions) == (commit, ("main",))
    with pytest.raises(NotFound):
        named(RepoId(Kind.MODEL, "no/body"), None, Selection(), names, [])
    with pytest.raises(Unavailable):
        named(TINY, None, Selection(), Names(None, store, silent), [])
    told = named(TINY, None, Selection(), Names(None, store, silent), [CLAIM])
    assert told.manifest.origin == CACHE


def test_a_silent_hub_is_not_asked_for_every_repo(store: DiskStore) -> None:
    dead = Dead()
    names = Names(dead, store, silent)
    for name in ("a/b", "c/d", "e/f"):
        with pytest.raises(Unavailable):
            names.head(RepoId(Kind.MODEL, name), "main")
    assert set(dead.asked) == {"a/b@main"}


def test_hearsay_never_takes_the_authoritys_place(store: DiskStore) -> None:
    whole = manifest([entry(b"{}", "config.json")])
    store.keep(pin_of(whole), whole)
    target = hearsay(CLAIM, TINY, {})
    assert target is not None
    store.keep(target.pins[0], target.manifest)
    assert store.manifest(TINY, COMMIT).origin == HUB
    other = CommitId("d" * 40)
    heard = hearsay(Claim(TINY, other, "/c", FILES), TINY, {})
    assert heard is not None
    store.keep(heard.pins[0], heard.manifest)
    assert store.manifest(TINY, other).origin == CACHE
    listing = manifest([entry(b"{}", "config.json")], commit=other)
    store.keep(pin_of(listing), listing)
    assert store.manifest(TINY, other).origin == HUB
    assert not list(store.layout.manifests.rglob("*.cache.json"))


def test_of_names_heard_the_authoritys_wins_and_then_the_later_one(store: DiskStore) -> None:
    first, second = manifest([entry(b"1")]), manifest([entry(b"2")], commit=CommitId("e" * 40))
    assert store.hear(pin_of(first), 1000.0)
    assert not store.hear(pin_of(second), 999.0)
    assert store.hear(pin_of(second), 2000.0)
    assert store.commit(TINY, "main") == second.commit
    store.publish(pin_of(first), head_of(first))
    assert not store.hear(pin_of(second), 9e9)
    assert store.commit(TINY, "main") == first.commit


# Repos of one's own


def test_the_commit_of_ones_own_repo_is_made_of_its_files_and_name() -> None:
    entries = [entry(b"1", "a"), entry(b"2", "b")]
    commit = own_commit(TINY, entries)
    assert is_commit(commit)
    assert own_commit(TINY, reversed(entries)) == commit
    assert own_commit(RepoId(Kind.MODEL, "a/b"), entries) != commit
    assert own_commit(TINY, entries[:1]) != commit
    assert own_commit(TINY, [Entry("a", 1, entry(b"1").digest), entry(b"2", "c")]) != commit


def test_files_are_named_as_the_hub_would() -> None:
    assert algorithm_for("config.json", 5000) is Algorithm.GIT_SHA1
    assert algorithm_for("model.SAFETENSORS", 5) is Algorithm.SHA256
    assert algorithm_for("data.txt", 11 * 2**20) is Algorithm.SHA256


@pytest.mark.parametrize(
    ("address", "repo"),
    [
        ("https://huggingface.co/google-bert/bert-base-chinese", "google-bert/bert-base-chinese"),
        ("https://user:hf_x@hub.example/owner/name.git", "owner/name"),
        ("git@hf.co:datasets/owner/name", "datasets/owner/name"),
        ("ssh://git@hf.co/spaces/owner/name.git", "spaces/owner/name"),
        ("https://huggingface.co/gpt2", "gpt2"),
        ("../elsewhere", None),
        ("https://hub.example/", None),
    ],
)
def test_the_address_of_a_clone_names_its_repo(address: str, repo: str | None) -> None:
    found = repo_of_address(address)
    assert (None if found is None else str(found)) == repo
