"""What an import came to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    from hfmirror.adopt.found import Trouble
    from hfmirror.adopt.targets import Target
    from hfmirror.model import Entry


@dataclass(frozen=True, slots=True)
class Mark:
    """By what a file is known again: another one may have taken its name since."""

    device: int
    inode: int
    mtime_ns: int

    @classmethod
    def of(cls, facts: os.stat_result) -> Mark:
        """From what the system says of it."""
        return cls(facts.st_dev, facts.st_ino, facts.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class Took:
    """A file that was taken in, or would be."""

    entry: Entry
    place: str  # where it was found
    how: str  # "reflink", "hard link", "copy"; empty when nothing was done
    mark: Mark | None = None  # the very file, if it was a whole one


@dataclass(frozen=True, slots=True)
class Began:
    """A half-finished file whose good parts were taken in, or would be."""

    entry: Entry
    place: str
    size: int  # bytes of it


@dataclass(frozen=True, slots=True)
class Shelf:
    """One commit, and how much of what is wanted of it is here now."""

    target: Target
    held: tuple[Entry, ...]
    lacking: tuple[Entry, ...]


@dataclass(slots=True)
class Report:
    """Everything that was done and left undone."""

    took: list[Took] = field(default_factory=list)
    began: list[Began] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    shelves: list[Shelf] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)  # the user's files that are gone from where they were
    looked_at: int = 0  # files

    @property
    def size(self) -> int:
        """Bytes of whole files taken in."""
        return sum(took.entry.size for took in self.took)

    @property
    def fruitless(self) -> bool:
        """Whether nothing came of it: nothing was taken, and nothing was here already."""
        return not (self.took or self.began or any(shelf.held for shelf in self.shelves))

    @property
    def damaged(self) -> int:
        """Files that are not what they say themselves."""
        return sum(trouble.damaged for trouble in self.troubles)


@dataclass(frozen=True, slots=True)
class Reading:
    """A file is about to be read through."""

    place: str
    size: int  # bytes


Reader = Callable[[Reading], None]
