"""Deciding what to fetch, before anything is fetched. Pure but for asking the store what it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfmirror.errors import NothingMatches, UnsafePath
from hfmirror.model import case_clash, unholdable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hfmirror.model import Entry, Head, Manifest, Pin
    from hfmirror.ports import Store

EXAMPLES = 5  # file names shown when a pattern matches nothing


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a pull is about to do; printable, testable, refusable."""

    pin: Pin
    head: Head
    manifest: Manifest
    selected: tuple[Entry, ...]
    lacking: tuple[Entry, ...]  # one per content, largest first

    @property
    def size(self) -> int:
        """Bytes selected, each path counted."""
        return sum(entry.size for entry in self.selected)

    @property
    def to_fetch(self) -> int:
        """Bytes the store lacks."""
        return sum(entry.size for entry in self.lacking)


def plan_pull(pin: Pin, head: Head, manifest: Manifest, store: Store) -> Plan:
    """What `pin` needs that `store` lacks. Raises NothingMatches, UnsafePath."""
    selected = tuple(pin.selection.of(manifest))
    if not selected and (pin.selection.include or pin.selection.exclude):
        examples = tuple(entry.path for entry in manifest.entries[:EXAMPLES])
        raise NothingMatches(pin.repo, str(pin.selection), examples)
    for entry in selected:
        why = unholdable(entry.path)
        if why:
            raise UnsafePath(entry.path, why)
    return Plan(pin, head, manifest, selected, missing(selected, store))


def missing(entries: Iterable[Entry], store: Store) -> tuple[Entry, ...]:
    """Entries the store lacks, one per content, largest first."""
    lacking = {entry.digest: entry for entry in entries if not store.has(entry.digest)}
    return tuple(sorted(lacking.values(), key=lambda entry: (-entry.size, entry.path)))


def refuse_clashes(entries: Iterable[Entry]) -> None:
    """Refuse names that a case-blind disk takes for one. Raises UnsafePath."""
    clash = case_clash(entry.path for entry in entries)
    if clash is not None:
        raise UnsafePath(clash[1], f"this disk takes it for {clash[0]!r}")
