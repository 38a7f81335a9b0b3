"""What a look through somebody's folders can find. Values only; nothing here reads a disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hfmirror.model import CommitId, Digest, RepoId, Span


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that was left out, and why."""

    place: str
    why: str
    damaged: bool = False  # it says itself what it holds, and holds something else


@dataclass(frozen=True, slots=True)
class Told:
    """A file of a commit, as a client's own bookkeeping tells it."""

    path: str  # in the repo
    place: str  # on this disk, links followed
    size: int  # bytes, as it lies there
    digest: Digest | None  # what it should be; None when nothing says


@dataclass(frozen=True, slots=True)
class Claim:
    """A commit that a folder says it holds. Hearsay: only the authority knows what a commit holds."""

    repo: RepoId | None  # None: the folder knows the commit, but not whose
    commit: CommitId
    place: str
    files: tuple[Told, ...] = ()
    names: Mapping[str, float] = field(default_factory=dict)  # revisions to when they were heard, s since 1970
    listing: Mapping[str, tuple[int, Digest]] = field(default_factory=dict)  # size and digest by path: all it knows of
    whole: bool = False  # all of the commit is meant, not only what lies there

    def __str__(self) -> str:
        return f"{self.repo or 'a repo'}@{self.commit[:12]}"


@dataclass(frozen=True, slots=True)
class Half:
    """A file that another tool has not finished."""

    place: str
    size: int  # bytes, as it lies there
    name: str  # what the finished file is called, as far as the tool says
    digest: str = ""  # hex; what the finished file should be, if the tool says
    whole: int | None = None  # bytes of the finished file, if the tool says
    start: int = 0  # where in the finished file this one's first byte belongs
    spans: tuple[Span, ...] | None = None  # what of this one is there, if the tool keeps a list; None: all of it


@dataclass(slots=True)
class Find:
    """Everything that was found."""

    files: dict[int, list[str]] = field(default_factory=dict)  # by size in bytes: where they lie
    cached: set[str] = field(default_factory=set)  # those that a client's cache keeps by their content
    shared: set[str] = field(default_factory=set)  # those of them that several repos of that cache share
    links: dict[str, list[str]] = field(default_factory=dict)  # the other names a client's cache has for them
    archives: list[str] = field(default_factory=list)
    halves: list[Half] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)

    def add(self, place: str, size: int) -> None:
        """A file that may be wanted."""
        self.files.setdefault(size, []).append(place)

    def trouble(self, place: str, why: str) -> None:
        """Something that is left out."""
        self.troubles.append(Trouble(place, why))

    @property
    def count(self) -> int:
        """How many files."""
        return sum(map(len, self.files.values()))
