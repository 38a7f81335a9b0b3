"""What a client can ask: one value per question. Made by `routes.parse`, answered elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

from hfmirror.serve.grammar.revisions import other_readings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfmirror.model import Kind, RepoId


@dataclass(frozen=True, slots=True)
class Place:
    """A revision of a repo and a path in it, as the first reading of the address has it.

    A revision with literal slashes can be meant as well. Take the first reading unless its revision
    is unknown and that of another is known: the others are to be looked up in what is known anyway,
    never asked upstream one by one.
    """

    least: ClassVar[int] = 0  # segments a path must have: a file has a name, a folder may be the root

    repo: RepoId
    revision: str  # lawful; `main` for HEAD, without refs/heads/ and refs/tags/
    path: str = ""  # safe; "" is the root
    steps: tuple[str, ...] = field(default=(), repr=False, compare=False)  # decoded, for the other readings

    def readings(self) -> Iterator[tuple[str, str]]:
        """Revision and path, the likeliest first. A repo with a branch `a` can have no branch `a/b`."""
        yield self.revision, self.path
        if self.steps:
            yield from other_readings(self.steps, self.least)


@dataclass(frozen=True, slots=True)
class FilePlace(Place):
    """A place where a file must be."""

    least: ClassVar[int] = 1


@dataclass(frozen=True, slots=True)
class Resolve(FilePlace):
    """The bytes of a file."""


@dataclass(frozen=True, slots=True)
class Raw(FilePlace):
    """What git holds of a file: its bytes, or the pointer that stands for them."""


@dataclass(frozen=True, slots=True)
class Blob(FilePlace):
    """A file's page. People follow links to it; `resolve_path` says where the file is."""


@dataclass(frozen=True, slots=True)
class Tree(Place):
    """A folder's listing."""

    recursive: bool = False
    expand: bool = False
    limit: int | None = None  # rows
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class TreeSize(Place):
    """How many bytes a folder holds."""


@dataclass(frozen=True, slots=True)
class Page(Place):
    """A repo's page, for people."""


@dataclass(frozen=True, slots=True)
class RepoInfo:
    """A repo's description."""

    repo: RepoId
    revision: str | None = None  # None: the default branch
    blobs: bool = False  # whether sizes and digests of the files are wanted
    expand: tuple[str, ...] = ()  # the fields wanted; none: the usual ones
    security: bool = False  # whether it is wanted what was found in its pickles


@dataclass(frozen=True, slots=True)
class PathsInfo:
    """Some entries of a commit; `fields.asked_paths` reads which from the body."""

    repo: RepoId
    revision: str


@dataclass(frozen=True, slots=True)
class Refs:
    """All branches and tags of a repo."""

    repo: RepoId
    include_prs: bool = False


@dataclass(frozen=True, slots=True)
class Commits:
    """The history of a revision."""

    repo: RepoId
    revision: str
    limit: int | None = None  # rows
    page: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """The repos of a kind."""

    kind: Kind
    search: tuple[str, ...] = ()  # all must be found in the id
    author: str = ""
    filters: tuple[str, ...] = ()  # all must be among the tags, or be the task or the library
    sort: str = ""  # a field of `routes.SORTS`; "": by id
    descending: bool = True
    limit: int | None = None  # rows
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class AuthCheck:
    """Whether the caller may read a repo."""

    repo: RepoId


@dataclass(frozen=True, slots=True)
class WhoAmI:
    """Whose token this is."""


@dataclass(frozen=True, slots=True)
class Telemetry:
    """A report about usage, to be thanked for and thrown away."""


@dataclass(frozen=True, slots=True)
class Harnesses:
    """Which programs the Hub's client should look out for: none."""


@dataclass(frozen=True, slots=True)
class ValidateYaml:
    """Whether a README's header is right."""


@dataclass(frozen=True, slots=True)
class Home:
    """The page with the repos of a kind, or of all, for people."""

    kind: Kind | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the server lives."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Whether the server can answer from its store."""


@dataclass(frozen=True, slots=True)
class Preflight:
    """A browser asks what it may ask (CORS)."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Something a Hub does and a mirror does not."""

    status: int  # none that clients try again: 403, 404, 501
    message: str
    code: str = ""  # for X-Error-Code


@dataclass(frozen=True, slots=True)
class NoSuchRepo:
    """No repo can be called so: 404 RepoNotFound."""

    name: str


@dataclass(frozen=True, slots=True)
class NoSuchRevision:
    """No revision can be called so: 404 RevisionNotFound."""

    repo: RepoId
    revision: str


@dataclass(frozen=True, slots=True)
class NoSuchEntry:
    """No commit can hold such a path: 404 EntryNotFound, with the commit of the revision where there is one."""

    repo: RepoId
    revision: str


@dataclass(frozen=True, slots=True)
class NoSuch:
    """An address of nothing, outside the API: 404."""


@dataclass(frozen=True, slots=True)
class BadRequest:
    """Not a request one can understand: 400."""

    message: str


# fmt: off
Route = (
    Resolve | Raw | Blob | Tree | TreeSize | Page | RepoInfo | PathsInfo | Refs | Commits | Listing | AuthCheck
    | WhoAmI | Telemetry | Harnesses | ValidateYaml | Home | Health | Ready | Preflight
    | Refused | NoSuchRepo | NoSuchRevision | NoSuchEntry | NoSuch | BadRequest
)
# fmt: on


def resolve_path(place: Place) -> str:
    """Where a file's bytes are: path only, to be put behind the prefix. Nothing in it leads to another host."""
    return f"/{place.repo}/resolve/{quote(place.revision, safe='')}/{quote(place.path)}"
