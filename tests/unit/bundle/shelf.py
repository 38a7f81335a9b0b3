"""Two stores and a stick: what the tests of bundles carry about."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from hfmirror.bundle import Wish, carry_out, plan_export
from hfmirror.model import PART, Algorithm, CommitId, Head, Kind, Manifest, Pin, RepoId, Selection
from hfmirror.transfer.events import silent
from tests.contracts.scene import entry
from tests.contracts.store import fill

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from hfmirror.bundle import Exported, SecretKey
    from hfmirror.model import Entry
    from hfmirror.store.disk import DiskStore

TINY, OTHER = RepoId(Kind.MODEL, "acme/tiny"), RepoId(Kind.DATASET, "acme/other")
FIRST, SECOND = CommitId("a" * 40), CommitId("b" * 40)
WEIGHTS = random.Random(1).randbytes(3 * PART + 4321)
FILES = {
    "config.json": b'{"model_type": "bert"}',
    "empty.txt": b"",
    "sub/vocab.txt": b"[PAD]\n",
    "sub/copy.json": b'{"model_type": "bert"}',
    "model.safetensors": WEIGHTS,
}


def entries_of(contents: Mapping[str, bytes]) -> dict[Entry, bytes]:
    """As the Hub would list them: what is large, or a tensor, by SHA-256."""
    large = (".safetensors", ".bin")
    return {
        entry(data, path, Algorithm.SHA256 if path.endswith(large) else Algorithm.GIT_SHA1): data
        for path, data in contents.items()
    }


def put(
    store: DiskStore,
    contents: Mapping[str, bytes] = FILES,
    pin: Pin | None = None,
    leave_out: Iterable[str] = (),
) -> Manifest:
    """A commit in a store, as a pull would have left it."""
    pin = pin or Pin(TINY, FIRST, "main")
    entries = entries_of(contents)
    listing = Manifest.of(pin.repo, pin.commit, entries)
    store.keep(pin, listing)
    for wanted, data in entries.items():
        if pin.selection.takes(wanted.path) and wanted.path not in leave_out and not store.has(wanted.digest):
            fill(store, wanted, data)
    store.publish(pin, Head(pin.commit, {"id": pin.repo.name, "gated": False, "private": False}, "a hub", public=True))
    return listing


def export(
    store: DiskStore,
    folder: Path,
    *wishes: Wish,
    known: frozenset[str] = frozenset(),
    most: int | None = None,
    signer: SecretKey | None = None,
) -> Exported:
    """Plan and carry out."""
    plan = plan_export(store, folder, wishes or (Wish(TINY, "main"),), known, most)
    return carry_out(plan, store, signer, silent)


def contents(store: DiskStore, repo: RepoId = TINY, revision: str = "main") -> dict[str, bytes]:
    """The files of a commit that a store holds."""
    listing = store.manifest(repo, store.commit(repo, revision))
    found = {each.path: store.path(each.digest) for each in listing.entries}
    return {path: place.read_bytes() for path, place in found.items() if place is not None}


def only(*patterns: str) -> Selection:
    """A selection."""
    return Selection(tuple(patterns))
