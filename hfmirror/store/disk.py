"""The store on a disk: a `Store`, with files as its objects.

Order of writing: pin before bytes, bytes before view, refs last. Readers go the other way.
"""

from __future__ import annotations

import os
import uuid
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from hfmirror import codec
from hfmirror.errors import BadManifest, DiskFull, NotHere, StoreLocked, UsageError
from hfmirror.model import CACHE, EVERYTHING, PART, Algorithm, CommitId, Digest, Head, Manifest, RepoId, is_commit
from hfmirror.store import files, locks, signposts
from hfmirror.store.batch import DiskBatch, take_in
from hfmirror.store.drafts import Drafts
from hfmirror.store.layout import Layout, label, unlabel
from hfmirror.store.ledger import Ledger
from hfmirror.store.partial import DiskIntake
from hfmirror.store.parts import PartShelf
from hfmirror.store.scans import ScanShelf
from hfmirror.store.upgrade import upgrade

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence

    from hfmirror.model import Entry, PartDigests, Pin, Selection, Span
    from hfmirror.ports import Chunk
    from hfmirror.store.files import StrPath


BLOCK = 4096  # bytes; what a disk gives a file beyond its size, on average and rounded up


HEARSAY = "import"  # who said so when no authority did
TIME = "%Y-%m-%dT%H:%M:%SZ"


def _now() -> str:
    return datetime.now(timezone.utc).strftime(TIME)


class DiskStore:
    """A store under one root folder. Making one touches nothing; `prepare` does."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.root = root
        self.drafts = Drafts(self.layout.incoming)
        self.ledger = Ledger(self.layout, self.drafts)
        self.parts = PartShelf(self.layout, self.drafts)
        self.scans = ScanShelf(self.layout, self.drafts)
        self._exclusive: bool | None = None
        self.make_room: Callable[[int], None] = lambda _: None  # called with the bytes that are to come

    @property
    def name(self) -> str:
        """How sentences call it."""
        return f"the store in {self.root}"

    # -- setting up ---------------------------------------------------------------------------

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
            self.drafts.publish_text(self.layout.format, codec.store_text(str(uuid.uuid4())))
        files.ensure_folder(self.layout.incoming)
        self.drafts.sweep()
        for digest, owner, folder in self.intakes():
            if self.has(digest) and locks.is_dead(owner, folder):
                files.remove_folder(folder)  # it was sealed, and its writer died before it had tidied up

    def case_blind(self) -> bool:
        """Whether this disk takes `a` and `A` for one name."""
        return os.name == "nt" or self.drafts.case_blind()

    def locks_exclude(self) -> bool:
        """Whether locks keep others out on this disk; asked of the disk once."""
        if self._exclusive is None:
            self._exclusive = locks.exclude_here(self.layout.locks)
        return self._exclusive

    @contextmanager
    def locked(self) -> Iterator[None]:
        """The whole store to oneself, against other hfmirrors. Raises StoreLocked, StoreElsewhere."""
        with locks.held(self.layout.lock_of_all):
            signposts.heed_moved(self.layout)
            yield

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """While bytes may come: the store stays where it is. Raises StoreLocked, StoreElsewhere while it is moved."""
        with locks.shared(self.layout.using):
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

    # -- a source of bytes --------------------------------------------------------------------

    def has(self, digest: Digest) -> bool:
        """Whether the object is here. Its name is the proof."""
        return os.path.exists(self.layout.object(digest))  # noqa: PTH110 - asked thousands of times

    def path(self, digest: Digest) -> Path | None:
        """The object as a file, read-only."""
        return Path(self.layout.object(digest)) if self.has(digest) else None

    @contextmanager
    def open(self, manifest: Manifest, entry: Entry, span: Span) -> Iterator[Iterable[Chunk]]:  # noqa: ARG002 - the port's
        """The bytes of a held object. Raises NotHere."""
        path = self.path(entry.digest)
        if path is None:
            raise NotHere(entry.path)
        with files.translated(path), path.open("rb") as stream:
            stream.seek(span.start)
            yield _chunks(stream.read, span.size)

    def objects(self) -> Iterator[Digest]:
        """Every object here."""
        for algorithm in Algorithm:
            for shelf in sorted((self.layout.objects / algorithm.value).glob("??")):
                for name in sorted(os.listdir(shelf)):  # noqa: PTH208 - names only, many
                    yield Digest(algorithm, name)

    def size_of(self, digests: Iterable[Digest]) -> int:
        """Bytes these objects take."""
        return sum(_size(self.layout.object(digest)) for digest in digests)

    def under_way(self) -> Iterator[tuple[Digest, int]]:
        """Large objects that are unfinished, and the bytes of each that are claimed."""
        for digest, _, folder in self.intakes():
            claims = files.read_bytes(folder / "journal").splitlines()
            yield digest, PART * len({line.partition(b" ")[0] for line in claims if line})

    def intakes(self) -> Iterator[tuple[Digest, str, Path]]:
        """Every large object on its way in: what it is, who brings it, where."""
        for folder in sorted(self.layout.incoming.glob("*~*")):
            name, _, owner = folder.name.partition("~")
            digest = unlabel(name)
            if digest is not None:
                yield digest, owner, folder

    # -- taking bytes in ----------------------------------------------------------------------

    def room_for(self, entries: Sequence[Entry]) -> None:
        """See that these, still to come, will fit; what is half here has its room already. Raises DiskFull."""
        given = {path.name.partition("~")[0]: _room(path / "data") for path in self.layout.incoming.glob("*~*")}
        needed = sum(max(entry.size + BLOCK - given.get(label(entry.digest), 0), 0) for entry in entries)
        self.make_room(needed)
        free = files.free_space(self.root)
        if needed > free:
            raise DiskFull(str(self.root), needed, free)

    @contextmanager
    def receive(self, entry: Entry) -> Iterator[DiskIntake]:
        """An intake for one large object, going on where a dead writer stopped.

        Raises StoreLocked while another living process fetches the same object, DiskFull.
        """
        with self.in_use(), self._received(entry) as intake:
            yield intake

    @contextmanager
    def _received(self, entry: Entry) -> Iterator[DiskIntake]:
        claim = locks.Claim(self.layout.lock(entry.digest))
        if not claim.got and self.locks_exclude():
            claim.release()
            raise StoreLocked(entry.path, "another hfmirror is fetching it")
        owner = locks.new_owner()
        try:
            folder = self.layout.intake(entry.digest, owner)
            files.ensure_folder(self.layout.incoming)
            others = self._inherit(entry.digest, folder)
            intake = DiskIntake(folder, entry, self.layout.object(entry.digest), self.parts)
            try:
                for other in others:
                    dead = locks.is_dead(other.name.partition("~")[2], other)
                    if dead or claim.got:
                        intake.copy_parts(other)
                    if dead:
                        files.remove_folder(other)
                self._salvage(entry, intake)
                yield intake
            finally:
                intake.close()
        finally:
            locks.let_go(owner)
            claim.release()

    def _salvage(self, entry: Entry, intake: DiskIntake) -> None:
        """Take the sound parts of a damaged object that was set aside: only the others need come again."""
        damaged = self.layout.set_aside(entry.digest)
        parts = self.parts.of(entry.digest) if damaged.exists() else None
        if parts is not None and parts.size == entry.size:
            intake.copy_from(damaged, dict(enumerate(parts.sums)))

    def _inherit(self, digest: Digest, folder: Path) -> list[Path]:
        """Take over the fullest download of this object whose writer surely runs no more.

        Returns the other downloads of it. Those may have a writer, on another machine, that can still
        write into its file: good for copying parts from, not for building upon.
        """
        prefix = f"{label(digest)}~"
        left = sorted(self.layout.incoming.glob(f"{prefix}*"), key=lambda old: -_size(old / "journal"))
        others = []
        for old in left:
            if not locks.is_surely_dead(old.name[len(prefix) :]):
                others.append(old)
            elif folder.exists():
                files.remove_folder(old)
            else:
                files.take_over(old, folder)
        return others

    @contextmanager
    def batch(self) -> Iterator[DiskBatch]:
        """Take in many small objects; first those that a dead writer left proven but unnamed."""
        with self.in_use(), self._batched() as batch:
            yield batch

    @contextmanager
    def _batched(self) -> Iterator[DiskBatch]:
        prefix = "batch~"
        for old in self.layout.incoming.glob(f"{prefix}*"):
            if locks.is_dead(old.name[len(prefix) :], old):
                heir = locks.new_owner()
                if files.take_over(old, self.layout.batch(heir)):
                    take_in(self.layout, self.layout.batch(heir))
                locks.let_go(heir)
        owner = locks.new_owner()
        batch = DiskBatch(self.layout, self.layout.batch(owner))
        try:
            yield batch
        finally:
            batch.close()
            locks.let_go(owner)

    # -- names --------------------------------------------------------------------------------

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
            self.drafts.publish_text(path, codec.dump(codec.with_pin(old, pin, _now())))

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
                ref = codec.ref_text(pin.commit, _now(), head.authority)
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
        told = datetime.strptime(f"{document.get('checked_at')}+0000", f"{TIME}%z")
        return told.timestamp(), str(document.get("authority"))

    def hear(self, pin: Pin, when: float) -> bool:
        """Let a revision lead to the pin's commit, unless an authority said where it leads; whether it does now.

        `when` it was heard, in seconds since 1970: of two hearsays the later one counts.
        """
        path = self.layout.ref(pin.repo, pin.revision)
        checked_at = datetime.fromtimestamp(when, timezone.utc).strftime(TIME)
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
            used = codec.load(text or "", str(path)).get("used")
            return datetime.strptime(f"{used}+0000", f"{TIME}%z").timestamp()
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

    # -- removing -----------------------------------------------------------------------------

    def discard(self, digest: Digest) -> None:
        """Remove an object. For gc only, under the store's lock."""
        files.remove(self.layout.object(digest))
        self.parts.forget(digest)
        self.scans.forget(digest)

    def part_digests(self, digest: Digest) -> PartDigests | None:
        """What is known of the parts of an object, whether it is here or was set aside."""
        return self.parts.of(digest)

    def sweep_parts(self) -> None:
        """Remove what is known of objects that are left nowhere. Under the store's lock."""
        known = {*self.objects(), *self.damaged()}
        self.parts.sweep(known)
        self.scans.sweep(known)

    def sweep_incoming(self, wanted: Container[Digest]) -> None:
        """Remove downloads that nobody works on and no pin wants. Under the store's lock."""
        for digest, owner, folder in self.intakes():
            if digest not in wanted and locks.is_dead(owner, folder):
                files.remove_folder(folder)

    def set_aside(self, digest: Digest) -> Path:
        """Take a damaged object out of the store, but keep it to be looked at."""
        target = self.layout.set_aside(digest)
        files.ensure_folder(target.parent)
        files.replace(self.layout.object(digest), target)
        return target

    def damaged(self) -> list[Digest]:
        """The objects that were set aside."""
        return sorted(filter(None, (unlabel(path.name) for path in self.layout.quarantine.glob("*"))))

    def forget_damaged(self, digest: Digest) -> None:
        """Remove what was set aside, now that a sound one is here."""
        files.remove(self.layout.set_aside(digest))
        files.remove(self.layout.report(digest))


def _size(path: StrPath) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _room(path: Path) -> int:
    """Bytes the disk has already given to a file."""
    try:
        facts = path.stat()
    except OSError:
        return 0
    return facts.st_blocks * 512 if hasattr(facts, "st_blocks") else facts.st_size


def _chunks(read: Callable[[int], bytes], size: int) -> Iterator[bytes]:
    while size > 0:
        chunk = read(min(PART, size))
        if not chunk:
            return
        size -= len(chunk)
        yield chunk
