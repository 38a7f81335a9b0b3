"""What must hold of a store at any moment, whatever died while writing it (design: state on disk)."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from hfmirror.care import sets
from hfmirror.codec import file_name
from hfmirror.model import EVERYTHING, Algorithm, Digest, Selection
from hfmirror.store.disk import DiskStore
from hfmirror.store.layout import unlabel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hfmirror.model import CommitId, RepoId
    from tests.simulator import HubSimulator


def broken(root: Path, hub: HubSimulator) -> list[str]:
    """Every invariant that does not hold, said in words."""
    store = DiskStore(root)
    return [*_objects(store), *_names(store, hub), *_order(store), *_view(store)]


def tree(root: Path) -> set[str]:
    """Every name under a root but for locks, which are left lying about on purpose."""
    return {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if (path.is_symlink() or not path.is_dir()) and path.parent != root / "locks"
    }


def _objects(store: DiskStore) -> Iterator[str]:
    """1: whatever has an object's name has its bytes, and is read-only."""
    for path in (path for path in store.layout.objects.rglob("*") if path.is_file()):
        digest = Digest(Algorithm(path.parent.parent.name), path.name)
        if _digest(path, digest.algorithm) != digest.hex:
            yield f"object {digest} is something else"
        if path.stat().st_mode & 0o222:
            yield f"object {digest} can be written to"


def _digest(path: Path, algorithm: Algorithm) -> str:
    data = path.read_bytes()
    if algorithm is Algorithm.SHA256:
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _names(store: DiskStore, hub: HubSimulator) -> Iterator[str]:
    """2: a listing is complete and says what the authority said; a pin and a ref have one."""
    for pin in store.pins():
        listing = store.manifest(pin.repo, pin.commit)
        if listing.reach != EVERYTHING or listing != hub.manifest(pin.repo, pin.commit, Selection()):
            yield f"the listing of {pin.repo} is not the hub's"
        for name, commit in store.refs_of(pin.repo).items():
            if commit not in {known.commit for known in store.pins_of(pin.repo)}:
                yield f"{pin.repo}@{name} leads to a commit that nobody pinned"


def _order(store: DiskStore) -> Iterator[str]:
    """3: pin before bytes, bytes before names."""
    wanted = sets.wanted(store, store.pins())
    yield from (f"{digest} came before any pin" for digest in store.objects() if digest not in wanted)
    for folder in store.layout.incoming.glob("*~*"):
        digest = unlabel(folder.name.partition("~")[0])
        if digest is not None and digest not in wanted:
            yield f"{digest} is on its way without a pin"
    for pin in store.pins():
        if store.refs_of(pin.repo).get(pin.revision) == pin.commit:
            lacking = [entry.path for entry in sets.selected(store, pin) if not store.has(entry.digest)]
            if lacking:
                yield f"{pin.repo}@{pin.revision} has a name, but lacks {lacking}"


def _view(store: DiskStore) -> Iterator[str]:
    """3 and 6: what the view shows is the store's, and a name in it leads to all of a commit."""
    for blob in store.layout.hub.glob("*/blobs/*"):
        if not blob.name.startswith(".") and not _is_object(store, blob):
            yield f"the view's blob {blob.name} is no object"
    for place in store.layout.hub.glob("*/snapshots/**/*"):
        if place.is_symlink() and not (place.exists() and _is_object(store, place.resolve())):
            yield f"the view's {place.name} leads nowhere"
    for listing in store.layout.hub.glob("*/trees/[0-9a-f]*.json"):
        json.loads(listing.read_text(encoding="utf-8"))
    for pin in store.pins():
        home = store.layout.hub / pin.repo.folder
        ref = home / "refs" / pin.revision
        if ref.exists():
            yield from _shown(store, pin.repo, pin.commit, ref.read_text(encoding="utf-8"))


def _shown(store: DiskStore, repo: RepoId, commit: CommitId, ref: str) -> Iterator[str]:
    if ref != commit:
        yield f"the view's name for {repo} is {ref!r}"
    snapshot = store.layout.hub / repo.folder / "snapshots" / commit
    for entry in store.manifest(repo, commit).entries:
        place = snapshot / entry.path
        if not place.is_file() or not place.samefile(store.layout.object(entry.digest)):
            yield f"the view has a name for {repo}, but not {entry.path}"


def _is_object(store: DiskStore, blob: Path) -> bool:
    digests = [Digest(algorithm, blob.name) for algorithm in Algorithm]
    return any(store.has(digest) and blob.samefile(store.layout.object(digest)) for digest in digests)


def shown(root: Path, repo: RepoId, revision: str = "main") -> dict[str, bytes]:
    """What the view holds of a repo under a name, as a client would find it."""
    home = root / "hub" / repo.folder
    commit = (home / "refs" / file_name(revision)).read_text(encoding="utf-8")
    snapshot = home / "snapshots" / commit
    return {str(p.relative_to(snapshot)): p.read_bytes() for p in snapshot.rglob("*") if p.is_file()}
