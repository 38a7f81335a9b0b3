"""What must hold of a store whatever the order of events: found by hypothesis."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hfmirror.care import gc, sets
from hfmirror.mirror import Mirror
from hfmirror.model import PART, CommitId, Digest, Kind, Manifest, Pin, Reach, RepoId, Selection
from hfmirror.settings import Settings
from hfmirror.store.disk import DiskStore
from hfmirror.store.layout import label
from tests.contracts.scene import entry, head_of, manifest

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

PARTS = 4
DATA = os.urandom((PARTS - 1) * PART + 12_345)
WANTED = entry(DATA)


@st.composite
def arrivals(draw: DrawFn) -> list[tuple[int, list[int]]]:
    """Parts in any order, each cut into pieces anywhere; some come twice, some not at all."""
    order = draw(st.lists(st.integers(0, PARTS - 1), min_size=1, max_size=6, unique=True))
    return [(part, sorted(draw(st.sets(st.integers(1, 12_344), max_size=3)))) for part in order]


def bring(store: DiskStore, pieces: list[tuple[int, list[int]]], torn: bool) -> set[int]:
    """One run of a writer; the parts it finished. Torn: its last part lacks its end."""
    finished = set()
    with store.receive(WANTED) as intake:
        lacking = {span.start // PART + n for span in intake.missing() for n in range(-(-span.size // PART))}
        for number, (part, cuts) in enumerate(pieces):
            if part not in lacking:
                continue
            start, stop = part * PART, min((part + 1) * PART, len(DATA))
            edges = [start, *(start + cut for cut in cuts), stop]
            whole = not (torn and number == len(pieces) - 1)
            for one, two in zip(edges, edges[1:] if whole else edges[1:-1], strict=False):
                intake.write(one, DATA[one:two])
            if whole:
                finished.add(part)
    return finished


@settings(max_examples=40)
@given(
    runs=st.lists(st.tuples(arrivals(), st.booleans()), min_size=1, max_size=4),
    rotten=st.sets(st.integers(0, PARTS - 1)),
)
def test_any_split_in_any_order_with_any_loss_gives_the_same_object(
    runs: list[tuple[list[tuple[int, list[int]]], bool]], rotten: set[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = DiskStore(Path(folder))
        here: set[int] = set()
        for pieces, torn in runs:
            here |= bring(store, pieces, torn)
        (left,) = store.layout.incoming.glob(f"{label(WANTED.digest)}~*")
        with (left / "data").open("r+b") as data:
            for part in rotten & here:
                data.seek(part * PART + 99)
                data.write(bytes([DATA[part * PART + 99] ^ 1]))
        with store.receive(WANTED) as intake:
            lacking = {start // PART for span in intake.missing() for start in range(span.start, span.stop, PART)}
            assert lacking == set(range(PARTS)) - (here - rotten)
            for span in intake.missing():
                intake.write(span.start, DATA[span.start : span.stop])
            intake.seal()
        path = store.path(WANTED.digest)
        assert path is not None
        assert path.read_bytes() == DATA


@settings(max_examples=40)
@given(cut=st.integers(0, 200), noise=st.binary(max_size=40))
def test_a_journal_torn_anywhere_and_followed_by_anything_is_believed_only_where_the_data_agree(
    cut: int, noise: bytes
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = DiskStore(Path(folder))
        with store.receive(WANTED) as intake:
            intake.write(0, DATA[: 2 * PART])
        (left,) = store.layout.incoming.glob(f"{label(WANTED.digest)}~*")
        lines = (left / "journal").read_bytes()
        (left / "journal").write_bytes(lines[:cut] + noise)
        with store.receive(WANTED) as intake:
            lacking = intake.missing()
            assert lacking[-1].stop == len(DATA)
            assert lacking[-1].start <= 2 * PART
            for span in lacking:
                intake.write(span.start, DATA[span.start : span.stop])
            intake.seal()
        assert store.has(WANTED.digest)


# -- keep, fetch, publish, remove, sweep ----------------------------------------------------------

CONTENTS = [b"content %d" % number for number in range(8)]
REPOS = [RepoId(Kind.MODEL, "acme/one"), RepoId(Kind.DATASET, "acme/one"), RepoId(Kind.MODEL, "gpt2")]
COMMITS = [CommitId(digit * 40) for digit in "ab"]
SELECTIONS = [Selection(), Selection(("*.json",)), Selection((), ("*.json",)), Selection(("sub/*", "0.bin"))]
LISTINGS = {
    (repo, commit): manifest(
        [
            entry(CONTENTS[(at * 3 + step) % len(CONTENTS)], path)
            for step, path in enumerate(["0.bin", "1.json", "sub/2.bin", "sub/3.json"])
        ],
        repo,
        commit,
    )
    for at, (repo, commit) in enumerate((repo, commit) for repo in REPOS for commit in COMMITS)
}
places = st.sampled_from(list(LISTINGS))
selections = st.sampled_from(SELECTIONS)


class Keeping(RuleBasedStateMachine):
    """A store against plain sets: what is pinned, and what is here."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.mkdtemp()
        self.mirror = Mirror(Settings(Path(self.folder)))
        self.store = self.mirror.store
        self.pinned: set[Pin] = set()
        self.here: set[Digest] = set()
        self.names: dict[tuple[RepoId, str], CommitId] = {}

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    @staticmethod
    def part(listing: Manifest, selection: Selection) -> Manifest:
        """What a hub lists of a giant commit."""
        reach = selection.reach()
        return Manifest.of(listing.repo, listing.commit, [e for e in listing.entries if reach.covers(e.path)], reach)

    @property
    def wanted(self) -> set[Digest]:
        return {one.digest for pin in self.pinned for one in pin.selection.of(LISTINGS[pin.repo, pin.commit])}

    @rule(place=places, selection=selections, giant=st.booleans(), revision=st.sampled_from(["main", "v1"]))
    def keep(self, place: tuple[RepoId, CommitId], selection: Selection, giant: bool, revision: str) -> None:
        listing = LISTINGS[place]
        pin = Pin(*place, revision, selection)
        self.store.keep(pin, self.part(listing, selection) if giant else listing)
        self.pinned.add(pin)

    @rule(data=st.data())
    def fetch(self, data: st.DataObject) -> None:
        if not self.pinned:
            return
        pin = data.draw(st.sampled_from(sorted(self.pinned, key=str)))
        with self.store.batch() as batch:
            for one in pin.selection.of(LISTINGS[pin.repo, pin.commit]):
                batch.add(one, next(c for c in CONTENTS if entry(c).digest == one.digest))
                self.here.add(one.digest)
        self.store.publish(pin, head_of(LISTINGS[pin.repo, pin.commit]))
        self.names[pin.repo, pin.revision] = pin.commit

    @rule(place=places)
    def remove(self, place: tuple[RepoId, CommitId]) -> None:
        self.mirror.remove(place[0], [place[1]])
        self.pinned = {pin for pin in self.pinned if (pin.repo, pin.commit) != place}
        self.names = {name: commit for name, commit in self.names.items() if (name[0], commit) != place}

    @rule(dry=st.booleans())
    def sweep(self, dry: bool) -> None:
        doomed = self.here - self.wanted
        assert set(self.mirror.sweep(0.0, dry=dry).doomed) == doomed
        self.here -= set() if dry else doomed

    @rule()
    def sweep_with_grace(self) -> None:
        sweep = self.mirror.sweep(dry=False)
        assert not sweep.doomed
        assert set(sweep.spared) == self.here - self.wanted

    @rule()
    def open_again(self) -> None:
        self.mirror = Mirror(Settings(Path(self.folder)))
        self.store = self.mirror.store

    @invariant()
    def the_store_agrees(self) -> None:
        if not hasattr(self, "store"):
            return
        assert set(self.store.pins()) == self.pinned
        assert set(self.store.objects()) == self.here
        assert sets.status(self.store).wanted.keys() == self.wanted
        found = {(repo, name): commit for repo in REPOS for name, commit in self.store.refs_of(repo).items()}
        assert found == self.names


Keeping.TestCase.settings = settings(max_examples=40, stateful_step_count=20)
TestKeeping = Keeping.TestCase


def test_what_is_wanted_stays_even_where_no_listing_can_be_read(tmp_path: Path) -> None:
    listing = Manifest.of(REPOS[0], COMMITS[0], [entry(b"x", "a/x")], Reach(("a",)))
    store = DiskStore(tmp_path)
    store.keep(Pin(*(REPOS[0], COMMITS[0]), "main", Selection(("a/*",))), listing)
    with store.batch() as batch:
        batch.add(listing.entries[0], b"x")
    store.layout.partial_manifest(*(REPOS[0], COMMITS[0])).unlink()
    assert gc.plan_sweep(sets.status(store), store, 2e9, 0.0).doomed == {}, "nobody knows what this pin wants"
