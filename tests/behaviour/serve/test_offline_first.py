"""The Hub slow, down, lying, gone or never asked (issue, point 3; design 6.2)."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.behaviour.serve.lab import PART, Lab, Trap, all_at_once, cold, resolve, serve, wait_until
from tests.behaviour.serve.stage import Published, Stage, staged
from tests.simulator import Faults, HubSimulator, Made

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.behaviour.serve.lab import Serving
    from tests.behaviour.serve.wire import Answer

FILE, DATA = "model.safetensors", Made(2 * PART + 9, seed=3)
FILES: dict[str, Any] = {FILE: DATA, "config.json": b'{"n":1}', "sub/a.txt": b"a"}
AGE = "X-Hfmirror-Age"
CLIENT_S = 9.0  # a client gives a HEAD ten seconds
AT_ONCE_S = 2.5  # what "at once" may take on a busy machine; half of what a question may
BUDGET_S = 5.0  # what a question may take (design 6.2)

LIES = {
    "a login page": Faults(html_200=True, where="hub"),
    "500": Faults(status=500, where="hub"),
    "503": Faults(status=503, where="hub"),
    "429": Faults(status=429, retry_after_s=30, where="hub"),
    "an error with 200": Faults(json_error_200=True),
    "no answer": Faults(close_without_answer=True, where="hub"),
    "404 without a word": Faults(status=404, where="hub"),
    "half an answer": Faults(cut_after=20, where="api"),
}
SLOW = {
    "hangs": Faults(latency_s=60, where="hub"),
    "drips": Faults(slow_rate=20, where="api"),
    "stalls": Faults(stall_after=20, stall_s=60, where="api"),
}


@pytest.fixture
def commit(hub: HubSimulator) -> str:
    """A repo the Hub has."""
    return hub.add("acme/tiny", FILES, tags=("v1",))


@pytest.fixture
def held(lab: Lab, commit: str) -> Lab:
    """A store that holds it, and has asked about `main` an hour ago."""
    lab.run("pull", "acme/tiny")
    cold(lab)
    lab.hub.reset_counts()
    return lab


def assert_missed(got: Answer) -> None:
    """This mirror's own no: never with a commit, which would make the client remember it."""
    assert (got.status, got.code, got["X-Repo-Commit"]) == (404, "MirrorMiss", None)
    assert got["X-Error-Message"]


def everything(mirror: Serving, revision: str) -> list[Answer]:
    """What a client may ask about a commit."""
    api = "/api/models/acme/tiny"
    body = b"paths=config.json"
    return [
        *(mirror.ask(resolve("acme/tiny", path, revision), method) for path in FILES for method in ("HEAD", "GET")),
        mirror.ask(resolve("acme/tiny", FILE, revision), headers={"Range": "bytes=-8"}),
        mirror.ask(f"/acme/tiny/raw/{revision}/{FILE}"),
        mirror.ask(f"{api}/revision/{revision}?blobs=true"),
        mirror.ask(f"{api}/tree/{revision}?recursive=true&expand=true"),
        mirror.ask(f"{api}/tree/{revision}/sub"),
        mirror.ask(f"{api}/treesize/{revision}/"),
        mirror.ask(
            f"{api}/paths-info/{revision}",
            "POST",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=body,
        ),
    ]


def test_a_pinned_commit_costs_the_hub_nothing(held: Lab, commit: str) -> None:
    """Field notes B6: upstream was needed even for files that are cached and pinned."""
    with serve(held) as mirror:
        assert all(got.status in {200, 206} for got in everything(mirror, commit))
        for path in ("nope.json", "sub"):
            got = mirror.ask(resolve("acme/tiny", path, commit), "HEAD")
            assert (got.status, got.code, got["X-Repo-Commit"]) == (404, "EntryNotFound", commit)
        assert held.hub.count() == 0


def test_a_branch_is_asked_at_most_once_a_minute(held: Lab, commit: str) -> None:
    """Design 6.2; whatever is asked about it, and by however many."""
    with serve(held) as mirror:
        got = all_at_once(lambda _: everything(mirror, "main"), range(6))
        assert all(answer.status in {200, 206} for one in got for answer in one)
        kinds = [record.kind for record in held.hub.requests]
        assert kinds in (["revision"], ["info"])
        assert all(answer[AGE] is None for one in got for answer in one)


def test_a_branch_that_was_just_pulled_is_not_asked_again(lab: Lab, commit: str) -> None:
    """The minute is the store's, not the process's."""
    lab.run("pull", "acme/tiny")
    lab.hub.reset_counts()
    with serve(lab) as mirror:
        assert mirror.ask(resolve("acme/tiny", FILE), "HEAD").status == 200
    assert lab.hub.count() == 0


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One mirror for several repos."""
    with staged(tmp_path_factory.mktemp("lies")) as stage:
        yield stage


def aged(stage: Stage, count: int = 1) -> list[Published]:
    """Repos that are held, and were asked about an hour ago; and a Hub that has just shown that it is well."""
    repos = [stage.publish(2 * PART + 9) for _ in range(count)]
    stage.lab.run("pull", *(repo.name for repo in repos))
    cold(stage.lab)
    assert stage.mirror.ask(stage.publish(1).target(), "HEAD").status == 200
    return repos


@pytest.mark.parametrize("name", LIES)
def test_when_the_hub_lies_the_last_known_commit_answers(stage: Stage, name: str) -> None:
    """Issue, point 3; with its age, within the client's patience, and then at once."""
    (repo,), mirror = aged(stage), stage.mirror
    with stage.hub.failing(replace(LIES[name], repo=repo.name)) as armed:
        first = mirror.ask(repo.target(path="config.json"), "HEAD", timeout_s=CLIENT_S)
        assert armed.strikes
        assert (first.status, first["X-Repo-Commit"]) == (200, repo.commit)
        assert int(first[AGE] or 0) >= 3590
        again = mirror.ask(repo.target(), timeout_s=AT_ONCE_S)
        assert (again.whole, int(again[AGE] or 0) >= 3590) == (repo.data, True)
        info = mirror.ask(f"/api/models/{repo.name}", timeout_s=AT_ONCE_S)
        assert (info.json["sha"], int(info[AGE] or 0) >= 3590) == (repo.commit, True)


def test_when_the_hub_is_slow_the_last_known_commit_answers(stage: Stage) -> None:
    """Five seconds in all, not between bytes; once, for everybody, and then at once."""
    repos, mirror = aged(stage, len(SLOW)), stage.mirror

    def ask(repo: Published) -> Answer:
        return mirror.ask(repo.target(path="config.json"), "HEAD", timeout_s=CLIENT_S)

    with ExitStack() as faults:
        for repo, fault in zip(repos, SLOW.values(), strict=True):
            faults.enter_context(stage.hub.failing(replace(fault, repo=repo.name)))
        got = all_at_once(ask, repos * 3)
        assert [(a.status, a["X-Repo-Commit"]) for a in got] == [(200, repo.commit) for repo in repos * 3]
        assert all(int(a[AGE] or 0) >= 3590 for a in got)
        for repo in repos:
            assert mirror.ask(repo.target(path="config.json"), timeout_s=AT_ONCE_S)[AGE]
            assert mirror.ask(repo.target(), timeout_s=AT_ONCE_S).whole == repo.data
            missing = mirror.ask(repo.target(path="nope"), timeout_s=AT_ONCE_S)
            assert (missing.code, missing["X-Repo-Commit"]) == ("EntryNotFound", repo.commit)


def test_a_slow_hub_slows_nothing_that_is_held(held: Lab, commit: str) -> None:
    """While one client waits for news of a branch, pinned commits are answered."""
    done: list[Answer] = []
    with serve(held) as mirror, held.hub.failing(latency_s=60) as armed:
        waiting = threading.Thread(
            target=lambda: done.append(mirror.ask(resolve("acme/tiny", "config.json"), timeout_s=CLIENT_S))
        )
        waiting.start()
        wait_until(lambda: armed.strikes > 0)
        for _ in range(20):
            assert mirror.ask(resolve("acme/tiny", "config.json", commit), timeout_s=AT_ONCE_S).status == 200
        assert not done
        waiting.join(CLIENT_S)
    assert done[0].whole == b'{"n":1}'


def test_with_the_uplink_dead_all_that_is_held_is_served(held: Lab, commit: str) -> None:
    """Field notes B6: 504 for a repo that was there in full."""
    with serve(held) as mirror, held.hub.failing(refuse=True):
        got = [answer for revision in ("main", commit) for answer in everything(mirror, revision)]
        assert all(answer.status in {200, 206} for answer in got)
        assert got[0][AGE]
        assert [row["id"] for row in mirror.ask("/api/models").json] == ["acme/tiny"]
        assert mirror.ask("/healthz").status == mirror.ask("/readyz").status == 200


@pytest.mark.parametrize(
    "target",
    [
        "/acme/never/resolve/main/config.json",
        "/api/models/acme/never",
        "/api/models/acme/never/tree/main",
        "/acme/tiny/resolve/v1/config.json",
        "/api/models/acme/tiny/revision/unheard-of",
        "/datasets/acme/tiny/resolve/main/x",
        "/acme/tiny/resolve/abcdef0123456789abcdef0123456789abcdef01/config.json",
    ],
)
@pytest.mark.parametrize("how", ["dead", "offline"])
def test_what_was_never_heard_of_is_the_mirrors_own_no(held: Lab, target: str, how: str) -> None:
    """Design 6.2: 404 MirrorMiss, not 503, which costs a client 23 s; and no commit."""
    with serve(held, *(["--offline"] if how == "offline" else [])) as mirror, held.hub.failing(refuse=True):
        for method in ("HEAD", "GET"):
            assert_missed(mirror.ask(target, method, timeout_s=CLIENT_S))


def test_part_of_a_commit_is_part_of_it(lab: Lab, commit: str) -> None:
    """In the manifest and not held: the mirror's no. Not in the manifest: the Hub's. They are never confused."""
    lab.run("pull", "acme/tiny", "--include", "*.json")
    with serve(lab, "--offline") as mirror:
        assert mirror.ask(resolve("acme/tiny", "config.json")).whole == b'{"n":1}'
        for method in ("HEAD", "GET"):
            assert_missed(mirror.ask(resolve("acme/tiny", FILE), method))
            got = mirror.ask(resolve("acme/tiny", "nope.json"), method)
            assert (got.status, got.code, got["X-Repo-Commit"]) == (404, "EntryNotFound", commit)
        rows = {row["path"] for row in mirror.ask(f"/api/models/acme/tiny/tree/{commit}?recursive=true").json}
        assert rows == {*FILES, "sub"}
        info = mirror.ask("/api/models/acme/tiny").json
        assert {row["rfilename"] for row in info["siblings"]} == FILES.keys()
    assert lab.hub.count(kind="resolve", file=FILE) == 0


def test_the_hubs_no_is_passed_on(held: Lab, commit: str) -> None:
    """Three kinds of it, each in its words."""
    with serve(held) as mirror:
        for target, code, told in (
            ("/acme/never/resolve/main/x", "RepoNotFound", None),
            ("/api/models/acme/never", "RepoNotFound", None),
            ("/acme/tiny/resolve/v9/config.json", "RevisionNotFound", None),
            ("/acme/tiny/resolve/v1/nope", "EntryNotFound", commit),
        ):
            got = mirror.ask(target)
            assert (got.status, got.code, got["X-Repo-Commit"]) == (404, code, told)
        held.hub.restrict("acme/tiny", disabled=True)
        assert mirror.ask(resolve("acme/tiny", "config.json", commit)).whole == b'{"n":1}'


@pytest.mark.parametrize("words", [[], ["--upstream-is-a-trap"]])
def test_offline_never_dials(held: Lab, commit: str, words: list[str]) -> None:
    """Issue: `--offline` never dials at all: not even a connection is made."""
    with Trap() as trap, serve(held, "--offline", upstream=trap.url if words else None) as mirror:
        for revision in ("main", commit, "v1", "HEAD"):
            everything(mirror, revision)
        for target in ("/acme/never/resolve/main/x", "/api/models/acme/never/refs", "/api/models?search=x", "/readyz"):
            mirror.ask(target, timeout_s=AT_ONCE_S)
        mirror.ask("/api/whoami-v2", token="hf_someone")
        mirror.ask("/api/models/acme/tiny", token="hf_someone")
        assert trap.heard == []
    assert held.hub.count() == 0


def test_the_uplink_comes_back_and_nothing_need_be_restarted(lab: Lab, commit: str) -> None:
    """Issue, point 3. A repo that was never heard of is found as soon as the Hub is there again."""
    with serve(lab) as mirror:
        with lab.hub.failing(refuse=True):
            assert_missed(mirror.ask(resolve("acme/tiny", FILE), timeout_s=CLIENT_S))
        target = resolve("acme/tiny", FILE)
        wait_until(lambda: mirror.ask(target, "HEAD", timeout_s=CLIENT_S).status == 200, 35)
        assert mirror.ask(target).whole == DATA.data()


def test_a_fill_that_lost_its_hub_goes_on_when_it_is_back(lab: Lab, commit: str) -> None:
    """Nothing that came is lost, and whoever was reading gets the rest, or is cut off; never anything else."""
    target = resolve("acme/tiny", FILE)
    with serve(lab, settings={"HF_HUB_DOWNLOAD_TIMEOUT": "2"}) as mirror, mirror.line(60) as line:
        with lab.hub.failing(hold_from=PART, where="cdn") as held:
            line.send(target)
            assert line.head().status == 200
            wait_until(lambda: held.strikes > 0)
            with lab.hub.failing(refuse=True):
                assert mirror.ask(target, "HEAD", timeout_s=AT_ONCE_S).status == 200
        got = line.some(DATA.size)
        assert DATA.data().startswith(got)
        wait_until(lambda: mirror.ask(target, timeout_s=60).body == DATA.data(), 35)
    lab.hub.settle()
    assert lab.hub.bytes_served <= DATA.size + 4 * PART


# A minute's worth


def test_after_a_minute_the_world_is_looked_at_again(hub: HubSimulator, held: Lab, commit: str) -> None:
    """Branches move, what failed is tried anew, what was missing may be there (traps 23 and 29). One minute for all."""
    with serve(held) as mirror:
        assert mirror.ask("/acme/later/resolve/main/x", "HEAD").code == "RepoNotFound"
        with hub.failing(status=500, where="hub"):
            assert mirror.ask(resolve("acme/tiny", "config.json"), "HEAD", timeout_s=CLIENT_S)[AGE]
        new = hub.add("acme/tiny", {**FILES, "config.json": b'{"n":2}'})
        hub.add("acme/later", {"x": b"x"})
        assert mirror.ask("/api/models/acme/other").code == "RepoNotFound"

        def caught_up() -> bool:
            got = mirror.ask(resolve("acme/tiny", "config.json"))
            later = mirror.ask("/acme/later/resolve/main/x")
            return (got["X-Repo-Commit"], got[AGE], later.body) == (new, None, b"x")

        wait_until(caught_up, 75)
        got = mirror.ask(resolve("acme/tiny", "config.json"))
        assert got.whole == b'{"n":2}'
        assert mirror.ask(resolve("acme/tiny", "config.json", commit)).whole == b'{"n":1}'
        assert mirror.ask("/api/models/acme/tiny").json["sha"] == new
        assert mirror.ask(resolve("acme/tiny", FILE)).whole == DATA.data()
