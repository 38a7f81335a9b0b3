"""Where everything lies under a store's root. Pure; every path of the store is built here.

    <root>/                                     HFMIRROR_HOME
    ├── format.json                             {"format": "hfmirror", "version": 1, "needs": "0.1.0", "id": "…"}
    ├── moving.json                             while a store is on its way here: where from
    ├── moved.json                              once the store has left: where to
    ├── objects/<algorithm>/<2>/<hex>           0444; the name is the proof
    ├── parts/<algorithm>/<2>/<hex>             checksums of the parts of a large object; derivable
    ├── scans/<algorithm>/<2>/<hex>.json        what was found in an object that holds a pickle; derivable
    ├── manifests/<repo>/<commit>.json          immutable; `<commit>.partial.json` covers a part only,
    │                                           `<commit>.cache.json` is what a client's cache said
    ├── pins/<repo>/<commit>.json               what ought to be here
    ├── refs/<repo>/<revision, %-escaped>.json  the commit a name stood for, and when it was asked
    ├── about/<repo>/<commit>.json              the Hub's own description, as it came
    ├── access/repos/<repo>.json                whether anybody may read the repo
    ├── access/tokens.json                      the mirror's own tokens, hashed; access/admitted.json, access/key
    ├── incoming/<algorithm>-<hex>~<owner>/     one large object on its way: data, journal
    ├── incoming/batch~<owner>/                 small objects, proven, waiting for their names
    ├── queue/<number>/                         a pull that waits for its turn: job.json, report.json
    ├── locks/                                  courtesy between processes
    ├── quarantine/<algorithm>-<hex>            what no longer hashed to its name; `….txt` says what is wrong
    ├── proven                                  when `verify` last proved each object; may be lost
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
        self.moving, self.moved = root / "moving.json", root / "moved.json"
        self.objects = root / "objects"
        self.parts = root / "parts"
        self.scans = root / "scans"
        self.manifests = root / "manifests"
        self.pins = root / "pins"
        self.refs = root / "refs"
        self.about = root / "about"
        self.access = root / "access"
        self.incoming = root / "incoming"
        self.queue = root / "queue"
        self.locks = root / "locks"
        self.line = root / "locks" / "line"
        self.lock_of_all, self.using = root / "locks" / "store.lock", root / "locks" / "using"
        self.quarantine = root / "quarantine"
        self.proven = root / "proven"
        self.hub = root / VIEW
        self._objects = str(self.objects)

    def object(self, digest: Digest) -> str:
        """A proven object. A string: this one is asked for thousands of times."""
        return f"{self._objects}/{digest.algorithm.value}/{digest.hex[:2]}/{digest.hex}"

    def part_digests(self, digest: Digest) -> Path:
        """The checksums of a large object's parts."""
        return self.parts / digest.algorithm.value / digest.hex[:2] / digest.hex

    def scan(self, digest: Digest) -> Path:
        """What was found in an object that holds a pickle."""
        return self.scans / digest.algorithm.value / digest.hex[:2] / f"{digest.hex}.json"

    def set_aside(self, digest: Digest) -> Path:
        """A damaged object, out of the store."""
        return self.quarantine / label(digest)

    def report(self, digest: Digest) -> Path:
        """What a person should know of a damaged object."""
        return self.quarantine / f"{label(digest)}.txt"

    def manifest(self, repo: RepoId, commit: CommitId) -> Path:
        """A commit's whole listing."""
        return self.manifests / repo.folder / f"{commit}.json"

    def partial_manifest(self, repo: RepoId, commit: CommitId) -> Path:
        """What is known of a commit whose whole listing was never fetched."""
        return self.manifests / repo.folder / f"{commit}.partial.json"

    def hearsay(self, repo: RepoId, commit: CommitId) -> Path:
        """What a client's cache told of a commit that the authority could not be asked about."""
        return self.manifests / repo.folder / f"{commit}.cache.json"

    def listings(self, repo: RepoId, commit: CommitId) -> tuple[Path, Path, Path]:
        """Where a listing of a commit may be, the most trusted first."""
        return self.manifest(repo, commit), self.partial_manifest(repo, commit), self.hearsay(repo, commit)

    def pin(self, repo: RepoId, commit: CommitId) -> Path:
        """What was asked for of a commit."""
        return self.pins / repo.folder / f"{commit}.json"

    def ref(self, repo: RepoId, revision: str) -> Path:
        """What a revision stood for when last asked."""
        return self.refs / repo.folder / f"{file_name(revision)}.json"

    def description(self, repo: RepoId, commit: CommitId) -> Path:
        """The authority's own words about a commit."""
        return self.about / repo.folder / f"{commit}.json"

    def standing(self, repo: RepoId) -> Path:
        """Whether anybody may read a repo."""
        return self.access / "repos" / f"{repo.folder}.json"

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
