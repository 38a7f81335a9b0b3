"""Revisions in every form, repos under every name, a prefix before everything, addresses as the client sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest

from tests.behaviour.serve.lab import Lab, resolve, serve
from tests.behaviour.serve.world import CONFIG, DATASET, LARGE, MOVED, REVISIONS, ROWS, SIZE, SMALL, WIDE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.behaviour.serve.lab import Serving
    from tests.behaviour.serve.wire import Answer
    from tests.behaviour.serve.world import World

OTHER = b'{"model_type":"other"}'  # what v1, feature/x and the refs hold


@pytest.fixture(scope="module")
def below(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """The same server behind a path prefix, with a store of its own."""
    lab = Lab(world.hub, world.lab.endpoint, tmp_path_factory.mktemp("below"))
    with serve(lab, prefix="/hf") as serving:
        yield serving


def spellings(revision: str) -> list[str]:
    """As it may stand in a path: its slashes encoded, or not where it says by itself that it is a ref."""
    literal = [revision] if revision.startswith("refs/") or "/" not in revision else []
    return [quote(revision, safe=""), *literal]


FORMS = [(r, form) for r in REVISIONS for form in spellings(r)] + [
    ("main", "refs/heads/main"),
    ("main", "refs%2Fheads%2Fmain"),
    ("feature/x", "refs/heads/feature/x"),
    ("feature/x", "refs%2Fheads%2Ffeature%2Fx"),
    ("v1", "refs/tags/v1"),
    ("v1", "refs%2Ftags%2Fv1"),
    ("main", "HEAD"),
    ("main", "%6d%61in"),
]


@pytest.mark.parametrize(("revision", "form"), FORMS)
def test_a_revision_has_many_spellings(warm: Serving, world: World, revision: str, form: str) -> None:
    """Protocol 1.9, 2.4, 2.5; traps 16 and 21. Files, trees, infos and histories alike."""
    commit = world.hub.repos[next(r for r in world.hub.repos if str(r) == "acme/tiny")].commit(revision).id
    got = warm.ask(f"/acme/tiny/resolve/{form}/{SMALL}")
    assert (got.status, got["X-Repo-Commit"]) == (200, commit)
    assert got.whole == (CONFIG if revision == "main" else OTHER)
    assert warm.ask(f"/acme/tiny/resolve/{form}/sub/vocab.txt").whole == b"one\ntwo\n"
    assert warm.ask(f"/api/models/acme/tiny/revision/{form}").json["sha"] == commit
    rows = warm.ask(f"/api/models/acme/tiny/tree/{form}/sub").json
    assert {row["path"] for row in rows} == {"sub/vocab.txt", "sub/deeper"}
    paths = warm.ask(f"/api/models/acme/tiny/paths-info/{form}", "POST", headers=FORM, body=b"paths=config.json")
    assert [row["path"] for row in paths.json] == [SMALL]
    assert warm.ask(f"/api/models/acme/tiny/commits/{form}").json[0]["id"] == commit


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize("length", [40, 12, 7, 5])
def test_a_commit_may_be_cut_short(warm: Serving, world: World, length: int) -> None:
    """Protocol 2.5, trap 22: a unique beginning of five digits or more."""
    for commit, content in ((world.commit, CONFIG), (world.first, b'{"model_type":"first"}')):
        got = warm.ask(resolve("acme/tiny", SMALL, commit[:length]))
        assert (got.status, got["X-Repo-Commit"], got.whole) == (200, commit, content)
        assert warm.ask(f"/api/models/acme/tiny/revision/{commit[:length]}").json["sha"] == commit


@pytest.mark.parametrize("revision", ["v1", "feature/x", "main"])
def test_a_revision_that_was_pulled_is_known_offline(shut: Serving, world: World, revision: str) -> None:
    got = shut.ask(resolve("acme/tiny", SMALL, revision))
    assert got.whole == (CONFIG if revision == "main" else OTHER)
    short = shut.ask(resolve("acme/tiny", SMALL, world.first[:8]))
    assert (short["X-Repo-Commit"], short.whole) == (world.first, b'{"model_type":"first"}')


@pytest.mark.parametrize(
    "form", ["nope", "refs%2Fpr%2F9", "refs/pr/9", "refs/convert/duckdb", "0" * 40, "abcdef1", "v2", "Main", "main%20"]
)
def test_a_revision_that_is_not_there(warm: Serving, form: str) -> None:
    """Protocol 2.6 and design 6.2: the Hub's own no."""
    for target in (f"/acme/tiny/resolve/{form}/{SMALL}", f"/api/models/acme/tiny/revision/{form}"):
        for method in ("GET", "HEAD"):
            got = warm.ask(target, method)
            assert (got.status, got.code, got["X-Repo-Commit"]) == (404, "RevisionNotFound", None)
            assert got["X-Error-Message"]
            assert method == "HEAD" or got.json == {"error": got["X-Error-Message"]}


@pytest.mark.parametrize("case", ["Acme/Tiny", "ACME/tiny"])
def test_names_are_found_in_any_case(warm: Serving, case: str) -> None:
    """Protocol 2.3: a relative 307 to the right case, as the Hub answers, or the file itself."""
    got = follow(warm, resolve(case, SMALL))
    assert got.whole == CONFIG
    assert follow(warm, f"/api/models/{case}").json["id"] == "acme/tiny"


def follow(serving: Serving, target: str) -> Answer:
    """The answer behind at most one redirect, which must be path-only and keep the query."""
    got = serving.ask(target)
    if got.status not in {301, 302, 307, 308}:
        return got
    location = got["Location"] or ""
    assert got.status == 307
    assert location.startswith(f"{serving.prefix}/")
    assert not location.startswith("//")
    assert location.partition("?")[2] == target.partition("?")[2]
    return serving.ask(location.removeprefix(serving.prefix))


@pytest.mark.parametrize("query", ["", "?blobs=true&x=1"])
def test_a_repo_that_was_renamed_is_found_by_its_old_name(warm: Serving, query: str) -> None:
    """Protocol 1.1 and 2.8; trap 8: an absolute Location breaks every client below 2.0."""
    assert follow(warm, f"{resolve('acme/old', SMALL)}{query}").whole == b"moved"
    assert follow(warm, f"/api/models/acme/old/revision/main{query}").json["id"] == MOVED
    assert len(follow(warm, f"/api/models/acme/old/tree/main{query}").json) == 1


# The client's own view of addresses


def test_pages_are_linked_by_whole_addresses_of_the_host_the_client_used(warm: Serving) -> None:
    """Protocol 1.6, traps 11, 12 and 58: from Host, never from what a stranger says was forwarded."""
    target = f"/api/models/{WIDE}/tree/main?recursive=true&limit=100"
    hosts = {"Host": "mirror.lab:8090"}
    lies = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example"}
    for headers in (hosts, hosts | lies):
        got = warm.ask(target, headers=headers)
        assert (got.next or "").startswith(f"http://mirror.lab:8090/api/models/{WIDE}/tree/main?")
        assert "evil" not in str(got.head.fields)


def test_behind_a_proxy_that_ends_tls_links_begin_with_the_address_that_clients_use(
    world: World, tmp_path: Path
) -> None:
    lab = Lab(world.hub, world.lab.endpoint, tmp_path)
    target = f"/hf/api/models/{WIDE}/tree/main?recursive=true&limit=100"
    with serve(lab, "--url", "https://mirror.lab/hf") as serving:
        assert "HF_ENDPOINT=https://mirror.lab/hf\n" in serving.said
        link = serving.ask(target, headers={"Host": "127.0.0.1:1"}).next or ""
        assert link.startswith(f"https://mirror.lab{target.partition('?')[0]}?")
        assert serving.ask(target.removeprefix("/hf")).status == 200


@pytest.mark.parametrize(
    "words", [["mirror.lab"], ["https://mirror.lab/a?b"], ["https://mirror.lab/a", "--prefix", "/b"]]
)
def test_an_address_for_clients_that_is_none_is_refused(lab: Lab, words: list[str]) -> None:
    assert "--url" in lab.run("serve", "--url", *words, code=2).err


def walk(serving: Serving, target: str) -> list[dict[str, object]]:
    """All pages, by the addresses the server gives."""
    rows: list[dict[str, object]] = []
    address: str | None = serving.address + serving.prefix + target
    while address:
        assert address.startswith(f"{serving.base}/api/")
        got = serving.ask(address.removeprefix(serving.base))
        assert got.status == 200
        rows += got.json
        address = got.next
    return rows


@pytest.mark.parametrize("query", ["recursive=true", "recursive=True&limit=333", "recursive=1&limit=1000&expand=true"])
def test_walking_the_pages_of_a_wide_repo_shows_every_row_once(either: Serving, query: str) -> None:
    """Conformance check 9: 1500 files and their 1500 folders."""
    rows = walk(either, f"/api/models/{WIDE}/tree/main?{query}")
    assert len(rows) == len({str(row["path"]) for row in rows}) == 2 * ROWS


def test_a_limit_limits(either: Serving) -> None:
    got = either.ask(f"/api/models/{WIDE}/tree/main?recursive=true&limit=7")
    assert len(got.json) == 7
    assert got.next


def test_everything_is_below_the_prefix(below: Serving, world: World) -> None:
    """Protocol 2.3, trap 57: an HF_ENDPOINT of `http://host/hf`."""
    got = below.ask(resolve("acme/tiny", LARGE), headers={"Range": "bytes=0-9"})
    assert (got.status, got["Content-Range"]) == (206, f"bytes 0-9/{SIZE}")
    assert below.ask(resolve(DATASET, "README.md")).whole == b"# data\n"
    assert below.ask("/api/models/acme/tiny").json["sha"] == world.commit
    rows = walk(below, f"/api/models/{WIDE}/tree/main?recursive=true&limit=900")
    assert len(rows) == 2 * ROWS
    assert follow(below, resolve("acme/old", SMALL)).whole == b"moved"
    missing = below.ask("/acme/tiny/resolve/main/nope")
    assert (missing.status, missing.code) == (404, "EntryNotFound")


def test_the_address_it_tells_is_where_it_is(below: Serving, warm: Serving) -> None:
    for serving in (below, warm):
        told = urlsplit(serving.address)
        assert (told.scheme, told.hostname) == ("http", "127.0.0.1")
        assert told.port
