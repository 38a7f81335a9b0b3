"""The view, read by huggingface_hub from 0.23 to 2.4, offline: as good as a cache of its own making."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.clients import HUBS
from tests.conformance.machine import Machine, run
from tests.conformance.publishing import odd_files
from tests.simulator import HubSimulator, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conformance.clients import Client

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(1200)]

OLD, NEW = "of the tag", "of main"


def ask(machine: Machine, client: Client, *wishes: dict[str, Any]) -> list[dict[str, Any]]:
    """What this client, offline, makes of the view: one answer for each wish."""
    said = machine.offline(client, "cached.py", json.dumps(wishes))
    assert said["version"].startswith(client.name.removeprefix("hub-"))
    answers: list[dict[str, Any]] = said["answers"]
    return answers


def shas(files: dict[str, bytes]) -> dict[str, str]:
    """The sha256 of each content."""
    return {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}


def complaints(name: str, said: dict[str, Any]) -> list[str]:
    """The warnings of a scan, less the one that a cache of the official client's own making gets as well.

    Clients from 2.0 on put a CACHEDIR.TAG into their cache; clients before take it for a broken repo.
    """
    old = not name.startswith("hub-2")
    return [warning for warning in said["warnings"] if not (old and warning.endswith("CACHEDIR.TAG"))]


@dataclass(frozen=True)
class Asked:
    """A repo at a revision, as pulled and as asked for."""

    kind: str
    repo: str
    revision: str

    @property
    def words(self) -> str:
        """As `hfmirror pull` takes it."""
        prefix = "" if self.kind == "model" else f"{self.kind}s/"
        return f"{prefix}{self.repo}@{self.revision}"

    def wish(self, act: str, **more: Any) -> dict[str, Any]:
        """As `cached.py` takes it."""
        return {"act": act, "repo": self.repo, "kind": self.kind, "revision": self.revision, **more}


@dataclass(frozen=True)
class Pulled:
    """A machine on which everything was pulled, and which commit each revision is."""

    machine: Machine
    commits: dict[Asked, str]
    contents: dict[Asked, dict[str, bytes]]


def add_all(hub: HubSimulator) -> tuple[dict[Asked, str], dict[Asked, dict[str, bytes]]]:
    """Every kind of repo and revision on one hub."""
    commits: dict[Asked, str] = {}
    contents: dict[Asked, dict[str, bytes]] = {}
    places = (("model", "acme/odd"), ("dataset", "acme/table"), ("space", "acme/demo"), ("model", "gpt2"))
    for kind, repo in places:
        words = repo if kind == "model" else f"{kind}s/{repo}"
        old, new = odd_files(f"{repo} {OLD}"), odd_files(f"{repo} {NEW}")
        before = hub.add(words, old, branch="feature/x", tags=("v1.0",), refs=("refs/pr/1",))
        after = hub.add(words, new)
        for revision, commit, files in (
            ("main", after, new),
            ("v1.0", before, old),
            ("feature/x", before, old),
            ("refs/pr/1", before, old),
            (after, after, new),
        ):
            asked = Asked(kind, repo, revision)
            commits[asked], contents[asked] = commit, files
    return commits, contents


@pytest.fixture(scope="module")
def pulled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pulled]:
    """One machine for all versions: each finds what the others may have left in the view."""
    hub = HubSimulator()
    commits, contents = add_all(hub)
    with served(hub) as at:
        machine = Machine(tmp_path_factory.mktemp("machine"), at.endpoint)
        for asked in commits:
            machine.hfmirror("pull", asked.words)
    yield Pulled(machine, commits, contents)  # the hub is gone from here on


@pytest.mark.parametrize("name", HUBS)
def test_every_file_of_every_revision_is_found(name: str, pulled: Pulled, client: Callable[[str], Client]) -> None:
    wishes = [asked.wish("files", paths=sorted(files), absent=["no.txt"]) for asked, files in pulled.contents.items()]
    answers = ask(pulled.machine, client(name), *wishes)
    for (asked, files), said in zip(pulled.contents.items(), answers, strict=True):
        assert said["loaded"] == shas(files), asked
        assert said["found"] == shas(files), asked
        assert said["absent"] == {"no.txt": "LocalEntryNotFoundError"}, asked


@pytest.mark.parametrize("name", HUBS)
def test_a_snapshot_is_whole(name: str, pulled: Pulled, client: Callable[[str], Client]) -> None:
    answers = ask(pulled.machine, client(name), *(asked.wish("snapshot") for asked in pulled.contents))
    for (asked, files), said in zip(pulled.contents.items(), answers, strict=True):
        assert said.get("commit") == pulled.commits[asked], said
        assert said["files"] == shas(files), asked


@pytest.mark.parametrize("name", HUBS)
def test_a_scan_finds_nothing_to_complain_about(name: str, pulled: Pulled, client: Callable[[str], Client]) -> None:
    (said,) = ask(pulled.machine, client(name), {"act": "scan"})
    assert complaints(name, said) == []
    assert set(said["repos"]) == {f"{asked.kind}:{asked.repo}" for asked in pulled.commits}
    for asked, commit in pulled.commits.items():
        seen = said["repos"][f"{asked.kind}:{asked.repo}"]
        assert commit in seen["commits"]
        if asked.revision != commit:
            assert seen["refs"][asked.revision] == commit


def test_the_hf_command_lists_the_view(pulled: Pulled, client: Callable[[str], Client]) -> None:
    environment = pulled.machine.environment({"HF_HUB_DISABLE_UPDATE_CHECK": "1", "NO_COLOR": "1"})
    done = pulled.machine.run_with_view([str(client("hub-2.4").command("hf")), "cache", "ls"], environment)
    assert done.returncode == 0, done.stderr
    for asked in pulled.commits:
        assert f"{asked.kind}/{asked.repo}" in done.stdout, done.stdout


def test_a_partial_pull_is_known_to_be_partial(
    hub: HubSimulator, machine: Machine, client: Callable[[str], Client]
) -> None:
    files = odd_files(NEW)
    commit = hub.add("acme/odd", files)
    machine.hfmirror("pull", "acme/odd", "--include", "*.json", "--include", "deep/*")
    asked, newest = Asked("model", "acme/odd", "main"), client("hub-2.4")

    patterns = ["*.json", "deep/*"]
    whole, part = ask(machine, newest, asked.wish("snapshot"), asked.wish("snapshot", patterns=patterns))
    assert whole.get("failure") == "IncompleteSnapshotError", whole
    assert part.get("commit") == commit, part
    assert set(part["files"]) == {"config.json", "deep/er/and/deeper.txt"}

    machine.hfmirror("pull", "acme/odd")
    (whole,) = ask(machine, newest, asked.wish("snapshot"))
    assert set(whole.get("files", ())) == set(files), whole


@pytest.mark.parametrize("name", HUBS)
def test_what_a_client_deletes_comes_back_without_a_byte(
    name: str, hub: HubSimulator, machine: Machine, client: Callable[[str], Client]
) -> None:
    files = odd_files(NEW)
    commit = hub.add("acme/odd", files)
    machine.hfmirror("pull", "acme/odd")
    before = {path: (kept.stat().st_ino, kept.stat().st_size) for path, kept in machine.objects.items()}

    (said,) = ask(machine, client(name), {"act": "delete", "commits": [commit]})
    assert said["repos"] == {}
    assert complaints(name, said) == []
    after = {path: (kept.stat().st_ino, kept.stat().st_size) for path, kept in machine.objects.items()}
    assert after == before
    machine.hfmirror("verify")

    hub.reset_counts()
    machine.hfmirror("pull", "acme/odd")
    assert len(hub.requests) == 1, [record.path for record in hub.requests]
    assert hub.bytes_served == 0
    asked = Asked("model", "acme/odd", "main")
    (whole,) = ask(machine, client(name), asked.wish("snapshot"))
    assert set(whole.get("files", ())) == set(files), whole


@pytest.mark.parametrize("name", HUBS)
def test_a_client_that_downloads_into_the_view_leaves_the_store_alone(
    name: str, hub: HubSimulator, machine: Machine, client: Callable[[str], Client]
) -> None:
    files = odd_files(NEW)
    hub.add("acme/odd", files)
    machine.hfmirror("pull", "acme/odd", "--exclude", "copy/*")
    asked, before = Asked("model", "acme/odd", "main"), machine.objects

    paths = ["config.json", "weights.safetensors", "copy/weights.bin"]
    said = machine.online(client(name), "cached.py", json.dumps([asked.wish("fetch", path=path) for path in paths]))
    assert [one["sha256"] for one in said["answers"]] == [shas(files)[path] for path in paths]
    assert machine.objects == before
    machine.hfmirror("verify")

    machine.hfmirror("pull", "acme/odd")
    machine.hfmirror("verify")
    (whole,) = ask(machine, client(name), asked.wish("snapshot"))
    assert whole.get("files") == shas(files), whole


def test_a_branch_that_moved_moves_in_the_view(
    hub: HubSimulator, machine: Machine, client: Callable[[str], Client]
) -> None:
    before = hub.add("acme/odd", odd_files(OLD))
    machine.hfmirror("pull", "acme/odd")
    files = odd_files(OLD) | {"config.json": b"{}\n", "new.txt": b"new\n"}
    after = hub.add("acme/odd", files)
    hub.reset_counts()
    machine.hfmirror("pull", "acme/odd")
    assert hub.bytes_served == len(b"{}\n") + len(b"new\n")

    new, old = Asked("model", "acme/odd", "main"), Asked("model", "acme/odd", before)
    for name in HUBS:
        at_main, at_before, scanned = ask(
            machine, client(name), new.wish("snapshot"), old.wish("snapshot"), {"act": "scan"}
        )
        assert (at_main.get("commit"), at_main.get("files")) == (after, shas(files)), at_main
        assert (at_before.get("commit"), at_before.get("files")) == (before, shas(odd_files(OLD))), at_before
        assert complaints(name, scanned) == []


def test_the_hf_command_verifies_the_view(hub: HubSimulator, machine: Machine, client: Callable[[str], Client]) -> None:
    hub.add("acme/odd", odd_files(NEW))
    machine.hfmirror("pull", "acme/odd")
    environment = machine.environment({"HF_HUB_CACHE": str(machine.path()), "HF_HUB_DISABLE_UPDATE_CHECK": "1"})
    command = [str(client("hub-2.4").command("hf")), "cache", "verify", "acme/odd"]
    assert (done := run(command, environment, machine.home)).returncode == 0, done.stdout + done.stderr

    blob = next((machine.path() / "models--acme--odd" / "snapshots").glob("*/config.json")).resolve()
    blob.unlink()
    blob.write_bytes(b"not what it was")
    assert run(command, environment, machine.home).returncode != 0, "this command notices nothing"


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_what_env_prints_is_all_a_shell_needs(
    hub: HubSimulator, machine: Machine, client: Callable[[str], Client]
) -> None:
    commit = hub.add("acme/odd", odd_files(NEW))
    machine.hfmirror("pull", "acme/odd")
    code = "import huggingface_hub; print(huggingface_hub.snapshot_download('acme/odd'))"
    line = f'eval "$("{sys.executable}" -m hfmirror env --shell bash)" && "{client("hub-2.4").python}" -c "{code}"'
    hub.reset_counts()
    done = run(["bash", "-c", line], machine.environment(), machine.home)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith(commit)
    assert hub.requests == []
