"""The store on a disk: a `Store`, with files as its objects, and its records beside them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hfmirror.errors import DiskFull, NotHere, StoreLocked
from hfmirror.model import PART, Algorithm, Digest, Manifest
from hfmirror.store import files, locks, signposts
from hfmirror.store.batch import DiskBatch, take_in
from hfmirror.store.layout import label, unlabel
from hfmirror.store.ledger import Ledger
from hfmirror.store.partial import DiskIntake
from hfmirror.store.parts import PartShelf
from hfmirror.store.records import Records
from hfmirror.store.scans import ScanShelf

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence

    from hfmirror.model import Entry, PartDigests, Span
    from hfmirror.ports import Chunk
    from hfmirror.store.files import StrPath


BLOCK = 4096  # bytes; what a disk gives a file beyond its size, on average and rounded up


class DiskStore(Records):
    """A store under one root folder. Making one touches nothing; `prepare` does."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.ledger = Ledger(self.layout, self.drafts)
        self.parts = PartShelf(self.layout, self.drafts)
        self.scans = ScanShelf(self.layout, self.drafts)
        self._exclusive: bool | None = None
        self.make_room: Callable[[int], None] = lambda _: None  # called with the bytes that are to come

    # -- setting up ---------------------------------------------------------------------------

    def prepare(self) -> None:
        """Make the root fit for writing, or find that it is. Raises StoreTooNew, StoreError."""
        super().prepare()
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
    def in_use(self) -> Iterator[None]:
        """While bytes may come: the store stays where it is. Raises StoreLocked, StoreElsewhere while it is moved."""
        with locks.shared(self.layout.using):
            signposts.heed_moved(self.layout)
            yield

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
        files.remove(self.layout.report(digest))  # first: by the other one the next run knows what is left to do
        files.remove(self.layout.set_aside(digest))


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
