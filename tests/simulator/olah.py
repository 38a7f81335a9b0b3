"""The ways of olah 0.5, a small Hub mirror in use, as they were observed. A puller must live with them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.simulator.answers import Answer, json_answer, text_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulator.answers import Request
    from tests.simulator.routes import Route

_UNKNOWN = ("X-Linked-Size", "X-Linked-ETag", "X-Xet-Hash", "Link")


def olah_answer(honest: Callable[[Request], Answer], request: Request, route: Route) -> Answer:
    """What olah makes of a request: no CDN, no ranges, no length, and one error for everything missing."""
    if route.kind == "info":
        return _missing()
    path, question, query = request.target.partition("?")
    if route.kind == "tree" and len(route.rest) == 1 and not path.endswith("/"):
        location = f"{request.base}{path}/{question}{query}"
        return text_answer(307, "", {"Location": location})
    if route.kind == "paths-info" and "json" in (request.get("content-type") or ""):
        return json_answer({"detail": [{"msg": "field required"}]}, status=422)
    answer = honest(replace(request.whole(), cdn=""))
    if answer.status in {401, 404} and answer.header("X-Error-Code") != "RevisionNotFound":
        return _missing()
    headers = {n: v for n, v in answer.headers.items() if n.lower() not in {u.lower() for u in _UNKNOWN}}
    if "ETag" in headers:
        headers["ETag"] = headers["ETag"].strip('"')
    return replace(answer, headers=headers, chunked=answer.is_file and request.method == "GET")


def _missing() -> Answer:
    headers = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
    return json_answer({"error": "Repository not found"}, headers, 401)
