"""The contracts between rooms. Each asks for little; the docstrings are the contract.

Names need trust, bytes need only a digest: so a `Catalog` and a `Supplier` are two ports, and what
a stranger supplies can be wrong but never believed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from hfmirror.errors import MirrorError
    from hfmirror.model import CommitId, Digest, Entry, Head, Manifest, PartDigests, Pin, RepoId, Selection, Span


Chunk = bytes | memoryview


class Catalog(Protocol):
    """Names to manifests. Needs trust: nothing downstream can check a name.

    Raises NotFound when the authority says there is no such thing, NotHere when this catalog merely
    does not know, AccessDenied, and Unavailable when it cannot be asked right now.
    """

    def resolve(self, repo: RepoId, revision: str) -> Head:
        """The commit a branch, tag, commit, short commit or `refs/…` stands for just now."""
        ...

    def manifest(self, repo: RepoId, commit: CommitId, selection: Selection) -> Manifest:
        """What the commit holds: all of it, or for a giant commit at least what `selection` reaches."""
        ...


class Supplier(Protocol):
    """Digests to bytes. Needs no trust: the digest is checked on arrival."""

    @property
    def name(self) -> str:
        """How people may call this supplier in a sentence; never holds a secret."""
        ...

    def open(
        self, manifest: Manifest, entry: Entry, span: Span
    ) -> AbstractContextManager[Iterable[bytes | memoryview]]:
        """The bytes of the file from `span.start` on, in chunks of any size.

        A chunk is good until the next one is asked for. May end early (the caller asks again for the
        rest). May run past `span.stop` when the server can only send the file whole: the caller takes
        what it wants and closes. Never starts anywhere else. Raises RangesIgnored when only byte 0
        can be the start and `span` has another, NotHere, NotFound, AccessDenied, Unavailable,
        ProtocolError; the iterable too.
        """
        ...


@runtime_checkable
class Nearby(Protocol):
    """Optional gift of a Supplier that is a place of this machine: it knows at once what it has."""

    def holds(self, manifest: Manifest, entry: Entry) -> bool:
        """Whether it has a file of that size there; raises nothing."""
        ...


class Source(Catalog, Supplier, Protocol):
    """Names and bytes in one."""


class Order(Protocol):
    """One span of one file that is wanted; an engine fills it. Used by one thread at a time.

    An engine calls `take` for each chunk, and at the end exactly one of `done` and `fail`.
    """

    @property
    def manifest(self) -> Manifest: ...
    @property
    def entry(self) -> Entry: ...
    @property
    def span(self) -> Span: ...

    def take(self, data: Chunk) -> bool:
        """The next bytes, from `span.start` on. False: no more are wanted, stop reading."""
        ...

    def done(self) -> None:
        """The stream ended without a complaint, at its end or because no more was wanted."""
        ...

    def fail(self, error: MirrorError) -> None:
        """The stream broke, or could not be opened."""
        ...


class OrderBook(Protocol):
    """Which spans are wanted next. Thread-safe."""

    def next(self, wait_s: float) -> Order | None:
        """The next order, or None when none is due within `wait_s` seconds. Each is given once."""
        ...

    @property
    def connections(self) -> int:
        """How many orders are worth having in flight just now."""
        ...

    @property
    def closed(self) -> bool:
        """Whether everything has arrived, or nothing more should be fetched."""
        ...


@runtime_checkable
class Engine(Protocol):
    """Moves bytes: takes orders from a book until it is closed. Optional gift of a Supplier."""

    def run(self, book: OrderBook) -> None:
        """Fill orders, at most `book.connections` at once. Every failure goes into its order."""
        ...


class Intake(Protocol):
    """One large object on its way in. Closing without `seal` keeps the parts for next time."""

    def missing(self) -> list[Span]:
        """Spans still to come, in file order; empty once complete; callable again."""
        ...

    def write(self, start: int, data: Chunk) -> None:
        """Put bytes at offset `start`. Safe from several threads, if their spans do not overlap."""
        ...

    @property
    def unproven(self) -> int:
        """Bytes that came and that the running proof has not reached yet, as far as it could."""
        ...

    def reach(self, start: int) -> int:
        """The offset up to which every byte from `start` on has been written; `start` when none has."""
        ...

    def reader(self) -> int:
        """A new descriptor to read what has been written, good beyond the seal. The caller closes it."""
        ...

    def prove(self) -> None:
        """See that the whole content is what its digest says. Raises DigestMismatch, and keeps the bytes."""
        ...

    def wrong_parts(self) -> list[Span]:
        """Of a content that was not proven, parts known to be wrong; empty where nobody can tell."""
        ...

    def doubt(self, spans: Iterable[Span]) -> None:
        """Want the parts that these spans touch once more: they are missing again."""
        ...

    def forget(self) -> None:
        """Throw away all that came, and close."""
        ...

    def seal(self) -> None:
        """Prove the content if that is still to be done, make it durable, and give it its name.

        Raises DigestMismatch, and forgets the bytes.
        """
        ...


class Batch(Protocol):
    """Small objects on their way in, sealed together. Closing seals what was added."""

    def add(self, entry: Entry, data: bytes) -> None:
        """Prove one whole object and take it in. Safe from several threads. Raises DigestMismatch."""
        ...


class Receiver(Protocol):
    """The part of a store that takes in large objects."""

    def has(self, digest: Digest) -> bool:
        """Whether the object is here, proven and whole."""
        ...

    def receive(self, entry: Entry) -> AbstractContextManager[Intake]:
        """An intake for one object; takes over what an earlier, dead one left. Raises DiskFull."""
        ...


class Store(Source, Receiver, Protocol):
    """A source one can also put things into. What it gives is what was proven."""

    def manifest(self, repo: RepoId, commit: CommitId, selection: Selection | None = None) -> Manifest:
        """As a catalog; without a selection whatever is known of the commit."""
        ...

    def case_blind(self) -> bool:
        """Whether this store's disk takes `a` and `A` for one name."""
        ...

    def room_for(self, entries: Sequence[Entry]) -> None:
        """See whether these, still to come, will fit. Raises DiskFull."""
        ...

    def batch(self) -> AbstractContextManager[Batch]:
        """Take in many small objects."""
        ...

    def keep(self, pin: Pin, manifest: Manifest) -> None:
        """Record what ought to be here, before any byte of it comes. gc spares it from now on."""
        ...

    def publish(self, pin: Pin, head: Head) -> None:
        """Point the pin's revision at its commit, after the last byte came."""
        ...

    def pins(self) -> Iterator[Pin]:
        """What ought to be here."""
        ...

    def objects(self) -> Iterator[Digest]:
        """What is here."""
        ...

    def discard(self, digest: Digest) -> None:
        """Remove an object. For gc only, under the store's lock."""
        ...


@runtime_checkable
class HasPath(Protocol):
    """Optional gift: the object as a file, for zero-copy serving and hard links."""

    def path(self, digest: Digest) -> Path | None: ...


class HasParts(HasPath, Protocol):
    """Optional gift: where in a damaged object the damage is."""

    def part_digests(self, digest: Digest) -> PartDigests | None:
        """What the object's parts were when it was proven; None where that is not known."""
        ...
