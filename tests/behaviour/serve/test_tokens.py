"""The mirror's own tokens: minted once, kept as a hash, good for what they were made for (issue, point 4)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.behaviour.serve.lab import Lab, resolve, serve, wait_until
from tests.simulator import HubSimulator, Made

if TYPE_CHECKING:
    from tests.behaviour.serve.lab import Serving

ALICE = "hf_" + "alice" * 6 + "alic"
SECRET, OTHER, PUBLIC = "acme/secret", "acme/other", "acme/public"
MINTED = re.compile(r"hf_[A-Za-z0-9]{34}")  # llama.cpp sends no other (protocol 2.11)


@pytest.fixture
def lab(hub: HubSimulator, lab: Lab) -> Lab:
    """A store with two private repos, brought by somebody who may read them, and a public one."""
    for name in (SECRET, OTHER):
        hub.add(name, {"model.safetensors": Made(70_000, seed=len(name)), "x.txt": name}, private=True, token=ALICE)
    hub.add(PUBLIC, {"x.txt": b"public"})
    lab.run("pull", SECRET, settings={"HF_TOKEN": ALICE})
    lab.run("pull", OTHER, settings={"HF_TOKEN": ALICE})
    lab.run("pull", PUBLIC)
    hub.reset_counts()
    return lab


def mint(lab: Lab, name: str, *words: str) -> str:
    """A new token."""
    out = lab.run("token", "add", name, *words).out
    found = MINTED.findall(out)
    assert len(found) == 1, out
    return str(found[0])


def read(mirror: Serving, token: str, repo: str = SECRET) -> tuple[int, bytes]:
    """A file as far as it may be read."""
    got = mirror.ask(resolve(repo, "x.txt"), token=token)
    return got.status, got.body if got.status == 200 else b""


def test_a_token_is_good_for_the_repos_it_was_made_for(hub: HubSimulator, lab: Lab) -> None:
    """Design 15: "a mirror token listed for it"; offline as well, and never shown to the Hub."""
    token, plain = mint(lab, "ann", "--repo", SECRET), mint(lab, "guest")
    assert token != plain
    for words in ([], ["--offline"]):
        with serve(lab, *words) as mirror:
            assert read(mirror, token) == (200, SECRET.encode())
            assert read(mirror, token, OTHER)[0] == read(mirror, plain)[0] == read(mirror, "")[0] == 404
            assert read(mirror, token, PUBLIC)[0] == read(mirror, plain, PUBLIC)[0] == 200
            assert SECRET in str(mirror.ask("/api/models", token=token).json)
            assert OTHER not in str(mirror.ask("/api/models", token=token).json)
    assert not [r for r in hub.requests if r.token in {token, plain}]


def test_a_token_tells_who_it_is(lab: Lab) -> None:
    """Protocol 2.11: `hf auth whoami` and `hf auth login` read these."""
    token = mint(lab, "ann")
    with serve(lab, "--offline") as mirror:
        got = mirror.ask("/api/whoami-v2", token=token)
        told = got.json
        assert (got.status, told["type"], told["orgs"]) == (200, "user", [])
        assert told["name"]
        assert told["auth"]["type"] == "access_token"
        assert {"displayName", "role"} <= told["auth"]["accessToken"].keys()
        assert token not in str(told)


def test_a_token_of_the_hub_tells_who_it_is_there(hub: HubSimulator, lab: Lab) -> None:
    """`hf auth login` at a mirror asks who the token belongs to; the mirror sends the Hub's answer on."""
    with serve(lab) as mirror:
        got = mirror.ask("/api/whoami-v2", token=ALICE)
        assert (got.status, got.json["name"]) == (200, "somebody")
        assert mirror.ask("/api/whoami-v2", token="hf_nobodys").status == 401
        with hub.failing(refuse=True):
            silent = mirror.ask("/api/whoami-v2", token=ALICE)
    assert (silent.status, silent.code) == (404, "MirrorMiss")  # that the token is no good, nobody can say


def test_a_token_that_was_revoked_opens_nothing(lab: Lab) -> None:
    """Without a restart; the others go on."""
    ann, ben = (mint(lab, name, "--repo", SECRET) for name in ("ann", "ben"))
    with serve(lab) as mirror:
        assert read(mirror, ann)[0] == read(mirror, ben)[0] == 200
        lab.run("token", "revoke", "ann")
        wait_until(lambda: read(mirror, ann)[0] == 404)
        assert read(mirror, ben)[0] == 200
        late = mint(lab, "late", "--repo", SECRET)
        wait_until(lambda: read(mirror, late)[0] == 200)
    with serve(lab, "--offline") as mirror:
        assert (read(mirror, ann)[0], read(mirror, ben)[0]) == (404, 200)


def test_tokens_are_listed_and_never_shown_again(lab: Lab) -> None:
    tokens = [mint(lab, "ann", "--repo", SECRET, "--repo", OTHER), mint(lab, "ben")]
    for words in (["token", "list"], ["token", "list", "--json"]):
        out = lab.run(*words).out
        assert "ann" in out
        assert "ben" in out
        assert SECRET in out
        assert not MINTED.search(out)
    for path in lab.root.rglob("*"):
        if path.is_file():
            assert not [token for token in tokens if token.encode() in path.read_bytes()]
            assert not [token for token in tokens if token[3:].encode() in path.read_bytes()]


def test_tokens_speak_json(lab: Lab) -> None:
    (added,) = lab.run("token", "add", "ann", "--repo", SECRET, "--json").lines
    assert MINTED.search(str(added))
    listed: list[Any] = lab.run("token", "list", "--json").lines
    assert "ann" in str(listed)
    lab.run("token", "revoke", "ann", "--json")
    assert "ann" not in lab.run("token", "list").out


@pytest.mark.parametrize(
    "words",
    [["add", "ann"], ["revoke", "nobody"], ["add"], ["add", ""], ["add", "x", "--repo", "../../x"], ["nonsense"]],
)
def test_words_that_make_no_sense_are_refused(lab: Lab, words: list[str]) -> None:
    """A name twice, a name that is not there, no name, no repo."""
    mint(lab, "ann")
    done = lab.run("token", *words, code=None)
    assert done.code not in {0, 1}
    assert not MINTED.search(done.out)


def test_everybody_may_need_a_token(lab: Lab) -> None:
    """`--require-token`: the door is shut for all who have none; monitors and pre-flights still get their answers."""
    token = mint(lab, "ann")
    with serve(lab, "--require-token") as mirror:
        for target in (resolve(PUBLIC, "x.txt"), f"/api/models/{PUBLIC}", "/api/models", f"/api/models/{PUBLIC}/refs"):
            for other in (
                "",
                "hf_" + "z" * 34,
                token[:-1],
                token + "x",
                token.lower() if token.lower() != token else "x",
            ):
                got = mirror.ask(target, token=other)
                assert got.status == 401, (target, got.status)
                assert got["X-Error-Message"]
                assert got.json["error"]
                assert got["X-Repo-Commit"] is None
            assert mirror.ask(target, token=token).status == 200
        assert mirror.ask("/healthz").status == 200
        assert mirror.ask("/readyz").status == 200
        assert mirror.ask(resolve(PUBLIC, "x.txt"), "OPTIONS", headers={"Origin": "https://a.example"}).status == 204
