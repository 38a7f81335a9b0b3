"""The JSON side of the Hub: repos, revisions, trees, refs, history."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, unquote, urlencode

from tests.simulator import refusals
from tests.simulator.answers import Answer, json_answer
from tests.simulator.rows import commit_row, info_row, refs_row, tree_row

if TYPE_CHECKING:
    from tests.simulator.answers import Request
    from tests.simulator.hub import HubSimulator
    from tests.simulator.repos import Repo
    from tests.simulator.routes import Route

_EXPANDED_PAGE = 50  # rows; the Hub's own limit when every row carries its last commit


def api_answer(hub: HubSimulator, request: Request, route: Route, repo: Repo) -> Answer:
    """The answer to a call about one repo."""
    calls = {
        "info": _info,
        "revision": _revision,
        "tree": _tree,
        "paths-info": _paths_info,
        "refs": _refs,
        "commits": _commits,
    }
    if route.kind not in calls:
        return json_answer({}) if route.kind == "auth-check" else _nothing(request)
    return calls[route.kind](hub, request, route, repo)


def other_answer(hub: HubSimulator, request: Request, route: Route, token: str | None) -> Answer:
    """The answer to a call about no repo in particular."""
    if route.kind == "listing":
        shown = [r for r in list(hub.repos.values()) if f"{r.id.kind.value}s" == route.rest[0]]
        public = [r for r in shown if not r.access.private or token in r.access.tokens]
        return json_answer([info_row(r, r.commit("HEAD"), blobs=False) for r in public if r.refs])
    if route.kind == "whoami":
        if token is None or not hub.knows_token(token):
            raise refusals.bad_token("whoami")
        return json_answer({"type": "user", "name": "somebody", "fullname": "Somebody", "orgs": []})
    if route.kind == "agent-harnesses":
        return json_answer({"standardEnvVars": [], "harnesses": {}})
    return Answer(200) if route.kind == "telemetry" else _nothing(request)


def _nothing(request: Request) -> Answer:
    if request.target.startswith("/api/"):
        return json_answer({"error": "Sorry, we can't find the page you are looking for."}, status=404)
    page = b"<!DOCTYPE html><html><body>404: not found</body></html>"
    return Answer(404, {"Content-Type": "text/html; charset=utf-8"}, (page,))


def _info(_: HubSimulator, request: Request, route: Route, repo: Repo) -> Answer:
    return json_answer(info_row(repo, repo.commit("HEAD"), blobs=route.flag("blobs")))


def _revision(_: HubSimulator, request: Request, route: Route, repo: Repo) -> Answer:
    revision = "/".join(map(unquote, route.rest)) or "main"
    return json_answer(info_row(repo, repo.commit(revision), blobs=route.flag("blobs")))


def _tree(hub: HubSimulator, request: Request, route: Route, repo: Repo) -> Answer:
    revision, folder = route.split(repo)
    commit = repo.commit(revision)
    folder = folder.strip("/")
    if folder and folder not in commit.folders:
        raise refusals.no_entry(repo.id, folder, commit.id)
    expand = route.flag("expand")
    paths = commit.listing(folder, recursive=route.flag("recursive"))
    most = min(hub.page_size, _EXPANDED_PAGE) if expand else hub.page_size
    limit = max(1, min(int(route.word("limit", str(most))), most))
    after = urlsafe_b64decode(route.word("cursor")).decode() if route.word("cursor") else ""
    left = [path for path in paths if path > after]
    rows = [tree_row(commit, path, expand=expand, xet=hub.xet) for path in left[:limit]]
    if len(left) <= limit:
        return json_answer(rows)
    cursor = urlsafe_b64encode(left[limit - 1].encode()).decode()
    return json_answer(rows, {"Link": _next(request, route, limit=str(limit), cursor=cursor)})


def _next(request: Request, route: Route, **changes: str) -> str:
    """A Link to the next page: absolute, with the scheme and host the client used."""
    fields = {name: values[-1] for name, values in route.query.items()} | changes
    path = request.target.partition("?")[0]
    return f'<{request.base}{path}?{urlencode(fields, quote_via=quote)}>; rel="next"'


def _paths_info(hub: HubSimulator, request: Request, route: Route, repo: Repo) -> Answer:
    commit = repo.commit("/".join(map(unquote, route.rest)))
    paths, expand = _asked_paths(request)
    known = [path for path in paths if path in commit.files or path in commit.folders]
    return json_answer([tree_row(commit, path, expand=expand, xet=hub.xet) for path in known])


def _asked_paths(request: Request) -> tuple[list[str], bool]:
    """Forms from Python, JSON from JavaScript."""
    if "json" in (request.get("content-type") or ""):
        given = json.loads(request.body)
        return list(given["paths"]), bool(given.get("expand"))
    form = parse_qs(request.body.decode())
    return form.get("paths", []), form.get("expand", [""])[-1].lower() == "true"


def _refs(_: HubSimulator, request: Request, route: Route, repo: Repo) -> Answer:
    return json_answer(refs_row(repo, with_pulls=route.flag("include_prs")))


def _commits(_: HubSimulator, request: Request, route: Route, repo: Repo) -> Answer:
    commit = repo.commit("/".join(map(unquote, route.rest)))
    history = repo.history[commit.id]
    limit, page = max(1, int(route.word("limit", "50"))), int(route.word("p", "0"))
    rows = [commit_row(repo.commits[known]) for known in history[page * limit : (page + 1) * limit]]
    headers = {"X-Total-Count": str(len(history))}
    if (page + 1) * limit < len(history):
        headers["Link"] = _next(request, route, p=str(page + 1), limit=str(limit))
    return json_answer(rows, headers)
