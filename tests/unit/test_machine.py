"""Everything that people do to a store, in any order, against plain sets.

The model knows what is pinned, which objects are here, which of them have rotted unseen, which were set
aside, what each bundle carries, and which names the view shows. After each step the store must agree:
nothing pinned is lost, every object's name is its digest unless it has rotted, and the view shows just
what was shown and has not been taken out.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hfmirror import bundle
from hfmirror.adopt.bring import Bringing, Wish, publish
from hfmirror.adopt.targets import Names
from hfmirror.bundle import is_bundle
from hfmirror.errors import NotHere
from hfmirror.mirror import Mirror
from hfmirror.model import PART, CommitId, Digest, Kind, Manifest, RepoId, Selection
from hfmirror.settings import Settings
from hfmirror.store import files
from hfmirror.transfer.events import silent
from hfmirror.transfer.manner import Manner
from hfmirror.transfer.pull import Pull
from tests.simulator import HubSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfmirror.model import Entry
    from hfmirror.transfer.events import Watcher

ONE, TWO = RepoId(Kind.MODEL, "acme/one"), RepoId(Kind.DATASET, "acme/two")
CONTENTS = [b"%d " % number * (number + 2) for number in range(6)] + [b"large " * (PART // 6 + 9)]
VERSIONS: dict[str, dict[str, bytes]] = {  # what may be published; they share contents within and across repos
    "first": {"a.json": CONTENTS[0], "sub/a.bin": CONTENTS[1], "b.json": CONTENTS[2], "w.safetensors": CONTENTS[6]},
    "second": {"config.json": CONTENTS[3], "sub/a.bin": CONTENTS[1], "copy.bin": CONTENTS[1]},
    "third": {"config.json": CONTENTS[0], "other.bin": CONTENTS[4], "w.safetensors": CONTENTS[6]},
}  # fmt: skip
SELECTIONS = [Selection(), Selection(("*.json",)), Selection((), ("*.safetensors",))]
Commit = tuple[RepoId, CommitId]
repos, selections = st.sampled_from([ONE, TWO]), st.sampled_from(SELECTIONS)


class Tried(Mirror):
    """A mirror whose Hub is in memory."""

    def __init__(self, root: Path, hub: HubSimulator) -> None:
        super().__init__(Settings(root))
        self._sim = hub

    @contextmanager
    def _pulling(self, manner: Manner, watch: Watcher, *_: object, **__: object) -> Iterator[Pull]:
        yield Pull(self._sim, self.store, manner, watch)

    def take(self, folder: Path, repo: RepoId) -> bool:
        """An import of a folder, as `bring` does it; whether anything came of it."""
        names = Names(self._sim, self.store, silent)
        report = Bringing(Wish((str(folder),), repo), names, self.store, lambda _: None).run()
        for shelf in report.shelves:
            if shelf.held:
                first, *_others = publish(self.store, shelf)
                self.view.show(first, shelf.target.manifest, shelf.held)
        return not report.fruitless


@dataclass
class Carried:
    """What a bundle ought to hold."""

    pins: dict[Commit, set[Selection]]
    objects: set[Digest]


class Life(RuleBasedStateMachine):
    """One store, and one Hub whose branches move."""

    @initialize()
    def begin(self) -> None:
        self.top = Path(tempfile.mkdtemp())
        self.hub = HubSimulator()
        self.mirror = Tried(self.top / "mirror", self.hub)
        self.store = self.mirror.store
        self.contents: dict[Digest, bytes] = {}
        self.listings: dict[Commit, Manifest] = {}
        for repo in (ONE, TWO):
            self.publish(repo, "first")
        # the model
        self.pins: dict[Commit, set[Selection]] = {}  # an empty set: unpinned, and gc has not come yet
        self.heads: dict[RepoId, CommitId] = {}  # what `main` was when last asked
        self.here: set[Digest] = set()
        self.rotten: set[Digest] = set()
        self.aside: set[Digest] = set()
        self.sticks: list[Carried] = []
        self.shown: dict[Commit, set[str]] = {}

    def teardown(self) -> None:
        if hasattr(self, "top"):
            shutil.rmtree(self.top)

    # -- what the model can say -----------------------------------------------------------------

    def selected(self, commit: Commit, selections: set[Selection]) -> dict[str, Entry]:
        """Files of a commit by path."""
        listing = self.listings[commit]
        return {entry.path: entry for selection in selections for entry in selection.of(listing)}

    @property
    def wanted(self) -> set[Digest]:
        return {e.digest for commit, asked in self.pins.items() for e in self.selected(commit, asked).values()}

    def came(self, digests: set[Digest]) -> None:
        """These are here now; of what was here already nothing changed."""
        self.here |= digests

    def show(self, commit: Commit, paths: set[str]) -> None:
        self.shown.setdefault(commit, set()).update(paths)

    # -- what people do -------------------------------------------------------------------------

    @rule(repo=repos, version=st.sampled_from(sorted(VERSIONS)))
    def publish(self, repo: RepoId, version: str) -> None:
        commit = self.hub.add(repo, VERSIONS[version])
        listing = self.hub.manifest(repo, commit, Selection())
        self.listings[repo, commit] = listing
        self.contents |= {entry.digest: VERSIONS[version][entry.path] for entry in listing.entries}

    @rule(repo=repos, selection=selections)
    def pull(self, repo: RepoId, selection: Selection) -> None:
        plan = self.mirror.pull(repo, "main", selection, Manner(patience_s=5.0), silent)
        commit = (repo, plan.pin.commit)
        self.pins.setdefault(commit, set()).add(selection)
        self.heads[repo] = plan.pin.commit
        chosen = self.selected(commit, {selection})
        self.came({entry.digest for entry in chosen.values()})
        self.show(commit, set(chosen))

    @rule(repo=repos, brought=st.sets(st.sampled_from(range(len(CONTENTS))), min_size=1), bent=st.booleans())
    def bring(self, repo: RepoId, brought: set[int], bent: bool) -> None:
        """Files under names of their own; one of them with a wrong byte."""
        folder = Path(tempfile.mkdtemp(dir=self.top))
        for number in brought:
            (folder / f"我的 ({number}).part").write_bytes(CONTENTS[number])
        if bent:
            (folder / "config.json").write_bytes(CONTENTS[0][:-1] + b"?")
        head = self.hub.resolve(repo, "main").commit
        chosen = self.selected((repo, head), {Selection()})
        offered = {CONTENTS[number] for number in brought}
        coming = {e.digest for e in chosen.values() if self.contents[e.digest] in offered and e.digest not in self.here}
        held = coming | ({entry.digest for entry in chosen.values()} & self.here)
        assert self.mirror.take(folder, repo) == bool(held)
        if held:
            self.pins.setdefault((repo, head), set()).add(Selection())
            self.heads[repo] = head
            self.came(coming)
            self.show((repo, head), {path for path, entry in chosen.items() if entry.digest in held})

    @rule(repo=repos, selection=selections)
    def pin(self, repo: RepoId, selection: Selection) -> None:
        known = self.heads.get(repo)
        if known is None:
            with pytest.raises(NotHere):
                self.mirror.pin(repo, "main", selection)
            return
        self.mirror.pin(repo, "main", selection)
        self.pins.setdefault((repo, known), set()).add(selection)

    @precondition(lambda self: self.pins)
    @rule(repo=repos)
    def unpin(self, repo: RepoId) -> None:
        if any(commit[0] == repo for commit in self.pins):
            self.mirror.unpin(repo, self.mirror.commits(repo, None))
            self.pins.update({commit: set() for commit in self.pins if commit[0] == repo})

    @precondition(lambda self: self.pins)
    @rule(repo=repos)
    def rm(self, repo: RepoId) -> None:
        if any(commit[0] == repo for commit in self.pins):
            self.mirror.remove(repo, self.mirror.commits(repo, None))
            self._forget({commit for commit in self.pins if commit[0] == repo})

    def _forget(self, gone: set[Commit]) -> None:
        for commit in gone:
            del self.pins[commit]
            self.shown.pop(commit, None)
            if self.heads.get(commit[0]) == commit[1]:
                del self.heads[commit[0]]

    @precondition(lambda self: self.pins or self.here)
    @rule()
    def gc(self) -> None:
        self._forget({commit for commit, asked in self.pins.items() if not asked})
        doomed = self.here - self.wanted
        assert set(self.mirror.sweep(0.0, dry=True).doomed) == doomed
        assert set(self.mirror.sweep(0.0, dry=False).doomed) == doomed
        self._hide(doomed)
        self.here -= doomed
        self.rotten -= doomed

    # -- what disks do, and what is done about it -----------------------------------------------

    @precondition(lambda self: self.here - self.rotten)
    @rule(data=st.data())
    def rot(self, data: st.DataObject) -> None:
        digest = data.draw(st.sampled_from(sorted(self.here - self.rotten, key=str)))
        place = Path(self.store.layout.object(digest))
        place.chmod(0o644)
        with place.open("r+b") as stream:
            byte = stream.read(1)
            stream.seek(0)
            stream.write(bytes([byte[0] ^ 1]))
        place.chmod(0o444)
        self.rotten.add(digest)

    @precondition(lambda self: self.rotten)
    @rule()
    def verify(self) -> None:
        assert {finding.digest for finding in self.mirror.verify() if not finding.sound} == self.rotten
        self._set_aside(set(self.rotten))

    def _set_aside(self, bad: set[Digest]) -> None:
        """Out of the store and of the view, under every name that leads to it."""
        self._hide(bad)
        self.here -= bad
        self.rotten -= bad
        self.aside |= bad

    def _hide(self, gone: set[Digest]) -> None:
        for commit, paths in self.shown.items():
            paths -= {entry.path for entry in self.listings[commit].entries if entry.digest in gone}

    @precondition(lambda self: self.aside)
    @rule()
    def repair(self) -> None:
        assert self.mirror.repair(self.mirror.plan_repair(), Manner(patience_s=5.0), silent) == []
        mended = self.aside & self.wanted
        self.came(mended)
        self.aside -= mended
        for commit, asked in self.pins.items():
            chosen = self.selected(commit, asked)
            if mended & {entry.digest for entry in chosen.values()}:
                self.show(commit, {path for path, entry in chosen.items() if entry.digest in self.here})

    # -- what travels ---------------------------------------------------------------------------

    @precondition(lambda self: self.pins)
    @rule(repo=repos)
    def export(self, repo: RepoId) -> None:
        folder = self.top / f"bundle {len(self.sticks)}"
        commit = (repo, self.heads[repo]) if repo in self.heads else None
        asked = self.pins.get(commit, set()) if commit else set()
        digests = {e.digest for e in self.selected(commit, asked).values()} if commit else set()
        if commit is None or not asked or digests - self.here:
            with pytest.raises(NotHere):
                self.mirror.plan_export(folder, [bundle.Wish(repo, "main")])
            return
        done = self.mirror.export(self.mirror.plan_export(folder, [bundle.Wish(repo, "main")]), None, silent)
        assert is_bundle(folder)
        assert {problem.wanted for problem in done.problems} == digests & self.rotten
        self.sticks.append(Carried({commit: set(asked)}, digests - self.rotten))

    @precondition(lambda self: self.sticks)
    @rule(data=st.data())
    def take_in(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.sticks) - 1))
        carried = self.sticks[number]
        taken = self.mirror.take_in(self.top / f"bundle {number}", bundle.Trust(), silent)
        self.came(carried.objects - self.here)
        for commit, asked in carried.pins.items():
            self.pins.setdefault(commit, set()).update(asked)
            chosen = self.selected(commit, asked)
            whole = {entry.digest for entry in chosen.values()} <= self.here
            assert [(each.manifest.repo, each.manifest.commit) for each in taken.names] == ([commit] if whole else [])
            if whole:
                self.show(commit, set(chosen))
                self.heads[commit[0]] = self.store.commit(commit[0], "main")  # whoever was asked more lately

    @precondition(lambda self: self.pins)
    @rule()
    def open_again(self) -> None:
        self.mirror = Tried(self.top / "mirror", self.hub)
        self.store = self.mirror.store

    # -- what must hold after each --------------------------------------------------------------

    @invariant()
    def every_object_is_what_its_name_says(self) -> None:
        if hasattr(self, "shown"):
            assert set(self.store.objects()) == self.here
            for digest in self.here:
                data = Path(self.store.layout.object(digest)).read_bytes()
                assert (Digest.of(digest.algorithm, data) == digest) == (digest not in self.rotten)
            assert set(self.store.damaged()) == self.aside

    @invariant()
    def nothing_pinned_is_lost(self) -> None:
        if hasattr(self, "shown"):
            found: dict[Commit, set[Selection]] = {}
            for pin in self.store.pins():
                found.setdefault((pin.repo, pin.commit), set()).add(pin.selection)
            assert found == {commit: asked for commit, asked in self.pins.items() if asked}
            assert self.mirror.status().wanted.keys() == self.wanted
            assert set(self.mirror.status().lacking) == self.wanted - self.here

    @invariant()
    def the_view_shows_just_what_it_should(self) -> None:
        if not hasattr(self, "shown"):
            return
        found: dict[Commit, set[str]] = {}
        for repo in (ONE, TWO):
            home = self.mirror.view.home(repo) / "snapshots"
            for folder, _, names in os.walk(home):
                for place in (Path(folder, name) for name in names):
                    commit, _, path = place.relative_to(home).as_posix().partition("/")
                    found.setdefault((repo, CommitId(commit)), set()).add(path)
                    entry = self.listings[repo, CommitId(commit)].get(path)
                    assert entry is not None
                    assert place.samefile(self.store.layout.object(entry.digest))
        assert found == {commit: paths for commit, paths in self.shown.items() if paths}


Life.TestCase.settings = settings(
    max_examples=20, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(autouse=True, scope="module")
def hurry() -> Iterator[None]:
    """Nobody pulls the plug here: what is durable is another suite's matter."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("sync", "sync_folder"):
            patch.setattr(files, name, lambda what: None)
        patch.setattr(files, "sync_many", lambda many, folders: None)
        yield


TestLife = Life.TestCase
