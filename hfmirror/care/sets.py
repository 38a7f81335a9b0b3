"""Wanted is what the pins select, held is what the store has. The rest is subtraction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfmirror.care import skim
from hfmirror.errors import NotHere
from hfmirror.model import Digest, byte_count

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from hfmirror.care.skim import Kept
    from hfmirror.model import Entry, Manifest, Pin
    from hfmirror.ports import Store

_NOTHING = skim.Skimmed("", [])


@dataclass(frozen=True, slots=True)
class Status:
    """A store against its pins."""

    wanted: Mapping[Digest, int]  # to bytes
    held: frozenset[Digest]
    unlisted: tuple[Pin, ...] = ()  # pins whose listing is not here, so that nobody knows what they want

    @property
    def lacking(self) -> dict[Digest, int]:
        """Wanted and not here: the next pull's work."""
        return {digest: size for digest, size in self.wanted.items() if digest not in self.held}

    @property
    def garbage(self) -> frozenset[Digest]:
        """Here and certainly not wanted: gc's work."""
        return frozenset() if self.unlisted else self.held - self.wanted.keys()


@dataclass(slots=True)
class Tally:
    """The same for a million files: digests as text, each of them once."""

    held: dict[str, int | None]  # to bytes; None where nothing wants it
    lacking: dict[str, int]  # wanted and not here
    unlisted: tuple[Pin, ...] = ()

    def __contains__(self, digest: object) -> bool:
        """Whether it is wanted."""
        text = str(digest)
        return text in self.lacking or self.held.get(text) is not None

    @property
    def garbage(self) -> list[Digest]:
        """Here and certainly not wanted. Raises BadManifest."""
        return [] if self.unlisted else list(self.loose())

    def loose(self) -> Iterator[Digest]:
        """Here, and no listing that is here wants it. Raises BadManifest."""
        return (Digest.parse(text) for text, size in self.held.items() if size is None)


def tally(store: Kept, without: Container[Pin] = ()) -> Tally:
    """Look at the whole store, as if it had not the pins in `without`. Raises BadManifest."""
    held: dict[str, int | None] = dict.fromkeys(skim.held(store))
    lacking: dict[str, int] = {}
    unlisted = []
    for commit in skim.pinned(store):
        for pin in commit.pins:
            found = skim.selected(store, pin, held) if pin not in without else _NOTHING
            if found is None:
                unlisted.append(pin)
                continue
            for digest, size in skim.sizes_of(found.rows).items():
                if digest in held:
                    held[digest] = size
                else:
                    lacking[digest] = size
    return Tally(held, lacking, tuple(unlisted))


def status(store: Kept) -> Status:
    """The tally as digests. Raises BadManifest."""
    count = tally(store)
    sizes = {**count.lacking, **{text: size for text, size in count.held.items() if size is not None}}
    wanted = {Digest.parse(text): byte_count(size) for text, size in sizes.items()}
    return Status(wanted, frozenset(map(Digest.parse, count.held)), count.unlisted)


def wanted(store: Store, pins: Iterable[Pin]) -> dict[Digest, int]:
    """What these pins select, and how large it is."""
    return {entry.digest: entry.size for pin in pins for entry in selected(store, pin)}


def selected(store: Store, pin: Pin) -> Iterator[Entry]:
    """The entries a pin selects; none while its listing is not here."""
    manifest = listing(store, pin)
    if manifest is None:
        return iter(())
    if pin.demand:
        return (entry for entry in manifest.entries if store.has(entry.digest))
    return pin.selection.of(manifest)


def listing(store: Store, pin: Pin) -> Manifest | None:
    """The listing a pin selects from, or None while it is not here."""
    try:
        return store.manifest(pin.repo, pin.commit, None if pin.demand else pin.selection)
    except NotHere:
        return None
