"""The JSON of a repo: infos, trees, paths, refs, history (protocol, section 4)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.behaviour.serve.world import DATASET, EMPTY, LARGE, SIZE, SMALL, SPACE, TINY

if TYPE_CHECKING:
    from tests.behaviour.serve.lab import Serving
    from tests.behaviour.serve.world import World

API = "/api/models/acme/tiny"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")  # trap 40: no offset, no bare date


def compact(body: bytes) -> bool:
    """Whether it is JSON without a space after colons and commas: hfd without jq greps it."""
    return json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False).encode() == body.strip()


def assert_dates(told: Any) -> None:
    """Every field that is called a date is one that huggingface_hub can read."""
    if isinstance(told, list):
        for row in told:
            assert_dates(row)
    elif isinstance(told, dict):
        for name, value in told.items():
            if name in {"date", "lastModified", "createdAt"} and value is not None:
                assert DATE.fullmatch(value), (name, value)
            assert_dates(value)


@pytest.mark.parametrize("target", [API, f"{API}/revision/main", f"{API}/revision/HEAD"])
def test_info_of_a_model(either: Serving, world: World, target: str) -> None:
    """Protocol 4.1 and appendix A; trap 43."""
    got = either.ask(target)
    info = got.json
    assert got.status == 200
    assert (got["Content-Type"] or "").startswith("application/json")
    assert (info["id"], info["modelId"], info["sha"]) == ("acme/tiny", "acme/tiny", world.commit)
    assert sorted(row["rfilename"] for row in info["siblings"]) == sorted(TINY)
    assert (info["private"], info["gated"], info["disabled"]) == (False, False, False)
    assert isinstance(info["tags"], list)
    assert "size" not in info["siblings"][0]
    assert_dates(info)
    assert compact(got.body)


@pytest.mark.parametrize("query", ["blobs=true", "blobs=True", "blobs=TRUE&securityStatus=true", "x=&blobs=true&y"])
def test_info_with_sizes(either: Serving, world: World, query: str) -> None:
    """Traps 14 and 44: booleans in any case; `sha256` here, `oid` in trees."""
    rows = {row["rfilename"]: row for row in either.ask(f"{API}/revision/main?{query}").json["siblings"]}
    assert rows.keys() == TINY.keys()
    for path, row in rows.items():
        stored = world.hub.stored("acme/tiny", path)
        assert (path, row["size"], row["blobId"]) == (path, stored.content.size, stored.oid)
    large = world.hub.stored("acme/tiny", LARGE)
    told = {"sha256": large.digest.hex, "size": SIZE, "pointerSize": len(large.pointer)}
    assert (rows[LARGE]["lfs"], rows[SMALL].get("lfs")) == (told, None)


@pytest.mark.parametrize(
    "query", ["expand=sha&expand=siblings", "expand[]=likes", "expand%5B%5D=sha&expand%5B%5D=tags"]
)
def test_info_names_what_was_to_be_expanded(either: Serving, world: World, query: str) -> None:
    """Protocol 4.1: what is named must be there; more is no harm."""
    for target in (API, f"{API}/revision/{world.commit}"):
        info = either.ask(f"{target}?{query}").json
        assert info["id"] == "acme/tiny"
        named = re.findall(r"=(\w+)", query)
        assert set(named) <= info.keys()


def test_info_of_a_commit_is_of_that_commit(either: Serving, world: World) -> None:
    info = either.ask(f"{API}/revision/{world.first}").json
    assert info["sha"] == world.first
    assert "gone.txt" in {row["rfilename"] for row in info["siblings"]}


def test_info_of_the_other_kinds(either: Serving) -> None:
    dataset, space = (either.ask(f"/api/{repo}").json for repo in (DATASET, SPACE))
    assert (dataset["id"], len(dataset["siblings"])) == ("acme/tiny", 3)
    assert (space["id"], space["siblings"], space["sdk"]) == ("acme/tiny", [{"rfilename": "app.py"}], "static")
    assert either.ask("/api/models/gpt2").json["id"] == "gpt2"
    assert either.ask("/api/models/gpt2/revision/main").json["id"] == "gpt2"
    for name in ("acme/resolve", "acme/tree", "acme/api", "resolve"):
        assert either.ask(f"/api/models/{name}").json["id"] == name
        assert either.ask(f"/api/models/{name}/revision/main").json["id"] == name


# Trees


def rows_of(either: Serving, target: str) -> dict[str, dict[str, Any]]:
    """Rows by path."""
    got = either.ask(target)
    assert got.status == 200, got.body
    assert compact(got.body)
    return {row["path"]: row for row in got.json}


def test_a_tree_shows_one_level(either: Serving, world: World) -> None:
    """Protocol 4.2."""
    rows = rows_of(either, f"{API}/tree/main")
    expected = {path.partition("/")[0] for path in TINY}
    assert rows.keys() == expected
    large, small, folder = rows[LARGE], rows[SMALL], rows["sub"]
    stored = world.hub.stored("acme/tiny", LARGE)
    assert (large["type"], large["oid"], large["size"]) == ("file", stored.oid, SIZE)
    assert large["lfs"] == {"oid": stored.digest.hex, "size": SIZE, "pointerSize": len(stored.pointer)}
    assert (small["type"], small["oid"]) == ("file", world.hub.stored("acme/tiny", SMALL).oid)
    assert "lfs" not in small
    assert (folder["type"], folder["size"]) == ("directory", 0)
    assert re.fullmatch("[0-9a-f]{40}", folder["oid"])


@pytest.mark.parametrize(
    "query", ["recursive=true", "recursive=True", "recursive=1&expand=false", "recursive=True&expand=False"]
)
def test_a_tree_shows_every_level(either: Serving, query: str) -> None:
    """Trap 14; `xetHash` must not be there whatever the Hub said (trap 13)."""
    rows = rows_of(either, f"{API}/tree/main?{query}")
    files = {path for path, row in rows.items() if row["type"] == "file"}
    folders = {path for path, row in rows.items() if row["type"] == "directory"}
    assert files == TINY.keys()
    assert folders == {p.rpartition("/")[0] for p in TINY if "/" in p} | {"sub", "sub/deeper", "resolve"}
    assert not any("xet" in name.lower() for row in rows.values() for name in row)


@pytest.mark.parametrize("expand", ["true", "True"])
def test_a_tree_with_commits(either: Serving, expand: str) -> None:
    rows = rows_of(either, f"{API}/tree/main/sub?expand={expand}&recursive=false")
    assert_dates(list(rows.values()))
    for row in rows.values():
        assert row.get("lastCommit") is None or {"id", "title", "date"} <= row["lastCommit"].keys()


@pytest.mark.parametrize("folder", ["sub", "sub/deeper", "中文", "é", "resolve/main", "tree"])
def test_a_folder_of_a_tree(either: Serving, folder: str) -> None:
    """Traps 16 and 41: slashes encoded by Python, literal from JavaScript; paths from the root."""
    expected = {path for path in TINY if path.startswith(f"{folder}/")}
    for spelling in (quote(folder, safe=""), quote(folder), f"{quote(folder)}/"):
        rows = rows_of(either, f"{API}/tree/main/{spelling}?recursive=true")
        assert {path for path, row in rows.items() if row["type"] == "file"} == expected


@pytest.mark.parametrize(
    "path", ["additional_chat_templates", "data", "sub/nope", SMALL, LARGE, "su", "sub/vocab.txt", "SUB"]
)
def test_a_folder_that_is_not_there(either: Serving, world: World, path: str) -> None:
    """Protocol 1.10, trap 42: transformers asks on nearly every start. A file is no folder either."""
    for query in ("", "?recursive=false&expand=false"):
        got = either.ask(f"{API}/tree/main/{path}{query}")
        assert (got.status, got.code, got["X-Repo-Commit"]) == (404, "EntryNotFound", world.commit)
        assert got.json == {"error": got["X-Error-Message"]}


def test_the_tree_of_an_empty_repo(warm: Serving) -> None:
    got = warm.ask("/api/models/acme/empty/tree/main")
    assert (got.status, got.json, got.next) == (200, [], None)


# Paths


def ask_paths(serving: Serving, body: bytes, headers: dict[str, str], revision: str = "main") -> Any:
    """The rows of some paths."""
    got = serving.ask(f"{API}/paths-info/{revision}", "POST", headers=headers, body=body)
    assert got.status == 200, got.body
    return got.json


def test_paths_by_form_and_by_json(either: Serving, world: World) -> None:
    """Protocol 4.3, trap 15."""
    paths = ["a b.txt", "c++.txt", "é/ü.txt", "100%.txt", "q?#.txt", LARGE, "sub", EMPTY, "nope.txt", "sub/nope"]
    form = "&".join(f"paths={quote(path, safe='').replace('%20', '+')}" for path in paths).encode()
    for body, headers in (
        (form, FORM),
        (form, {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}),
        (json.dumps({"paths": paths, "expand": False}).encode(), JSON),
        (
            json.dumps({"paths": paths}, ensure_ascii=False).encode(),
            {"Content-Type": "application/json; charset=utf-8"},
        ),
    ):
        rows = {row["path"]: row for row in ask_paths(either, body, headers)}
        assert list(rows) == paths[:8] or sorted(rows) == sorted(paths[:8])
        assert rows["sub"]["type"] == "directory"
        assert rows[LARGE]["lfs"]["oid"] == world.hub.stored("acme/tiny", LARGE).digest.hex
        assert "xetHash" not in rows[LARGE]


@pytest.mark.parametrize("word", ["true", "True"])
def test_paths_expanded(either: Serving, word: str) -> None:
    (row,) = ask_paths(either, f"paths={SMALL}&expand={word}".encode(), FORM)
    assert row["path"] == SMALL
    assert_dates(row)


@pytest.mark.parametrize(
    ("body", "headers"), [(b"", FORM), (b'{"paths":[]}', JSON), (b"paths=nope", FORM), (b'{"paths":["nope"]}', JSON)]
)
def test_paths_that_are_not_there_are_left_out(either: Serving, body: bytes, headers: dict[str, str]) -> None:
    assert ask_paths(either, body, headers) == []


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'"x"', b'{"paths":5}', b'{"paths":[5]}', b"\xff\xfe", b'{"paths":{"a":1}}']
)
def test_paths_that_make_no_sense(either: Serving, body: bytes) -> None:
    """Protocol 1.14: JSON, at once, and not in the family of answers that are tried again."""
    got = either.ask(f"{API}/paths-info/main", "POST", headers=JSON, body=body)
    assert got.status in {400, 422}
    assert got.json["error"]


def test_many_paths_at_once(either: Serving) -> None:
    paths = [*TINY, *(f"missing/{n}.txt" for n in range(2000))]
    rows = ask_paths(either, json.dumps({"paths": paths}).encode(), JSON)
    assert {row["path"] for row in rows} == TINY.keys()


def test_paths_in_chunks_and_after_a_question(either: Serving) -> None:
    """A body of unknown length, and one that waits for 100 Continue."""
    with either.line() as line:
        headers = {**FORM, "Transfer-Encoding": "chunked", "Expect": "100-continue"}
        line.send(f"{API}/paths-info/main", "POST", headers, None)
        line.raw(b"6\r\npaths=\r\nb\r\nconfig.json\r\n0\r\n\r\n")
        assert [row["path"] for row in line.answer().json] == [SMALL]


def test_paths_of_a_revision_that_is_not_there(warm: Serving) -> None:
    got = warm.ask(f"{API}/paths-info/nope", "POST", headers=FORM, body=b"paths=x")
    assert (got.status, got.code) == (404, "RevisionNotFound")


# Refs, history, sizes


def test_refs(warm: Serving, world: World) -> None:
    """Protocol 4.4: llama.cpp picks `main` from it."""
    refs = warm.ask(f"{API}/refs").json
    branches = {row["name"]: row for row in refs["branches"]}
    assert branches["main"] == {"name": "main", "ref": "refs/heads/main", "targetCommit": world.commit}
    assert {"main", "feature/x"} == branches.keys()
    assert [row["name"] for row in refs["tags"]] == ["v1"]
    assert [row["ref"] for row in refs["converts"]] == ["refs/convert/parquet"]
    assert [row["ref"] for row in warm.ask(f"{API}/refs?include_prs=1").json["pullRequests"]] == ["refs/pr/1"]


def test_refs_without_the_hub_are_those_that_are_known(shut: Serving, world: World) -> None:
    got = shut.ask(f"{API}/refs")
    assert got.status == 200
    branches = {row["name"]: row for row in got.json["branches"]}
    assert branches["main"] == {"name": "main", "ref": "refs/heads/main", "targetCommit": world.commit}
    assert {"branches", "converts", "tags"} <= got.json.keys()


@pytest.mark.parametrize("query", ["", "?limit=1", "?expand[]=formatted&p=0"])
def test_history(either: Serving, world: World, query: str) -> None:
    """Protocol 4.4: at least the commit itself, in the shape huggingface_hub parses."""
    got = either.ask(f"{API}/commits/main{query}")
    assert got.status == 200
    first = got.json[0]
    assert first["id"] == world.commit
    assert {"title", "message", "date", "authors"} <= first.keys()
    assert all("user" in author for author in first["authors"])
    assert_dates(got.json)
    assert int(got["X-Total-Count"] or 1) >= 1


def test_sizes_of_folders(either: Serving) -> None:
    """Protocol 4.6: `treesize`."""
    for folder in ("sub", "é"):
        told = either.ask(f"{API}/treesize/main/{quote(folder)}").json
        size = sum(
            len(data) for path, data in TINY.items() if path.startswith(f"{folder}/") and isinstance(data, bytes)
        )
        assert told["size"] == size
        assert told["path"].strip("/") == folder
    whole = either.ask(f"{API}/treesize/main/").json
    assert whole["size"] == SIZE + sum(len(data) for data in TINY.values() if isinstance(data, bytes))


# What is not there


@pytest.mark.parametrize(
    "call", ["", "/revision/main", "/tree/main", "/refs", "/commits/main", "/treesize/main/", "/auth-check"]
)
@pytest.mark.parametrize("repo", ["models/acme/nope", "datasets/acme/nope", "spaces/nobody/none", "models/nope"])
def test_a_repo_that_is_not_there(warm: Serving, repo: str, call: str) -> None:
    """Protocol 2.6: 404, so that nobody is asked to log in (trap 26)."""
    got = warm.ask(f"/api/{repo}{call}")
    assert (got.status, got.code, got["X-Repo-Commit"]) == (404, "RepoNotFound", None)
    assert got.json == {"error": got["X-Error-Message"]}
    assert (got["WWW-Authenticate"], bool(got["X-Request-Id"])) == (None, True)


@pytest.mark.parametrize(
    "target", ["/acme/nope/resolve/main/config.json", "/datasets/acme/nope/resolve/main/x", "/nope/raw/main/x"]
)
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_file_of_a_repo_that_is_not_there(warm: Serving, target: str, method: str) -> None:
    got = warm.ask(target, method)
    assert (got.status, got.code, got["X-Repo-Commit"]) == (404, "RepoNotFound", None)


@pytest.mark.parametrize("path", ["nope.json", "sub", "sub/", "model.safetensors/x", "CONFIG.json", "%E9.txt"])
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_file_that_is_not_there(either: Serving, world: World, path: str, method: str) -> None:
    """Appendix A: with the commit, so that clients remember it; a folder is no file."""
    got = either.ask(f"/acme/tiny/resolve/main/{path}", method)
    assert (got.status, got.code, got["X-Repo-Commit"]) == (404, "EntryNotFound", world.commit)
    assert got["X-Error-Message"]
    assert (got["Content-Type"] or "").startswith("application/json")
    assert got.body == (b'{"error":"%s"}' % (got["X-Error-Message"] or "").encode() if method == "GET" else b"")
    assert got.surplus == b""
