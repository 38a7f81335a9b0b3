"""What lies on the disk: the layout, its proofs, what is shared, removed, damaged, and what does not fit."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.conftest import SIZE
from tests.behaviour.lab import PART, digests, wait_until
from tests.simulator import HubSimulator, Made

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.behaviour.lab import Lab

FLIPPED_AT = (0, PART + 17, SIZE - 1)


# The layout


def test_the_store_is_laid_out_as_designed(hub: HubSimulator, lab: Lab) -> None:
    lab.run("pull", "acme/tiny")
    snapshot = lab.snapshot()
    commit, folder = snapshot.name, lab.cache / "models--acme--tiny"
    assert {p.name for p in lab.root.iterdir()} >= {"format.json", "objects", "manifests", "pins", "refs", "hub"}
    assert json.loads((lab.root / "format.json").read_text())["id"]
    manifest_path = lab.root / "manifests" / "models--acme--tiny" / f"{commit}.json"
    manifest = json.loads(manifest_path.read_text())
    assert manifest["format"] == 1
    assert (manifest["repo"], manifest["commit"]) == ("model:acme/tiny", commit)
    wanted = [hub.stored("acme/tiny", path).entry for path in sorted(lab.expected())]
    assert manifest["entries"] == [{"path": e.path, "size": e.size, "digest": str(e.digest)} for e in wanted]
    assert (lab.root / "pins" / "models--acme--tiny" / f"{commit}.json").is_file()
    assert json.loads((lab.root / "refs" / "models--acme--tiny" / "main.json").read_text())["commit"] == commit
    assert (folder / "refs" / "main").read_bytes() == commit.encode()
    assert not (lab.cache / "CACHEDIR.TAG").exists(), "clients before 2.0 take it for a broken repo"
    assert not (lab.cache / "blobs").exists()
    assert not list((lab.root / "incoming").iterdir())
    for path in lab.root.glob("*/models--acme--tiny/*.json"):
        text = path.read_text()
        assert text.endswith("}\n")
        assert not text.endswith("\n\n")


def test_objects_are_read_only_named_by_digest_and_shared_with_the_view(hub: HubSimulator, lab: Lab) -> None:
    lab.run("pull", "acme/tiny")
    lab.assert_objects_sound()
    objects = lab.objects()
    wanted = {path: hub.stored("acme/tiny", path).entry.digest for path in lab.expected()}
    assert set(objects) == {str(digest) for digest in wanted.values()}
    blobs = lab.snapshot().parent.parent / "blobs"
    assert {p.name for p in blobs.iterdir()} == {digest.hex for digest in wanted.values()}
    for path, digest in wanted.items():
        found = objects[str(digest)]
        assert found.parent.name == digest.hex[:2]
        assert stat.S_IMODE(found.stat().st_mode) == 0o444
        assert (blobs / digest.hex).stat().st_ino == found.stat().st_ino
        assert (lab.snapshot() / path).stat().st_ino == found.stat().st_ino


def test_the_tree_is_what_the_client_would_have_kept(hub: HubSimulator, lab: Lab) -> None:
    lab.run("pull", "acme/tiny", "--include", "*.json")
    commit = lab.snapshot().name
    tree = json.loads((lab.cache / "models--acme--tiny" / "trees" / f"{commit}.json").read_text())
    assert tree["format_version"] == 1
    large, small = hub.stored("acme/tiny", "model.safetensors"), hub.stored("acme/tiny", "config.json")
    assert set(tree["files"]) == set(lab.expected())
    told = tree["files"]["model.safetensors"]
    assert told["blob_id"] == large.oid
    assert (told["lfs_sha256"], told["lfs_size"]) == (large.digest.hex, SIZE)
    assert "xet_hash" not in told
    assert tree["files"]["config.json"]["blob_id"] == small.oid


def test_the_view_can_be_thrown_away(hub: HubSimulator, lab: Lab) -> None:
    lab.run("pull", "acme/tiny")
    shutil.rmtree(lab.cache)
    hub.reset_counts()
    lab.run("pull", "acme/tiny")
    assert hub.bytes_served == 0
    lab.assert_same(lab.snapshot())


def test_a_selection_then_the_rest(hub: HubSimulator, lab: Lab) -> None:
    lab.run("pull", "acme/tiny", "--include", "*.json", "--include", "*.md")
    assert set(digests(lab.snapshot())) == {"config.json", "README.md"}
    hub.reset_counts()
    lab.run("pull", "acme/tiny", "--include", "*.safetensors", "--include", "*.json")
    assert {r.file for r in hub.ledger.select(kind="resolve")} == {"model.safetensors"}
    hub.reset_counts()
    lab.run("pull", "acme/tiny", "--exclude", "*.md")
    assert {r.file for r in hub.ledger.select(kind="resolve")} == {"sub/vocab.txt"}
    assert hub.count("tree") == 0
    lab.run("pull", "acme/tiny")
    lab.assert_same(lab.snapshot())
    (status,) = lab.run("status", "--json").lines
    assert status["lacking"]["objects"] == 0


@pytest.mark.parametrize("again", [False, True])
def test_a_local_folder_gets_files_of_its_own(lab: Lab, again: bool) -> None:
    target = lab.folder / "models" / "tiny"
    lab.run("pull", "acme/tiny", "--local-dir", str(target))
    if again:
        (target / "config.json").unlink()
        lab.run("pull", "acme/tiny", "--local-dir", str(target))
    assert lab.expected().items() <= digests(target).items()
    for path in lab.expected():
        file = target / path
        assert file.is_file()
        assert not file.is_symlink()
    (target / "config.json").write_bytes(b"edited")  # files of one's own can be changed
    lab.run("verify")
    assert (lab.snapshot() / "config.json").read_bytes() != b"edited"


def test_what_lies_in_a_local_folder_is_not_overwritten_in_silence(lab: Lab) -> None:
    target = lab.folder / "mine"
    target.mkdir()
    (target / "notes.txt").write_text("mine")
    lab.run("pull", "acme/tiny", "--local-dir", str(target))
    assert (target / "notes.txt").read_text() == "mine"


# Removing


def test_rm_and_gc_free_exactly_what_nothing_else_wants(hub: HubSimulator, lab: Lab) -> None:
    hub.add("other/fork", {"model.safetensors": Made(SIZE, seed=2), "own.bin": b"own" * 1000})
    lab.run("pull", "acme/tiny", "other/fork")
    own = hub.stored("other/fork", "own.bin").digest
    before = set(lab.objects())
    lab.run("rm", "other/fork", "--dry-run")
    assert (lab.cache / "models--other--fork" / "snapshots").exists()
    lab.run("rm", "other/fork")
    assert set(lab.objects()) == before
    (spared,) = lab.run("gc", "--json").lines
    assert (spared["removed"], spared["freed"]) == ([], 0)  # too young
    (dry,) = lab.run("gc", "--min-age", "0", "--dry-run", "--json").lines
    assert dry["removed"] == [str(own)]
    assert set(lab.objects()) == before
    (freed,) = lab.run("gc", "--min-age", "0", "--json").lines
    assert (freed["removed"], freed["freed"]) == ([str(own)], 3000)
    assert set(lab.objects()) == before - {str(own)}
    lab.assert_same(lab.snapshot())
    lab.run("path", "other/fork", code=6)
    lab.run("rm", "acme/tiny")
    lab.run("gc", "--min-age", "0")
    assert lab.objects() == {}
    assert not list(lab.cache.rglob("*.safetensors"))
    used = sum(p.stat().st_blocks * 512 for p in lab.root.rglob("*") if p.is_file())
    assert used < PART


def test_rm_of_one_commit_keeps_the_other(hub: HubSimulator, lab: Lab) -> None:
    lab.run("pull", "acme/tiny")
    old = lab.snapshot()
    new = hub.add("acme/tiny", {"model.safetensors": Made(SIZE, seed=2), "config.json": b"new"})
    lab.run("pull", "acme/tiny")
    lab.run("rm", "acme/tiny", "--revision", old.name)
    lab.run("gc", "--min-age", "0")
    assert not old.exists()
    assert lab.snapshot().name == new
    lab.assert_same(lab.snapshot())


def test_gc_leaves_a_pull_under_way_alone(hub: HubSimulator, lab: Lab) -> None:
    with hub.failing(slow_rate=6 * PART, where="cdn"):
        process = lab.start("pull", "acme/tiny")
        wait_until(lambda: hub.bytes_served > PART)
        lab.run("gc", "--min-age", "0")
        lab.finish(process)
    lab.assert_same(lab.snapshot())
    assert hub.bytes_served <= SIZE * 1.02 + PART


# Damage


@pytest.mark.parametrize("offset", FLIPPED_AT)
def test_a_bit_that_flips_on_the_way_once_is_noticed_and_fetched_again(
    hub: HubSimulator, lab: Lab, offset: int
) -> None:
    with hub.failing(garbage_at=offset, times=1, where="cdn") as armed:
        done = lab.run("pull", "acme/tiny")
        assert armed.strikes == 1
    assert "model.safetensors" in done.err
    assert "http://127.0.0.1" in done.err  # where the bytes came from
    lab.assert_same(lab.snapshot())
    lab.assert_objects_sound()
    hub.settle()
    assert hub.bytes_served <= 2 * SIZE * 1.02 + PART


@pytest.mark.parametrize("offset", FLIPPED_AT)
def test_bits_that_always_flip_are_never_published(hub: HubSimulator, lab: Lab, offset: int) -> None:
    with hub.failing(garbage_at=offset, where="cdn"):
        done = lab.run("pull", "acme/tiny", "--json", code=7)
    assert "model.safetensors" in done.err
    assert "http://127.0.0.1" in done.err
    assert done.lines[-1]["exit"] == 7
    assert str(hub.stored("acme/tiny", "model.safetensors").digest) not in lab.objects()
    lab.assert_objects_sound()
    assert not list(lab.cache.rglob("model.safetensors"))
    assert not (lab.cache / "models--acme--tiny" / "refs" / "main").exists()
    hub.settle()
    assert hub.bytes_served <= 2 * SIZE * 1.02 + PART  # one clean retry, and no more
    lab.run("pull", "acme/tiny")
    lab.assert_same(lab.snapshot())


def test_a_bit_of_a_small_file_is_noticed_too(hub: HubSimulator, lab: Lab) -> None:
    with hub.failing(garbage_at=3, times=1, where="resolve-cache:config.json"):
        lab.run("pull", "acme/tiny")
    lab.assert_same(lab.snapshot())
    lab.run("rm", "acme/tiny")
    lab.run("gc", "--min-age", "0")
    with hub.failing(garbage_at=3, where="resolve-cache:config.json"):
        done = lab.run("pull", "acme/tiny", code=7)
    assert "config.json" in done.err
    lab.assert_objects_sound()


def damage(path: Path) -> None:
    """Flip a bit of a file, whatever its mode."""
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    path.chmod(0o444)


@pytest.mark.parametrize("victim", ["model.safetensors", "config.json"])
def test_verify_finds_a_byte_that_flipped_on_the_disk(hub: HubSimulator, lab: Lab, victim: str) -> None:
    lab.run("pull", "acme/tiny")
    assert lab.run("verify", "--json").lines[0]["damaged"] == []
    digest = str(hub.stored("acme/tiny", victim).digest)
    damage(lab.objects()[digest])
    done = lab.run("verify", code=7)
    assert victim in done.said or digest in done.said
    assert digest not in lab.objects()
    lab.assert_objects_sound()
    hub.reset_counts()
    lab.run("pull", "acme/tiny")
    assert {r.file for r in hub.ledger.select(kind="resolve")} == {victim}
    lab.assert_same(lab.snapshot())
    lab.run("verify")


def test_verify_of_one_repo(hub: HubSimulator, lab: Lab) -> None:
    hub.add("other/fork", {"own.bin": b"own" * 1000})
    lab.run("pull", "acme/tiny", "other/fork")
    damage(lab.objects()[str(hub.stored("other/fork", "own.bin").digest)])
    lab.run("verify", "acme/tiny")
    report = lab.run("verify", "other/fork", "--json", code=7)
    assert report.lines


def test_a_damaged_manifest_is_not_believed(lab: Lab) -> None:
    lab.run("pull", "acme/tiny")
    (path,) = (lab.root / "manifests" / "models--acme--tiny").iterdir()
    path.chmod(0o644)
    path.write_text(path.read_text()[:100])
    for words in (["status"], ["info", "acme/tiny"], ["gc", "--min-age", "0"], ["verify"]):
        lab.run(*words, code=None)
    assert len(lab.objects()) == 5, "gc removes nothing while it cannot know what is wanted"
    done = lab.run("pull", "acme/tiny", code=None)
    if done.code:
        assert done.code == 7
        assert "hfmirror " in done.err.partition("\n")[2], "what to run now"
    else:
        lab.assert_same(lab.snapshot())


# Room


@pytest.fixture
def little_room(lab: Lab) -> Iterator[Path]:
    """A file system of 4 MiB."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting a small file system needs Linux and root")
    place = lab.folder / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_noticed_before_the_first_byte(hub: HubSimulator, lab: Lab, little_room: Path) -> None:
    done = lab.run("pull", "acme/tiny", "--root", str(little_room / "store"), code=8)
    assert hub.bytes_served == 0
    assert "6.29 MB" in done.err
    assert "free" in done.err
    lab.run("pull", "acme/tiny", "--root", str(little_room / "store"), "--include", "*.json")
    done = lab.run("pull", "acme/tiny", "--root", str(little_room / "store"), "--json", code=8)
    assert done.lines[-1]["exit"] == 8


def test_a_disk_that_fills_up_in_mid_pull(hub: HubSimulator, lab: Lab, little_room: Path) -> None:
    hub.add("acme/two", {"a.bin": Made(3 * PART, seed=1)})
    with hub.failing(slow_rate=PART, where="cdn"):
        process = lab.start("pull", "acme/two", "--root", str(little_room / "store"))
        time.sleep(0.8)
        (little_room / "ballast").write_bytes(b"x" * (PART // 2))
        done = lab.finish(process, code=None)
    assert done.code in {0, 8}


def test_the_view_on_another_disk_says_what_it_costs_or_works(lab: Lab, little_room: Path) -> None:
    target = little_room / "out"
    done = lab.run("pull", "acme/tiny", "--local-dir", str(target), code=8)
    assert str(little_room) in done.err or "free" in done.err


def test_a_local_folder_on_another_disk_holds_copies(lab: Lab, little_room: Path) -> None:
    target = little_room / "out"
    lab.run("pull", "acme/tiny", "--include", "*.json", "--local-dir", str(target))
    assert digests(target)["config.json"] == hashlib.sha256(lab.hub.content("acme/tiny", "config.json")).hexdigest()
