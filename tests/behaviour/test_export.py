"""Carrying repos by hand: out of one lab, over a plain copy, into another one that has no network."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hfmirror.bundle import Trust
from hfmirror.mirror import Mirror
from hfmirror.settings import Settings
from hfmirror.transfer.events import silent
from tests.behaviour.conftest import SIZE, SMALL
from tests.behaviour.lab import Lab, digests, kill, wait_until
from tests.simulator import Made

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.bundle import Taken
    from tests.simulator import HubSimulator

NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody answers
LOAD = """
import sys
from huggingface_hub import hf_hub_download, snapshot_download
print(snapshot_download("acme/tiny", local_files_only=True))
print(hf_hub_download("acme/tiny", "config.json", local_files_only=True))
"""


@pytest.fixture
def pulled(lab: Lab) -> Lab:
    """The lab with a network, and the repo in it."""
    lab.run("pull", "acme/tiny", "--quiet")
    return lab


@pytest.fixture
def far(hub: HubSimulator, tmp_path: Path) -> Lab:
    """The lab without a network."""
    folder = tmp_path / "far away"
    folder.mkdir()
    return Lab(hub, NOWHERE, folder)


def carried(lab: Lab, far: Lab, name: str = "bundle") -> Path:
    """The bundle, copied as anybody copies a folder."""
    return shutil.copytree(lab.folder / name, far.folder / name)


def take_in(far: Lab, folder: Path, trust: Trust | None = None) -> Taken:
    """The importing side."""
    return Mirror.open(Settings(far.root, NOWHERE)).take_in(folder, trust or Trust(), silent)


def test_a_repo_travels_and_loads_where_there_is_no_network(pulled: Lab, far: Lab) -> None:
    done = pulled.run("export", "acme/tiny", "bundle")
    assert done.out.strip() == "bundle"
    assert take_in(far, carried(pulled, far)).problems == []
    far.assert_same(far.snapshot())
    assert "0 damaged" in far.run("verify").out
    assert json.loads(far.run("status", "--json").out)["lacking"]["objects"] == 0
    far.run("pull", "acme/tiny")
    assert digests(far.snapshot()) == digests(pulled.snapshot())


def test_the_official_client_loads_what_the_script_put_into_its_cache(pulled: Lab, far: Lab) -> None:
    pytest.importorskip("huggingface_hub", reason="the official client is not installed")
    pulled.run("export", "acme/tiny", "bundle", "--quiet", "--split-size", "2MiB")
    bundle, cache = carried(pulled, far), far.folder / "cache"
    words = [sys.executable, "-I", "-S", str(bundle / "verify.py"), "--to-hf-cache", str(cache)]
    subprocess.run(words, check=True, capture_output=True)
    environment = far.environment({"HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"})
    done = subprocess.run([sys.executable, "-c", LOAD], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    snapshot, config = done.stdout.splitlines()
    assert config == f"{snapshot}/config.json"
    far.assert_same(far.folder / snapshot)


def test_a_delta_carries_only_what_is_new(pulled: Lab, far: Lab, hub: HubSimulator) -> None:
    pulled.run("export", "acme/tiny", "bundle", "--quiet")
    take_in(far, carried(pulled, far))
    far.run("status", "--state", "their.state")
    shutil.copy(far.folder / "their.state", pulled.folder)
    assert (far.folder / "their.state").stat().st_size < 300
    hub.add("acme/tiny", {**SMALL, "model.safetensors": Made(SIZE, seed=2), "new.bin": Made(2**20 + 9, seed=9)})
    pulled.run("pull", "acme/tiny", "--quiet")
    done = pulled.run("export", "acme/tiny", "delta", "--since", "their.state", "--json")
    told = done.lines[0]
    assert (told["to_copy"], told["copied"], told["size"], told["elsewhere"]) == (1, 1, 2**20 + 9, 5)
    size = sum(path.stat().st_size for path in (pulled.folder / "delta").rglob("*") if path.is_file())
    assert size < 2**20 + 40_000
    assert take_in(far, carried(pulled, far, "delta")).problems == []
    far.assert_same(far.snapshot())


def test_an_earlier_bundle_says_as_much_as_a_state(pulled: Lab, hub: HubSimulator) -> None:
    pulled.run("export", "acme/tiny", "bundle", "--quiet")
    told = pulled.run("export", "acme/tiny", "delta", "--since", "bundle", "--json").lines[0]
    assert (told["to_copy"], told["elsewhere"]) == (0, 5)


def test_a_dry_run_writes_nothing_and_says_what_it_would(pulled: Lab) -> None:
    before = pulled.files()
    done = pulled.run("export", "acme/tiny", "bundle", "--dry-run", "--json", "--split-size", "2MiB")
    told = done.lines[0]
    assert (told["dry_run"], told["to_copy"], told["copied"], told["split"]) == (True, 5, 0, 1)
    assert told["repos"][0]["revisions"] == ["main"]
    assert "5 objects to copy" in done.err
    assert pulled.files() == before


def test_a_killed_export_goes_on(pulled: Lab, far: Lab, hub: HubSimulator) -> None:
    hub.add("acme/large", {"model.safetensors": Made(200 * 2**20, seed=4), "config.json": b"{}"})
    pulled.run("pull", "acme/large", "--quiet")
    process = pulled.start("export", "acme/large", "bundle")
    draft = pulled.folder / "bundle" / "incoming"
    wait_until(
        lambda: any(path.stat().st_size > 2**20 for path in draft.glob("sha256-*")) or process.poll() is not None
    )
    kill(process)
    pulled.run("export", "acme/large", "bundle", "--quiet")
    assert not draft.exists()
    assert take_in(far, carried(pulled, far)).problems == []
    far.assert_same(far.snapshot("acme/large"), "acme/large")


def test_damage_in_the_store_is_named_and_the_rest_travels(pulled: Lab, far: Lab) -> None:
    large = max(pulled.objects().values(), key=lambda path: path.stat().st_size)
    large.chmod(0o644)
    large.write_bytes(b"?" + large.read_bytes()[1:])
    done = pulled.run("export", "acme/tiny", "bundle", "--json", code=7)
    assert "acme/tiny/model.safetensors" in done.err
    assert done.lines[0]["damaged"][0]["path"] == "acme/tiny/model.safetensors"
    assert done.lines[0]["copied"] == 4
    assert done.lines[-1]["exit"] == 7
    taken = take_in(far, carried(pulled, far))
    assert [problem.exit_code for problem in taken.problems] == [6]
    far.run("path", "acme/tiny", code=6)
    pulled.run("verify", code=7)
    pulled.run("pull", "acme/tiny", "--quiet")
    pulled.run("export", "acme/tiny", "bundle", "--quiet")
    shutil.rmtree(far.folder / "bundle")
    assert take_in(far, carried(pulled, far)).problems == []
    far.assert_same(far.snapshot())


def test_damage_on_the_way_is_named_on_both_ways_in(pulled: Lab, far: Lab) -> None:
    pulled.run("export", "acme/tiny", "bundle", "--quiet")
    bundle = carried(pulled, far)
    large = max(bundle.rglob("objects/*/*/*"), key=lambda path: path.stat().st_size)
    large.write_bytes(large.read_bytes()[:-1] + b"?")
    done = subprocess.run([sys.executable, "-I", str(bundle / "verify.py")], capture_output=True, check=False)
    assert done.returncode == 7
    assert b"acme/tiny: model.safetensors" in done.stdout
    (problem,) = take_in(far, bundle).problems
    assert large.name in str(problem)
    assert problem.exit_code == 7
    far.run("path", "acme/tiny", code=6)
    assert len(far.objects()) == 4


def test_several_repos_and_patterns_travel_together(pulled: Lab, far: Lab, hub: HubSimulator) -> None:
    hub.add("datasets/acme/rows", {"train.parquet": Made(2**20 + 1, seed=8), "README.md": b"# rows\n"})
    pulled.run("pull", "datasets/acme/rows", "--quiet")
    pulled.run("export", "acme/tiny", "datasets/acme/rows", "bundle", "--exclude", "*.safetensors", "--quiet")
    assert take_in(far, carried(pulled, far)).problems == []
    shelf = {row["repo"]: row for row in json.loads(far.run("ls", "--json").out)}
    assert {repo: (row["held"], row["complete"]) for repo, row in shelf.items()} == {
        "acme/tiny": (4, True),
        "datasets/acme/rows": (2, True),
    }
    assert not (far.snapshot() / "model.safetensors").exists()


def test_a_pull_after_an_import_fetches_what_the_bundle_left_out(pulled: Lab, far: Lab, lab: Lab) -> None:
    pulled.run("export", "acme/tiny", "bundle", "--exclude", "*.safetensors", "--quiet")
    take_in(far, carried(pulled, far))
    done = far.run("pull", "acme/tiny", "--json", settings={"HF_ENDPOINT": lab.endpoint})
    assert done.lines[-1]["fetched"] == SIZE


def test_an_older_bundle_does_not_turn_a_branch_back(pulled: Lab, far: Lab, lab: Lab, hub: HubSimulator) -> None:
    pulled.run("export", "acme/tiny", "bundle", "--quiet")
    ref = next((pulled.folder / "bundle" / "refs").rglob("main.json"))
    assert ref.exists()
    bundle = carried(pulled, far)
    hub.add("acme/tiny", {"config.json": b"{}"})
    wait_until(lambda: _asked_later(far, lab, ref))
    commit = far.snapshot().name
    taken = take_in(far, bundle)
    assert (taken.problems, len(taken.kept)) == ([], 1)
    assert far.snapshot().name == commit
    assert (far.cache / "models--acme--tiny" / "refs" / "main").read_text() == commit


def _asked_later(far: Lab, lab: Lab, ref: Path) -> bool:
    """Pull until the clock's next second, by which the two askings are told apart."""
    far.run("pull", "acme/tiny", "--quiet", settings={"HF_ENDPOINT": lab.endpoint})
    ours = next((far.root / "refs").rglob("main.json"))
    return bool(json.loads(ours.read_text("utf-8"))["checked_at"] > json.loads(ref.read_text("utf-8"))["checked_at"])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["export"], 2, "name repos and a folder"),
        (["export", "acme/tiny"], 2, "name repos and a folder"),
        (["export", "acme/none", "bundle"], 6, "acme/none"),
        (["export", "acme/tiny", "bundle", "--split-size", "much"], 2, "is no size"),
        (["export", "acme/tiny", "bundle", "--split-size", "1kB"], 2, "too small"),
        (["export", "acme/tiny", "bundle", "--since", "nothing"], 2, "cannot be read"),
        (["export", "acme/tiny", "bundle", "--sign", "nothing"], 2, "cannot be read"),
        (["export", "acme/tiny", "store"], 2, "inside the store"),
        (["export", "acme/tiny", "bundle", "--include", "*.gguf"], 3, "matches"),
        (["export", "acme/tiny@v9", "bundle"], 6, "v9"),
    ],
)
def test_what_cannot_be_done_is_said_with_what_to_do(pulled: Lab, words: list[str], code: int, said: str) -> None:
    done = pulled.run(*words, code=code)
    assert said in done.err
    assert len(done.err.strip().splitlines()) >= 2, "a hint follows"
    assert not (pulled.folder / "bundle").exists()


def test_a_state_has_a_format_number_and_no_names(pulled: Lab) -> None:
    told = json.loads(pulled.run("status", "--state", "here.state", "--json").out)
    path = pulled.folder / "here.state"
    assert told == {"state": "here.state", "size": path.stat().st_size}
    document = json.loads(gzip.decompress(path.read_bytes()))
    assert document["format"] == 1
    assert "tiny" not in json.dumps(document)
    assert "wrote" in pulled.run("status", "--state", "again.state").out
    assert (pulled.folder / "again.state").read_bytes() == path.read_bytes()


def test_the_command_takes_a_bundle_in_and_says_what_came(pulled: Lab, far: Lab) -> None:
    pulled.run("export", "acme/tiny", "bundle", "--quiet")
    carried(pulled, far)
    done = far.run("import", "bundle")
    assert "not signed" in done.err
    assert "took in 5 objects" in done.err
    assert done.out.strip() == str(far.snapshot())
    far.assert_same(far.snapshot())
    told = json.loads(far.run("import", "bundle", "--json").out)
    assert (told["objects"], told["there"], told["problems"]) == (0, 5, [])
    assert told["repos"][0]["path"] == str(far.snapshot())


def test_the_command_names_damage_and_takes_the_rest(pulled: Lab, far: Lab) -> None:
    pulled.run("export", "acme/tiny", "bundle", "--quiet")
    large = max(carried(pulled, far).rglob("objects/*/*/*"), key=lambda path: path.stat().st_size)
    large.write_bytes(large.read_bytes()[:-1] + b"?")
    done = far.run("import", "bundle", code=7)
    assert large.name in done.err
    assert len(far.objects()) == 4


def test_the_command_fills_a_plain_cache_and_makes_no_store(pulled: Lab, far: Lab) -> None:
    pulled.run("export", "acme/tiny", "bundle", "--quiet")
    carried(pulled, far)
    far.run("import", "bundle", "--to-hf-cache", "cache")
    assert not far.root.exists()
    home = far.folder / "cache" / "models--acme--tiny"
    far.assert_same(home / "snapshots" / (home / "refs" / "main").read_text())


def test_only_a_trusted_signature_opens_the_door(pulled: Lab, far: Lab) -> None:
    pytest.importorskip("nacl", reason="PyNaCl, the extra `sign`, is not installed")
    from tests.unit.bundle.test_bundle_sign import KEY, key_file, pair, public_file

    key_file(pulled.folder / "lab.key", pair()[0])
    public_file(far.folder / "lab.pub", pair()[1])
    pulled.run("export", "acme/tiny", "bundle", "--quiet")
    bundle = carried(pulled, far)
    assert "not signed" in far.run("import", "bundle", "--trust", "lab.pub", code=7).err
    assert "not signed" in far.run("import", "bundle", "--require-signature", code=7).err
    pulled.run("export", "acme/tiny", "bundle", "--quiet", "--sign", "lab.key")
    shutil.rmtree(bundle)
    carried(pulled, far)
    assert "none of those trusted" in far.run("import", "bundle", "--trust", KEY, code=7).err
    assert not far.objects()
    assert "is signed with the key" in far.run("import", "bundle", "--trust", "lab.pub", "--require-signature").err
    far.assert_same(far.snapshot())
