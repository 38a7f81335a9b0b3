"""Every commit that is wanted: how much of it is here, what it shares with others, when it was last used."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from hfmirror.care import skim, uses
from hfmirror.care.card import CARD, Card, of_readme, of_text
from hfmirror.model import HUB, Digest
from hfmirror.store import files

if TYPE_CHECKING:
    from collections.abc import Collection

    from hfmirror.care.skim import Kept, Pinned, Row
    from hfmirror.model import CommitId, RepoId

_SIZE = itemgetter("size")
_NOBODY, _MANY, _REPOS = -1, -2, -3  # in place of a commit's number: none; several repos; and from here down, one repo


@dataclass(slots=True)
class Shelved:
    """One commit. Sizes are bytes."""

    repo: RepoId
    commit: CommitId
    asked: bool  # by a person; else by clients of `serve` alone
    listed: bool = True  # whether the listing is here: without it nobody knows what is wanted
    origin: str = HUB  # whose word the listing is
    files: int = 0  # wanted
    held: int = 0  # of them here
    wanted: int = 0  # size of the wanted files
    size: int = 0  # of those that are here
    once: int = 0  # the same, each content counted once
    unique: int = 0  # what of it no other commit wants
    repo_unique: int = 0  # what no other repo wants: it would be freed if all commits of this one went
    used: float | None = None  # seconds since 1970: last pulled, served, or read; None: nobody can say
    card: Card = field(default_factory=Card)

    @property
    def shared(self) -> int:
        """Bytes that other commits want as well."""
        return self.once - self.unique

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for is here."""
        return self.listed and self.held == self.files


def shelf(store: Kept) -> list[Shelved]:
    """Look at the whole store, in one walk over its listings. Raises BadManifest."""
    walk = _Walk(store)
    for each in skim.pinned(store):
        if each.pins:
            walk.look(each)
    walk.share()
    return walk.shelved


class _Walk:
    """Looks at one commit after the other, and remembers whose each content is."""

    def __init__(self, store: Kept) -> None:
        self._store, self._now = store, time.time()
        self.shelved: list[Shelved] = []
        self._held = dict.fromkeys(skim.held(store), _NOBODY)  # to the number of the only commit that wants it
        self._repos: dict[RepoId, int] = {}  # their numbers
        self._alone: list[int] = []  # bytes that no other repo wants, by the number of the repo

    def look(self, each: Pinned) -> None:
        """Count what one commit wants and has."""
        one = Shelved(each.repo, each.commit, each.asked)
        found = skim.together(self._store, each.pins, self._held)
        here: list[Row] = []
        if found is None:
            one.listed = False
        else:
            here = [row for row in found.rows if row["digest"] in self._held]
            one.origin, one.files, one.held = found.origin, len(found.rows), len(here)
            one.wanted, one.size = sum(map(_SIZE, found.rows)), sum(map(_SIZE, here))
        sizes = skim.sizes_of(here)
        one.once = sum(sizes.values())
        self._claim(one, sizes)
        largest = max(here, key=_SIZE, default=None)
        one.used = uses.last(each.used, None if largest is None else self._path(largest), self._now)
        one.card = self._card(one, here)

    def _claim(self, one: Shelved, sizes: dict[str, int]) -> None:
        number, repo = len(self.shelved), self._repos.setdefault(one.repo, len(self._repos))
        self.shelved.append(one)
        self._alone += [0] * (repo + 1 - len(self._alone))
        for digest, size in sizes.items():
            owner = self._held[digest]
            if owner != _MANY:
                self._held[digest] = self._owned(owner, number, repo, size)

    def _owned(self, owner: int, number: int, repo: int, size: int) -> int:
        """Who owns a content now that another commit wants it as well."""
        if owner == _NOBODY:
            self.shelved[number].unique += size
            self._alone[repo] += size
            return number
        if owner >= 0:
            self.shelved[owner].unique -= size
        other = self._repos[self.shelved[owner].repo] if owner >= 0 else _REPOS - owner
        if other == repo:
            return _REPOS - repo
        self._alone[other] -= size
        return _MANY

    def share(self) -> None:
        """Tell each commit what its repo has alone."""
        for one in self.shelved:
            one.repo_unique = self._alone[self._repos[one.repo]]

    def _card(self, one: Shelved, here: Collection[Row]) -> Card:
        """What the Hub's description says, or the card itself where there is none."""
        text = files.read_text(self._store.layout.description(one.repo, one.commit))
        if text is not None:
            return of_text(text)
        held = next((row for row in here if row["path"] == CARD), None)
        return Card() if held is None else of_readme(Path(self._path(held)))

    def _path(self, row: Row) -> str:
        return self._store.layout.object(Digest.parse(row["digest"]))
