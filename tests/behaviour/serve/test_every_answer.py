"""What holds for every answer of the read side, route by route."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.behaviour.serve.world import DATASET, EMPTY, LARGE, SMALL, SPACE, WIDE

if TYPE_CHECKING:
    from tests.behaviour.serve.lab import Serving

API = "/api/models/acme/tiny"
ROUTES = [
    f"/acme/tiny/resolve/main/{LARGE}",
    f"/acme/tiny/resolve/main/{SMALL}",
    f"/acme/tiny/resolve/main/{EMPTY}",
    "/acme/tiny/resolve/main/nope",
    "/acme/nope/resolve/main/x",
    f"/acme/tiny/raw/main/{LARGE}",
    f"/acme/tiny/raw/main/{SMALL}",
    f"/{DATASET}/resolve/main/README.md",
    API,
    f"{API}?blobs=true&expand=xetEnabled",
    f"{API}/revision/main",
    f"{API}/tree/main",
    f"{API}/tree/main?recursive=true&expand=true",
    f"{API}/tree/main/nope",
    f"/api/models/{WIDE}/tree/main?recursive=true&limit=10",
    f"{API}/refs",
    f"{API}/commits/main",
    f"{API}/treesize/main/sub",
    f"{API}/auth-check",
    f"{API}/xet-read-token/main",
    f"/api/{DATASET}",
    f"/api/{SPACE}/tree/main",
    "/api/models?limit=2",
    "/api/datasets",
    "/api/spaces?search=x",
    "/api/whoami-v2",
    "/api/agent-harnesses",
    "/api/nonsense",
    "/healthz",
    "/readyz",
    "/",
]
XET = "application/vnd.xet-fileinfo+json"
ORIGIN = {"Origin": "https://app.example"}
EXPOSED = (
    "X-Repo-Commit, X-Request-Id, X-Error-Code, X-Error-Message, ETag, Link, Accept-Ranges, "
    "Content-Range, Content-Length, X-Linked-Size, X-Linked-ETag"
)


@pytest.mark.parametrize("target", ROUTES)
def test_head_is_get_without_its_body(either: Serving, target: str) -> None:
    """Issue: HEAD on every GET. Trap 4."""
    head, got = either.ask(target, "HEAD"), either.ask(target)
    changing = {"date", "x-request-id", "x-hfmirror-age"}
    assert head.status == got.status
    assert {f for f in head.head.fields if f[0] not in changing} == {f for f in got.head.fields if f[0] not in changing}
    assert (head.body, head.surplus) == (b"", b"")
    assert head["Content-Length"] == str(len(got.whole))


@pytest.mark.parametrize("target", ROUTES)
@pytest.mark.parametrize("accept", ["*/*", f"{XET}, */*"])
def test_nothing_speaks_of_xet(either: Serving, target: str, accept: str) -> None:
    """Protocol 1.7, traps 13 and 49: the Hub behind says all of it."""
    got = either.ask(target, headers={"Accept": accept})
    assert not [name for name, _ in got.head.fields if "xet" in name]
    assert XET not in (got["Content-Type"] or "")
    assert "xet" not in (got["Link"] or "")
    if target.startswith(("/api/models/acme", "/api/datasets")):
        assert b'"xetHash"' not in got.body
        assert b'"xetEnabled":true' not in got.body


@pytest.mark.parametrize("target", ROUTES)
def test_every_answer_can_be_read_in_a_browser(either: Serving, target: str) -> None:
    """Protocol 2.12."""
    got = either.ask(target, headers=ORIGIN)
    assert got["Access-Control-Allow-Origin"] in {"*", ORIGIN["Origin"]}
    exposed = {name.strip().lower() for name in (got["Access-Control-Expose-Headers"] or "").split(",")}
    assert exposed >= {name.strip().lower() for name in EXPOSED.split(",")}


@pytest.mark.parametrize("target", ROUTES)
def test_a_browser_may_ask_before(either: Serving, target: str) -> None:
    """Protocol 2.12: the pre-flight."""
    headers = {
        **ORIGIN,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization,range",
    }
    got = either.ask(target, "OPTIONS", headers=headers)
    assert (got.status, got.body + got.surplus) == (204, b"")
    assert got["Access-Control-Allow-Origin"] in {"*", ORIGIN["Origin"]}
    allowed = {name.strip().lower() for name in (got["Access-Control-Allow-Headers"] or "").split(",")}
    assert allowed >= {"authorization", "range", "content-type"}
    methods = {name.strip() for name in (got["Access-Control-Allow-Methods"] or "").split(",")}
    assert methods >= {"GET", "HEAD", "POST"}
    assert int(got["Access-Control-Max-Age"] or 0) > 0


@pytest.mark.parametrize("target", ROUTES)
def test_every_answer_has_a_number_and_every_no_one_of_its_own(either: Serving, target: str) -> None:
    """Protocol 1.5: the client shows it in its errors."""
    first, second = either.ask(target), either.ask(target)
    assert first["X-Request-Id"]
    assert first.status < 400 or first["X-Request-Id"] != second["X-Request-Id"]
    assert first["Date"]


@pytest.mark.parametrize("target", ROUTES)
def test_every_no_is_said_three_times(either: Serving, target: str) -> None:
    """Protocol 1.5: a header for the class, one for people, and JSON; nothing that is not Latin-1."""
    got = either.ask(target)
    if got.status < 400:
        assert (got.code, got["X-Error-Message"]) == (None, None)
        return
    assert got.json == {"error": got["X-Error-Message"]}
    assert got.status in {401, 403, 404}
    assert got.head["Content-Type"]


@pytest.mark.parametrize("target", ["/acme/中文/resolve/main/x", "/api/models/acme/ü", "/acme/tiny/resolve/ü/x"])
def test_a_no_about_foreign_letters_fits_into_a_header(either: Serving, target: str) -> None:
    """Trap 45."""
    raw = target.encode().decode("latin-1")
    for spelling in (raw, "".join(c if c.isascii() else "".join(f"%{b:02X}" for b in c.encode()) for c in target)):
        got = either.ask(spelling)
        assert got.status in {400, 404}
        assert got.json["error"]
        assert (got["X-Error-Message"] or "\0").isprintable()
