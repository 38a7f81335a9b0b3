"""The Hub, as this mirror plays it: from a request to a reply.

Whatever is in memory is answered at once; the rest is looked up while others are served. Our own
"I do not have it" is never said in the words of the Hub's "there is no such thing".
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hfmirror.errors import MirrorError, RepoNotFound, RevisionNotFound
from hfmirror.serve import forms
from hfmirror.serve.answers import NO_CREDENTIALS, error_reply, json_reply, preflight, refusal
from hfmirror.serve.catalogue import address_of
from hfmirror.serve.door import Missing
from hfmirror.serve.grammar import questions
from hfmirror.serve.grammar.routes import parse
from hfmirror.serve.replies import Reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hfmirror.serve.access import Access
    from hfmirror.serve.catalogue import Catalogue
    from hfmirror.serve.door import Door
    from hfmirror.serve.library import Library
    from hfmirror.serve.replies import Request

WARM_S = 1.0  # how long an answer about a held file is repeated without looking again
MOST_WARM = 4096  # such answers in memory, of each method
_NOTHING: dict[str, tuple[float, Reply]] = {}
_CONDITIONS = frozenset({"range", "if-none-match", "if-range"})


@dataclass(frozen=True, slots=True)
class Rules:
    """What the owner of the mirror has decided."""

    prefix: str = ""  # a path before every path, for mirrors behind a proxy that leaves it there
    origin: str = ""  # where clients find this mirror, like https://mirror.lab; empty: where they say they ask
    needs_token: bool = False  # whether nobody is served without a token of this mirror's own


class Hub:
    """The handler of every request."""

    def __init__(
        self, door: Door, access: Access, library: Library, catalogue: Catalogue, rules: Rules, name: str = "hfmirror"
    ) -> None:
        self._door, self._access, self._library, self._catalogue = door, access, library, catalogue
        self._rules, self._name = rules, name
        self._warm: dict[str, dict[str, tuple[float, Reply]]] = {"GET": {}, "HEAD": {}}
        self._parse = lru_cache(MOST_WARM)(lambda method, target: parse(method, target, rules.prefix))

    def __call__(self, request: Request) -> Reply | Awaitable[Reply]:
        """Answer a request."""
        warm = self._warm.get(request.method, _NOTHING).get(request.target)
        if warm is not None and warm[0] > time.monotonic() and not _conditional(request):
            return warm[1]
        route = self._parse(request.method, request.target)
        at_once = _AT_ONCE.get(type(route))
        if at_once is not None:
            return at_once(route)
        return self._answered(route, request)

    async def _answered(self, route: Any, request: Request) -> Reply:
        token = _token(request)
        if self._rules.needs_token and self._access.grant(token) is None:
            return refusal(401, NO_CREDENTIALS)
        try:
            reply = await self._answer(route, request, token)
        except Missing as missing:
            return refusal(404, str(missing), "EntryNotFound", missing.admitted.headers, note="no")
        except MirrorError as error:
            return error_reply(error, logged_in=token is not None)
        if isinstance(route, questions.Resolve) and reply.status == 200 and reply.note == "held":
            self._keep_warm(request, reply)
        return reply

    def _keep_warm(self, request: Request, reply: Reply) -> None:
        """Answers about what anybody may read are good for everybody, for a moment."""
        open_to_all = not self._rules.needs_token and not any(name == "X-Hfmirror-Age" for name, _ in reply.headers)
        if not open_to_all or _conditional(request) or _is_private(reply):
            return
        warm = self._warm[request.method]
        if len(warm) >= MOST_WARM:
            warm.clear()
        warm[request.target] = (time.monotonic() + WARM_S, reply)

    def _address(self, request: Request) -> str:
        return address_of(request, self._rules.prefix, self._rules.origin)

    async def _answer(self, route: Any, request: Request, token: str | None) -> Reply:  # noqa: C901 - a table
        prefix = self._rules.prefix
        match route:
            case questions.Resolve():
                return await self._library.resolve(route, request, token)
            case questions.Raw():
                return await self._library.raw(route, request, token)
            case questions.RepoInfo():
                return await self._catalogue.info(route, token)
            case questions.Tree():
                return await self._catalogue.tree(route, request, token, self._address(request))
            case questions.PathsInfo():
                return await self._catalogue.paths_info(route, request, token)
            case questions.TreeSize():
                return await self._catalogue.tree_size(route, token)
            case questions.Refs():
                return await self._catalogue.refs(route, token)
            case questions.Commits():
                return await self._catalogue.commits(route, token)
            case questions.Listing():
                return await self._catalogue.listing(route, request, token, self._address(request))
            case questions.AuthCheck():
                await self._door.admit(route.repo, "main", token)
                return json_reply({})
            case questions.NoSuchEntry():
                raise Missing(route.repo, "such a path", await self._door.admit(route.repo, route.revision, token))
            case questions.NoSuchRevision():
                await self._door.admit(route.repo, "main", token, listing_only=True)
                raise RevisionNotFound(route.repo, route.revision)
            case questions.Blob():
                return Reply(302, (("Location", prefix + questions.resolve_path(route)),))
            case questions.Page():
                return await self._catalogue.page(route, token, prefix)
            case questions.Home():
                return await self._catalogue.home(route, token, self._address(request), prefix)
            case questions.WhoAmI():
                return await self._whoami(token)
        raise NotImplementedError(type(route).__name__)

    async def _whoami(self, token: str | None) -> Reply:
        """Who the bearer of a token is: by our own book, or by upstream's."""
        grant = self._access.grant(token)
        if grant is not None:
            return json_reply(forms.whoami(grant.name))
        said = await self._access.whoami(token)
        return refusal(401, NO_CREDENTIALS) if said is None else json_reply(said)


def _token(request: Request) -> str | None:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if kind.lower() == "bearer" else None


def _conditional(request: Request) -> bool:
    return not _CONDITIONS.isdisjoint(request.headers)


def _is_private(reply: Reply) -> bool:
    return any(name == "Cache-Control" and value.startswith("private") for name, value in reply.headers)


def _healthy(_: object) -> Reply:
    return json_reply({"status": "ok"})


# What needs neither store nor upstream, nor a token.
_AT_ONCE: dict[type, Callable[[Any], Reply]] = {
    questions.Preflight: lambda _: preflight(),
    questions.Health: _healthy,
    questions.Ready: _healthy,
    questions.Telemetry: lambda _: json_reply({}),
    questions.Harnesses: lambda _: json_reply(forms.harnesses()),
    questions.ValidateYaml: lambda _: json_reply(forms.validate_yaml()),
    questions.Refused: lambda route: refusal(route.status, route.message, route.code),
    questions.NoSuch: lambda _: refusal(404, "there is nothing at this address"),
    questions.NoSuchRepo: lambda route: error_reply(RepoNotFound(route.name, "this mirror")),
    questions.BadRequest: lambda route: refusal(400, route.message),
}
