"""The values everything else is about. Immutable, no I/O; whatever exists here is already right.

The terms are the Hub's: a *repo* has *revisions* (what people type), a revision is a *commit*
(forty hex digits), a commit holds *entries* (path, size, digest), together its *manifest*.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, NewType, Protocol
from unicodedata import normalize

from hfmirror.errors import BadManifest, UnsafePath, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Bytes. The unit of resumption: what a kill or a torn write can cost per connection. Claiming a part
# costs 6 us, so it could be smaller still; a file of 180 GB has 180 000 of them.
PART = 2**20

CommitId = NewType("CommitId", str)  # 40 lower-case hex digits

_HEX = re.compile(r"[0-9a-f]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SEGMENT = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?")
_DEVICES = frozenset({"con", "prn", "aux", "nul"} | {f"{d}{n}" for d in ("com", "lpt") for n in "0123456789¹²³"})


class Kind(str, Enum):
    """What a repo holds. The value is the Hub's own word, in the singular."""

    MODEL = "model"
    DATASET = "dataset"
    SPACE = "space"


class Algorithm(str, Enum):
    """How the Hub names a file's content."""

    SHA256 = "sha256"  # large files (LFS, Xet)
    GIT_SHA1 = "git-sha1"  # files kept in git: sha1 of "blob <size>\\0" and the bytes


class Hasher(Protocol):
    """The part of `hashlib`'s objects used here."""

    def update(self, data: bytes | memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """The identity the Hub gives to a file's content; also its name in the store."""

    algorithm: Algorithm
    hex: str

    def __str__(self) -> str:
        return f"{self.algorithm.value}:{self.hex}"

    @classmethod
    def parse(cls, text: str) -> Digest:
        """From `sha256:<hex>` or `git-sha1:<hex>`. Raises BadManifest."""
        name, _, hexed = text.partition(":")
        try:
            algorithm = Algorithm(name)
        except ValueError:
            raise BadManifest("digest", f"{text!r} is of no known kind") from None
        return cls.of_hex(algorithm, hexed)

    @classmethod
    def of_hex(cls, algorithm: Algorithm, hexed: str) -> Digest:
        """From bare hex digits. Raises BadManifest."""
        if len(hexed) != hex_length(algorithm) or not _HEX.fullmatch(hexed):
            raise BadManifest("digest", f"{hexed!r} is no {algorithm.value}")
        return cls(algorithm, hexed)

    @classmethod
    def of(cls, algorithm: Algorithm, data: bytes) -> Digest:
        """The digest these bytes have."""
        hasher = new_hasher(algorithm, len(data))
        hasher.update(data)
        return cls(algorithm, hasher.hexdigest())

    def hasher(self, size: int) -> Hasher:
        """A running hash that ends at `hex` after exactly `size` bytes."""
        return new_hasher(self.algorithm, size)


def hex_length(algorithm: Algorithm) -> int:
    """How many hex digits a digest of this kind has."""
    return 64 if algorithm is Algorithm.SHA256 else 40


def new_hasher(algorithm: Algorithm, size: int) -> Hasher:
    """A fresh running hash for a content of `size` bytes."""
    from hashlib import sha1, sha256  # noqa: PLC0415 - 3 ms, and scripts that only ask for a path hash nothing

    return sha256() if algorithm is Algorithm.SHA256 else sha1(b"blob %d\0" % size, usedforsecurity=False)


def byte_count(value: object) -> int:
    """A size in bytes. Raises ValueError."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"a size of {value!r}")
    return value


def commit_id(text: str) -> CommitId:
    """A commit as forty lower-case hex digits. Raises BadManifest."""
    if not _COMMIT.fullmatch(text):
        raise BadManifest("commit", f"{text!r} is not forty hex digits")
    return CommitId(text)


def is_commit(revision: str) -> bool:
    """Whether a revision is spelled as a whole commit, which never moves."""
    return bool(_COMMIT.fullmatch(revision))


@dataclass(frozen=True, slots=True, order=True)
class RepoId:
    """A repo's identity: its kind and `owner/name`, or a bare `name` for the oldest models."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        """As people write it: models bare, the others with their prefix."""
        return self.name if self.kind is Kind.MODEL else f"{self.kind.value}s/{self.name}"

    @property
    def folder(self) -> str:
        """The name of this repo's folder, the same in the store and in the official cache."""
        return f"{self.kind.value}s--{self.name.replace('/', '--')}"

    @classmethod
    def of(cls, kind: Kind, name: str) -> RepoId:
        """With the Hub's own rules for names applied. Raises UsageError."""
        segments = name.split("/")
        if len(segments) > 2 or not all(map(_lawful, segments)):
            raise UsageError(
                f"{name!r} is not the name of a repo",
                "write it as owner/name, for instance: hfmirror pull google-bert/bert-base-chinese",
            )
        return cls(kind, name)

    @classmethod
    def of_folder(cls, folder: str) -> RepoId:
        """The inverse of `folder`. Raises UsageError."""
        plural, _, name = folder.partition("--")
        for kind in Kind:
            if plural == f"{kind.value}s":
                return cls.of(kind, name.replace("--", "/"))
        raise UsageError(f"{folder!r} is not the folder of a repo")


def _lawful(segment: str) -> bool:
    return (
        bool(_SEGMENT.fullmatch(segment))
        and "--" not in segment
        and ".." not in segment
        and not segment.endswith(".git")
    )


_HOSTILE = re.compile(r"(?:\A|/)\.{0,2}(?:/|\Z)|\\")  # an empty part, ".", "..", or a backslash
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")  # controls and lone surrogates


def entry_path(text: str) -> str:
    """A path that cannot leave its folder, on any system. Raises UnsafePath."""
    if _HOSTILE.search(text):
        raise UnsafePath(text, "it could leave its folder")
    if _UNPRINTABLE.search(text):
        raise UnsafePath(text, "it holds a character that is none")
    return text


def unholdable(path: str) -> str:
    """Why a system in use (Windows, mostly) cannot keep a file of this name; empty when all can."""
    for part in path.split("/"):
        if part[1:2] == ":" and part[0].isalpha():
            return f"{part!r} begins with the name of a drive on Windows"
        if part.split(".")[0].rstrip(" ").lower() in _DEVICES:
            return f"{part!r} is the name of a device on Windows"
    return ""


def case_clash(paths: Iterable[str]) -> tuple[str, str] | None:
    """Two paths that a case-blind disk takes for one, or None. Windows also drops dots and spaces at a name's end."""
    seen: dict[str, str] = {}
    for path in paths:
        steps = path.split("/")
        plain = [normalize("NFC", step.casefold()).rstrip(". ") or step for step in steps]
        for depth in range(1, len(steps) + 1):
            head = "/".join(steps[:depth])
            other = seen.setdefault("/".join(plain[:depth]), head)
            if other != head:
                return other, head
    return None


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One file of a commit."""

    path: str  # relative, "/"-separated, proven safe when parsed
    size: int  # bytes
    digest: Digest


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Bytes [start, stop) of a file."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """How many bytes."""
        return self.stop - self.start


def part_of(index: int, size: int) -> Span:
    """The part of this number, of a file of `size` bytes."""
    return Span(index * PART, min((index + 1) * PART, size))


def part_runs(indexes: Iterable[int], size: int) -> list[Span]:
    """Parts, numbered in file order, as runs: those that touch are one span."""
    runs: list[Span] = []
    for index in indexes:
        part = part_of(index, size)
        if runs and runs[-1].stop == part.start:
            runs[-1] = Span(runs[-1].start, part.stop)
        else:
            runs.append(part)
    return runs


_SUM = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class PartDigests:
    """The XXH3-64 of each part of an object, in hex. They tell damage, and prove nothing."""

    size: int  # bytes of the object
    sums: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether there is one for each part, and each is one."""
        return len(self.sums) == -(-self.size // PART) and all(map(_SUM.fullmatch, self.sums))

    def differing(self, other: PartDigests) -> tuple[Span, ...]:
        """The spans of this object in which `other`, a later look at it, is not the same."""
        whole = other.sums if other.size >= self.size else other.sums[: other.size // PART]  # its last may be cut off
        wrong = (index for index, told in enumerate(self.sums) if whole[index : index + 1] != (told,))
        return tuple(part_runs(wrong, self.size))


@dataclass(frozen=True, slots=True)
class Reach:
    """Which part of a commit a listing covers: whole folders, and single paths."""

    folders: tuple[str, ...] = ("",)  # "" is the root: everything
    paths: tuple[str, ...] = ()

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return "" in self.folders

    def covers(self, path: str) -> bool:
        """Whether the listing knows if `path` exists."""
        return self.everything or path in self.paths or any(path.startswith(f"{f}/") for f in self.folders)

    def includes(self, other: Reach) -> bool:
        """Whether this listing answers all that `other` would."""
        if self.everything or other.everything:
            return self.everything
        known = set(self.paths)
        return all(self.covers(f"{folder}/") for folder in other.folders) and all(
            path in known or self.covers(path) for path in other.paths
        )


EVERYTHING = Reach()
_WILD = re.compile(r"[*?\[]")  # what makes a pattern more than a path
_LITERAL = re.compile(r"\[([*?\[])\]")  # unless it stands for itself: a set of one


def pattern_of(path: str) -> str:
    """The pattern that only this path matches; of a folder's name with its `/`, only what is in it."""
    return _WILD.sub(r"[\g<0>]", path)


def path_of(pattern: str) -> str | None:
    """The inverse of `pattern_of`; None for a pattern that may match several paths."""
    if pattern.endswith("/") or _WILD.search(_LITERAL.sub("", pattern)):
        return None
    return _LITERAL.sub(r"\1", pattern)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files of a commit are meant, by the official client's pattern rules.

    A pattern is a shell pattern over the whole path, in which `*` crosses folders; one that ends in
    `/` means the folder. No include means everything; an exclude always wins.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def takes(self, path: str) -> bool:
        """Whether the file at `path` is meant."""
        if self.include and not any(_matches(path, pattern) for pattern in self.include):
            return False
        return not any(_matches(path, pattern) for pattern in self.exclude)

    def of(self, manifest: Manifest) -> Iterator[Entry]:
        """The selected entries, in the manifest's order."""
        plain = {path_of(pattern) for pattern in self.include} - {None}  # many may be just paths
        wild = tuple(pattern for pattern in self.include if path_of(pattern) is None)
        named, matched = Selection((), self.exclude), Selection(wild, self.exclude)
        for entry in manifest.entries:
            if named.takes(entry.path) if entry.path in plain else (wild or not plain) and matched.takes(entry.path):
                yield entry

    def reach(self) -> Reach:
        """The least part of a commit that must be listed to know what is selected."""
        folders: set[str] = set()
        paths: set[str] = set()
        for pattern in self.include:
            path = path_of(pattern)
            if path is not None:
                paths.add(path)
            else:
                folders.add(_WILD.split(pattern, maxsplit=1)[0].rpartition("/")[0])
        if not self.include or "" in folders:
            return EVERYTHING
        outer = {folder for folder in folders if not any(folder.startswith(f"{other}/") for other in folders)}
        return Reach(tuple(sorted(outer)), tuple(sorted(paths)))

    def __str__(self) -> str:
        words = [*self.include, *(f"not {pattern}" for pattern in self.exclude)]
        return " ".join(words) or "everything"


def _matches(path: str, pattern: str) -> bool:
    return fnmatchcase(path, pattern + "*" if pattern.endswith("/") else pattern)


HUB, LOCAL, CACHE = "hub", "local", "cache"  # whose word a manifest is


@dataclass(frozen=True)
class Manifest:
    """What a commit holds: immutable, sorted by path; complete unless `reach` says otherwise."""

    repo: RepoId
    commit: CommitId
    entries: tuple[Entry, ...]
    reach: Reach = EVERYTHING
    origin: str = HUB  # HUB: the authority's word; LOCAL: made here; CACHE: hearsay out of a client's cache

    @classmethod
    def of(
        cls,
        repo: RepoId,
        commit: CommitId,
        entries: Iterable[Entry],
        reach: Reach = EVERYTHING,
        origin: str = HUB,
    ) -> Manifest:
        """From entries in any order. Raises BadManifest when a path comes twice."""
        ordered = tuple(sorted(entries))
        for first, second in pairwise(ordered):
            if first.path == second.path:
                raise BadManifest(f"{repo}@{commit}", f"lists {first.path!r} twice")
        return cls(repo, commit, ordered, reach, origin)

    def joined(self, other: Manifest) -> Manifest:
        """One partial listing that covers what either of two, of the same commit and origin, covers."""
        entries = {entry.path: entry for entry in (*self.entries, *other.entries)}
        folders = sorted({*self.reach.folders, *other.reach.folders})
        paths = sorted({*self.reach.paths, *other.reach.paths})
        return Manifest.of(self.repo, self.commit, entries.values(), Reach(tuple(folders), tuple(paths)), self.origin)

    @cached_property
    def _by_path(self) -> dict[str, Entry]:
        return {entry.path: entry for entry in self.entries}

    def get(self, path: str) -> Entry | None:
        """The entry at `path`, or None."""
        return self._by_path.get(path)

    def denies(self, path: str) -> bool:
        """Whether the commit is known not to hold `path`."""
        return self.reach.covers(path) and path not in self._by_path


@dataclass(frozen=True, slots=True)
class Head:
    """What a revision stands for just now."""

    commit: CommitId
    about: dict[str, object] = field(default_factory=dict)  # the authority's own description, as it came
    authority: str = ""  # who said so
    public: bool = False  # whether anybody may read it, as far as the authority has shown


@dataclass(frozen=True, slots=True)
class Pin:
    """What ought to be here, and under which name it was asked for.

    A *demand* pin is made by a client's question rather than by a wish: it wants whatever of the
    commit is here already, and nothing more.
    """

    repo: RepoId
    commit: CommitId
    revision: str
    selection: Selection = field(default_factory=Selection)
    demand: bool = False
