"""What a store has written down: what ought to be here, what it holds, and which names lead to it.

All of it is small JSON files. It needs none of the machinery for bytes, so who only asks where a name
leads loads this alone. Order of writing: pin before bytes, bytes before view, refs last; readers go the
other way.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from hfmirror import codec
from hfmirror.errors import BadManifest, NotHere, UsageError
from hfmirror.model import CACHE, EVERYTHING, CommitId, Head, Manifest, RepoId, is_commit
from hfmirror.moments import since_1970, utc
from hfmirror.store import files, locks, signposts
from hfmirror.store.drafts import Drafts
from hfmirror.store.layout import Layout
from hfmirror.store.upgrade import upgrade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hfmirror.model import Pin, Selection

HEARSAY = "import"  # who said so when no authority did


class Records:
    """The records under one root folder. Making one touches nothing; `prepare` does."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.root = root
        self.drafts = Drafts(self.layout.incoming)

    @property
    def name(self) -> str:
        """How sentences call it."""
        return f"the store in {self.root}"

    def check(self) -> bool:
        """Whether there is a store here yet; one of an earlier form is brought to this one.

        Else touches nothing. Raises StoreTooNew, StoreElsewhere, StoreError.
        """
        signposts.heed_moved(self.layout)
        text = files.read_text(self.layout.format)
        if text is None:
            signposts.heed_moving(self.layout)
        elif codec.check_store(text, str(self.layout.format)) < codec.FORMAT:
            upgrade(self.layout, self.drafts)
        return text is not None

    def prepare(self) -> None:
        """Make the root fit for writing, or find that it is. Raises StoreTooNew, StoreError."""
        if not self.check():
            from uuid import uuid4  # noqa: PLC0415 - once in the life of a store

            self.drafts.publish_text(self.layout.format, codec.store_text(str(uuid4())))
        files.ensure_folder(self.layout.incoming)
        self.drafts.sweep()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """The whole store to oneself, against other hfmirrors. Raises StoreLocked, StoreElsewhere."""
        with locks.held(self.layout.lock_of_all):
            signposts.heed_moved(self.layout)
            yield

    # -- a source of names --------------------------------------------------------------------

    def resolve(self, repo: RepoId, revision: str) -> Head:
        """What the revision stood for when last asked. Raises NotHere."""
        commit = self.commit(repo, revision)
        return Head(commit, self.about(repo, commit), self.name)

    def commit(self, repo: RepoId, revision: str) -> CommitId:
        """The commit alone. Raises NotHere."""
        path = self.layout.ref(repo, revision)
        text = files.read_text(path)
        if text is not None:
            return codec.ref_of(text, str(path))
        known = {pin.commit for pin in self.pins_of(repo)}
        matches = sorted(commit for commit in known if len(revision) >= 5 and commit.startswith(revision))
        if len(matches) != 1:
            raise NotHere(f"{repo}@{revision}" if revision != "main" else repo)
        return matches[0]

    def about(self, repo: RepoId, commit: CommitId) -> codec.Document:
        """The authority's own description of a commit; empty when there is none."""
        path = self.layout.description(repo, commit)
        text = files.read_text(path)
        return {} if text is None else codec.document_of(text, str(path))

    def manifest(self, repo: RepoId, commit: CommitId, selection: Selection | None = None) -> Manifest:
        """The commit's listing: the whole one, or a part that covers the selection. Raises NotHere."""
        for path in self.layout.listings(repo, commit):
            text = files.read_text(path)
            if text is None:
                continue
            manifest = codec.manifest_of(text, str(path))
            if (manifest.repo, manifest.commit) != (repo, commit):
                raise BadManifest(str(path), f"is that of {manifest.repo}@{manifest.commit}")
            if selection is None or manifest.reach.includes(selection.reach()):
                return manifest
        raise NotHere(f"the listing of {repo}@{commit[:12]}")

    # -- writing --------------------------------------------------------------------------------

    def keep(self, pin: Pin, manifest: Manifest) -> None:
        """Record what ought to be here, before any byte of it comes."""
        self.prepare()
        with self.locked():
            path = self.layout.pin(pin.repo, pin.commit)
            old = None
            with suppress(BadManifest):  # what cannot be read is written anew
                text = files.read_text(path)
                old = None if text is None else codec.load(text, str(path))
            if old is not None and old.get("repo") != codec.repo_text(pin.repo):
                raise UsageError(f"this disk takes {pin.repo} for {old.get('repo')}", "spell it as the first time")
            self._keep_manifest(manifest)
            self.drafts.publish_text(path, codec.dump(codec.with_pin(old, pin, utc(time.time()))))

    def _keep_manifest(self, manifest: Manifest) -> None:
        repo, commit = manifest.repo, manifest.commit
        whole = self.layout.manifest(repo, commit)
        if whole.exists() and self._readable(repo, commit):
            return
        if manifest.reach == EVERYTHING:
            self.drafts.publish_text(whole, codec.manifest_text(manifest))
            files.remove(self.layout.partial_manifest(repo, commit))
            files.remove(self.layout.hearsay(repo, commit))
            return
        hearsay = manifest.origin == CACHE
        path = self.layout.hearsay(repo, commit) if hearsay else self.layout.partial_manifest(repo, commit)
        text = files.read_text(path)
        if text is not None:
            with suppress(BadManifest):
                manifest = codec.manifest_of(text, str(path)).joined(manifest)
        self.drafts.publish_text(path, codec.manifest_text(manifest))

    def _readable(self, repo: RepoId, commit: CommitId) -> bool:
        try:
            return self.manifest(repo, commit).reach == EVERYTHING
        except (BadManifest, NotHere):
            return False

    def publish(self, pin: Pin, head: Head) -> None:
        """Point the pin's revision at its commit."""
        with self.locked():
            if head.about:
                text = codec.dump(head.about)
                if files.read_text(self.layout.description(pin.repo, pin.commit)) != text:
                    self.drafts.publish_text(self.layout.description(pin.repo, pin.commit), text)
            standing = codec.standing_text(pin.repo, public=head.public)
            if files.read_text(self.layout.standing(pin.repo)) != standing:
                self.drafts.publish_text(self.layout.standing(pin.repo), standing)
            if not is_commit(pin.revision):  # last: who finds it finds all that is said about it
                ref = codec.ref_text(pin.commit, utc(time.time()), head.authority)
                self.drafts.publish_text(self.layout.ref(pin.repo, pin.revision), ref)

    def public(self, repo: RepoId) -> bool:
        """Whether anybody may read a repo: as it was obtained, or as the authority described what is here."""
        path = self.layout.standing(repo)
        text = files.read_text(path)
        if text is not None:
            return codec.public_of(text, str(path))
        stated = [self.about(repo, commit) for commit in {pin.commit for pin in self.pins_of(repo)}]
        return bool(stated) and all(about.get("private") is False and about.get("gated") is False for about in stated)

    def asked(self, repo: RepoId, revision: str) -> tuple[float, str] | None:
        """When and by whom it was last said what a revision stands for: seconds since 1970, authority."""
        path = self.layout.ref(repo, revision)
        text = files.read_text(path)
        if text is None:
            return None
        document = codec.load(text, str(path))
        return since_1970(str(document.get("checked_at"))), str(document.get("authority"))

    def hear(self, pin: Pin, when: float) -> bool:
        """Let a revision lead to the pin's commit, unless an authority said where it leads; whether it does now.

        `when` it was heard, in seconds since 1970: of two hearsays the later one counts.
        """
        path = self.layout.ref(pin.repo, pin.revision)
        checked_at = utc(when)
        with self.locked():
            text = files.read_text(path)
            if text is not None:
                told = codec.load(text, str(path))
                later = told.get("authority") == HEARSAY and str(told.get("checked_at")) < checked_at
                if told.get("commit") == pin.commit or not later:
                    return bool(told.get("commit") == pin.commit)
            self.drafts.publish_text(path, codec.ref_text(pin.commit, checked_at, HEARSAY))
        return True

    def latest(self, repo: RepoId) -> CommitId | None:
        """The commit to describe a repo by: where `main` was last, or any that is here."""
        with suppress(NotHere):
            return self.commit(repo, "main")
        return next((pin.commit for pin in self.pins_of(repo)), None)

    def repos(self) -> Iterator[RepoId]:
        """Every repo of which a listing is kept."""
        for folder in sorted(self.layout.pins.glob("*--*")):
            with suppress(UsageError):
                yield RepoId.of_folder(folder.name)

    def unkeep(self, repo: RepoId, commit: CommitId, *, wanted_too: bool = True) -> None:
        """Forget that a commit ought to be here, and the names that lead to it. Its bytes wait for gc."""
        with self.locked():
            if not wanted_too and any(pin.commit == commit for pin in self.pins_of(repo)):
                return  # somebody has asked for it again
            for path in (self.layout.refs / repo.folder).glob("*.json"):
                if codec.ref_of(files.read_text(path) or "", str(path)) == commit:
                    files.remove(path)
            files.remove(self.layout.pin(repo, commit))
            for path in self.layout.listings(repo, commit):
                files.remove(path)
            files.remove(self.layout.description(repo, commit))
            if not any(self.pins_of(repo)):
                files.remove(self.layout.standing(repo))

    def unwish(self, repo: RepoId, commit: CommitId) -> None:
        """Forget that anybody asked for a commit; a demand for it stays. What was let go waits for gc."""
        with self.locked():
            self._rewrite(self.layout.pin(repo, commit), codec.without_wishes)

    def undemand(self, repo: RepoId, commit: CommitId, before: float) -> None:
        """Forget the demand for a commit, if it was last used `before` that: seconds since 1970."""
        with self.locked():
            if self.used(repo, commit) < before:
                self._rewrite(self.layout.pin(repo, commit), codec.without_demand)

    def _rewrite(self, path: Path, change: Callable[[codec.Document], codec.Document]) -> None:
        text = files.read_text(path)
        if text is not None:
            self.drafts.publish_text(path, codec.dump(change(codec.load(text, str(path)))))

    def used(self, repo: RepoId, commit: CommitId) -> float:
        """When a commit was last pulled or used by clients, in seconds since 1970; infinity where nobody can say."""
        path = self.layout.pin(repo, commit)
        text = files.read_text(path)
        try:
            return since_1970(str(codec.load(text or "", str(path)).get("used")))
        except (BadManifest, ValueError):
            return float("inf")

    def let_go(self) -> Iterator[tuple[RepoId, CommitId]]:
        """Commits that were unpinned and that nothing wants since."""
        for repo in self.repos():
            for path in sorted((self.layout.pins / repo.folder).glob("*.json")):
                text = files.read_text(path)
                if text is not None and not codec.pins_of(codec.load(text, str(path)), str(path)):
                    yield repo, CommitId(path.stem)

    def pins(self) -> Iterator[Pin]:
        """What ought to be here."""
        for repo in self.repos():
            yield from self.pins_of(repo)

    def pins_of(self, repo: RepoId) -> Iterator[Pin]:
        """What ought to be here of one repo."""
        for path in sorted((self.layout.pins / repo.folder).glob("*.json")):
            text = files.read_text(path)
            if text is not None:
                yield from codec.pins_of(codec.load(text, str(path)), str(path))

    def refs_of(self, repo: RepoId) -> dict[str, CommitId]:
        """The revisions by which a repo's commits were asked for."""
        found = {}
        for path in sorted((self.layout.refs / repo.folder).glob("*.json")):
            text = files.read_text(path)
            if text is not None:
                found[codec.revision_of(path.stem)] = codec.ref_of(text, str(path))
        return found
