"""Files of a repo that has no name yet: its commit is made of all their digests, so nothing can be pinned before.

They wait as drafts, proven, for the pin to be written, and get their names then: so each is read once.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from hfmirror.adopt.report import Reading
from hfmirror.errors import BadManifest, NotHere
from hfmirror.model import Algorithm, Digest, Entry
from hfmirror.store.adopting import Adopter, Linking, digests_of
from hfmirror.transfer.manner import WHOLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hfmirror.adopt.report import Reader
    from hfmirror.model import RepoId
    from hfmirror.store.adopting import Laid, Offered
    from hfmirror.store.disk import DiskStore

_ANY = Digest(Algorithm.SHA256, "0" * 64)  # in the place of a digest that is not known yet


class Laying:
    """Reads files once each, and keeps what may be wanted."""

    def __init__(self, adopter: Adopter, linking: Linking, held: set[int], reading: Reader) -> None:
        self._adopter, self._linking, self._held, self._reading = adopter, linking, held, reading
        self._stack = ExitStack()
        self.laid: dict[str, Laid] = {}  # by where the file lies

    def prove(self, place: str, offered: Offered, algorithm: Algorithm) -> Digest:
        """What a file is. Raises Unfit, DiskFull, StoreError."""
        self._reading(Reading(place, offered.size))
        if offered.size <= WHOLE or (offered.size in self._held and self.copies(place)):
            return digests_of(offered, (algorithm,))[0]  # a new version of a repo has most files of the old one
        linking = self._linking_of(place)
        self.laid[place] = self._stack.enter_context(self._adopter.laid(offered, algorithm, linking))
        return self.laid[place].digest

    def copies(self, place: str) -> bool:
        """Whether keeping this file needs room for all its bytes."""
        return self._adopter.copies(place, self._linking_of(place))

    def _linking_of(self, place: str) -> Linking:
        return Linking.NEVER if os.path.islink(place) else self._linking  # noqa: PTH114 - a string

    def close(self) -> None:
        """Forget what got no name."""
        self._stack.close()


@contextmanager
def laying(
    store: DiskStore, repo: RepoId, places: Iterable[str], linking: Linking, reading: Reader
) -> Iterator[Laying]:
    """For the time of an import of these files. Raises DiskFull when copies of them will not fit."""
    store.prepare()
    held = _held(store, repo)
    made = Laying(Adopter(store.layout, store.drafts), linking, held, reading)
    sizes = {place: os.stat(place).st_size for place in places}
    coming = {place: size for place, size in sizes.items() if size > WHOLE and size not in held}
    store.room_for([Entry(place, size, _ANY) for place, size in coming.items() if made.copies(place)])
    with store.in_use():
        try:
            yield made
        finally:
            made.close()


def _held(store: DiskStore, repo: RepoId) -> set[int]:
    """The sizes of what is here of a repo."""
    sizes: set[int] = set()
    for pin in store.pins_of(repo):
        with suppress(NotHere, BadManifest):
            sizes |= {entry.size for entry in store.manifest(repo, pin.commit).entries if store.has(entry.digest)}
    return sizes
