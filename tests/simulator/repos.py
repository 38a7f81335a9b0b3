"""What the simulated Hub holds: repos, their commits, and the rows its listings are made of."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hfmirror.errors import UsageError
from hfmirror.model import Algorithm, CommitId, Digest, Entry, Kind, RepoId
from tests.simulator import refusals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.simulator.content import Content

Row = dict[str, Any]  # an object of the Hub's JSON

# fmt: off
_LARGE = (
    ".7z", ".arrow", ".bin", ".bz2", ".ckpt", ".ftz", ".gguf", ".gz", ".h5", ".joblib", ".mlmodel",
    ".model", ".msgpack", ".npy", ".npz", ".onnx", ".ot", ".parquet", ".pb", ".pickle", ".pkl", ".pt",
    ".pth", ".rar", ".safetensors", ".tar", ".tflite", ".tgz", ".wasm", ".xz", ".zip", ".zst",
)
# fmt: on
_TOO_LARGE_FOR_GIT = 10_000_000  # bytes; the Hub refuses a push of more


def large_by_default(path: str, size: int) -> bool:
    """The Hub's own habit: weights and archives by their ending, anything else by its size."""
    return path.endswith(_LARGE) or size > _TOO_LARGE_FOR_GIT


def repo_id(text: RepoId | str) -> RepoId:
    """`owner/name`, `gpt2`, `datasets/owner/name`, `spaces/owner/name`."""
    if isinstance(text, RepoId):
        return text
    prefix, _, name = text.partition("/")
    for kind in (Kind.DATASET, Kind.SPACE, Kind.MODEL):
        if prefix == f"{kind.value}s" and name:
            return RepoId.of(kind, name)
    return RepoId.of(Kind.MODEL, text)


@dataclass(frozen=True)
class Stored:
    """One file of a commit."""

    path: str
    content: Content
    large: bool

    @cached_property
    def digest(self) -> Digest:
        """sha256 of a large file, git's blob id of any other."""
        return self.content.digest(Algorithm.SHA256 if self.large else Algorithm.GIT_SHA1)

    @cached_property
    def pointer(self) -> bytes:
        """What git keeps in place of a large file."""
        return b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % (
            self.digest.hex.encode(),
            self.content.size,
        )

    @cached_property
    def oid(self) -> str:
        """Git's blob id of what git keeps."""
        return Digest.of(Algorithm.GIT_SHA1, self.pointer).hex if self.large else self.digest.hex

    @cached_property
    def xet_hash(self) -> str:
        """A stand-in for the Xet hash: as long, as unrelated to the sha256."""
        return hashlib.sha256(b"xet " + self.digest.hex.encode()).hexdigest()

    @property
    def entry(self) -> Entry:
        """As the manifest has it."""
        return Entry(self.path, self.content.size, self.digest)


@dataclass(frozen=True)
class Commit:
    """Files under an id; immutable."""

    id: CommitId
    files: Mapping[str, Stored]
    title: str
    date: str

    @cached_property
    def folders(self) -> dict[str, str]:
        """Every folder with its tree id."""
        members: dict[str, list[str]] = {}
        for path in self.files:
            head, _, _ = path.rpartition("/")
            while head:
                members.setdefault(head, []).append(path)
                head = head.rpartition("/")[0]
        return {f: hashlib.sha1("\0".join([f, *sorted(m)]).encode()).hexdigest() for f, m in members.items()}

    @cached_property
    def paths(self) -> list[str]:
        """Files and folders, in path order."""
        return sorted([*self.files, *self.folders])

    def listing(self, folder: str, *, recursive: bool) -> list[str]:
        """The paths a tree request lists."""
        prefix = f"{folder}/" if folder else ""
        inside = [p for p in self.paths if p.startswith(prefix)]
        return inside if recursive else [p for p in inside if "/" not in p[len(prefix) :]]


@dataclass
class Access:
    """Who may read a repo."""

    private: bool = False
    gated: str | bool = False  # False, "auto" or "manual"
    disabled: bool = False
    tokens: set[str] = field(default_factory=set)  # these may, when it is private or gated


@dataclass
class Repo:
    """A repo with all its refs; commits are never forgotten."""

    id: RepoId
    commits: dict[CommitId, Commit] = field(default_factory=dict)
    refs: dict[str, CommitId] = field(default_factory=dict)  # by full name: refs/heads/main, refs/pr/1
    history: dict[CommitId, list[CommitId]] = field(default_factory=dict)  # newest first
    access: Access = field(default_factory=Access)

    def commit(self, revision: str) -> Commit:
        """What a revision stands for. Raises Refusal."""
        found = self._ref(revision) or self._by_id(revision)
        if found is None:
            raise refusals.no_revision(self.id, revision)
        return self.commits[found]

    def size(self, commit: CommitId) -> int:
        """How many rows the commit's whole listing has; 0 for a commit that is not here."""
        return len(self.commits[commit].paths) if commit in self.commits else 0

    def knows(self, revision: str) -> bool:
        """Whether `commit` would find it."""
        return (self._ref(revision) or self._by_id(revision)) is not None

    def _ref(self, revision: str) -> CommitId | None:
        if revision == "HEAD":
            return self.refs.get("refs/heads/main") or next(iter(self.refs.values()), None)
        names = (f"refs/heads/{revision}", f"refs/tags/{revision}", revision)
        return next((self.refs[name] for name in names if name in self.refs), None)

    def _by_id(self, revision: str) -> CommitId | None:
        if not re.fullmatch(r"[0-9a-f]{5,40}", revision):
            return None
        fitting = [known for known in list(self.commits) if known.startswith(revision)]
        return fitting[0] if len(fitting) == 1 else None

    def move(self, ref: str, commit: Commit) -> None:
        """Let a ref point at this commit from now on."""
        before = self.refs.get(ref)
        past = self.history.get(before, []) if before else []
        self.commits[commit.id] = commit
        self.history.setdefault(commit.id, [commit.id, *past])
        self.refs[ref] = commit.id

    def named(self, prefix: str) -> Iterator[tuple[str, CommitId]]:
        """The refs under a prefix, without it."""
        return ((ref[len(prefix) :], at) for ref, at in list(self.refs.items()) if ref.startswith(prefix))


def commit_of(repo: RepoId, files: Mapping[str, Stored], number: int, title: str) -> Commit:
    """A commit with an id made from what it holds, so that the same files give the same id."""
    hasher = hashlib.sha1(str(repo).encode())
    for path in sorted(files):
        stored = files[path]
        hasher.update(f"\0{path}\0{stored.large}\0{stored.content.identity}".encode())
    date = f"2024-01-02T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.000Z"
    return Commit(CommitId(hasher.hexdigest()), dict(files), title, date)


def full_ref(name: str) -> str:
    """A ref by its full name: as given, if it is one."""
    if name.startswith("refs/"):
        return name
    raise UsageError(f"{name!r} is not a full ref", "write refs/pr/1 or refs/convert/parquet")
