"""What the core has to say while it works. It emits; terminals, JSON lines and tqdm listen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hfmirror.errors import MirrorError
    from hfmirror.model import Entry, Manifest, RepoId
    from hfmirror.store.scans import Scan
    from hfmirror.timetable import Limit
    from hfmirror.transfer.plan import Plan


@dataclass(frozen=True, slots=True)
class Asking:
    """The source is being asked what a revision stands for."""

    repo: RepoId
    revision: str
    source: str


@dataclass(frozen=True, slots=True)
class Listed:
    """The commit's files are known."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Planned:
    """What will be fetched is decided."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Limited:
    """The rate is limited by the user's word, or is so no more."""

    limit: Limit


@dataclass(frozen=True, slots=True)
class Resumed:
    """Bytes that an earlier run had already fetched were found, and proven."""

    entry: Entry
    kept: int  # bytes


@dataclass(frozen=True, slots=True)
class Arrived:
    """New bytes of a file came in."""

    entry: Entry
    size: int  # bytes
    source: str


@dataclass(frozen=True, slots=True)
class Proven:
    """All of a large file came and is what its digest says; it is yet to be made durable and named."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Sealed:
    """A file is whole, proven, and in the store."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something went wrong that may pass; it will be tried again."""

    error: MirrorError
    seconds: float  # 0 when bytes had come since the last time: then it goes on at once


@dataclass(frozen=True, slots=True)
class Refused:
    """Bytes came that are not what their name says; they were thrown away."""

    error: MirrorError
    again: bool  # whether it will be tried once more
    banned: tuple[str, ...] = ()  # sources that are asked for nothing more, as it was they who sent them


@dataclass(frozen=True, slots=True)
class Dismissed:
    """One of several sources is asked for nothing more; the others go on."""

    source: str
    error: MirrorError


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Another process is fetching this file just now; its result will be used."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Stale:
    """The source cannot be asked; what it said last time is used."""

    repo: RepoId
    revision: str
    error: MirrorError


@dataclass(frozen=True, slots=True)
class Linked:
    """The official cache's layout now shows the commit."""

    files: int
    how: tuple[str, ...]  # "hard link", "reflink", "copy": the ways that were needed


@dataclass(frozen=True, slots=True)
class Suspected:
    """Files that are here could run code when they are loaded."""

    repo: RepoId
    files: tuple[tuple[Entry, Scan], ...]  # the worst first
    sentence: str


Event = (
    Asking
    | Listed
    | Planned
    | Limited
    | Resumed
    | Arrived
    | Proven
    | Sealed
    | Waiting
    | Refused
    | Dismissed
    | Elsewhere
    | Stale
    | Linked
    | Suspected
)
Watcher = Callable[[Event], None]


def silent(event: Event) -> None:
    """Watch nothing."""
