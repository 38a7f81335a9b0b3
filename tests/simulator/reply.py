"""From a request to its answer, with everything a fault does to the answer's head."""

from __future__ import annotations

import gzip
import itertools
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.simulator import olah, refusals
from tests.simulator.answers import EXPOSED, Answer, Slice, json_answer, length, text_answer, xml_error
from tests.simulator.api import api_answer, other_answer
from tests.simulator.faults import Occasion
from tests.simulator.files import cache_answer, cdn_answer, fresh_etag, raw_answer, resolve_answer
from tests.simulator.quota import DEFAULT, WINDOW_S, told
from tests.simulator.records import FILE_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.simulator.answers import Part, Request
    from tests.simulator.faults import Case
    from tests.simulator.hub import HubSimulator
    from tests.simulator.routes import Route

_LOGIN_PAGE = b"<!DOCTYPE html><html><title>Welcome</title><body>Log in to use this network.</body></html>"
_TOO_MANY = "We had to rate limit you, you hit the quota of 1000 api requests per 5 minutes period."
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, or None for a connection closed without one; and what may happen to its body."""

    answer: Answer | None
    cases: Sequence[Case] = ()


def occasion_of(request: Request, route: Route, file: str, repo: str) -> Occasion:
    """What faults are asked about."""
    return Occasion(request.origin, route.kind, request.method, file, repo, _span(request))


def _span(request: Request) -> tuple[int, int | None]:
    """The range asked for; everything where it is of another form."""
    told = re.fullmatch(r"bytes=(\d+)-(\d*)", request.get("range") or "")
    if told is None:
        return 0, None
    return int(told.group(1)), int(told.group(2)) + 1 if told.group(2) else None


def reply_to(hub: HubSimulator, request: Request, route: Route, cases: Sequence[Case]) -> Reply:
    """The answer this request gets today."""
    granted, quota = hub.quotas.draw(_bucket(route)) if request.origin == "hub" else (True, {})
    if not granted:
        return Reply(_signed_off(request, text_answer(429, _TOO_MANY, quota), {}), cases)
    return _reply(hub, request, route, cases, quota)


def _reply(hub: HubSimulator, request: Request, route: Route, cases: Sequence[Case], quota: dict[str, str]) -> Reply:
    for case in cases:
        if case.faults.close_without_answer and case.bites():
            return Reply(None)
        early = _instead(case, request, route)
        if early is not None:
            return Reply(_signed_off(request, early, quota), cases)
    answer = _answer(hub, request, route, cases)
    for case in cases:
        if case.faults.ignore_range and answer.status == 206 and case.bites():
            request = request.whole()
            answer = _answer(hub, request, route, cases)
    for case in cases:
        answer = _spoilt(case, answer, request)
    if any(case.faults.unranged_hub for case in cases):
        return Reply(answer, cases)
    return Reply(_signed_off(request, answer, quota), cases)


def _answer(hub: HubSimulator, request: Request, route: Route, cases: Sequence[Case]) -> Answer:
    if any(case.faults.unranged_hub and case.bites() for case in cases):
        return olah.olah_answer(lambda r: _honest(hub, r, route), request, route)
    return _honest(hub, request, route)


def _honest(hub: HubSimulator, request: Request, route: Route) -> Answer:
    if route.kind == "cdn":
        return cdn_answer(hub, request, route)
    try:
        return _asked(hub, request, route, _token(request))
    except refusals.Moved as moved:
        location = route.moved_to(moved.repo)
        return text_answer(307, f"Temporary Redirect. Redirecting to {location}", {"Location": location})
    except ValueError as problem:
        return json_answer({"error": f"Bad request: {problem}"}, status=400)
    except refusals.Refusal as refusal:
        if refusal.code == "EntryNotFound" and route.kind in FILE_KINDS:
            return text_answer(refusal.status, refusal.message, refusal.headers())
        return json_answer({"error": refusal.message}, refusal.headers(), refusal.status)


def _asked(hub: HubSimulator, request: Request, route: Route, token: str | None) -> Answer:
    if route.repo is None:
        return other_answer(hub, request, route, token)
    repo = hub.find(route.repo, token)
    if route.kind == "auth-check":
        hub.admit(repo, token)
    if route.kind not in FILE_KINDS:
        return api_answer(hub, request, route, repo)
    hub.admit(repo, token)
    calls = {"resolve": resolve_answer, "resolve-cache": cache_answer, "raw": raw_answer}
    return calls[route.kind](hub, request, route, repo)


def _token(request: Request) -> str | None:
    scheme, _, token = (request.get("authorization") or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def _instead(case: Case, request: Request, route: Route) -> Answer | None:
    """An answer that takes the place of the honest one."""
    faults = case.faults
    if faults.html_200 and case.bites():
        return Answer(200, {"Content-Type": "text/html; charset=utf-8"}, (_LOGIN_PAGE,))
    if faults.json_error_200 and request.origin == "hub" and route.kind not in FILE_KINDS and case.bites():
        return json_answer({"error": "We had to rate limit your IP. To continue using our service, log in."})
    if faults.redirect_to is not None and case.bites():
        location = faults.redirect_to.replace("{target}", request.target)
        return text_answer(302, f"Found. Redirecting to {location}", {"Location": location})
    return _failure(case, request, route) if faults.status is not None and case.bites() else None


def _failure(case: Case, request: Request, route: Route) -> Answer:
    faults = case.faults
    status = faults.status or 500
    headers = {}
    if faults.error_code:
        headers["X-Error-Code"] = faults.error_code
    if faults.retry_after_s is not None:
        headers["Retry-After"] = f"{faults.retry_after_s:g}"
    if faults.rate_limit_s is not None:
        bucket = _bucket(route)
        headers |= told(bucket, 0, faults.rate_limit_s, DEFAULT[bucket], WINDOW_S)
    if request.origin == "cdn":
        failed = xml_error(status, "AccessDenied" if status == 403 else "SlowDown", "Access denied")
        return replace(failed, headers=failed.headers | headers)
    if status == 429:
        return text_answer(429, _TOO_MANY, headers)
    return json_answer({"error": f"simulated {status}"}, headers, status)


def _spoilt(case: Case, answer: Answer, request: Request) -> Answer:
    """The honest answer with its head, or its extent, made wrong."""
    faults = case.faults
    if faults.etag_changes and (answer.header("ETag") or answer.header("X-Linked-ETag")) and case.bites():
        answer = _with_fresh_etag(answer)
    if faults.wrong_range and answer.status == 206 and case.bites():
        answer = _shifted(answer, faults.wrong_range)
    if faults.short_length and answer.is_file and case.bites():
        answer = replace(answer, body=_first(answer.body, max(0, answer.size - faults.short_length)))
    if faults.gzip_anyway and answer.size and request.method == "GET" and case.bites():
        answer = _packed(answer)
    if faults.no_length and answer.body and case.bites():
        answer = replace(answer, chunked=True)
    return answer


def _with_fresh_etag(answer: Answer) -> Answer:
    etag = f'"{fresh_etag(next(_numbers))}"'
    names = [name for name in ("etag", "x_linked_etag") if answer.header(name.replace("_", "-"))]
    return answer.having(**dict.fromkeys(names, etag))


def _shifted(answer: Answer, how: str) -> Answer:
    part = answer.body[0]
    assert isinstance(part, Slice), "only a single range of a file is answered with 206"
    step = -1 if part.start else 1
    start, stop = part.start + step, min(part.stop + step, part.content.size)
    moved = Slice(part.content, start, stop)
    if how in {"header", "both"}:
        answer = answer.having(content_range=f"bytes {start}-{stop - 1}/{part.content.size}")
    return answer if how == "header" else replace(answer, body=(moved,))


def _first(body: tuple[Part, ...], count: int) -> tuple[Part, ...]:
    kept: list[Part] = []
    for part in body:
        size = min(count, length(part))
        kept.append(part[:size] if isinstance(part, bytes) else Slice(part.content, part.start, part.start + size))
        count -= size
    return tuple(kept)


def _packed(answer: Answer) -> Answer:
    parts = (p if isinstance(p, bytes) else b"".join(p.content.read(p.start, p.stop)) for p in answer.body)
    packed = gzip.compress(b"".join(parts), compresslevel=1, mtime=0)
    return replace(answer.having(content_encoding="gzip", vary="Accept-Encoding"), body=(packed,))


def _bucket(route: Route) -> str:
    if route.kind in FILE_KINDS:
        return "resolvers"
    return "pages" if route.kind == "other" else "api"


def _signed_off(request: Request, answer: Answer, quota: dict[str, str]) -> Answer:
    """With what the Hub puts on every answer."""
    if request.origin == "cdn":
        return answer
    number = next(_numbers)
    headers = {
        "X-Request-Id": f"Root=1-{number:08x}-{number:024x}",
        "X-Powered-By": "huggingface-moon",
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Expose-Headers": EXPOSED,
    }
    if answer.status < 400:
        headers |= quota
    return replace(answer, headers={**headers, **answer.headers})
