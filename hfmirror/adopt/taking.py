"""Two ways to go about it: taking things in, and only looking what would be taken."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from hfmirror.adopt import filling
from hfmirror.model import Digest
from hfmirror.store.adopting import COPY, Adopter, Linking, Taken, digests_of, read_whole
from hfmirror.transfer.manner import WHOLE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from hfmirror.adopt.found import Half
    from hfmirror.adopt.targets import Target
    from hfmirror.model import Algorithm, Entry
    from hfmirror.ports import Batch
    from hfmirror.store.adopting import Laid, Offered
    from hfmirror.store.disk import DiskStore


class Taker(Protocol):
    """What is done with what fits."""

    def keep(self, target: Target) -> None:
        """Record what ought to be here. Before any byte of it comes."""
        ...

    def copies(self, place: str, linking: Linking) -> bool:
        """Whether taking this file in needs room for all its bytes."""
        ...

    def room_for(self, entries: Sequence[Entry]) -> None:
        """See whether these will fit. Raises DiskFull."""
        ...

    def take(
        self,
        offered: Offered,
        algorithms: Collection[Algorithm],
        accept: Callable[[Digest], Entry | None],
        linking: Linking,
    ) -> Taken:
        """Prove bytes, and take them in if they are wanted. Raises Unfit, DiskFull, StoreError."""
        ...

    def empty(self, entry: Entry) -> None:
        """Take in a file of no bytes."""
        ...

    def fill(self, entry: Entry, half: Half) -> tuple[int, bool]:
        """Take in the good parts of a half-finished file; their bytes, and whether the object is whole by that.

        Raises Unfit, DigestMismatch, StoreLocked, DiskFull.
        """
        ...


class Real:
    """Takes things in. Small files go together, as in a pull."""

    def __init__(self, store: DiskStore, batch: Batch, laid: Mapping[str, Laid]) -> None:
        self._store, self._batch = store, batch
        self._laid = {os.path.realpath(place): one for place, one in laid.items()}
        self._adopter = Adopter(store.layout, store.drafts)
        self.room_for = store.room_for

    def copies(self, place: str, linking: Linking) -> bool:
        return os.path.realpath(place) not in self._laid and self._adopter.copies(place, linking)

    def keep(self, target: Target) -> None:
        for pin in target.pins:
            self._store.keep(pin, target.manifest)

    def take(
        self,
        offered: Offered,
        algorithms: Collection[Algorithm],
        accept: Callable[[Digest], Entry | None],
        linking: Linking,
    ) -> Taken:
        waiting = self._laid.pop(offered.path, None)
        if waiting is not None:
            named = accept(waiting.digest) is not None and self._adopter.name(offered, waiting)
            return Taken((waiting.digest,), waiting.digest if named else None, waiting.how if named else "")
        if offered.size > WHOLE:
            return self._adopter.take(offered, algorithms, lambda digest: accept(digest) is not None, linking)
        data = read_whole(offered)
        digests = tuple(Digest.of(algorithm, data) for algorithm in algorithms)
        for digest in digests:
            entry = accept(digest)
            if entry is not None:
                self._batch.add(entry, data)
                return Taken(digests, digest, COPY)
        return Taken(digests)

    def empty(self, entry: Entry) -> None:
        self._batch.add(entry, b"")

    def fill(self, entry: Entry, half: Half) -> tuple[int, bool]:
        return filling.fill(self._store, entry, half)


class Looking:
    """Reads, and touches nothing."""

    def keep(self, target: Target) -> None:
        """Nothing is recorded."""

    def copies(self, place: str, linking: Linking) -> bool:  # noqa: ARG002 - the port's
        return False

    def room_for(self, entries: Sequence[Entry]) -> None:
        """Nothing will be written."""

    def take(
        self,
        offered: Offered,
        algorithms: Collection[Algorithm],
        accept: Callable[[Digest], Entry | None],
        linking: Linking,  # noqa: ARG002 - the port's
    ) -> Taken:
        digests = digests_of(offered, algorithms)
        return Taken(digests, next((digest for digest in digests if accept(digest) is not None), None))

    def empty(self, entry: Entry) -> None:
        """Nothing is written."""

    def fill(self, entry: Entry, half: Half) -> tuple[int, bool]:
        return filling.worth(entry, half), False


@contextmanager
def taking(store: DiskStore, laid: Mapping[str, Laid], *, dry: bool) -> Iterator[Taker]:
    """The way that was asked for; at its end all that was taken in has its name. `laid`: proven files, by place."""
    if dry:
        yield Looking()
        return
    store.prepare()
    with store.batch() as batch:
        yield Real(store, batch, laid)
