"""One commit that was asked for, file by file: what is wanted of it, and what of that is here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfmirror.care import sets
from hfmirror.errors import NotHere
from hfmirror.model import HUB

if TYPE_CHECKING:
    from hfmirror.model import CommitId, Entry, RepoId
    from hfmirror.store.disk import DiskStore


@dataclass(frozen=True, slots=True)
class Held:
    """A commit's files."""

    repo: RepoId
    commit: CommitId
    names: tuple[str, ...]  # the revisions that lead to it
    entries: tuple[Entry, ...]  # wanted
    here: frozenset[Entry]
    origin: str  # whose word the listing is: the Hub's, a client's cache's, or our own


def held(store: DiskStore, repo: RepoId, revision: str) -> Held:
    """The commit that a revision names. Raises NotHere."""
    commit = store.commit(repo, revision)
    pins = [pin for pin in store.pins_of(repo) if pin.commit == commit]
    if not pins:
        raise NotHere(f"{repo}@{revision}")
    entries = {entry for pin in pins for entry in sets.selected(store, pin)}
    here = frozenset(entry for entry in entries if store.has(entry.digest))
    names = tuple(sorted(name for name, target in store.refs_of(repo).items() if target == commit))
    listing = next(filter(None, (sets.listing(store, pin) for pin in pins)), None)
    return Held(repo, commit, names, tuple(sorted(entries)), here, HUB if listing is None else listing.origin)
