"""Listings, the small calls, and what is refused politely (protocol 4.5, 4.6, 6; traps 27, 35, 36, 39, 46)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.behaviour.serve.world import DATASET, LARGE, NAMED, SMALL, WIDE

if TYPE_CHECKING:
    from tests.behaviour.serve.lab import Serving

TRIED_AGAIN = {408, 429, 500, 502, 503, 504}  # 23 seconds of a client's time each
JSON = {"Content-Type": "application/json"}
MODELS = {"acme/tiny", WIDE, *NAMED}


def ids(serving: Serving, target: str) -> list[str]:
    """What a listing lists."""
    got = serving.ask(target)
    assert got.status == 200, got.body
    assert (got["Content-Type"] or "").startswith("application/json")
    return [row["id"] for row in got.json]


def test_what_is_held_is_listed(either: Serving) -> None:
    assert set(ids(either, "/api/models")) >= MODELS
    assert ids(either, "/api/datasets") == ["acme/tiny"]
    assert ids(either, "/api/spaces") == ["acme/tiny"]


def test_a_row_of_a_listing_is_enough_for_the_command_line(either: Serving, world: Any) -> None:
    rows = {row["id"]: row for row in either.ask("/api/models").json}
    row = rows["acme/tiny"]
    assert (row["private"], isinstance(row["tags"], list)) == (False, True)
    assert (row["downloads"], row["likes"]) == (0, 0)
    assert row["createdAt"].endswith("Z")
    assert not any("xet" in name.lower() for name in row)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("search=tiny", {"acme/tiny"}),
        ("search=TINY", {"acme/tiny"}),
        ("search=nothing-of-the-kind", set()),
        ("author=acme&search=tree", {"acme/tree"}),
        ("author=nobody", set()),
        ("search=gpt", {"gpt2"}),
        ("search=gpt&unknown=1&cursor=", {"gpt2"}),
        ("filter=no-such-tag-anywhere", set()),
    ],
)
def test_a_listing_can_be_searched(either: Serving, query: str, expected: set[str]) -> None:
    """Offline too."""
    assert set(ids(either, f"/api/models?{query}")) == expected


def test_a_listing_can_be_of_one_author(either: Serving) -> None:
    found = ids(either, "/api/models?author=acme")
    assert found
    assert all(name.startswith("acme/") for name in found)


def test_a_listing_can_be_limited_and_walked(either: Serving) -> None:
    """`hf models ls` sends limit=30; a Link leads on, absolute."""
    whole = ids(either, "/api/models")
    target, found = "/api/models?limit=2", []
    while target:
        got = either.ask(target)
        assert len(got.json) <= 2
        found += [row["id"] for row in got.json]
        assert got.next is None or got.next.startswith(f"{either.base}/api/models?")
        target = (got.next or "").removeprefix(either.base)
        assert len(found) <= len(whole)
    assert sorted(found) == sorted(whole)


@pytest.mark.parametrize(
    "sort", ["lastModified", "createdAt", "downloads", "likes", "trendingScore", "last_modified", "x"]
)
@pytest.mark.parametrize("direction", ["", "&direction=-1"])
def test_a_listing_can_be_sorted(either: Serving, sort: str, direction: str) -> None:
    rows = either.ask(f"/api/models?sort={sort}{direction}").json
    assert {row["id"] for row in rows} >= MODELS
    if sort in {"lastModified", "createdAt"} and direction:
        dates = [row[sort] for row in rows]
        assert dates == sorted(dates, reverse=True)


@pytest.mark.parametrize(
    "query", ["full=true", "cardData=True&config=true", "expand=sha&expand=tags", "limit=x", "limit=-1"]
)
def test_a_listing_bears_what_it_does_not_know(either: Serving, query: str) -> None:
    got = either.ask(f"/api/models?{query}")
    assert got.status in {200, 400}
    assert isinstance(got.json, list if got.status == 200 else dict)


# Small calls


def test_nobody_is_not_somebody(either: Serving) -> None:
    """Protocol 2.11: `hf auth whoami`."""
    for headers in ({}, {"Authorization": "Bearer hf_unknown"}):
        got = either.ask("/api/whoami-v2", headers=headers)
        assert (got.status, got["X-Error-Message"]) == (401, "Invalid credentials in Authorization header")
        assert got.json == {"error": "Invalid credentials in Authorization header"}


def test_the_first_call_of_every_client_is_answered(either: Serving) -> None:
    """Protocol 2.2, trap 46."""
    got = either.ask("/api/agent-harnesses")
    assert (got.status, got.json) == (200, {"standardEnvVars": [], "harnesses": {}})


@pytest.mark.parametrize("target", ["/api/telemetry/x", "/api/telemetry/datasets/builder/csv", "/api/telemetry/a%20b"])
def test_telemetry_ends_here(either: Serving, target: str) -> None:
    got = either.ask(target, "HEAD")
    assert (got.status, got.body + got.surplus) == (200, b"")


@pytest.mark.parametrize("content", ["# no front matter", "---\nlicense: mit\n---\n", "---\n: : :\n---\n"])
def test_yaml_is_not_judged(either: Serving, content: str) -> None:
    """Trap 39: every upload with a README asks; the answer is parsed before its status is read."""
    body = json.dumps({"content": content, "repoType": "model"}).encode()
    got = either.ask("/api/validate-yaml", "POST", headers=JSON, body=body)
    assert (got.status, got.json) == (200, {"errors": [], "warnings": []})


def test_who_may_read_is_told(either: Serving) -> None:
    """Protocol 4.6: HfApi.auth_check."""
    got = either.ask("/api/models/acme/tiny/auth-check")
    assert got.status == 200
    assert either.ask(f"/api/{DATASET}/auth-check").status == 200


def test_nobody_may_write(either: Serving) -> None:
    assert either.ask("/api/models/acme/tiny/auth-check/write").status in {401, 403, 404, 501}


def test_metadata_of_tensors_is_left_to_the_client(either: Serving) -> None:
    """Protocol 4.6: 404 EntryNotFound sends it to the file's own first bytes."""
    got = either.ask(f"/api/models/acme/tiny/safetensors-metadata/{LARGE}")
    assert (got.status, got.code) == (404, "EntryNotFound")


# Refusals

READS = [
    "/api/models/acme/tiny/xet-read-token/main",
    "/api/models/acme/tiny/discussions",
    "/api/models/acme/tiny/discussions?p=0",
    "/api/models/acme/tiny/discussions/1",
    "/api/models/acme/tiny/likers",
    "/api/models/acme/tiny/lfs-files",
    "/api/datasets/acme/tiny/parquet",
    "/api/datasets/acme/tiny/croissant",
    "/api/spaces/acme/tiny/runtime",
    "/api/spaces/acme/tiny/secrets",
    "/api/jobs/acme",
    "/api/scheduled-jobs/acme",
    "/api/buckets/acme/b",
    "/buckets/acme/b/resolve/x",
    "/api/collections",
    "/api/papers/1",
    "/api/daily_papers",
    "/api/settings/repositories",
    "/api/settings/webhooks",
    "/api/users/acme/overview",
    "/api/organizations/acme/overview",
    "/api/quicksearch?q=x",
    "/api/trending",
    "/api/kernels/acme/k",
    "/api/nonsense",
    "/api/",
    "/api",
    "/oauth/authorize",
    "/.well-known/openid-configuration",
    "/media/x",
    "/acme/tiny/info/refs?service=git-upload-pack",
    "/acme/tiny.git/info/refs?service=git-upload-pack",
    "/v2/acme/tiny/blobs/sha256:00",
]
WRITES = [
    ("POST", "/api/repos/create"),
    ("DELETE", "/api/repos/delete"),
    ("POST", "/api/repos/move"),
    ("PUT", "/api/models/acme/tiny/settings"),
    ("POST", "/api/models/acme/tiny/branch/x"),
    ("DELETE", "/api/models/acme/tiny/branch/main"),
    ("POST", "/api/models/acme/tiny/tag/main"),
    ("POST", "/api/models/acme/tiny/preupload/main"),
    ("POST", "/api/models/acme/tiny/commit/main"),
    ("POST", "/api/models/acme/tiny/super-squash/main"),
    ("POST", "/api/models/acme/tiny/discussions"),
    ("POST", "/api/models/acme/tiny/like"),
    ("POST", "/acme/tiny.git/info/lfs/objects/batch"),
    ("POST", "/api/models/acme/tiny/duplicate"),
    ("PUT", "/acme/tiny/resolve/main/config.json"),
    ("POST", "/acme/tiny/resolve/main/config.json"),
    ("DELETE", "/acme/tiny/resolve/main/config.json"),
    ("PATCH", "/api/models/acme/tiny"),
    ("POST", "/api/models/acme/tiny/tree/main"),
    ("POST", "/uploads"),
    ("POST", "/healthz"),
]


def assert_refused(got: Any, allowed: range) -> None:
    """JSON with a reason, twice, and no status that is tried again."""
    assert got.status in allowed, (got.status, got.body)
    assert got.status not in TRIED_AGAIN
    assert (got["Content-Type"] or "").startswith("application/json")
    assert got.json["error"]
    assert got.json["error"] == got["X-Error-Message"]
    assert got["X-Request-Id"]


@pytest.mark.parametrize("target", READS)
def test_what_it_does_not_do_is_refused_at_once(either: Serving, target: str) -> None:
    """Protocol 1.14 and 6: JSON, 403 or 404; an empty 200 of discussions sends the token away (trap 35)."""
    assert_refused(either.ask(target), range(403, 405))


@pytest.mark.parametrize(("method", "target"), WRITES)
def test_writes_are_refused_and_the_connection_lives_or_ends(either: Serving, method: str, target: str) -> None:
    """Trap 50: what was sent along must not be read as the next request."""
    body = b'{"name":"tiny"}\nGET /api/whoami-v2 HTTP/1.1\r\nHost: x\r\n\r\n' * 50
    with either.line() as line:
        line.send(target, method, JSON, body)
        refused = line.answer()
        assert_refused(refused, range(400, 502))
        assert refused.status in {403, 404, 405, 501}
        if (refused["Connection"] or "").lower() == "close":
            assert line.rest() == b""
        else:
            line.send(f"/acme/tiny/resolve/main/{SMALL}")
            assert line.answer().status == 200


def test_people_are_answered_too(either: Serving) -> None:
    """Protocol 3.7 and 4.6: free choice, but quick and no server error."""
    for target in (
        "/",
        "/robots.txt",
        "/favicon.ico",
        "/acme/tiny",
        "/acme/tiny/tree/main",
        f"/acme/tiny/blob/main/{SMALL}",
    ):
        got = either.ask(target)
        assert got.status < 500, target
        location = got["Location"] or "/"
        assert location.startswith("/")
        assert not location.startswith("//")
