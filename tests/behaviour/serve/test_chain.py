"""A mirror as the Hub of others: `hfmirror pull`, another mirror, the real client, a command run through one."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.behaviour.lab import digests
from tests.behaviour.serve.lab import PART, Lab, all_at_once, resolve, serve, wait_until
from tests.simulator import HubSimulator, Made

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.behaviour.serve.lab import Serving

ALICE = "hf_" + "alice" * 6 + "alic"
FILE, WEIGHTS = "model.safetensors", Made(6 * PART + 3, seed=90)
FILES: dict[str, Any] = {
    FILE: WEIGHTS,
    "config.json": b'{"model_type":"bert"}',
    "empty.txt": b"",
    "sub/a b+c.txt": b"x",
    "é/ü.txt": b"y",
}
TARGET = resolve("acme/tiny", FILE)
STEADY = 24 * PART  # bytes per second of a connection

CLIENT = """
import json, sys, time
from huggingface_hub import hf_hub_download, snapshot_download, HfApi, get_paths_info, scan_cache_dir
start = time.monotonic()
folder = snapshot_download("acme/tiny")
info = HfApi().model_info("acme/tiny", files_metadata=True)
names = HfApi().list_repo_files("acme/tiny")
refs = HfApi().list_repo_refs("acme/tiny", include_pull_requests=True)
wrong = []
for repo, path, revision in (("acme/tiny", "nope", None), ("acme/nope", "x", None), ("acme/tiny", "x", "nope")):
    try:
        hf_hub_download(repo, path, revision=revision)
    except Exception as error:
        wrong.append(type(error).__name__)
print(json.dumps({
    "folder": folder, "sha": info.sha, "sizes": {s.rfilename: s.size for s in info.siblings}, "names": names,
    "branches": [b.name for b in refs.branches], "wrong": wrong, "seconds": time.monotonic() - start,
    "warnings": [str(w) for w in scan_cache_dir().warnings],
}))
"""


@pytest.fixture
def commit(hub: HubSimulator) -> str:
    """A repo the Hub has."""
    return hub.add("acme/tiny", FILES, tags=("v1",))


@contextmanager
def chain(lab: Lab, length: int) -> Iterator[list[tuple[Lab, Serving]]]:
    """Mirrors, each the upstream of the next, the first one next to the Hub."""
    with ExitStack() as stack:
        found: list[tuple[Lab, Serving]] = []
        for number in range(length):
            folder = lab.folder / f"mirror-{number}"
            folder.mkdir()
            own = Lab(lab.hub, found[-1][1].base if found else lab.endpoint, folder)
            found.append((own, stack.enter_context(serve(own))))
        yield found


@pytest.mark.parametrize("words", [[], ["--offline"]])
def test_a_pull_from_a_mirror_is_a_pull_from_the_hub(lab: Lab, commit: str, words: list[str]) -> None:
    """Cold through it, and from one that asks nobody."""
    other = Lab(lab.hub, "", lab.folder / "other")
    other.folder.mkdir()
    if words:
        lab.run("pull", "acme/tiny")
        lab.hub.reset_counts()
    with lab.hub.failing(slow_rate=STEADY, where="cdn"), serve(lab, *words) as mirror:
        other.run("pull", "acme/tiny", settings={"HF_ENDPOINT": mirror.base})
    other.assert_same(other.snapshot())
    other.assert_objects_sound()
    lab.hub.settle()
    assert lab.hub.bytes_served <= (0 if words else WEIGHTS.size * 1.02 + PART)
    assert lab.hub.count() == 0 or not words


def test_mirrors_in_a_row_cost_the_hub_one_file(lab: Lab, commit: str) -> None:
    """Issue: an hfmirror is a good upstream for an hfmirror. Bytes flow through all of them at once."""
    with lab.hub.failing(slow_rate=STEADY, where="cdn"), chain(lab, 3) as row:
        got = all_at_once(lambda pair: pair[1].ask(TARGET), [*row, *row, row[-1]])
        assert [answer.whole == WEIGHTS.data() for answer in got] == [True] * 7
        assert {answer["X-Repo-Commit"] for answer in got} == {commit}
        last = row[-1][1]
        for path in ("empty.txt", "sub/a b+c.txt", "é/ü.txt"):
            assert last.ask(resolve("acme/tiny", path)).whole == FILES[path]
        assert last.ask("/acme/tiny/resolve/main/nope").code == "EntryNotFound"
        assert last.ask("/acme/nope/resolve/main/x").code == "RepoNotFound"
        assert last.ask("/api/models/acme/tiny?blobs=true").json["sha"] == commit
        link = last.ask("/api/models/acme/tiny/tree/main?limit=1").next or ""
        assert link.startswith(last.base)
    lab.hub.settle()
    assert lab.hub.bytes_served <= WEIGHTS.size * 1.02 + PART


def test_the_first_bytes_go_through_a_row_before_the_last_have_left(lab: Lab, commit: str) -> None:
    with chain(lab, 2) as row, row[-1][1].line() as line:
        with lab.hub.failing(hold_from=3 * PART, where="cdn"):
            line.send(TARGET)
            assert line.head().status == 200
            first = line.some(PART)
            tail = row[-1][1].ask(TARGET, headers={"Range": "bytes=100-199"})
            assert tail.whole == WEIGHTS.data()[100:200]
            assert tail["X-Hfmirror-Proven"] == "no"
        assert first + line.some(WEIGHTS.size - PART) == WEIGHTS.data()


def test_a_mirrors_no_is_not_the_hubs_on_the_next_mirror_either(lab: Lab, commit: str) -> None:
    """MirrorMiss from upstream is "cannot be asked": never RepoNotFound, which would be remembered."""
    with serve(lab, "--offline") as first:
        folder = lab.folder / "second"
        folder.mkdir()
        with serve(Lab(lab.hub, first.base, folder)) as second:
            for target in (TARGET, "/api/models/acme/tiny", "/acme/never/resolve/main/x"):
                got = second.ask(target)
                assert (got.status, got.code, got["X-Repo-Commit"]) == (404, "MirrorMiss", None)
            lab.run("pull", "acme/tiny")
            wait_until(lambda: second.ask(TARGET, "HEAD").status == 200, 35)
            assert second.ask(TARGET).whole == WEIGHTS.data()


def test_wrong_bytes_go_through_no_mirror(lab: Lab, commit: str) -> None:
    with chain(lab, 2) as row:
        with lab.hub.failing(garbage_at=WEIGHTS.size - 5, where="cdn"):
            got = row[-1][1].ask(TARGET, timeout_s=60)
            assert got.broke or got.code == "MirrorMiss"
        for own, _ in row:
            assert not [name for name in own.objects() if name.startswith("sha256:")]
        wait_until(lambda: row[-1][1].ask(TARGET, timeout_s=60).body == WEIGHTS.data(), 40)


def test_access_is_proven_through_every_mirror(lab: Lab, commit: str) -> None:
    """The caller's token goes up the chain, over the loopback, and no further."""
    lab.hub.restrict("acme/tiny", private=True, token=ALICE)
    with chain(lab, 2) as row:
        last = row[-1][1]
        assert last.ask(TARGET).status == 404
        assert last.ask(TARGET, token=ALICE).whole == WEIGHTS.data()
        for _, mirror in row:
            got, missing = mirror.ask(TARGET), mirror.ask("/acme/nope/resolve/main/x")
            assert (got.status, got.code) == (missing.status, missing.code) == (404, "RepoNotFound")
    assert lab.hub.count(origin="cdn") == lab.hub.count(origin="cdn", token="") > 0


def run_client(lab: Lab, mirror: Serving, home: str) -> dict[str, Any]:
    """The real client of this environment, in a home of its own."""
    import subprocess

    settings = {"HF_ENDPOINT": mirror.base, "HF_HOME": str(lab.folder / home), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    words = [sys.executable, "-c", CLIENT]
    done = subprocess.run(words, env=lab.environment(settings), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.mark.parametrize("words", [[], ["--offline"]])
def test_the_real_client_is_content(lab: Lab, commit: str, words: list[str]) -> None:
    """With Xet installed and the Hub advertising it: every byte comes from here."""
    pytest.importorskip("huggingface_hub", reason="the official client is not installed")
    if words:
        lab.run("pull", "acme/tiny")
    with serve(lab, *words) as mirror:
        told = run_client(lab, mirror, "client")
        assert digests(Path(told["folder"])) == lab.expected()
        assert (told["sha"], sorted(told["names"])) == (commit, sorted(FILES))
        assert told["sizes"][FILE] == WEIGHTS.size
        assert told["branches"] == ["main"]
        assert told["warnings"] == []
        absent = ["LocalEntryNotFoundError"] * 2 if words else ["RepositoryNotFoundError", "RevisionNotFoundError"]
        assert told["wrong"] == ["RemoteEntryNotFoundError", *absent]
        assert told["seconds"] < 20, "a 5xx for what is not here costs 23 s"
        assert "xet" not in mirror.said
    cache = lab.folder / "client" / "hub" / "models--acme--tiny" / ".no_exist"
    assert {p.name for p in cache.rglob("*") if p.is_file()} == {"nope"}


# The shim

THROUGH = """
import json, os, sys
from huggingface_hub import hf_hub_download
path = hf_hub_download("acme/tiny", "model.safetensors")
print(json.dumps({"endpoint": os.environ["HF_ENDPOINT"], "path": path, "words": sys.argv[1:]}))
sys.exit(7)
"""


def test_a_command_can_be_run_through_a_mirror_of_its_own(lab: Lab, commit: str) -> None:
    """Issue, point 6: for the life of the command; afterwards the client's copies are links to the store's objects."""
    pytest.importorskip("huggingface_hub", reason="the official client is not installed")
    client = [sys.executable, "-c", THROUGH, "a b", "--json"]
    done = lab.run("run", "--through", "--", *client, code=7)
    told = json.loads(done.out.splitlines()[-1])
    assert told["words"] == ["a b", "--json"]
    assert told["endpoint"].startswith("http://127.0.0.1:")
    assert told["endpoint"] != lab.endpoint
    path = Path(told["path"]).resolve()
    assert path.read_bytes() == WEIGHTS.data()
    (held,) = [p for name, p in lab.objects().items() if name.startswith("sha256:")]
    assert path.stat().st_ino == held.stat().st_ino
    import urllib.error
    import urllib.request

    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(told["endpoint"] + "/healthz", timeout=2)
    lab.hub.reset_counts()
    lab.run("run", "--through", "--", *client, code=7)
    lab.hub.settle()
    assert lab.hub.bytes_served == 0
