"""What the official clients from 0.23 to 2.4 wrote themselves, brought in; and caches that we wrote, read by them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from hfmirror.model import PART, Algorithm, Digest
from tests.conformance.clients import HUBS
from tests.conformance.machine import HERE, Machine, answer, cut_off, run, said
from tests.conformance.publishing import odd_files
from tests.simulator import HubSimulator, Made, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conformance.clients import Client

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(1200)]

NAMES = {"info", "revision", "tree", "paths-info", "refs"}  # requests that bring no byte of a file
HOLE = 2 * PART  # bytes; what a hole may cost beside its own
LARGE = [Made(2 * PART + 1000 * number, seed=90 + number) for number in range(1, 6)]
FILES: dict[str, Any] = {
    **odd_files("brought"),
    **{f"part-{number}.safetensors": made for number, made in enumerate(LARGE)},
    **{f"small/{number}.json": b'{"number": %d}' % number for number in range(12)},
}
REPOS = (("model", "acme/odd"), ("dataset", "acme/table"), ("model", "gpt2"))


def data_of(path: str) -> bytes:
    given = FILES[path]
    return given.data() if isinstance(given, Made) else given


SHAS = {path: hashlib.sha256(data_of(path)).hexdigest() for path in FILES}


@dataclass
class Desk:
    """A Hub, and a machine on which a client has written a cache."""

    hub: HubSimulator
    machine: Machine
    cache: Path

    def fill(self, client: Client, *wishes: dict[str, Any]) -> list[str]:
        """Let the client download; where things lie. Nothing is counted of it."""
        more = {"HF_HUB_CACHE": str(self.cache), "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(self.machine.home / "hf")}
        script = str(HERE / "inside" / "filling.py")
        done = run([str(client.python), script, json.dumps(wishes)], self.machine.environment(more), self.machine.home)
        assert done.returncode == 0, said(done)
        told = answer(done)
        assert told["version"].startswith(client.name.removeprefix("hub-"))
        self.hub.reset_counts()
        folders: list[str] = told["folders"]
        return folders

    def bring(self, *words: str, codes: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """What `import --json` says."""
        done = self.machine.hfmirror("import", *words, "--json", ok=False)
        assert done.returncode in codes, said(done)
        return answer(done)

    def read(self, client: Client, cache: Path, *wishes: dict[str, Any]) -> list[dict[str, Any]]:
        """What a client makes of a cache with no way to any network."""
        more = {"HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(HERE / "refusing")}
        more["DIALS_FILE"] = str(self.machine.home / "dials")
        command = [*(cut_off() or ()), str(client.python), str(HERE / "inside" / "cached.py"), json.dumps(wishes)]
        done = run(command, self.machine.environment(more), self.machine.home)
        assert done.returncode == 0, said(done)
        assert not (self.machine.home / "dials").exists(), "it tried to dial"
        answers: list[dict[str, Any]] = answer(done)["answers"]
        return answers

    def assert_sound(self) -> None:
        """Every object is what its name says."""
        assert self.machine.objects
        for name, path in self.machine.objects.items():
            algorithm, _, hexed = name.partition(":")
            assert Digest.of(Algorithm(algorithm), path.read_bytes()).hex == hexed


def wish(repo: str = "acme/odd", kind: str = "model", **more: Any) -> dict[str, Any]:
    return {"repo": repo, "kind": kind, "revision": "main", **more}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Three repos on a Hub; several hold the same bytes."""
    hub = HubSimulator()
    for kind, repo in REPOS:
        hub.add(repo if kind == "model" else f"{kind}s/{repo}", FILES, tags=("v1.0",))
    with served(hub) as at:
        yield Desk(hub, Machine(tmp_path, at.endpoint), tmp_path / "cache of a client")


def assert_whole(desk: Desk, *repos: str) -> None:
    for repo in repos:
        folder = desk.machine.path(repo)
        inside = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        assert {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in inside.items()} == SHAS
    desk.assert_sound()


@pytest.mark.parametrize("name", HUBS)
@pytest.mark.parametrize("offline", [False, True], ids=["online", "offline"])
def test_a_cache_comes_in_and_no_byte_is_fetched(
    name: str, offline: bool, desk: Desk, client: Callable[[str], Client]
) -> None:
    desk.fill(client(name), *(wish(repo, kind) for kind, repo in REPOS), wish(revision="v1.0"))
    told = desk.bring(str(desk.cache), *["--offline"] * offline)
    assert {row["repo"]: row["lacking"] for row in told["repos"]} == {
        "acme/odd": [], "datasets/acme/table": [], "gpt2": [],
    }  # fmt: skip
    asked = {record.kind for record in desk.hub.requests}
    assert asked == set() if offline else asked <= NAMES, asked
    assert_whole(desk, "acme/odd", "datasets/acme/table", "gpt2", "acme/odd@v1.0")
    (odd,) = desk.read(client(name), desk.machine.path(), {**wish(), "act": "snapshot", "patterns": None})
    assert odd.get("files") == SHAS, odd


@pytest.mark.parametrize("name", HUBS)
@pytest.mark.parametrize("offline", [False, True], ids=["online", "offline"])
def test_a_local_folder_comes_in_and_no_byte_is_fetched(
    name: str, offline: bool, desk: Desk, client: Callable[[str], Client], tmp_path: Path
) -> None:
    folder = tmp_path / "我的模型"
    desk.fill(client(name), wish(local_dir=str(folder)))
    told = desk.bring(str(folder), "--repo", "acme/odd", *["--offline"] * offline)
    assert [row["lacking"] for row in told["repos"]] == [[]]
    asked = {record.kind for record in desk.hub.requests}
    assert asked == set() if offline else asked <= NAMES, asked
    assert_whole(desk, "acme/odd")


@pytest.mark.parametrize("name", HUBS)
@pytest.mark.parametrize("where", ["cache", "folder"])
def test_of_a_damaged_one_only_the_holes_are_fetched(
    name: str, where: str, desk: Desk, client: Callable[[str], Client], tmp_path: Path
) -> None:
    """A tenth is gone, a tenth has another name, a tenth has wrong bytes."""
    folder = tmp_path / "folder"
    (at,) = desk.fill(client(name), wish(local_dir=str(folder) if where == "folder" else None))
    files = sorted(path for path in FILES if len(data_of(path)) > 0)
    tenth = len(files) // 10 + 1
    gone, renamed, wrong = files[0::9][:tenth], files[1::9][:tenth], files[2::9][:tenth]
    assert any(isinstance(FILES[path], Made) for path in (*gone, *wrong)), "large ones among them"
    for path in (*gone, *renamed, *wrong):
        place = (folder if where == "folder" else tmp_path / at) / path
        blob = place.resolve()
        if path in gone:
            blob.unlink()
        elif path in renamed:
            blob.rename(blob.with_name(f"renamed {blob.name}"))
        else:
            data = bytearray(blob.read_bytes())
            data[len(data) // 2] ^= 1
            blob.chmod(0o644)
            blob.write_bytes(data)
    # What a folder's record says of a file is void once that is younger by a second: then it is not called damaged.
    codes = (0, 7) if where == "folder" else (7,)
    told = desk.bring(str(folder if where == "folder" else desk.cache), "--repo", "acme/odd", codes=codes)
    (row,) = told["repos"]
    assert {lacking["path"] for lacking in row["lacking"]} == {*gone, *wrong}
    desk.machine.hfmirror("pull", "acme/odd")
    missing = sum(len(data_of(path)) for path in (*gone, *wrong))
    assert desk.hub.bytes_served <= missing + HOLE * len((*gone, *wrong))
    assert {record.file for record in desk.hub.ledger.select(kind="resolve")} <= {*gone, *wrong}
    assert_whole(desk, "acme/odd")


@pytest.mark.parametrize("offline", [False, True], ids=["online", "offline"])
def test_what_came_by_xet_and_is_shared_comes_in_once(
    offline: bool, desk: Desk, client: Callable[[str], Client]
) -> None:
    newest = client("hub-2.4")
    desk.fill(newest, wish(share=True), wish("gpt2", share=True), wish("acme/table", "dataset", share=True))
    shelf = [path for path in (desk.cache / "blobs").glob("??/*") if len(path.name) == 64]
    assert len(shelf) == 7, "one file for each content, however many repos have it"
    before = {path: (path.stat().st_ino, path.stat().st_mode, path.read_bytes()) for path in shelf}
    told = desk.bring(str(desk.cache), *["--offline"] * offline)
    assert [row["lacking"] for row in told["repos"]] == [[], [], []]
    assert {record.kind for record in desk.hub.requests} <= (set() if offline else NAMES)
    assert_whole(desk, "acme/odd", "datasets/acme/table", "gpt2")
    assert {path: (path.stat().st_ino, path.stat().st_mode, path.read_bytes()) for path in shelf} == before
    large = {SHAS[path] for path, made in FILES.items() if isinstance(made, Made)}
    ways = {row["digest"].partition(":")[2]: row["how"] for row in told["taken"]}
    assert {ways[sha] for sha in large} <= {"hard link", "reflink"}, "nobody may write to them, so they cost no byte"


def test_a_shared_shelf_with_holes_costs_its_holes(desk: Desk, client: Callable[[str], Client]) -> None:
    desk.fill(client("hub-2.4"), wish(share=True), wish("gpt2", share=True))
    shelf = sorted(path for path in (desk.cache / "blobs").glob("??/*") if len(path.name) == 64)
    gone, wrong = shelf[0], shelf[1]
    lost = gone.stat().st_size + wrong.stat().st_size
    gone.unlink()
    data = bytearray(wrong.read_bytes())
    data[-1] ^= 1
    wrong.chmod(0o644)
    wrong.write_bytes(data)
    desk.bring(str(desk.cache), codes=(7,))
    desk.machine.hfmirror("pull", "acme/odd")
    assert desk.hub.bytes_served <= lost + 2 * HOLE
    before = desk.hub.bytes_served
    desk.machine.hfmirror("pull", "gpt2")
    assert desk.hub.bytes_served == before, "the same bytes in another repo"
    assert_whole(desk, "acme/odd", "gpt2")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A plain cache made of a bundle, on a machine without a store; the Hub is gone."""
    hub, top = HubSimulator(), tmp_path_factory.mktemp("filled")
    for kind, repo in REPOS:
        hub.add(repo if kind == "model" else f"{kind}s/{repo}", FILES, tags=("v1.0",))
    with served(hub) as at:
        near = Machine(top / "near", at.endpoint)
        near.home.mkdir()
        near.hfmirror("pull", "acme/odd", "datasets/acme/table", "gpt2", "acme/odd@v1.0")
    near.hfmirror("export", "acme/odd", "datasets/acme/table", "gpt2", "acme/odd@v1.0", str(top / "stick"))
    far = Machine(top / "far")
    far.home.mkdir()
    far.hfmirror("import", str(top / "stick"), "--to-hf-cache", str(top / "cache"))
    assert not far.root.exists()
    return Desk(hub, far, top / "cache")


@pytest.mark.parametrize("name", HUBS)
def test_a_cache_made_of_a_bundle_is_one_to_every_client(
    name: str, filled: Desk, client: Callable[[str], Client]
) -> None:
    asked = [wish(repo, kind) for kind, repo in REPOS] + [wish(revision="v1.0")]
    paths = sorted(FILES)
    whole = filled.read(client(name), filled.cache, *({**one, "act": "snapshot", "patterns": None} for one in asked))
    assert [one.get("files") for one in whole] == [SHAS] * len(asked), whole
    each = filled.read(client(name), filled.cache, *({**one, "act": "files", "paths": paths} for one in asked))
    assert [(one["loaded"], one["found"]) for one in each] == [(SHAS, SHAS)] * len(asked)
    (scan,) = filled.read(client(name), filled.cache, {"act": "scan"})
    assert set(scan["repos"]) == {f"{kind}:{repo}" for kind, repo in REPOS}
    assert [one for one in scan["warnings"] if not one.endswith("CACHEDIR.TAG")] == []
