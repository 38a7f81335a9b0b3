"""From the raw target of a request to the question it asks.

The path is cut at its slashes first, routed by raw segments, and decoded once, last: a framework
that decodes before it routes cannot tell `refs%2Fpr%2F1` from a folder (protocol sections 2.4, 2.5).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hfmirror.model import Kind, RepoId, is_commit
from hfmirror.serve.grammar import fields, revisions
from hfmirror.serve.grammar.fields import LARGEST_PAGE, flag, number, word, words
from hfmirror.serve.grammar.places import place_of, repo_of, revision_of, width_of
from hfmirror.serve.grammar.questions import (
    AuthCheck,
    BadRequest,
    Blob,
    Commits,
    Harnesses,
    Health,
    Home,
    Listing,
    NoSuch,
    NoSuchRepo,
    NoSuchRevision,
    Page,
    PathsInfo,
    Preflight,
    Raw,
    Ready,
    Refs,
    Refused,
    RepoInfo,
    Resolve,
    Route,
    Telemetry,
    Tree,
    TreeSize,
    ValidateYaml,
    WhoAmI,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LONGEST_TARGET = 2**14  # characters; a path of 4096 bytes, wholly encoded, and a query

# The field a `sort` means, by every spelling a client has had for it.
SORTS: Final[Mapping[str, str]] = {
    "downloads": "downloads",
    "likes": "likes",
    "lastModified": "lastModified",
    "last_modified": "lastModified",
    "modified": "lastModified",
    "createdAt": "createdAt",
    "created_at": "createdAt",
    "created": "createdAt",
    "trendingScore": "trendingScore",
    "trending_score": "trendingScore",
    "trending": "trendingScore",
}

_NO_SUCH_CALL: Final = Refused(404, "not supported by this mirror")
_NO_WRITES: Final = Refused(501, "not supported by this mirror: it takes no changes")
_NO_WRITE_ACCESS: Final = Refused(403, "nobody may write to this mirror")
_NO_GIT: Final = Refused(404, "this mirror does not speak git; use `hf download` or `hfmirror pull`")
# An empty list would make transformers send the token to a service on the internet (protocol section 7.3).
_NO_DISCUSSIONS: Final = Refused(403, "discussions are not supported by this mirror")
# The code makes the client read the files' own headers instead.
_NO_TENSORS: Final = Refused(404, "not supported by this mirror", "EntryNotFound")

_KINDS: Final = {f"{kind.value}s": kind for kind in Kind}
_PREFIXES: Final = {"datasets": Kind.DATASET, "spaces": Kind.SPACE}
# fmt: off
_ELSEWHERE: Final = frozenset({  # what else the Hub has at its root
    ".well-known", "buckets", "collections", "jobs", "kernels", "login", "oauth", "papers", "settings", "uploads", "v2",
})
# fmt: on
_ALONE: Final[Mapping[str, Route]] = {
    "": Home(),
    **{plural: Home(kind) for plural, kind in _KINDS.items()},
    "health": Health(),
    "healthz": Health(),
    "readyz": Ready(),
    "robots.txt": NoSuch(),
    "favicon.ico": NoSuch(),
}
_SMALL: Final[Mapping[str, Route]] = {"whoami-v2": WhoAmI(), "agent-harnesses": Harnesses()}


def parse(method: str, target: str, prefix: str = "") -> Route:
    """The question a request asks. Never raises; HEAD asks what GET does.

    `prefix` ("/hf") may stand before every path and is taken off then, even where an owner is called so.
    """
    if method == "OPTIONS":
        return Preflight()
    if len(target) > LONGEST_TARGET:
        return BadRequest("this address is too long")
    if not target.startswith("/"):
        return BadRequest("this is no address of a Hub")
    path, _, query = target.partition("?")
    if prefix and f"{path}/".startswith(f"{prefix}/"):
        path = path[len(prefix) :]
    segments = path.lstrip("/").split("/")  # an endpoint written with a slash at its end makes two
    reads = method in ("GET", "HEAD")
    if segments[0] == "api":
        return _api(method, segments[1:], query)
    return _outside(segments) if reads else _NO_WRITES


# -- outside the API: files, and pages for people -----------------------------------------------


def _outside(segments: list[str]) -> Route:
    first = segments[0]
    if first in _ALONE and not any(segments[1:]):
        return _ALONE[first]
    if first in _ELSEWHERE:
        return _NO_SUCH_CALL
    kind = _PREFIXES.get(first)
    rest = segments if kind is None else segments[1:]
    width = width_of(rest, _FILES)
    if width == 0:
        return _leftover(kind or Kind.MODEL, rest)
    repo = repo_of(kind or Kind.MODEL, rest[:width])
    if repo is None:
        return NoSuchRepo(_printed(rest[:width]))
    return _FILES[rest[width]](repo, rest[width + 1 :])


def _leftover(kind: Kind, rest: list[str]) -> Route:
    rest = _trimmed(rest)
    if len(rest) > 2:
        return _NO_GIT if "info" in rest or rest[-1].startswith("git-") else NoSuch()
    repo = repo_of(kind, rest)
    return NoSuch() if repo is None else Page(repo, "main")


def _page(repo: RepoId, rest: list[str]) -> Route:
    found = place_of(Page, repo, _trimmed(rest))
    return found if isinstance(found, Page) else NoSuch()


_FILES: Final[Mapping[str, Callable[[RepoId, list[str]], Route]]] = {
    "resolve": lambda repo, rest: place_of(Resolve, repo, rest),
    "raw": lambda repo, rest: place_of(Raw, repo, rest),
    "blob": lambda repo, rest: place_of(Blob, repo, rest),
    "tree": _page,
}


# -- the API -------------------------------------------------------------------------------------


def _api(method: str, segments: list[str], query: str) -> Route:
    reads = method in ("GET", "HEAD")
    segments = _trimmed(segments)
    first = segments[0] if segments else ""
    if first in _KINDS:
        return _of_kind(method, _KINDS[first], segments[1:], query)
    if first == "telemetry":
        return Telemetry()
    if segments == ["validate-yaml"] and method == "POST":
        return ValidateYaml()
    if reads and first in _SMALL and len(segments) == 1:
        return _SMALL[first]
    if reads and first == "resolve-cache" and len(segments) > 4 and segments[1] in _KINDS:
        return _cached(_KINDS[segments[1]], segments[2:])
    return _NO_SUCH_CALL if reads else _NO_WRITES


def _of_kind(method: str, kind: Kind, rest: list[str], query: str) -> Route:
    answers = {"GET": _READS, "HEAD": _READS, "POST": _POSTS}.get(method, {})
    refusal = _NO_SUCH_CALL if answers is _READS else _NO_WRITES
    if not rest:
        return _listing(kind, query) if answers is _READS else refusal
    if kind is Kind.SPACE and len(rest) == 1:
        return refusal  # spaces have owners; this is /api/spaces/hardware and its like
    width = width_of(rest, _DEEP, _BARE_PAGED if _paged(query) else _BARE) or min(len(rest), 2)
    answer = answers.get(rest[width] if len(rest) > width else "")
    if answer is None:
        return refusal
    repo = repo_of(kind, rest[:width])
    return NoSuchRepo(_printed(rest[:width])) if repo is None else answer(repo, rest[width + 1 :], query)


def _cached(kind: Kind, rest: list[str]) -> Route:
    """`<repo>/<commit>/<path>`: where the Hub's own redirects lead."""
    width = 1 if is_commit(rest[1]) and not is_commit(rest[2]) else 2
    repo = repo_of(kind, rest[:width])
    if repo is None or not is_commit(rest[width]) or len(rest) == width + 1:
        return _NO_SUCH_CALL
    return place_of(Resolve, repo, rest[width:])


def _listing(kind: Kind, query: str) -> Route:
    asked = fields.of_query(query)
    return Listing(
        kind,
        words(asked, "search"),
        word(asked, "author"),
        words(asked, "filter", "pipeline_tag", "library", "language"),
        SORTS.get(word(asked, "sort"), ""),
        descending=word(asked, "direction") != "1",
        limit=number(asked, "limit", 1, LARGEST_PAGE),
        cursor=word(asked, "cursor") or None,
    )


def _info(repo: RepoId, rest: list[str], query: str) -> Route:
    if not rest and not query:
        return RepoInfo(repo)
    revision = revision_of(rest) if rest else None
    if revision is not None and not revisions.lawful(revision):
        return NoSuchRevision(repo, revision)
    asked = fields.of_query(query)
    expand = words(asked, "expand", "expand[]")
    security = flag(asked, "securityStatus") or "securityRepoStatus" in expand
    return RepoInfo(repo, revision, flag(asked, "blobs"), expand, security)


def _tree(repo: RepoId, rest: list[str], query: str) -> Route:
    place = place_of(Tree, repo, rest)
    if not query or not isinstance(place, Tree):
        return place
    asked = fields.of_query(query)
    return replace(
        place,
        recursive=flag(asked, "recursive"),
        expand=flag(asked, "expand"),
        limit=number(asked, "limit", 1, LARGEST_PAGE),
        cursor=word(asked, "cursor") or None,
    )


def _commits(repo: RepoId, rest: list[str], query: str) -> Route:
    revision = revision_of(rest)
    if not revisions.lawful(revision):
        return NoSuchRevision(repo, revision)
    asked = fields.of_query(query)
    return Commits(repo, revision, number(asked, "limit", 1, LARGEST_PAGE), number(asked, "p", 0, LARGEST_PAGE**2) or 0)


def _paths_info(repo: RepoId, rest: list[str], _: str) -> Route:
    revision = revision_of(rest)
    return PathsInfo(repo, revision) if revisions.lawful(revision) else NoSuchRevision(repo, revision)


def _refs(repo: RepoId, rest: list[str], query: str) -> Route:
    return _NO_SUCH_CALL if rest else Refs(repo, flag(fields.of_query(query), "include_prs"))


_Answers = dict[str, "Callable[[RepoId, list[str], str], Route]"]

_READS: Final[_Answers] = {
    "": _info,
    "revision": _info,
    "tree": _tree,
    "treesize": lambda repo, rest, _: place_of(TreeSize, repo, rest),
    "refs": _refs,
    "commits": _commits,
    "auth-check": lambda repo, rest, _: _NO_WRITE_ACCESS if rest else AuthCheck(repo),
    "discussions": lambda *_: _NO_DISCUSSIONS,
    "safetensors-metadata": lambda *_: _NO_TENSORS,
}
_POSTS: Final[_Answers] = {"paths-info": _paths_info}

# Questions by what must follow them: something, or nothing.
_DEEP: Final = frozenset(_READS) - {"", "refs"} | {"paths-info"}
_BARE: Final = frozenset({"refs", "auth-check"})
# Repos may be called `discussions`; only the call of that name has pages.
_BARE_PAGED: Final = _BARE | {"discussions"}


def _paged(query: str) -> bool:
    return query.startswith("p=") or "&p=" in query


# -- segments -------------------------------------------------------------------------------------


def _trimmed(segments: list[str]) -> list[str]:
    """Without slashes at the end."""
    count = len(segments)
    while count and not segments[count - 1]:
        count -= 1
    return segments[:count]


def _printed(segments: Sequence[str]) -> str:
    return "/".join(segments)[:200]
