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
from hfmirror.model import EVERYTHING, PART, Algorithm, CommitId, Digest, Head, Manifest, RepoId, is_commit
from hfmirror.store import files, locks
from hfmirror.store.batch import DiskBatch, take_in
from hfmirror.store.drafts import Drafts
from hfmirror.store.layout import Layout, label, unlabel
from hfmirror.store.partial import DiskIntake

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence

    from hfmirror.model import Entry, Pin, Selection, Span
    from hfmirror.ports import Chunk
    from hfmirror.store.files import StrPath


BLOCK = 4096  # bytes; what a disk gives a file beyond its size, on average and rounded up


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class DiskStore:
    """A store under one root folder. Making one touches nothing; `prepare` does."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.root = root
        self.drafts = Drafts(self.layout.incoming)
        self._exclusive: bool | None = None

    @property
    def name(self) -> str:
        """How sentences call it."""
        return f"the store in {self.root}"

    # -- setting up ---------------------------------------------------------------------------

    def check(self) -> bool:
        """Whether there is a store here yet. Touches nothing. Raises StoreTooNew, StoreError."""
        text = files.read_text(self.layout.format)
        if text is not None:
            codec.check_store(text, str(self.layout.format))
        return text is not None

    def prepare(self) -> None:
        """Make the root fit for writing, or find that it is. Raises StoreTooNew, StoreError."""
        if not self.check():
            self.drafts.publish_text(self.layout.format, codec.store_text(str(uuid.uuid4())))
        files.ensure_folder(self.layout.incoming)
        self.drafts.sweep()
        for digest, owner, folder in self._intakes():
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
        """The whole store to oneself, against other hfmirrors. Raises StoreLocked."""
        with locks.held(self.layout.locks / "store.lock"):
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
        for path in (self.layout.manifest(repo, commit), self.layout.partial_manifest(repo, commit)):
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
        for digest, _, folder in self._intakes():
            claims = files.read_bytes(folder / "journal").splitlines()
            yield digest, PART * len({line.partition(b" ")[0] for line in claims if line})

    def _intakes(self) -> Iterator[tuple[Digest, str, Path]]:
        """Every large object on its way in: what it is, who brings it, where."""
        for folder in sorted(self.layout.incoming.glob("*~*")):
            name, _, owner = folder.name.partition("~")
            digest = unlabel(name)
            if digest is not None:
                yield digest, owner, folder

    # -- taking bytes in ----------------------------------------------------------------------

    def room_for(self, entries: Sequence[Entry]) -> None:
        """See whether these, still to come, will fit; what is half here has its room already. Raises DiskFull."""
        given = {path.name.partition("~")[0]: _room(path / "data") for path in self.layout.incoming.glob("*~*")}
        needed = sum(max(entry.size + BLOCK - given.get(label(entry.digest), 0), 0) for entry in entries)
        free = files.free_space(self.root)
        if needed > free:
            raise DiskFull(str(self.root), needed, free)

    @contextmanager
    def receive(self, entry: Entry) -> Iterator[DiskIntake]:
        """An intake for one large object, going on where a dead writer stopped.

        Raises StoreLocked while another living process fetches the same object, DiskFull.
        """
        claim = locks.Claim(self.layout.lock(entry.digest))
        if not claim.got and self.locks_exclude():
            claim.release()
            raise StoreLocked(entry.path, "another hfmirror is fetching it")
        owner = locks.new_owner()
        try:
            folder = self.layout.intake(entry.digest, owner)
            files.ensure_folder(self.layout.incoming)
            others = self._inherit(entry.digest, folder)
            intake = DiskIntake(folder, entry, self.layout.object(entry.digest))
            try:
                for other in others:
                    dead = locks.is_dead(other.name.partition("~")[2], other)
                    if dead or claim.got:
                        intake.copy_parts(other)
                    if dead:
                        files.remove_folder(other)
                yield intake
            finally:
                intake.close()
        finally:
            locks.let_go(owner)
            claim.release()

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
            return
        path = self.layout.partial_manifest(repo, commit)
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
            if not is_commit(pin.revision):
                ref = codec.ref_text(pin.commit, _now(), head.authority)
                self.drafts.publish_text(self.layout.ref(pin.repo, pin.revision), ref)

    def unkeep(self, repo: RepoId, commit: CommitId) -> None:
        """Forget that a commit ought to be here, and the names that lead to it. Its bytes wait for gc."""
        with self.locked():
            for path in (self.layout.refs / repo.folder).glob("*.json"):
                if codec.ref_of(files.read_text(path) or "", str(path)) == commit:
                    files.remove(path)
            files.remove(self.layout.pin(repo, commit))
            files.remove(self.layout.manifest(repo, commit))
            files.remove(self.layout.partial_manifest(repo, commit))
            files.remove(self.layout.description(repo, commit))

    def pins(self) -> Iterator[Pin]:
        """What ought to be here."""
        for folder in sorted(self.layout.pins.glob("*--*")):
            try:
                yield from self.pins_of(RepoId.of_folder(folder.name))
            except UsageError:
                continue  # not ours

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

    def sweep_incoming(self, wanted: Container[Digest]) -> None:
        """Remove downloads that nobody works on and no pin wants. Under the store's lock."""
        for digest, owner, folder in self._intakes():
            if digest not in wanted and locks.is_dead(owner, folder):
                files.remove_folder(folder)

    def set_aside(self, digest: Digest) -> Path:
        """Take a damaged object out of the store, but keep it to be looked at."""
        target = self.layout.quarantine / label(digest)
        files.ensure_folder(target.parent)
        files.replace(self.layout.object(digest), target)
        return target


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
