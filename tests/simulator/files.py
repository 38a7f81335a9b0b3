"""The bytes' side of the Hub: where a file is, and the files it keeps itself."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from tests.simulator import refusals
from tests.simulator.answers import Answer, file_answer, json_answer, text_answer, xml_error
from tests.simulator.content import Held
from tests.simulator.faults import Faults, Occasion

if TYPE_CHECKING:
    from tests.simulator.answers import Request
    from tests.simulator.hub import HubSimulator
    from tests.simulator.repos import Commit, Repo, Stored
    from tests.simulator.routes import Route


def resolve_answer(hub: HubSimulator, request: Request, route: Route, repo: Repo) -> Answer:
    """Where the file is: another path of the Hub for a small one, the CDN for a large one."""
    revision, path = route.split(repo)
    commit = repo.commit(revision)
    stored = _stored(repo, commit, path)
    headers = _about(stored, commit)
    if request.get("if-none-match") == f'"{stored.digest.hex}"':
        return Answer(304, headers)
    if "xet-fileinfo" in (request.get("accept") or "") and stored.large and hub.xet:
        facts = {"hash": stored.xet_hash, "size": stored.content.size}
        return json_answer(facts, headers | {"Content-Type": "application/vnd.xet-fileinfo+json"})
    if not request.cdn:
        return file_answer(request, stored.content, headers | _linked(hub, stored, request, commit, repo))
    if stored.large:
        return _to_cdn(hub, request, repo, commit, stored)
    cache = f"/api/resolve-cache/{repo.id.kind.value}s/{repo.id.name}/{commit.id}/{quote(path, safe='')}"
    asked = request.target.partition("?")[0]
    location = f"{cache}?{quote(unquote(asked), safe='')}=&etag=%22{stored.digest.hex}%22"
    text = f"Temporary Redirect. Redirecting to {location}"
    linked = {"X-Linked-ETag": headers["ETag"], "Vary": "Origin, Accept", "X-Hub-Cache": "MISS"}
    return text_answer(307, text, {**headers, **linked, "Location": location})


def cache_answer(hub: HubSimulator, request: Request, route: Route, repo: Repo) -> Answer:
    """A small file's bytes, behind the redirect."""
    path = "/".join(map(unquote, route.rest[1:]))
    commit = repo.commit(route.rest[0])
    stored = _stored(repo, commit, path)
    headers = _about(stored, commit) | {"Content-Type": "text/plain; charset=utf-8"}
    if request.get("if-none-match") == headers["ETag"]:
        return Answer(304, headers)
    return file_answer(request, stored.content, headers)


def raw_answer(hub: HubSimulator, request: Request, route: Route, repo: Repo) -> Answer:
    """What git keeps: the bytes of a small file, the pointer of a large one."""
    revision, path = route.split(repo)
    commit = repo.commit(revision)
    stored = _stored(repo, commit, path)
    content = Held(stored.pointer) if stored.large else stored.content
    headers = {
        "ETag": f'"{stored.oid}"',
        "X-Repo-Commit": commit.id,
        "Content-Type": "text/plain; charset=utf-8",
    }
    return file_answer(request, content, headers)


def cdn_answer(hub: HubSimulator, request: Request, route: Route) -> Answer:
    """A large file's bytes, for those who bring a signature and nothing else."""
    if request.get("authorization") is not None:
        return xml_error(400, "InvalidArgument", "Only one auth mechanism allowed")
    if len(route.rest) != 3 or route.rest[0] != "xet-bridge-us":
        return xml_error(404, "NoSuchKey", "The specified key does not exist.")
    stored, why = hub.check(route.rest[2], route.word("Policy"), route.word("Signature"))
    if stored is None:
        return xml_error(403, "AccessDenied", why)
    headers = {
        "ETag": f'"{stored.xet_hash}"',
        "X-HF-CDN-Pop": "SIM1",
        "Cache-Control": "public, max-age=31536000",
    }
    return file_answer(request, stored.content, headers)


def _stored(repo: Repo, commit: Commit, path: str) -> Stored:
    stored = commit.files.get(path)
    if stored is None:
        raise refusals.no_entry(repo.id, path, commit.id)
    return stored


def _about(stored: Stored, commit: Commit) -> dict[str, str]:
    name = stored.path.rpartition("/")[2]
    plain = name.encode("ascii", "replace").decode().replace('"', "'")
    return {
        "ETag": f'"{stored.digest.hex}"',
        "X-Repo-Commit": commit.id,
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(name)}; filename=\"{plain}\";",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }


def _linked(hub: HubSimulator, stored: Stored, request: Request, commit: Commit, repo: Repo) -> dict[str, str]:
    if not stored.large:
        return {}
    headers = {"X-Linked-Size": str(stored.content.size), "X-Linked-ETag": f'"{stored.digest.hex}"'}
    if hub.xet:
        token = f"{request.base}/api/{repo.id.kind.value}s/{repo.id.name}/xet-read-token/{commit.id}"
        plan = f"{request.cdn or request.base}/v1/reconstructions/{stored.xet_hash}"
        headers["X-Xet-Hash"] = stored.xet_hash
        headers["Link"] = f'<{token}>; rel="xet-auth", <{plan}>; rel="xet-reconstruction-info"'
    return headers


def _to_cdn(hub: HubSimulator, request: Request, repo: Repo, commit: Commit, stored: Stored) -> Answer:
    signed = hub.sign(repo.id, commit, stored, _shortened(hub, request, str(repo.id), stored.path))
    location = f"{request.cdn}{signed}"
    headers = _about(stored, commit) | _linked(hub, stored, request, commit, repo)
    del headers["ETag"]
    headers |= {"Location": location, "Cache-Control": "no-store", "Vary": "Origin, Accept"}
    return text_answer(302, f"Found. Redirecting to {location}", headers)


def _shortened(hub: HubSimulator, request: Request, repo: str, path: str) -> Faults | None:
    """Faults that let signed addresses expire early, meant for this hop or for the CDN's."""
    for occasion in (
        Occasion("hub", "resolve", request.method, path, repo),
        Occasion("cdn", "cdn", request.method, path, repo),
    ):
        for case in hub.weather.cases(occasion):
            faults = case.faults
            if (faults.expire_s is not None or faults.expire_after_uses is not None) and case.bites():
                return faults
    return None


def fresh_etag(number: int) -> str:
    """An ETag nobody has seen, as long as those of large files."""
    return hashlib.sha256(b"etag %d" % number).hexdigest()
