"""Where the name of a repo ends in an address, and what a revision and a path after it mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from hfmirror.errors import UnsafePath, UsageError
from hfmirror.model import Kind, RepoId, entry_path
from hfmirror.serve.grammar import revisions
from hfmirror.serve.grammar.fields import decoded
from hfmirror.serve.grammar.questions import NoSuchEntry, NoSuchRevision, Place

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

P = TypeVar("P", bound=Place)

LONGEST_PATH = 4096  # characters; what Linux takes
_NEVER_OWNERS: Final = frozenset({"api", "datasets", "spaces", "kernels", "buckets"})  # they say what follows


def width_of(rest: Sequence[str], deep: Collection[str], bare: Collection[str] = ()) -> int:
    """How many segments the repo's name has: 1 or 2, or 0 when no question follows it.

    A `deep` question needs something behind it, a `bare` one is the last segment. Where one could
    begin at both places, the name has two segments: nearly all have, and `acme/tree/tree/main` is a
    repo called `tree` rather than a branch.
    """
    for width in (2, 1):
        if len(rest) > width and _begins(rest, width, deep, bare):
            return width
    return 0


def _begins(rest: Sequence[str], at: int, deep: Collection[str], bare: Collection[str]) -> bool:
    if len(rest) == at + 1:
        return rest[at] in bare
    return rest[at] in deep and rest[at + 1] != ""


def repo_of(kind: Kind, segments: Sequence[str]) -> RepoId | None:
    """The repo of this name; None when no repo can be called so."""
    try:
        repo = RepoId.of(kind, decoded("/".join(segments)))
    except UsageError:
        return None
    return None if kind is Kind.MODEL and repo.name.partition("/")[0] in _NEVER_OWNERS else repo


def revision_of(rest: Sequence[str]) -> str:
    """A revision that nothing follows, so that its slashes may be literal. May be unlawful."""
    return revisions.named("/".join(map(decoded, rest)))


def place_of(kind: type[P], repo: RepoId, rest: Sequence[str]) -> P | NoSuchEntry | NoSuchRevision:
    """A revision and, behind it, a path."""
    steps = tuple([decoded(segment) for segment in rest])
    revision, path = revisions.first_reading(steps)
    if not revisions.lawful(revision):
        return NoSuchRevision(repo, revision)
    if (path or kind.least) and not _safe(path):
        return NoSuchEntry(repo, revision)
    return kind(repo, revision, path, steps)


def _safe(path: str) -> bool:
    try:
        return len(entry_path(path)) <= LONGEST_PATH
    except UnsafePath:
        return False
