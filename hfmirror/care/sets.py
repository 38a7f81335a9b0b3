"""Wanted is what the pins select, held is what the store has. The rest is subtraction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfmirror.errors import NotHere

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from hfmirror.model import Digest, Entry, Manifest, Pin
    from hfmirror.ports import Store


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


def status(store: Store, without: Container[Pin] = ()) -> Status:
    """Look at the whole store, as if it had not the pins in `without`."""
    pins = tuple(pin for pin in store.pins() if pin not in without)
    unlisted = tuple(pin for pin in pins if listing(store, pin) is None)
    return Status(wanted(store, pins), frozenset(store.objects()), unlisted)


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
