"""The rules that real clients' answers are held against do find what breaks them; and the tap hears it all."""

from __future__ import annotations

import http.client
import socket
from dataclasses import replace
from typing import Any

import pytest

from tests.conformance.rules import broken
from tests.conformance.tap import Exchange, tapped
from tests.simulator import HubSimulator, served

COMMIT, ETAG = "ab" * 20, f'"{"cd" * 20}"'
HOST = {"host": "mirror:8090"}
HEADERS = {"x-repo-commit": COMMIT, "etag": ETAG, "accept-ranges": "bytes", "content-length": "3"}
FILE = Exchange("GET", "/o/n/resolve/main/a.txt", HOST, 200, HEADERS, b"abc", 3, whole=True)
JSON = {"content-type": "application/json; charset=utf-8", "content-length": "11"}
TREE = Exchange("GET", "/api/models/o/n/tree/main", HOST, 200, JSON, b'[{"size":1}]', 12, whole=True)
SAID = {"x-error-message": "Entry not found", "x-error-code": "EntryNotFound", "x-request-id": "1"}
ABSENT = Exchange(
    "GET",
    "/o/n/resolve/main/no.txt",
    HOST,
    404,
    {**JSON, **SAID, "x-repo-commit": COMMIT},
    b'{"error":"Entry not found"}',
    27,
    whole=True,
)
MOVED = Exchange("HEAD", "/o/old/resolve/main/a.txt", HOST, 307, {"location": "/o/n/resolve/main/a.txt"}, whole=True)


def having(exchange: Exchange, body: bytes | None = None, **headers: str | None) -> Exchange:
    """With headers changed (`_` for `-`) or removed by None."""
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    kept = {name: value for name, value in {**exchange.headers, **changed}.items() if value is not None}
    return replace(exchange, headers=kept, body=exchange.body if body is None else body)


@pytest.mark.parametrize("good", [FILE, TREE, ABSENT, having(MOVED, content_length="0")])
def test_a_right_answer_breaks_nothing(good: Exchange) -> None:
    assert broken([good]) == []


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (replace(FILE, status=0, whole=False), "no answer"),
        (replace(FILE, whole=False), "shorter"),
        (having(FILE, x_repo_commit=None), "X-Repo-Commit"),
        (having(FILE, etag=f"W/{ETAG}"), "ETag"),
        (having(FILE, accept_ranges=None), "Accept-Ranges"),
        (having(FILE, content_encoding="gzip"), "encoded"),
        (having(FILE, content_length=None, transfer_encoding="chunked"), "Content-Length"),
        (having(FILE, content_length=None), "neither"),
        (replace(FILE, status=206), "Content-Range"),
        (having(FILE, x_xet_hash="00"), "Xet"),
        (having(FILE, link='<http://mirror:8090/xet-read-token>; rel="xet-auth"'), "Xet"),
        (having(TREE, b'[{"xetHash":"00"}]'), "xetHash"),
        (having(TREE, b'[{"size": 1}]'), "blanks"),
        (having(TREE, b"<html>"), "none"),
        (having(TREE, b'[{"date":"2024-01-02T03:04:05+00:00"}]'), "dates"),
        (having(TREE, link='</api/models/o/n/tree/main?cursor=1>; rel="next"'), "elsewhere"),
        (having(TREE, link='<http://127.0.0.1:1/api/models/o/n/tree/main?cursor=1>; rel="next"'), "elsewhere"),
        (having(ABSENT, x_repo_commit=None), "X-Repo-Commit"),
        (having(ABSENT, x_error_code="MirrorMiss"), "would remember"),
        (having(ABSENT, x_error_message=None), "X-Error-Message"),
        (having(ABSENT, x_request_id=None), "X-Request-Id"),
        (having(ABSENT, b"Not Found"), "none"),
        (having(ABSENT, b"Not Found", content_type="text/plain"), "without JSON"),
        (replace(ABSENT, status=503), "again and again"),
        (having(MOVED, location="http://mirror:8090/o/n", content_length="0"), "redirects"),
        (having(MOVED, location="/o/n?signature=1", content_length="0"), "redirects"),
    ],
)
def test_a_wrong_answer_is_found(wrong: Exchange, told: str) -> None:
    found = broken([wrong])
    assert any(told in sentence for sentence in found), found


def test_a_client_that_left_is_nobodys_fault() -> None:
    assert broken([replace(FILE, whole=False, left=True), replace(FILE, status=0, whole=False, left=True)]) == []


@pytest.mark.parametrize("changed", [{"content_length": "4"}, {"etag": f'"{"ef" * 20}"'}])
def test_a_head_that_says_something_else_is_found(changed: dict[str, Any]) -> None:
    head = replace(FILE, method="HEAD", body=b"", size=0)
    assert broken([head, FILE]) == []
    assert len(broken([having(head, **changed), FILE])) == 1


def test_the_tap_changes_nothing_and_hears_all() -> None:
    hub = HubSimulator()
    data = bytes(range(256)) * 4096
    hub.add("o/n", {"a.txt": data, "empty.txt": b""})
    with served(hub, cdn=False) as at, tapped(at.endpoint) as tap:
        line = http.client.HTTPConnection(tap.endpoint.removeprefix("http://"))
        asked: tuple[tuple[str, str, dict[str, str]], ...] = (
            ("HEAD", "a.txt", {}),
            ("GET", "a.txt", {}),
            ("GET", "a.txt", {"Range": "bytes=5-9"}),
            ("GET", "empty.txt", {}),
        )
        bodies = []
        for method, path, headers in asked:
            line.request(method, f"/o/n/resolve/main/{path}", headers=headers)
            bodies.append(line.getresponse().read())
        line.request("POST", "/api/models/o/n/paths-info/main", body=b"paths=a.txt", headers={"X-Form": "yes"})
        bodies.append(line.getresponse().read())
        line.close()
        heard = tap.take()
    assert bodies[:4] == [b"", data, data[5:10], b""]
    assert [one.method for one in heard] == ["HEAD", "GET", "GET", "GET", "POST"]
    assert [one.status for one in heard] == [200, 200, 206, 200, 200]
    assert [one.size for one in heard] == [len(body) for body in bodies]
    assert all(one.whole and not one.left for one in heard)
    assert heard[2].asked["range"] == "bytes=5-9"
    assert heard[4].json[0]["path"] == "a.txt"


def test_the_tap_tells_who_left_first() -> None:
    hub = HubSimulator()
    hub.add("o/n", {"a.bin": b"x" * 30_000_000})
    with served(hub, cdn=False) as at, tapped(at.endpoint) as tap:
        with hub.failing(cut_after=100_000, times=1):
            assert len(some_of(tap.endpoint, everything=True)) < 30_000_000
            cut = tap.take()
        some_of(tap.endpoint, everything=False)
        left = tap.take()
    assert [(one.whole, one.left) for one in (*cut, *left)] == [(False, False), (False, True)]


def some_of(endpoint: str, *, everything: bool) -> bytes:
    """What comes of a large file until the end, or until one has had enough."""
    host, _, port = endpoint.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as line:
        line.sendall(b"GET /o/n/resolve/main/a.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        got = line.recv(1000)
        while everything and (more := line.recv(2**20)):
            got += more
    return got
