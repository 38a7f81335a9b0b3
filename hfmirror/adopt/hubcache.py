"""The cache of an official client, as something to take from: what it holds, and what it says that is.

Facts: huggingface_hub 0.17-2.4 `file_download.py`, `_tree_cache.py`, `utils/_shared_blobs.py`. A blob
is named by its etag, which is the digest; since 2.0 it may be a link to `<cache>/blobs/<2>/<xet hash>`,
which several repos share. Without symbolic links the snapshot holds the files themselves.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

from hfmirror.adopt.found import Claim, Told
from hfmirror.adopt.halves import half_of
from hfmirror.errors import BadManifest, UnsafePath, UsageError
from hfmirror.model import Algorithm, CommitId, Digest, RepoId, entry_path, hex_length, is_commit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfmirror.adopt.found import Find

Listing = dict[str, tuple[int, Digest]]
SHARED_MARK = ".huggingface-shared-blobs"
_SHARED = re.compile(r"[0-9a-f]{64}")
NOWHERE = "a link that leads nowhere"


def is_repo(place: str) -> bool:
    """Whether this folder is one repo of a client's cache."""
    name = os.path.basename(place)  # noqa: PTH119 - strings, many
    return repo_of(name) is not None and any(os.path.isdir(f"{place}/{part}") for part in ("snapshots", "blobs"))  # noqa: PTH112


def repo_of(folder: str) -> RepoId | None:
    """The repo a folder of this name is for."""
    try:
        return RepoId.of_folder(folder)
    except UsageError:
        return None


def read(place: str, find: Find) -> None:
    """Look through one repo's folder."""
    repo = repo_of(os.path.basename(place))  # noqa: PTH119 - a string
    place = os.path.realpath(place)  # a client's links lead to real places: each file gets one name
    unfinished = _blobs(f"{place}/blobs", find)
    names = dict(_refs(f"{place}/refs"))
    for commit in sorted({*_listed(f"{place}/snapshots", find), *(commit for commit, _ in names.values())}):
        home = f"{place}/snapshots/{commit}"
        if not is_commit(commit):
            find.trouble(home, "this snapshot is not named by a commit")
            continue
        listing = listing_of(place, CommitId(commit))
        files = tuple(_snapshot(place, home, listing, find))
        heard = {name: when for name, (target, when) in names.items() if target == commit}
        if files or unfinished:
            find.claims.append(Claim(repo, CommitId(commit), home, files, heard, listing))


def read_shared(place: str, find: Find) -> None:
    """Look through the blobs that the repos of a cache share."""
    for shelf in sorted(_listed(place, find)):
        for name in sorted(_listed(f"{place}/{shelf}", find)) if len(shelf) == 2 else ():
            if _SHARED.fullmatch(name):
                _keep(f"{place}/{shelf}/{name}", find, shared=True)


def _listed(place: str, find: Find) -> list[str]:
    try:
        return os.listdir(place)  # noqa: PTH208 - names only, many
    except FileNotFoundError:
        return []
    except OSError as error:
        find.trouble(place, error.strerror or str(error))
        return []


def _blobs(place: str, find: Find) -> bool:
    """Take note of a repo's blobs; whether some are unfinished."""
    unfinished = False
    for name in sorted(_listed(place, find)):
        blob = f"{place}/{name}"
        if os.path.islink(blob):  # noqa: PTH114 - strings, many
            continue  # a shared blob: found where it lies, and by the snapshots that lead to it
        half = half_of(blob, _size(blob))
        if half is not None:
            find.halves.append(half)
            unfinished = True
        elif not name.endswith(".lock"):
            _keep(blob, find, shared=False)
    return unfinished


def _keep(place: str, find: Find, *, shared: bool) -> None:
    size = _size(place)
    if size < 0 or not os.path.isfile(place):  # noqa: PTH113 - strings, many
        find.trouble(place, "it is no plain file")
        return
    if place not in find.cached:
        find.cached.add(place)
        find.add(place, size)
    if shared:
        find.shared.add(place)


def _refs(place: str) -> Iterator[tuple[str, tuple[str, float]]]:
    """The revisions a client asked for: what they stood for, and when it heard that."""
    for folder, _, files in os.walk(place):
        for name in files:
            ref = f"{folder}/{name}"
            try:
                with open(ref, encoding="ascii") as told:  # noqa: PTH123 - a string
                    commit, when = told.read(64).strip(), os.fstat(told.fileno()).st_mtime
                yield entry_path(os.path.relpath(ref, place).replace(os.sep, "/")), (commit, when)
            except (OSError, ValueError, UnsafePath):
                continue  # a name that cannot be read is no name; the commit itself is still found


def _snapshot(repo_place: str, home: str, tree: Listing, find: Find) -> Iterator[Told]:
    """The files of a snapshot that are there."""
    cache = os.path.dirname(repo_place) + os.sep  # noqa: PTH120 - a string
    for folder, _, files in os.walk(home):
        for name in sorted(files):
            place = f"{folder}/{name}"
            path = os.path.relpath(place, home).replace(os.sep, "/")
            linked, real = os.path.islink(place), os.path.realpath(place)  # noqa: PTH114 - strings, many
            digest = tree[path][1] if path in tree else None
            if linked:
                digest = digest_of(os.path.basename(os.readlink(place))) or digest  # noqa: PTH119 - as above
            why = _unfit(path, place, outside=digest is None and not real.startswith(cache))
            if why:
                find.trouble(place, why)
                continue
            if linked and real.startswith(cache):
                find.links.setdefault(real, []).append(place)
                _keep(real, find, shared=_is_shared(real))
            else:  # a client without symbolic links puts the file itself here
                find.add(place, _size(place))
            yield Told(path, real, _size(real), digest)


def _unfit(path: str, place: str, *, outside: bool) -> str:
    """Why a name in a snapshot is left out; empty when it is not."""
    if not os.path.isfile(place):  # noqa: PTH113 - strings, many
        return NOWHERE if os.path.islink(place) else "it is no plain file"  # noqa: PTH114 - as above
    if outside:
        return "a link out of the cache, to something that no digest vouches for"
    try:
        entry_path(path)
    except UnsafePath as error:
        return error.why
    return ""


def _is_shared(place: str) -> bool:
    shelves = os.path.dirname(os.path.dirname(place))  # noqa: PTH120 - strings, many
    return os.path.exists(f"{shelves}/{SHARED_MARK}")  # noqa: PTH110


def listing_of(place: str, commit: CommitId) -> Listing:
    """What the client kept of the commit's listing; nothing when it kept none that can be read."""
    try:
        with open(f"{place}/trees/{commit}.json", encoding="utf-8") as told:  # noqa: PTH123 - a string
            return {path: _row(row) for path, row in json.load(told)["files"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, BadManifest, RecursionError):
        return {}


def _row(row: dict[str, Any]) -> tuple[int, Digest]:
    if row.get("lfs_sha256"):
        return int(row["lfs_size"]), Digest.of_hex(Algorithm.SHA256, row["lfs_sha256"])
    return int(row["size"]), Digest.of_hex(Algorithm.GIT_SHA1, row["blob_id"])


def digest_of(etag: str) -> Digest | None:
    """What a blob's name says it holds; None for the names that are no digest."""
    for algorithm in Algorithm:
        if len(etag) == hex_length(algorithm) and not set(etag) - set("0123456789abcdef"):
            return Digest(algorithm, etag)
    return None


def _size(place: str) -> int:
    try:
        return os.stat(place).st_size
    except OSError:
        return -1
