"""From the raw path of a request to what it is about. Decoded once, after it was cut at its slashes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, unquote

from hfmirror.errors import UsageError
from hfmirror.model import Kind, RepoId, is_commit

if TYPE_CHECKING:
    from tests.simulator.repos import Repo

_KINDS = {f"{kind.value}s": kind for kind in Kind}
_REPO_CALLS = frozenset({"revision", "tree", "paths-info", "refs", "commits", "auth-check", "xet-read-token"})
_FILE_CALLS = frozenset({"resolve", "raw"})

Known = Callable[[RepoId], bool]


@dataclass(frozen=True, slots=True)
class Route:
    """What a request is about. `rest` are the raw segments behind the call's name."""

    kind: str  # as in Record
    repo: RepoId | None = None
    rest: tuple[str, ...] = ()
    query: dict[str, list[str]] = field(default_factory=dict)
    template: str = ""  # the target with `{repo}` in place of the repo, for redirects

    def flag(self, name: str) -> bool:
        """A boolean of the query, in any spelling."""
        return self.word(name).lower() in {"true", "1"}

    def word(self, name: str, otherwise: str = "") -> str:
        """A single value of the query."""
        return self.query.get(name, [otherwise])[-1]

    def moved_to(self, repo: RepoId) -> str:
        """The same request for another name of the repo: path and query only."""
        return self.template.replace("{repo}", repo.name, 1)

    def split(self, repo: Repo) -> tuple[str, str]:
        """Revision and path. A revision's slashes may be literal: the longest known one wins."""
        words = [unquote(segment) for segment in self.rest]
        for count in range(len(words), 1, -1):
            revision = "/".join(words[:count])
            if repo.knows(revision):
                return revision, "/".join(words[count:])
        return (words[0], "/".join(words[1:])) if words else ("main", "")


def route(origin: str, target: str, known: Known = lambda _: False) -> Route:
    """What a target asks for; kind "other" when it is none of the known calls.

    A repo may bear the name of a call: where two readings are possible the one about a `known` repo holds.
    """
    path, _, query = target.partition("?")
    segments = path.split("/")[1:]
    if segments and segments[-1] == "":
        segments.pop()
    fields = parse_qs(query, keep_blank_values=True)
    if origin == "cdn":
        return Route("cdn", rest=tuple(segments), query=fields)
    read = _api if segments[:1] == ["api"] else _page
    found = read(segments[segments[:1] == ["api"] :], fields, known)
    if found.repo is None:
        return found
    name = f"/{found.repo.name}"
    return Route(found.kind, found.repo, found.rest, fields, target.replace(name, "/{repo}", 1))


def _api(segments: list[str], query: dict[str, list[str]], known: Known) -> Route:
    if segments[:1] == ["resolve-cache"] and len(segments) > 3 and segments[1] in _KINDS:
        width = 1 if is_commit(segments[3]) else 2
        return _about(_KINDS[segments[1]], "resolve-cache", segments[2:], width, query)
    if segments and segments[0] in _KINDS:
        kind, rest = _KINDS[segments[0]], segments[1:]
        if not rest:
            return Route("listing", rest=(segments[0],), query=query)
        return _fitting(_readings(kind, rest, _REPO_CALLS, query), known, query)
    kinds = {"whoami-v2": "whoami", "agent-harnesses": "agent-harnesses", "telemetry": "telemetry"}
    return Route(kinds.get(segments[0] if segments else "", "other"), query=query)


def _page(segments: list[str], query: dict[str, list[str]], known: Known) -> Route:
    kind = _KINDS.get(segments[0], Kind.MODEL) if segments else Kind.MODEL
    rest = segments[1:] if segments and segments[0] in _KINDS else segments
    files = [found for found in _readings(kind, rest, _FILE_CALLS, query) if found.kind != "info"]
    return _fitting(files, known, query)


def _readings(kind: Kind, rest: list[str], calls: frozenset[str], query: dict[str, list[str]]) -> list[Route]:
    """What the segments behind a prefix can mean: a name of one segment or of two, and a call or none."""
    found = []
    for width in (1, 2):
        if len(rest) == width:
            found.append(_about(kind, "info", rest, width, query))
        elif len(rest) > width and rest[width] in calls:
            found.append(_about(kind, rest[width], [*rest[:width], *rest[width + 1 :]], width, query))
    return found


def _fitting(readings: list[Route], known: Known, query: dict[str, list[str]]) -> Route:
    ours = [found for found in readings if found.repo is not None and known(found.repo)]
    return next(iter([*ours, *readings]), Route("other", query=query))


def _about(kind: Kind, call: str, segments: list[str], width: int, query: dict[str, list[str]]) -> Route:
    try:
        repo = RepoId.of(kind, "/".join(segments[:width]))
    except UsageError:
        return Route("other", query=query)
    return Route(call, repo, tuple(segments[width:]), query)


def api_path(repo: RepoId) -> str:
    """Where the Hub's API knows a repo."""
    return f"/api/{repo.kind.value}s/{repo.name}"


def resolve_path(repo: RepoId, revision: str, path: str) -> str:
    """Where a file's bytes are asked for, as the Python client spells it."""
    return f"/{repo}/resolve/{quote(revision, safe='')}/{quote(path)}"
