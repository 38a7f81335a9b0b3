"""Files that are held: exact bytes, exact headers, whatever they are called."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import pytest

from tests.behaviour.serve.lab import resolve
from tests.behaviour.serve.world import CONFIG, DATASET, EMPTY, LARGE, ODD, SIZE, SMALL, SPACE, TABLE, TINY, WEIGHTS

if TYPE_CHECKING:
    from tests.behaviour.serve.lab import Serving
    from tests.behaviour.serve.world import World

BY_NAME = "!'()*;,:@&=+$"  # what JavaScript, curl scripts and llama.cpp leave as it is in a path
UNSAYABLE = ("?", "#", "%")  # ... and so cannot name these files at all


def test_head_of_a_large_file_says_exactly_what_clients_read(either: Serving, world: World) -> None:
    """Protocol, appendix A; traps 1, 3, 4, 6, 7."""
    got = either.ask(resolve("acme/tiny", LARGE), "HEAD")
    sha256 = hashlib.sha256(WEIGHTS.data()).hexdigest()
    expected = {
        "Content-Type": "application/octet-stream",
        "Content-Length": str(SIZE),
        "Accept-Ranges": "bytes",
        "ETag": f'"{sha256}"',
        "X-Linked-Etag": f'"{sha256}"',
        "X-Linked-Size": str(SIZE),
        "X-Repo-Commit": world.commit,
        "Content-Disposition": f"inline; filename*=UTF-8''{LARGE}; filename=\"{LARGE}\";",
    }
    assert (got.status, got.body, got.surplus) == (200, b"", b"")
    assert {name: got[name] for name in expected} == expected
    assert got["X-Request-Id"]
    assert got["Location"] is None


def test_head_of_a_small_file_bears_gits_own_name(either: Serving, world: World) -> None:
    """Protocol 3.2: the blob id of git, and `e69de29…` for nothing at all."""
    for path, content in ((SMALL, CONFIG), (EMPTY, b"")):
        oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        got = either.ask(resolve("acme/tiny", path), "HEAD")
        assert (got.status, got["ETag"], got["Content-Length"]) == (200, f'"{oid}"', str(len(content)))
        assert (got["X-Repo-Commit"], got["Accept-Ranges"]) == (world.commit, "bytes")


@pytest.mark.parametrize("path", [LARGE, SMALL, EMPTY, "sub/vocab.txt"])
def test_get_says_what_head_says_and_brings_the_bytes(either: Serving, world: World, path: str) -> None:
    """Trap 7. The bytes come from here: no redirect (protocol 1.1)."""
    head, got = (either.ask(resolve("acme/tiny", path), method) for method in ("HEAD", "GET"))
    changing = {"date", "x-request-id", "x-hfmirror-age"}
    assert [f for f in head.head.fields if f[0] not in changing] == [f for f in got.head.fields if f[0] not in changing]
    assert (got.status, got.whole) == (200, world.bytes_of("acme/tiny", path))
    assert got.surplus == b""


@pytest.mark.parametrize("path", ODD)
def test_odd_names_reach_their_files(either: Serving, path: str) -> None:
    """Protocol 2.4: as Python spells them, and as JavaScript does; decoded once, `+` is a plus."""
    spellings = {quote(path), "".join(f"%{byte:02x}" for byte in path.encode())}
    if not any(c in path for c in UNSAYABLE):
        spellings.add(quote(path, safe="/" + BY_NAME))
    for spelling in sorted(spellings):
        got = either.ask(f"/acme/tiny/resolve/main/{spelling}")
        assert (spelling, got.status, got.body) == (spelling, 200, TINY[path])


@pytest.mark.parametrize("path", ODD)
def test_odd_names_fit_into_a_header(either: Serving, path: str) -> None:
    """Trap 45: RFC 5987 beside a plain name; nothing a strict client would choke on."""
    name = path.rpartition("/")[2]
    told = either.ask(resolve("acme/tiny", path), "HEAD")["Content-Disposition"] or ""
    start, _, plain = told.partition("; filename=")
    spelt = start.removeprefix("inline; filename*=UTF-8''")
    assert unquote(spelt) == name
    assert re.fullmatch(r"([\w!#$&+.^`|~-]|%[0-9A-F]{2})*", spelt, re.ASCII), spelt
    inner = plain.removeprefix('"').removesuffix('";')
    assert told.isascii()
    assert '"' not in inner.replace('\\"', "")


@pytest.mark.parametrize(
    ("repo", "path", "content"),
    [
        (DATASET, "data/train.csv", TABLE),
        (SPACE, "app.py", b"print()\n"),
        ("gpt2", SMALL, b"gpt2"),
        ("acme/resolve", SMALL, b"acme/resolve"),
        ("acme/resolve", "sub/x.txt", b"x"),
        ("acme/tree", SMALL, b"acme/tree"),
        ("acme/api", SMALL, b"acme/api"),
        ("resolve", SMALL, b"resolve"),
    ],
)
def test_every_kind_of_repo_is_found_by_where_the_keyword_stands(
    either: Serving, repo: str, path: str, content: bytes
) -> None:
    """Traps 24 and 25."""
    assert either.ask(resolve(repo, path)).whole == content


@pytest.mark.parametrize("query", ["download=true", "noContentDisposition=1", "x=%ff&&=&", "a?b/resolve/c"])
def test_a_query_changes_nothing(either: Serving, query: str) -> None:
    """Protocol 1.8 and 3."""
    assert either.ask(f"{resolve('acme/tiny', SMALL)}?{query}").whole == CONFIG


@pytest.mark.parametrize("path", [SMALL, "README.md", LARGE, "sub/vocab.txt"])
@pytest.mark.parametrize("call", ["resolve", "raw"])
def test_a_file_is_never_packed(either: Serving, world: World, call: str, path: str) -> None:
    """Trap 5, protocol 1.4."""
    got = either.ask(f"/acme/tiny/{call}/main/{path}", headers={"Accept-Encoding": "gzip, deflate, br, zstd"})
    assert (got.status, got["Content-Encoding"], got["Transfer-Encoding"]) == (200, None, None)
    assert got["Content-Length"] == str(len(got.whole))
    table = either.ask(resolve(DATASET, "data/train.csv"), headers={"Accept-Encoding": "gzip"})
    assert (table["Content-Encoding"], table.whole) == (None, TABLE)


@pytest.mark.parametrize("path", [SMALL, LARGE, EMPTY])
def test_resolve_cache_is_another_door_to_the_same_file(either: Serving, world: World, path: str) -> None:
    """Protocol 3.7."""
    for target in (
        f"/api/resolve-cache/models/acme/tiny/{world.commit}/{path}",
        f"/api/resolve-cache/models/acme/tiny/{world.commit}/{path}?%2Facme%2Ftiny%2Fx=&etag=%22abc%22",
    ):
        got = either.ask(target)
        assert got.whole == world.bytes_of("acme/tiny", path)
        assert (got["ETag"], got["X-Repo-Commit"]) == (world.etag(path), world.commit)
    nested = either.ask(f"/api/resolve-cache/models/acme/tiny/{world.commit}/sub%2Fvocab.txt")
    assert nested.whole == b"one\ntwo\n"


@pytest.mark.parametrize("path", [SMALL, EMPTY, "é/ü.txt"])
def test_raw_is_the_bytes_of_a_small_file(either: Serving, world: World, path: str) -> None:
    """Protocol 3.7: jshub's fileExists sends HEAD here."""
    for method in ("GET", "HEAD"):
        got = either.ask(f"/acme/tiny/raw/main/{quote(path)}", method)
        content = world.bytes_of("acme/tiny", path)
        assert (got.status, got["Content-Length"]) == (200, str(len(content)))
        assert got.body == (content if method == "GET" else b"")
        assert got["X-Repo-Commit"] == world.commit


def test_raw_is_the_pointer_of_a_large_file(either: Serving, world: World) -> None:
    """Protocol 3.7 and 3.2: three lines, and an ETag of their own."""
    sha256 = hashlib.sha256(WEIGHTS.data()).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {SIZE}\n".encode()
    got = either.ask(f"/acme/tiny/raw/main/{LARGE}")
    assert (got.status, got.whole) == (200, pointer)
    assert got["ETag"] == f'"{world.hub.stored("acme/tiny", LARGE).oid}"'
    assert got["X-Linked-Size"] is None
    head = either.ask(f"/acme/tiny/raw/main/{LARGE}", "HEAD")
    assert (head.status, head["Content-Length"], head.body + head.surplus) == (200, str(len(pointer)), b"")


def test_raw_misses_in_the_hubs_words(either: Serving, world: World) -> None:
    """jshub reads 404 as "no such file" and throws at anything else."""
    for method in ("HEAD", "GET"):
        got = either.ask("/acme/tiny/raw/main/nope.txt", method)
        assert (got.status, got.code, got["X-Repo-Commit"]) == (404, "EntryNotFound", world.commit)


@pytest.mark.parametrize("kept", [True, False])
def test_one_connection_serves_many_requests(either: Serving, world: World, kept: bool) -> None:
    """Large, small, empty, missing and again, in order; also when they are all sent at once."""
    paths = [SMALL, LARGE, EMPTY, "nope.txt", "sub/vocab.txt", LARGE, SMALL]
    with either.line() as line:
        for path in () if kept else paths:
            line.send(resolve("acme/tiny", path))
        for path in paths:
            if kept:
                line.send(resolve("acme/tiny", path))
            got = line.answer()
            if path == "nope.txt":
                assert (got.status, got.code) == (404, "EntryNotFound")
            else:
                assert got.whole == world.bytes_of("acme/tiny", path)


def test_head_never_brings_a_body_into_the_next_answer(either: Serving) -> None:
    """Trap 3: the client's next request on that connection would read it."""
    targets = [resolve("acme/tiny", LARGE), "/acme/tiny/resolve/main/nope", "/api/models/acme/tiny", "/nowhere/at/all"]
    with either.line() as line:
        for target in targets:
            line.send(target, "HEAD")
            line.answer("HEAD")
            line.send(resolve("acme/tiny", SMALL))
            assert line.answer().whole == CONFIG


def test_an_old_client_is_answered_in_its_way(either: Serving) -> None:
    """HTTP/1.0 without a Host: nothing chunked, and the connection ends."""
    with either.line() as line:
        line.raw(f"GET {resolve('acme/tiny', SMALL)} HTTP/1.0\r\n\r\n".encode())
        got = line.answer()
        assert (got.status, got.body, got["Transfer-Encoding"]) == (200, CONFIG, None)
        assert line.rest() == b""


def test_a_file_of_an_old_commit_stays(either: Serving, world: World) -> None:
    """Trap 22: `main` has moved on, the pinned user has not."""
    old = either.ask(resolve("acme/tiny", SMALL, world.first))
    assert (old.whole, old["X-Repo-Commit"]) == (b'{"model_type":"first"}', world.first)
    assert either.ask(resolve("acme/tiny", "gone.txt", world.first)).whole == b"was here\n"
    missing = either.ask(resolve("acme/tiny", "gone.txt"))
    assert (missing.status, missing.code, missing["X-Repo-Commit"]) == (404, "EntryNotFound", world.commit)
