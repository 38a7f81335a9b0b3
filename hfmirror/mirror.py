"""The one place that knows every concrete class, and wires them together."""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfmirror.care import gc, sets, verify
from hfmirror.errors import EntryNotFound, NotHere, StoreLocked, UsageError
from hfmirror.model import entry_path
from hfmirror.store.disk import DiskStore
from hfmirror.view import local
from hfmirror.view.hfcache import HubCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hfmirror.model import CommitId, Digest, Entry, Pin, RepoId, Selection
    from hfmirror.settings import Settings
    from hfmirror.sources.http import Http
    from hfmirror.sources.hub import HubSource
    from hfmirror.transfer.desk import Manner
    from hfmirror.transfer.events import Watcher
    from hfmirror.transfer.plan import Plan
    from hfmirror.transfer.pull import Pull


@dataclass(frozen=True, slots=True)
class Held:
    """One commit that was asked for, and how much of it is here."""

    repo: RepoId
    commit: CommitId
    names: tuple[str, ...]  # the revisions that lead to it
    entries: tuple[Entry, ...]  # wanted
    here: frozenset[Entry]
    about: dict[str, Any]  # the Hub's own description

    @property
    def size(self) -> int:
        """Bytes here."""
        return sum(entry.size for entry in self.here)

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for is here."""
        return len(self.here) == len(self.entries)


class Mirror:
    """A store, its view, and the Hub it is filled from."""

    @classmethod
    def open(cls, settings: Settings) -> Mirror:
        """The mirror these settings name; touches nothing. Raises StoreTooNew, StoreError for another's folder."""
        mirror = cls(settings)
        mirror.store.check()
        return mirror

    def __init__(self, settings: Settings) -> None:
        """Touches nothing: folders are made, and the Hub asked, by what needs them."""
        self.settings = settings
        self.store = DiskStore(settings.root)
        self.view = HubCache(self.store.layout.hub, self.store, self.store.drafts)

    # -- pulling ------------------------------------------------------------------------------

    def plan(self, repo: RepoId, revision: str, selection: Selection, manner: Manner, watch: Watcher) -> Plan:
        """What a pull would fetch. Raises what a `Catalog` raises, and NothingMatches, UnsafePath."""
        with self._pulling(manner, watch) as pull:
            return pull.plan(repo, revision, selection)

    def pull(self, repo: RepoId, revision: str, selection: Selection, manner: Manner, watch: Watcher) -> Plan:
        """Make it so that everything selected is here, proven, and in the view."""
        from hfmirror.transfer.events import Linked  # noqa: PLC0415 - with the rest of the fetching side

        with self._pulling(manner, watch) as pull:
            plan = pull.plan(repo, revision, selection)
            pull.carry_out(plan)
        ways = self.view.show(plan.pin, plan.manifest, plan.selected)
        watch(Linked(len(plan.selected), ways))
        return plan

    @contextmanager
    def _pulling(self, manner: Manner, watch: Watcher) -> Iterator[Pull]:
        """A pull from the Hub; its connections are closed at the end."""
        from hfmirror.sources.http import Http  # noqa: PLC0415 - only who fetches loads the fetching side
        from hfmirror.transfer.pull import Pull  # noqa: PLC0415 - as above

        with closing(Http(self.settings.stall_s)) as http:
            yield Pull(self._hub(http), self.store, manner, watch)

    def _hub(self, http: Http) -> HubSource:
        from hfmirror.sources.hub import HubSource  # noqa: PLC0415 - as above

        make: type[HubSource] = HubSource
        if self.settings.engine != "requests":
            try:
                from hfmirror.sources.curl import CurlHubSource  # noqa: PLC0415 - an extra

                make = CurlHubSource
            except ImportError:
                if self.settings.engine == "curl":
                    raise UsageError("the engine curl needs pycurl", "pip install 'hfmirror-cli[fast]'") from None
        return make(http, self.settings.endpoint, _token_of_the_hub())

    def put(self, plan: Plan, folder: Path) -> Path:
        """Give the user files of their own: the plan's, in `folder`, under their own names."""
        return local.put(folder, plan.pin, plan.selected, self.store)

    # -- what is here -------------------------------------------------------------------------

    def path(self, repo: RepoId, revision: str = "main", file: str | None = None) -> Path:
        """Where a commit, or one file of it, lies in the view. Raises NotHere, EntryNotFound."""
        commit = self.store.commit(repo, revision)
        snapshot = self.view.snapshot(repo, commit)
        if file is None and snapshot.is_dir():
            return snapshot
        if file is not None and (snapshot / entry_path(file)).exists():
            return snapshot / file
        if file is not None and self.store.manifest(repo, commit).denies(file):
            raise EntryNotFound(repo, file)
        raise NotHere(repo if file is None else f"{file} of {repo}")

    def shelf(self) -> Iterator[Held]:
        """Every commit that was asked for, and how much of it is here."""
        by_commit: dict[tuple[RepoId, CommitId], list[Pin]] = {}
        for pin in self.store.pins():
            by_commit.setdefault((pin.repo, pin.commit), []).append(pin)
        for (repo, commit), pins in by_commit.items():
            yield self._held(repo, commit, pins)

    def held(self, repo: RepoId, revision: str = "main") -> Held:
        """One commit, as a revision names it. Raises NotHere."""
        commit = self.store.commit(repo, revision)
        pins = [pin for pin in self.store.pins_of(repo) if pin.commit == commit]
        if not pins:
            raise NotHere(f"{repo}@{revision}")
        return self._held(repo, commit, pins)

    def _held(self, repo: RepoId, commit: CommitId, pins: list[Pin]) -> Held:
        entries = {entry for pin in pins for entry in sets.selected(self.store, pin)}
        here = frozenset(entry for entry in entries if self.store.has(entry.digest))
        names = sorted(name for name, target in self.store.refs_of(repo).items() if target == commit)
        return Held(repo, commit, tuple(names), tuple(sorted(entries)), here, self.store.about(repo, commit))

    def status(self) -> sets.Status:
        """Wanted and held, of the whole store."""
        return sets.status(self.store)

    # -- care ---------------------------------------------------------------------------------

    def verify(self, repos: Sequence[RepoId] = ()) -> Iterator[verify.Finding]:
        """Hash again everything here, or what is wanted of these repos; set aside what is damaged."""
        pins = [pin for repo in repos for pin in self.store.pins_of(repo)]
        digests = sets.wanted(self.store, pins) if repos else self.store.objects()
        for finding in verify.verify(self.store, digests):
            if not finding.sound and finding.actual:  # what could not be read may be sound
                self._withdraw(finding.digest)
            yield finding

    def _withdraw(self, digest: Digest) -> None:
        """Take a damaged object out of the view, whose links share its bytes, and out of the store."""
        for pin in self.store.pins():
            for entry in sets.selected(self.store, pin):
                if entry.digest == digest:
                    self.view.drop(pin.repo, pin.commit, entry)
        self.store.set_aside(digest)

    def commits(self, repo: RepoId, revision: str | None) -> list[CommitId]:
        """The commits of a repo that were asked for, or the one a revision names. Raises NotHere."""
        if revision is not None:
            return [self.store.commit(repo, revision)]
        commits = sorted({pin.commit for pin in self.store.pins_of(repo)})
        if not commits:
            raise NotHere(repo)
        return commits

    def remove(self, repo: RepoId, commits: Iterable[CommitId]) -> None:
        """Forget commits: their view and their names. The bytes are gc's."""
        for commit in commits:
            self.view.hide(repo, commit)
            self.store.unkeep(repo, commit)

    def sweep(self, grace_s: float = gc.GRACE_S, *, dry: bool) -> gc.Sweep:
        """Remove what no pin wants. Raises StoreLocked when locks keep nobody out here."""
        self.store.prepare()
        if not self.store.locks_exclude():
            raise StoreLocked(str(self.store.root), "locks keep nobody out on this disk, so removing is not safe")
        with self.store.locked():
            sweep = gc.plan_sweep(self.status(), self.store, time.time(), grace_s)
            if not dry:
                for digest in sweep.doomed:
                    self.store.discard(digest)
                self.store.sweep_incoming(self.status().wanted)
        return sweep


def _token_of_the_hub() -> Callable[[], str | None]:
    """Whoever is logged in with the Hub's own tools; looked up once, when first needed."""
    found: list[str | None] = []

    def token() -> str | None:
        if not found:
            found.append(_look_up_token())
        return found[0]

    return token


def _look_up_token() -> str | None:
    """What the official client would send. It is imported, for 50 ms and for good, only if it may know one."""
    if os.environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return None
    told = os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN")
    if told and told.strip():
        return told.strip()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    place = Path(os.environ.get("HF_TOKEN_PATH") or Path(home, "token")).expanduser()
    if not place.exists() and "google.colab" not in sys.modules:
        return None
    from huggingface_hub import get_token  # noqa: PLC0415 - see above

    return get_token()
