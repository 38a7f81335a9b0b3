"""The Hub's API over sockets: names, rows, pages, and how it says no."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.simulator import HubSimulator, Made, Served, served
from tests.simulator.ask import ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulator.content import Given

CONFIG = b'{"model_type":"bert"}'
FILES: dict[str, Given] = {
    "config.json": CONFIG,
    "model.safetensors": Made(300_000, seed=1),
    "sub/a b+c.txt": b"x",
    "empty.txt": b"",
}


@pytest.fixture
def hub() -> HubSimulator:
    """A hub with one small model and one dataset."""
    hub = HubSimulator()
    hub.add("acme/tiny", FILES, tags=("v1.0",), refs=("refs/pr/1", "refs/convert/parquet"))
    hub.add("acme/tiny", FILES, branch="feature/x")
    hub.add("datasets/acme/tiny", {"README.md": b"# tiny"})
    return hub


@pytest.fixture
def site(hub: HubSimulator) -> Iterator[Served]:
    """The hub behind sockets, with its CDN."""
    with served(hub) as site:
        yield site


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


# Revisions and names


@pytest.mark.parametrize(
    "revision",
    [
        "main",
        "HEAD",
        "v1.0",
        "refs%2Fpr%2F1",
        "refs/pr/1",
        "refs/convert/parquet",
        "feature%2Fx",
        "feature/x",
    ],
)
def test_revisions_with_slashes_are_understood_in_both_spellings(site: Served, revision: str) -> None:
    assert ask(f"{site.endpoint}/acme/tiny/resolve/{revision}/config.json").status == 307
    assert len(ask(f"{site.endpoint}/api/models/acme/tiny/tree/{revision}").json) == 4
    assert ask(f"{site.endpoint}/api/models/acme/tiny/revision/{revision}").json["id"] == "acme/tiny"


def test_an_old_name_is_redirected_by_path_only(hub: HubSimulator, site: Served) -> None:
    hub.add("gpt2", {"config.json": CONFIG})
    assert ask(f"{site.endpoint}/api/models/gpt2/tree/main").status == 200
    hub.rename("gpt2", "openai-community/gpt2")
    got = ask(f"{site.endpoint}/api/models/gpt2/tree/main?recursive=true")
    assert (got.status, got["Location"]) == (
        307,
        "/api/models/openai-community/gpt2/tree/main?recursive=true",
    )
    assert ask(f"{site.endpoint}/api/models/gpt2")["Location"] == "/api/models/openai-community/gpt2"
    assert ask(f"{site.endpoint}/GPT2/resolve/main/config.json")["Location"] == (
        "/openai-community/gpt2/resolve/main/config.json"
    )
    moved = ask(f"{site.endpoint}/datasets/Acme/Tiny/resolve/main/README.md")
    assert moved["Location"] == "/datasets/acme/tiny/resolve/main/README.md"


# The API


def test_info_tells_commit_and_files(hub: HubSimulator, site: Served) -> None:
    plain = ask(f"{site.endpoint}/api/models/acme/tiny").json
    assert plain["siblings"][0] == {"rfilename": "config.json"}
    assert len(plain["sha"]) == 40
    full = ask(f"{site.endpoint}/api/models/acme/tiny/revision/main?blobs=True").json
    weights = next(row for row in full["siblings"] if row["rfilename"] == "model.safetensors")
    stored = hub.stored("acme/tiny", "model.safetensors")
    assert weights["lfs"] == {
        "sha256": stored.digest.hex,
        "size": 300_000,
        "pointerSize": len(stored.pointer),
    }


def test_a_tree_lists_files_and_folders(hub: HubSimulator, site: Served) -> None:
    tree = f"{site.endpoint}/api/models/acme/tiny/tree/main"
    top = {row["path"]: row for row in ask(tree).json}
    assert set(top) == {"config.json", "empty.txt", "model.safetensors", "sub"}
    assert top["sub"]["type"] == "directory"
    assert top["model.safetensors"]["lfs"]["oid"] == hub.stored("acme/tiny", "model.safetensors").digest.hex
    assert len(top["model.safetensors"]["xetHash"]) == 64
    assert [row["path"] for row in ask(f"{tree}/sub?expand=True").json] == ["sub/a b+c.txt"]
    assert len(ask(f"{tree}?recursive=true").json) == 5
    for missing in ("nope", "config.json"):
        got = ask(f"{tree}/{missing}")
        assert (got.status, got["X-Error-Code"]) == (404, "EntryNotFound")


def test_pages_are_linked_by_absolute_addresses() -> None:
    hub = HubSimulator(page_size=10)
    hub.add("acme/wide", {f"é {n:03}.txt": b"" for n in range(25)})
    with served(hub) as site:
        url, pages = f"{site.endpoint}/api/models/acme/wide/tree/main?recursive=True", []
        while url:
            got = ask(url)
            pages.append([row["path"] for row in got.json])
            url = got.next
    assert [len(page) for page in pages] == [10, 10, 5]
    assert len({path for page in pages for path in page}) == 25


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"paths=config.json&paths=sub&paths=nope&expand=True"),
        ("application/json", json.dumps({"paths": ["config.json", "sub", "nope"], "expand": True}).encode()),
    ],
)
def test_paths_info_takes_forms_and_json(site: Served, kind: str, body: bytes) -> None:
    url = f"{site.endpoint}/api/models/acme/tiny/paths-info/main"
    rows = ask(url, "POST", headers={"Content-Type": kind}, body=body).json
    assert [row["path"] for row in rows] == ["config.json", "sub"]
    assert "lastCommit" in rows[0]


def test_refs_and_history(hub: HubSimulator, site: Served) -> None:
    old = ask(f"{site.endpoint}/api/models/acme/tiny").json["sha"]
    new = hub.add("acme/tiny", {"config.json": b"{}"})
    refs = ask(f"{site.endpoint}/api/models/acme/tiny/refs?include_prs=1").json
    assert {row["name"]: row["targetCommit"] for row in refs["branches"]} == {"main": new, "feature/x": old}
    assert [row["ref"] for row in refs["pullRequests"]] == ["refs/pr/1"]
    assert [row["name"] for row in refs["converts"]] == ["parquet"]
    page = ask(f"{site.endpoint}/api/models/acme/tiny/commits/main?limit=1")
    assert ([row["id"] for row in page.json], page["X-Total-Count"]) == ([new], "2")
    assert [row["id"] for row in ask(page.next).json] == [old]


def test_every_answer_of_the_api_tells_the_rate_limit(site: Served) -> None:
    got = ask(f"{site.endpoint}/api/models/acme/tiny")
    assert str(got["RateLimit"]).startswith('"api";r=')
    assert got["RateLimit-Policy"] == '"fixed window";"api";q=500;w=300'


def test_unknown_calls_are_answered_at_once(site: Served) -> None:
    assert ask(f"{site.endpoint}/api/agent-harnesses").status == 200
    assert ask(f"{site.endpoint}/api/telemetry/x", "HEAD").status == 200
    assert ask(f"{site.endpoint}/api/nope").json["error"]
    assert ask(f"{site.endpoint}/").status == 404
    assert [row["id"] for row in ask(f"{site.endpoint}/api/datasets").json] == ["acme/tiny"]


def test_head_is_answered_wherever_get_is(site: Served) -> None:
    for call in ("", "/tree/main", "/refs", "/revision/main"):
        url = f"{site.endpoint}/api/models/acme/tiny{call}"
        head, got = ask(url, "HEAD"), ask(url)
        assert (head.status, head.body, head["Content-Length"]) == (200, b"", str(len(got.body)))


def test_whoami_knows_tokens_that_were_given(hub: HubSimulator, site: Served) -> None:
    hub.login("hf_me")
    answers = [ask(f"{site.endpoint}/api/whoami-v2", headers=h) for h in ({}, bearer("hf_me"))]
    assert [answer.status for answer in answers] == [401, 200]


# Errors


def test_errors_look_as_on_the_hub(hub: HubSimulator, site: Served) -> None:
    hub.login("hf_me")
    anonymous = ask(f"{site.endpoint}/api/models/acme/nope")
    assert (anonymous.status, anonymous["X-Error-Code"]) == (401, None)
    assert anonymous["X-Error-Message"] == "Invalid username or password."
    assert str(anonymous["WWW-Authenticate"]).startswith("Bearer realm=")
    known = ask(f"{site.endpoint}/api/models/acme/nope", headers=bearer("hf_me"))
    assert (known.status, known["X-Error-Code"]) == (404, "RepoNotFound")
    bad = ask(f"{site.endpoint}/api/models/acme/tiny", headers=bearer("hf_bad"))
    assert (bad.status, bad["X-Error-Message"]) == (401, "Invalid credentials in Authorization header")
    revision = ask(f"{site.endpoint}/acme/tiny/resolve/nope/config.json")
    assert (revision.status, revision["X-Error-Code"]) == (404, "RevisionNotFound")
    assert revision.json == {"error": "Invalid rev id: nope"}
    entry = ask(f"{site.endpoint}/acme/tiny/resolve/main/nope")
    assert (entry.status, entry["X-Error-Code"], entry.body) == (404, "EntryNotFound", b"Entry not found")
    assert len(str(entry["X-Repo-Commit"])) == 40


def test_access_looks_as_on_the_hub(hub: HubSimulator, site: Served) -> None:
    url = f"{site.endpoint}/acme/tiny/resolve/main/config.json"
    hub.restrict("acme/tiny", gated="auto", token="hf_reader")
    hub.login("hf_me")
    got = [ask(url, headers=headers) for headers in ({}, bearer("hf_me"), bearer("hf_reader"))]
    assert [(g.status, g["X-Error-Code"]) for g in got] == [
        (401, "GatedRepo"),
        (403, "GatedRepo"),
        (307, None),
    ]
    assert ask(f"{site.endpoint}/api/models/acme/tiny/tree/main").status == 200
    hub.restrict("acme/tiny", disabled=True)
    off = ask(url)
    assert (off.status, off["X-Error-Code"]) == (403, None)
    assert off["X-Error-Message"] == "Access to this resource is disabled."
