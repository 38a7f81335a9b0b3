"""A client's own copies, made links to the store's objects: the same bytes need no second room."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfmirror.errors import StoreError
from hfmirror.view.hfcache import digest_of

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.ports import HasPath
    from hfmirror.store.drafts import Drafts


@dataclass(frozen=True, slots=True)
class Relinked:
    """What became of a cache."""

    files: int = 0
    freed: int = 0  # bytes


def relink(cache: Path, store: HasPath, drafts: Drafts) -> Relinked:
    """Let each blob of an official cache that the store holds too be a hard link to the object.

    A blob is called by its digest, and the object is what its name says: so a copy that was damaged
    is mended by the way. Nothing happens across disks, or where a disk makes no hard links.
    """
    files = freed = 0
    if not cache.is_dir() or not drafts.makes_hard_links():
        return Relinked()
    for blob in sorted(cache.glob("*--*/blobs/*")):
        source = _twin(blob, store)
        if source is None:
            continue
        size = blob.stat().st_size
        try:
            drafts.link(source, blob)
        except StoreError:
            continue  # it stays as it was
        files, freed = files + 1, freed + size
    return Relinked(files, freed)


def _twin(blob: Path, store: HasPath) -> Path | None:
    """The object that a blob is a copy of, if it is a file of its own on the same disk."""
    digest = digest_of(blob.name)
    source = None if digest is None or blob.is_symlink() else store.path(digest)
    if source is None:
        return None
    ours, theirs = os.stat(source), os.stat(blob)
    return source if ours.st_dev == theirs.st_dev and ours.st_ino != theirs.st_ino else None
