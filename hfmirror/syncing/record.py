"""The file of a record, and what a store notes about the commits in it."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hfmirror import codec
from hfmirror.errors import StoreLocked
from hfmirror.store import files, locks
from hfmirror.store.drafts import Drafts
from hfmirror.syncing.decide import Standing
from hfmirror.syncing.lock import Lock, lock_of, lock_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from hfmirror.model import CommitId, Pin, RepoId
    from hfmirror.store.disk import DiskStore
    from hfmirror.syncing.decide import Commit


class Record:
    """One `mirror.lock`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Lock | None:
        """What it says; None when there is none. Raises UsageError."""
        text = files.read_text(self.path)
        return None if text is None else lock_of(text, str(self.path))

    def write(self, lock: Lock) -> None:
        """Say this from now on: wholly or not at all, and untouched when it says so already."""
        text = lock_text(lock)
        if files.read_text(self.path) != text:
            Drafts(self.path.parent).publish_text(
                self.path, text
            )  # beside it: it may be on another disk than the store

    @contextmanager
    def held(self, store: DiskStore) -> Iterator[None]:
        """The list to oneself: of two rounds at once, one would forget what the other wrote. Raises StoreLocked."""
        name = hashlib.sha256(str(self.path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        claim = locks.Claim(store.layout.locks / f"sync-{name}.lock")
        try:
            if not claim.got:
                raise StoreLocked(str(self.path), "another hfmirror sync is at work on this list")
            yield
        finally:
            claim.release()


def identity(store: DiskStore) -> str:
    """The name that tells this store from all others; empty while there is none yet."""
    text = files.read_text(store.layout.format)
    return "" if text is None else str(codec.document_of(text, str(store.layout.format)).get("id"))


def standings(store: DiskStore, repos: Iterable[RepoId]) -> dict[Commit, Standing]:
    """Every commit of these repos that ought to be here, and for whom."""
    found: dict[Commit, set[Pin]] = {}
    for repo in set(repos):
        for pin in store.pins_of(repo):
            found.setdefault((repo, pin.commit), set()).add(pin)
    return {name: Standing(frozenset(pins), _asked(store, *name)) for name, pins in found.items()}


def _asked(store: DiskStore, repo: RepoId, commit: CommitId) -> str:
    path = store.layout.pin(repo, commit)
    text = files.read_text(path)
    return "" if text is None else str(codec.load(text, str(path)).get("used", ""))
