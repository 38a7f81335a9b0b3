"""Where everything lies under a store's root. Pure; every path of the store is built here.

    <root>/                                     HFMIRROR_HOME
    ├── format.json                             {"format": "hfmirror", "version": 1, "id": "…"}
    ├── objects/<algorithm>/<2>/<hex>           0444; the name is the proof
    ├── manifests/<repo>/<commit>.json          immutable; `<commit>.partial.json` covers a part only
    ├── pins/<repo>/<commit>.json               what ought to be here
    ├── refs/<repo>/<revision, %-escaped>.json  the commit a name stood for, and when it was asked
    ├── about/<repo>/<commit>.json              the Hub's own description, as it came
    ├── incoming/<algorithm>-<hex>~<owner>/     one large object on its way: data, journal
    ├── incoming/batch~<owner>/                 small objects, proven, waiting for their names
    ├── locks/                                  courtesy between processes
    ├── quarantine/<algorithm>-<hex>            what no longer hashed to its name
    └── hub/                                    the view; may be deleted and rebuilt at any time

`<repo>` is the folder name of the official cache: `models--owner--name`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfmirror.codec import file_name
from hfmirror.model import Algorithm, Digest, hex_length
from hfmirror.settings import VIEW

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.model import CommitId, RepoId


class Layout:
    """Paths under one root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.format = root / "format.json"
        self.objects = root / "objects"
        self.manifests = root / "manifests"
        self.pins = root / "pins"
        self.refs = root / "refs"
        self.about = root / "about"
        self.incoming = root / "incoming"
        self.locks = root / "locks"
        self.quarantine = root / "quarantine"
        self.hub = root / VIEW
        self._objects = str(self.objects)

    def object(self, digest: Digest) -> str:
        """A proven object. A string: this one is asked for thousands of times."""
        return f"{self._objects}/{digest.algorithm.value}/{digest.hex[:2]}/{digest.hex}"

    def manifest(self, repo: RepoId, commit: CommitId) -> Path:
        """A commit's whole listing."""
        return self.manifests / repo.folder / f"{commit}.json"

    def partial_manifest(self, repo: RepoId, commit: CommitId) -> Path:
        """What is known of a commit whose whole listing was never fetched."""
        return self.manifests / repo.folder / f"{commit}.partial.json"

    def pin(self, repo: RepoId, commit: CommitId) -> Path:
        """What was asked for of a commit."""
        return self.pins / repo.folder / f"{commit}.json"

    def ref(self, repo: RepoId, revision: str) -> Path:
        """What a revision stood for when last asked."""
        return self.refs / repo.folder / f"{file_name(revision)}.json"

    def description(self, repo: RepoId, commit: CommitId) -> Path:
        """The authority's own words about a commit."""
        return self.about / repo.folder / f"{commit}.json"

    def intake(self, digest: Digest, owner: str) -> Path:
        """The folder of one large object on its way in."""
        return self.incoming / f"{label(digest)}~{owner}"

    def batch(self, owner: str) -> Path:
        """The folder of small objects waiting for their names."""
        return self.incoming / f"batch~{owner}"

    def lock(self, digest: Digest) -> Path:
        """The courtesy lock of one object."""
        return self.locks / f"{label(digest)}.lock"


def label(digest: Digest) -> str:
    """A digest as one file name: `sha256-<hex>`."""
    return f"{digest.algorithm.value}-{digest.hex}"


def unlabel(name: str) -> Digest | None:
    """The inverse of `label`; None when the name is no digest."""
    for algorithm in Algorithm:
        prefix = f"{algorithm.value}-"
        if name.startswith(prefix) and len(name) == len(prefix) + hex_length(algorithm):
            return Digest(algorithm, name[len(prefix) :])
    return None
