"""The official cache's layout, as hard links beside the store.

`HF_HUB_CACHE=<root>/hub` cannot be told from a real cache, costs no bytes, and is disposable: it can
be deleted and rebuilt from the store at any time, so no invariant lives in it. Blobs are hard links
to objects and never symlinks into the store, because clients up to 1.x delete what a link leads to.
Facts: huggingface_hub 2.4.0 `file_download.py`, `utils/_cache_manager.py`, `_tree_cache.py`.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from hfmirror import codec
from hfmirror.errors import NotHere
from hfmirror.model import Algorithm, Digest, hex_length, is_commit
from hfmirror.store import files
from hfmirror.view import places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from hfmirror.model import CommitId, Entry, Manifest, Pin, RepoId
    from hfmirror.ports import HasPath
    from hfmirror.store.drafts import Drafts


class HubCache:
    """One cache folder, shown from one store."""

    def __init__(
        self, folder: Path, store: HasPath, drafts: Drafts, bars: Callable[[Entry], bool] = lambda _: False
    ) -> None:
        """What `bars` says no to is not shown, and taken away if it was."""
        self.folder, self._store, self._drafts, self._bars = folder, store, drafts, bars

    def home(self, repo: RepoId) -> Path:
        """The folder of a repo."""
        return places.home(self.folder, repo)

    def snapshot(self, repo: RepoId, commit: CommitId) -> Path:
        """The folder in which a commit's files stand under their own names."""
        return places.snapshot(self.folder, repo, commit)

    # -- showing ------------------------------------------------------------------------------

    def show(self, pin: Pin, manifest: Manifest, entries: Iterable[Entry]) -> tuple[str, ...]:
        """Lay out these entries of a commit, which the store holds, and then the name they go by.

        Blobs, snapshot, listing, and the ref last. Returns the ways of linking that were needed
        beyond plain hard links. Raises NotHere, LinkImpossible, DiskFull.
        """
        home, snapshot = self.home(pin.repo), self.snapshot(pin.repo, pin.commit)
        ways: set[str] = set()
        known: set[str] = set()
        for folder in (home / "blobs", snapshot, home / "refs"):
            files.ensure_folder(folder)
        for entry in entries:
            if self._bars(entry):
                self.drop(pin.repo, pin.commit, entry)
            else:
                ways |= self._show_file(str(home), str(snapshot), entry, known)
        if manifest.reach.everything:
            listing = home / "trees" / f"{pin.commit}.json"
            if not listing.exists():
                self._drafts.publish_text(listing, codec.tree_cache_text(manifest), durable=False)
        if not is_commit(pin.revision):
            self.point(pin.repo, pin.revision, pin.commit)
        return tuple(sorted(ways))

    def point(self, repo: RepoId, revision: str, commit: CommitId) -> None:
        """Make a revision lead to a commit. Forty digits and no newline: clients compare without stripping."""
        ref = self.home(repo) / "refs" / revision
        if files.read_text(ref) != commit:
            self._drafts.publish_text(ref, commit, durable=False)

    def _show_file(self, home: str, snapshot: str, entry: Entry, known: set[str]) -> set[str]:
        """Lay out one file; the ways of linking that were needed."""
        source = self._store.path(entry.digest)
        if source is None:
            raise NotHere(f"{entry.path} ({entry.digest})")
        ways: set[str] = set()
        blob = f"{home}/blobs/{entry.digest.hex}"
        if not _linked_anew(source, blob) and not self._ours(blob, entry.digest):
            ways.add(self._drafts.link(source, blob))
        place = f"{snapshot}/{entry.path}"
        folder = place.rpartition("/")[0]
        if folder not in known:
            files.ensure_folder(folder)
            known.add(folder)
        target = "../" * (2 + entry.path.count("/")) + f"blobs/{entry.digest.hex}"
        if not self._drafts.symlink(target, place) and not self._ours(place, entry.digest):
            ways.add(self._drafts.link(source, place))
        return ways

    def _ours(self, blob: str, digest: Digest) -> bool:
        """Whether the blob is the store's object, or the copy of it that a disk without hard links needs."""
        source = self._store.path(digest)
        if source is None or os.path.islink(blob):  # noqa: PTH114 - strings, hot
            return False
        return files.same_file(source, blob) or (_size(blob) == _size(source) and not self._links)

    @cached_property
    def _links(self) -> bool:
        """Whether this disk makes hard links."""
        return self._drafts.makes_hard_links()

    # -- hiding -------------------------------------------------------------------------------

    def hide(self, repo: RepoId, commit: CommitId) -> None:
        """Take a commit out of the view: its refs first. What a client put there itself stays."""
        home, snapshot = self.home(repo), self.snapshot(repo, commit)
        for ref in [path for path in (home / "refs").rglob("*") if path.is_file()]:
            if files.read_text(ref) == commit:
                files.remove(ref)
        files.remove(home / "trees" / f"{commit}.json")
        for path in [path for path in snapshot.rglob("*") if path.is_symlink() or path.is_file()]:
            if self._made_here(path):
                files.remove(path)
        files.remove_empty_folders(snapshot)
        used = {_leads_to(path) for path in home.glob("snapshots/**/*") if path.is_symlink()}
        for blob in list(home.glob("blobs/*")):
            if blob.name not in used and self._made_here(blob):
                files.remove(blob)
        files.remove_empty_folders(home)

    def drop(self, repo: RepoId, commit: CommitId, entry: Entry) -> None:
        """Take one file out of the view, because its bytes are no longer to be trusted."""
        files.remove(self.snapshot(repo, commit) / entry.path)
        files.remove(self.home(repo) / "blobs" / entry.digest.hex)

    def drop_everywhere(self, digests: Iterable[Digest]) -> None:
        """Take such bytes out of every commit, also of those that nothing wants any more. Before the objects go."""
        gone = {digest.hex for digest in digests if self._may_show(digest)}
        if not gone:
            return
        for blob in [path for path in self.folder.glob("*--*/blobs/*") if path.name in gone and self._made_here(path)]:
            for path in [path for path in blob.parent.parent.glob("snapshots/**/*") if path.is_symlink()]:
                if _leads_to(path) == blob.name:
                    files.remove(path)
            files.remove(blob)

    def _may_show(self, digest: Digest) -> bool:
        """Whether an object may be in the view: what has one name on a disk that makes links is not."""
        try:
            return os.stat(self._store.path(digest) or "").st_nlink > 1 or not self._links
        except OSError:
            return False

    def _made_here(self, path: Path) -> bool:
        """Whether a blob, or a name in a snapshot that leads to one, shows an object of the store."""
        digest = digest_of(_leads_to(path))
        if not path.is_symlink() and digest is None:
            return path.stat().st_nlink > 1  # a hard link straight into the snapshot: no symlinks here
        blob = path if not path.is_symlink() else path.parent / os.readlink(path)
        return not blob.exists() or (digest is not None and self._ours(str(blob), digest))


def _linked_anew(source: Path, target: str) -> bool:
    """Make the hard link that nothing is in the way of; False when something is, or this disk makes none."""
    try:
        return files.hard_link(source, target)
    except OSError:
        return False


def _leads_to(path: Path) -> str:
    """The name of the blob behind a snapshot's file, or of the blob itself."""
    return os.path.basename(os.readlink(path)) if path.is_symlink() else path.name  # noqa: PTH119 - text


def digest_of(blob: str) -> Digest | None:
    """What a blob's name says of its content: the Hub's etag is the digest."""
    for algorithm in Algorithm:
        if len(blob) == hex_length(algorithm) and not set(blob) - set("0123456789abcdef"):
            return Digest(algorithm, blob)
    return None


def _size(path: str | Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1
