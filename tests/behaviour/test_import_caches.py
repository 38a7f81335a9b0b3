"""What official clients and other tools left on the disk: caches, local folders, clones."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from hfmirror.model import Kind, RepoId
from tests.behaviour.brought import NOWHERE, brought, client, client_cache, put, repo_files, traces
from tests.behaviour.lab import digests

if TYPE_CHECKING:
    from pathlib import Path

    from tests.behaviour.lab import Lab
    from tests.simulator import HubSimulator

MODEL = "model.safetensors"
HOME = "models--acme--tiny"


@pytest.fixture
def cache(lab: Lab) -> Path:
    """A cache with all of acme/tiny, made by the official client."""
    made = client_cache(lab)
    lab.hub.reset_counts()
    return made


def blob_of(cache: Path, path: str) -> Path:
    """The file behind a name of the only snapshot."""
    (snapshot,) = (cache / HOME / "snapshots").iterdir()
    return (snapshot / path).resolve()


def test_a_cache_comes_in_with_its_commits_and_names(lab: Lab, cache: Path) -> None:
    before = traces(cache)
    done = brought(lab, str(cache))
    (repo,) = done["repos"]
    assert (repo["repo"], repo["revisions"], repo["lacking"], repo["origin"]) == ("acme/tiny", ["main"], [], "hub")
    lab.assert_same(lab.snapshot())
    lab.assert_objects_sound()
    assert traces(cache) == before
    assert lab.hub.count("resolve") == 0
    loaded = "from huggingface_hub import snapshot_download as s; print(s('acme/tiny'))"
    assert client(lab, loaded, HF_HUB_CACHE=str(lab.cache), HF_HUB_OFFLINE="1") == str(lab.snapshot())


@pytest.mark.parametrize("below", ["", "hub", "home/.cache/huggingface/hub"])
def test_the_cache_may_be_named_by_any_folder_above_or_below_it(lab: Lab, cache: Path, below: str) -> None:
    top = lab.folder / "top"
    (top / below).parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(cache, top / below, symlinks=True, dirs_exist_ok=True)
    assert brought(lab, str(top))["repos"][0]["lacking"] == []
    shutil.rmtree(lab.root)
    assert brought(lab, str(top / below / HOME))["repos"][0]["lacking"] == []


def test_a_part_of_a_repo_comes_in_as_that_part(lab: Lab) -> None:
    cache = client_cache(lab, allow_patterns=["*.json", "sub/*"])
    (repo,) = brought(lab, str(cache))["repos"]
    assert (repo["held"], repo["lacking"]) == (2, [])
    assert set(digests(lab.snapshot())) == {"config.json", "sub/vocab.txt"}
    lab.run("pull", "acme/tiny")
    lab.assert_same(lab.snapshot())


def test_several_repos_and_kinds_come_in_at_once(lab: Lab, hub: HubSimulator, cache: Path) -> None:
    hub.add("datasets/acme/rows", {"a.parquet": b"PAR1" * 400_000, "README.md": "# rows"})
    client_cache(lab, "acme/rows", repo_type="dataset")
    done = brought(lab, str(cache))
    assert {row["repo"] for row in done["repos"]} == {"acme/tiny", "datasets/acme/rows"}
    assert digests(lab.snapshot("datasets/acme/rows")) == lab.expected("datasets/acme/rows")


def test_a_part_of_a_giant_repo_costs_no_whole_listing(lab: Lab, hub: HubSimulator) -> None:
    hub.add("acme/giant", {f"{number:03}/a.json": f"{number}" for number in range(40)})
    cache = client_cache(lab, "acme/giant", allow_patterns=["00[12]/*"])
    hub.page_size = 4
    hub.reset_counts()
    (repo,) = brought(lab, str(cache))["repos"]
    assert (repo["held"], repo["lacking"]) == (2, [])
    assert hub.count("tree") == 1
    assert lab.run("status", "--json").lines[0]["lacking"]["objects"] == 0
    lab.run("gc", "--min-age", "0")
    assert (lab.snapshot("acme/giant") / "001/a.json").read_text() == "1"
    lab.run("pull", "acme/giant")
    assert digests(lab.snapshot("acme/giant")) == lab.expected("acme/giant")


# Without a network


def test_without_a_network_a_cache_is_taken_at_its_word_and_no_further(lab: Lab, cache: Path) -> None:
    (repo,) = brought(lab, str(cache), settings=NOWHERE)["repos"]
    assert (repo["origin"], repo["held"], repo["revisions"]) == ("cache", 5, ["main"])
    lab.assert_same(lab.snapshot())
    assert "as a client's cache says" in lab.run("info", "acme/tiny").out
    place = client(
        lab,
        "from huggingface_hub import hf_hub_download as h; print(h('acme/tiny', 'config.json'))",
        HF_HUB_CACHE=str(lab.cache),
        HF_HUB_OFFLINE="1",
    )
    assert place == str(lab.snapshot() / "config.json")
    (pulled,) = [row for row in lab.run("pull", "acme/tiny", "--json").lines if row["event"] == "planned"]
    assert pulled["lacking"] == []
    assert lab.hub.count("tree") == 1, "as soon as the Hub answers, its word takes the cache's place"
    assert "as a client's cache says" not in lab.run("info", "acme/tiny").out


def test_a_lying_cache_is_not_believed_once_the_hub_answers(lab: Lab, cache: Path) -> None:
    config = cache / HOME / "snapshots" / blob_parent(cache) / "config.json"
    readme = blob_of(cache, "README.md")
    config.unlink()
    config.symlink_to(readme)  # right bytes for their name, and not what the commit holds
    shutil.rmtree(cache / HOME / "trees", ignore_errors=True)
    brought(lab, str(cache), settings=NOWHERE)
    lab.run("pull", "acme/tiny", "--include", "config.json")
    assert (lab.snapshot() / "config.json").read_bytes() == lab.hub.content("acme/tiny", "config.json")


def blob_parent(cache: Path) -> str:
    """The only commit there is."""
    (snapshot,) = (cache / HOME / "snapshots").iterdir()
    return snapshot.name


def test_a_name_the_hub_has_given_since_is_not_moved_back(lab: Lab, hub: HubSimulator, cache: Path) -> None:
    old = blob_parent(cache)
    new = hub.add("acme/tiny", {"config.json": "{}"})
    lab.run("pull", "acme/tiny")
    brought(lab, str(cache))
    assert lab.snapshot().name == new
    assert (lab.cache / HOME / "refs" / "main").read_text() == new
    assert (lab.snapshot(f"acme/tiny@{old}") / "config.json").read_bytes() == b'{"model_type":"bert"}'


def test_offline_means_that_nobody_is_asked(lab: Lab, cache: Path) -> None:
    done = brought(lab, str(cache), "--offline")
    assert done["repos"][0]["origin"] == "cache"
    assert not lab.hub.requests


# Layouts


def test_blobs_that_several_repos_share_are_found_behind_two_links(lab: Lab, cache: Path) -> None:
    share(cache, MODEL)
    before = traces(cache)
    done = brought(lab, str(cache))
    assert done["repos"][0]["lacking"] == []
    lab.assert_same(lab.snapshot())
    lab.assert_objects_sound()
    assert traces(cache) == before
    (how,) = [row["how"] for row in done["taken"] if row["path"] == MODEL]
    assert how in {"reflink", "hard link"}, "nobody may write to it, so it costs no byte"


def test_a_shared_blob_is_never_moved(lab: Lab, cache: Path) -> None:
    share(cache, MODEL)
    shared = blob_of(cache, MODEL)
    done = brought(lab, str(cache), "--move")
    assert shared.is_file()
    assert str(shared) not in done["removed"]
    lab.assert_same(lab.snapshot())


def share(cache: Path, path: str) -> None:
    """Lay a blob out as clients from 2.0 on do with what Xet brought."""
    blob = blob_of(cache, path)
    xet = "ab" * 32
    shelf = cache / "blobs" / xet[:2]
    shelf.mkdir(parents=True)
    (cache / "blobs" / ".huggingface-shared-blobs").write_text("1\n")
    shutil.move(blob, shelf / xet)
    (shelf / xet).chmod(0o444)
    (shelf / f"{xet}.refs").write_text(f"{HOME}/blobs/{blob.name}\n")
    (shelf / f"{xet}.lock").touch()
    blob.symlink_to(os.path.relpath(shelf / xet, blob.parent))


@pytest.mark.parametrize("trees", [True, False])
@pytest.mark.parametrize("online", [True, False])
def test_a_cache_without_symbolic_links_comes_in(lab: Lab, cache: Path, trees: bool, online: bool) -> None:
    plain = lab.folder / "plain"
    shutil.copytree(cache, plain)  # follows links: as clients do on a Windows without privileges
    shutil.rmtree(plain / HOME / "blobs")
    if not trees:
        shutil.rmtree(plain / HOME / "trees")
    done = brought(lab, str(plain), settings={} if online else NOWHERE)
    assert (done["repos"][0]["held"], done["repos"][0]["lacking"]) == (5, [])
    assert digests(lab.snapshot()) == lab.expected()


def test_a_cache_of_an_old_client_has_no_listing(lab: Lab, cache: Path) -> None:
    shutil.rmtree(cache / HOME / "trees")
    (cache / HOME / ".no_exist" / blob_parent(cache)).mkdir(parents=True)
    (cache / HOME / ".no_exist" / blob_parent(cache) / "added_tokens.json").touch()
    assert brought(lab, str(cache), settings=NOWHERE)["repos"][0]["lacking"] == []
    assert digests(lab.snapshot()) == lab.expected()


def test_a_moved_cache_leaves_no_dangling_names(lab: Lab, cache: Path) -> None:
    brought(lab, str(cache), "--move")
    lab.assert_same(lab.snapshot())
    assert [path for path in cache.rglob("*") if path.is_symlink() and not path.exists()] == []
    assert {path.name for path in (cache / HOME / "blobs").iterdir()} <= {blob_name_of_empty()}


def blob_name_of_empty() -> str:
    return "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"  # git's name for a file of no bytes


# What is broken


def test_wrong_bytes_in_a_cache_are_named_and_left_out(lab: Lab, cache: Path) -> None:
    blob = blob_of(cache, MODEL)
    blob.chmod(0o644)
    with blob.open("r+b") as file:
        file.seek(70_000)
        file.write(b"rot")
    cut = blob_of(cache, "config.json")
    cut.chmod(0o644)
    cut.write_bytes(b"{")
    done = brought(lab, str(cache), code=7)
    (repo,) = done["repos"]
    assert {row["path"] for row in repo["lacking"]} == {MODEL, "config.json"}
    assert {row["from"] for row in done["left_out"] if row["damaged"]} == {str(blob), str(cut)}
    lab.assert_objects_sound()
    lab.run("pull", "acme/tiny")
    assert {row.file for row in lab.hub.ledger.select(kind="resolve")} == {MODEL, "config.json"}
    lab.assert_same(lab.snapshot())


@pytest.mark.parametrize("online", [True, False])
def test_dangling_links_in_a_cache_are_named_and_left_out(lab: Lab, cache: Path, online: bool) -> None:
    blob_of(cache, MODEL).unlink()
    done = brought(lab, str(cache), settings={} if online else NOWHERE)
    assert [row["why"] for row in done["left_out"]] == ["a link that leads nowhere"]
    assert (done["repos"][0]["held"], done["repos"][0]["lacking"]) == (4, [])


def test_litter_in_a_cache_does_no_harm(lab: Lab, cache: Path) -> None:
    commit = blob_parent(cache)
    put(cache, {"version.txt": b"1", f"{HOME}/blobs/tmp_x": b"", f"{HOME}/snapshots/main/x": b"1"})
    put(cache, {"models--broken--name--x/blobs/zz": b"1", ".locks/x/y.lock": b""})
    (cache / HOME / "refs" / "bad").write_bytes(b"\xff\xfe")
    (cache / HOME / "refs" / "newline").write_text(f"{commit}\n")
    done = brought(lab, str(cache))
    assert [row["lacking"] for row in done["repos"]] == [[]]
    assert any("not named by a commit" in row["why"] for row in done["left_out"])


def test_a_link_out_of_the_cache_is_not_followed_for_nothing(lab: Lab, cache: Path) -> None:
    secret = put(lab.folder / "home", {"id_rsa": b"secret"}) / "id_rsa"
    place = cache / HOME / "snapshots" / blob_parent(cache) / "notes.txt"
    place.symlink_to(secret)
    done = brought(lab, str(cache), settings=NOWHERE)
    assert str(place) in {row["from"] for row in done["left_out"]}
    assert b"secret" not in [path.read_bytes() for path in lab.objects().values()]


def test_a_blob_that_is_read_only_costs_no_byte_and_a_writable_one_is_never_shared(lab: Lab, cache: Path) -> None:
    blob = blob_of(cache, MODEL)
    blob.chmod(0o444)
    done = brought(lab, str(cache))
    (how,) = [row["how"] for row in done["taken"] if row["path"] == MODEL]
    assert how in {"reflink", "hard link"}
    shutil.rmtree(lab.root)
    blob.chmod(0o644)
    done = brought(lab, str(cache))
    (how,) = [row["how"] for row in done["taken"] if row["path"] == MODEL]
    assert how in {"reflink", "copy"}
    assert stat.S_IMODE(blob.stat().st_mode) == 0o644


# Local folders and clones


def test_a_local_folder_of_the_client_knows_its_commit(lab: Lab, hub: HubSimulator) -> None:
    mine = lab.folder / "my tiny"
    client(lab, f"from huggingface_hub import snapshot_download as s; s('acme/tiny', local_dir={str(mine)!r})")
    commit = (mine / ".cache/huggingface/download/config.json.metadata").read_text().splitlines()[0]
    hub.add("acme/tiny", {"config.json": "{}"})  # main has moved on
    done = lab.run("import", str(mine), code=6)
    assert "name the repo" in done.err
    (repo,) = brought(lab, str(mine), "--repo", "acme/tiny")["repos"]
    assert (repo["commit"], repo["lacking"]) == (commit, [])
    assert digests(lab.snapshot(f"acme/tiny@{commit}"))["config.json"] == digests(mine)["config.json"]


def test_a_local_folder_comes_in_offline_once_its_repo_is_named(lab: Lab) -> None:
    mine = lab.folder / "my tiny"
    client(lab, f"from huggingface_hub import snapshot_download as s; s('acme/tiny', local_dir={str(mine)!r})")
    (mine / "README.md").write_text("edited")
    os.utime(mine / "README.md", (time.time() + 60, time.time() + 60))  # well after it was fetched
    done = brought(lab, str(mine), "--repo", "acme/tiny", settings=NOWHERE)
    (repo,) = done["repos"]
    assert (repo["origin"], repo["lacking"]) == ("cache", [])
    assert digests(lab.snapshot()).keys() == lab.expected().keys() - {"README.md"}, "it says itself that it was edited"


def test_a_local_folder_of_an_older_client_keeps_its_records_elsewhere(lab: Lab) -> None:
    mine = lab.folder / "my tiny"
    client(lab, f"from huggingface_hub import snapshot_download as s; s('acme/tiny', local_dir={str(mine)!r})")
    (mine / ".cache" / "huggingface").rename(mine / ".huggingface")  # as up to 0.24
    (mine / ".cache").rmdir()
    done = brought(lab, str(mine), "--repo", "acme/tiny", settings=NOWHERE)
    assert [(repo["origin"], repo["lacking"]) for repo in done["repos"]] == [("cache", [])]
    assert digests(lab.snapshot()) == lab.expected()


def test_offline_a_name_that_looks_like_a_pattern_comes_in_too(lab: Lab, hub: HubSimulator) -> None:
    hub.add("acme/odd", {"[1] a*.txt": b"one", "[1] ab.txt": b"two", "what?.json": b"{}"})
    cache = client_cache(lab, "acme/odd")
    assert brought(lab, str(cache), "--offline")["repos"][0]["lacking"] == []
    assert digests(lab.snapshot("acme/odd")) == lab.expected("acme/odd")


def test_a_modelscope_folder_is_found_by_content(lab: Lab) -> None:
    files = {f"models/acme/tiny___1/{path}": data for path, data in repo_files(lab).items()}
    folder = put(lab.folder / "modelscope", {**files, "models/acme/tiny___1/.msc": b"x", ".mdl": b"y"})
    (repo,) = brought(lab, str(folder), "--repo", "acme/tiny")["repos"]
    assert repo["lacking"] == []
    lab.assert_same(lab.snapshot())


def test_a_clone_with_lfs_is_known_by_its_commit(lab: Lab, hub: HubSimulator) -> None:
    files = repo_files(lab)
    commit = hub.resolve(RepoId(Kind.MODEL, "acme/tiny"), "main").commit
    entry = hub.stored("acme/tiny", MODEL).entry
    oid = entry.digest.hex
    clone = put(
        lab.folder / "clone",
        {
            **files,
            MODEL: f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {entry.size}\n".encode(),
            f".git/lfs/objects/{oid[:2]}/{oid[2:4]}/{oid}": files[MODEL],
            ".git/HEAD": b"ref: refs/heads/main\n",
            ".git/refs/heads/main": f"{commit}\n".encode(),
            ".git/config": b'[remote "origin"]\n\turl = https://user:pw@hub.example/acme/tiny.git\n',
        },
    )
    (repo,) = brought(lab, str(clone))["repos"]
    assert (repo["repo"], repo["commit"], repo["lacking"]) == ("acme/tiny", commit, [])
    lab.assert_same(lab.snapshot())


def test_a_real_clone_is_understood(lab: Lab, hub: HubSimulator) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not here")
    clone = put(lab.folder / "real", repo_files(lab))
    git = ["git", "-C", str(clone), "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"], ["remote", "add", "origin", "git@h:acme/tiny"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    done = lab.run("import", str(clone), "--json", code=6)
    assert "acme/tiny" in done.err, "the Hub knows the repo, but not this commit"
    assert brought(lab, str(clone), "--repo", "acme/tiny@main")["repos"][0]["lacking"] == []


def test_the_json_of_an_import_is_one_document(lab: Lab, cache: Path) -> None:
    done = lab.run("import", str(cache), "--json")
    assert set(json.loads(done.out)) == {
        *("dry_run", "looked_at", "taken", "begun", "left_out", "removed", "repos"),
    }
