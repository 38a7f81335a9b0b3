"""What an export leaves in the folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hfmirror import codec
from hfmirror.bundle import Wish, carry_out, is_bundle, plan_export, take_in
from hfmirror.bundle.inventory import files_of, objects_of
from hfmirror.bundle.layout import FORMAT, README, SCRIPT, SUMS, sums_of
from hfmirror.errors import BundleFull, DamagedBundle, NotHere, NothingMatches, UsageError
from hfmirror.model import PART, Pin, is_commit
from hfmirror.store.disk import DiskStore
from hfmirror.transfer.events import Arrived
from tests.unit.bundle.shelf import FILES, FIRST, OTHER, SECOND, TINY, WEIGHTS, contents, entries_of, export, only, put

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.transfer.events import Event


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    """A folder on a disk that travels."""
    return tmp_path / "stick"


def names(folder: Path) -> set[str]:
    """Every file of a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_bundle_is_a_store_that_can_be_opened_as_one(store: DiskStore, stick: Path) -> None:
    done = export(store, stick)
    assert (done.copied, done.size, done.problems) == (4, sum(map(len, set(FILES.values()))), [])
    assert is_bundle(stick)
    assert contents(DiskStore(stick)) == FILES


def test_everything_is_in_the_sums_and_the_sums_are_right(store: DiskStore, stick: Path) -> None:
    export(store, stick)
    sums = sums_of((stick / SUMS).read_text("utf-8"))
    assert set(sums) == names(stick) - {SUMS}
    for name, told in sums.items():
        assert hashlib.sha256((stick / name).read_bytes()).hexdigest() == told


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_the_usual_tool_checks_the_sums(store: DiskStore, stick: Path) -> None:
    export(store, stick, most=PART)
    done = subprocess.run(["sha256sum", "-c", "--quiet", SUMS], cwd=stick, check=False)
    assert done.returncode == 0


def test_no_name_troubles_a_fat_disk_and_nothing_is_a_link(store: DiskStore, stick: Path) -> None:
    put(store, FILES, Pin(TINY, FIRST, "refs/pr/1"))
    export(store, stick, Wish(TINY, "main"), Wish(TINY, "refs/pr/1"))
    for path in stick.rglob("*"):
        assert not set(path.name) & set('\\/:*?"<>|')
        assert not path.name.endswith((".", " "))
        assert path.name.isascii()
        assert not path.is_symlink()
        assert path.is_dir() or path.stat().st_nlink == 1


def test_the_store_and_its_links_are_left_alone(store: DiskStore, stick: Path) -> None:
    before = {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}
    export(store, stick)
    assert {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()} == before


def test_exporting_again_writes_nothing_that_is_there(store: DiskStore, stick: Path) -> None:
    export(store, stick)
    before = {path: path.stat().st_mtime_ns for path in stick.rglob("*") if path.is_file() and path.name != SUMS}
    text = (stick / SUMS).read_text("utf-8")
    assert export(store, stick).copied == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (stick / SUMS).read_text("utf-8") == text


def test_a_second_repo_joins_the_first_and_shares_its_objects(store: DiskStore, stick: Path) -> None:
    export(store, stick)
    put(store, {**FILES, "own.txt": b"own"}, Pin(OTHER, SECOND, "main"))
    assert export(store, stick, Wish(OTHER, "main")).copied == 1
    bundle = DiskStore(stick)
    assert contents(bundle) == FILES
    assert contents(bundle, OTHER) == {**FILES, "own.txt": b"own"}


def test_patterns_choose_objects_and_the_whole_listing_travels(store: DiskStore, stick: Path) -> None:
    export(store, stick, Wish(TINY, "main", only("*.json")))
    bundle = DiskStore(stick)
    (pin,) = bundle.pins()
    assert pin == Pin(TINY, FIRST, "main", only("*.json"))
    assert bundle.manifest(TINY, FIRST) == store.manifest(TINY, FIRST)
    assert set(contents(bundle)) == {"config.json", "sub/copy.json"}


def test_what_was_pulled_in_part_travels_as_that_part(tmp_path: Path, stick: Path) -> None:
    store = DiskStore(tmp_path / "other")
    put(store, FILES, Pin(TINY, FIRST, "main", only("*.json")))
    export(store, stick)
    assert set(contents(DiskStore(stick))) == {"config.json", "sub/copy.json"}
    assert [pin.selection for pin in DiskStore(stick).pins()] == [only("*.json")]


@pytest.mark.parametrize("spelled", [FIRST, FIRST[:9]])
def test_a_commit_travels_under_its_number_alone(store: DiskStore, stick: Path, spelled: str) -> None:
    export(store, stick, Wish(TINY, spelled))
    bundle = DiskStore(stick)
    assert bundle.refs_of(TINY) == {}
    assert all(is_commit(pin.revision) for pin in bundle.pins())


def test_a_demand_carries_what_happens_to_be_here(tmp_path: Path, stick: Path) -> None:
    store = DiskStore(tmp_path / "other")
    put(store, FILES, Pin(TINY, FIRST, "main", demand=True), leave_out=["model.safetensors"])
    export(store, stick)
    assert set(contents(DiskStore(stick))) == set(FILES) - {"model.safetensors"}
    target = DiskStore(tmp_path / "target")
    assert take_in(stick, target).problems == []
    assert [pin.demand for pin in target.pins()] == [True]


def test_origin_and_unknown_fields_of_a_listing_stay_as_they_were(store: DiskStore, stick: Path) -> None:
    path = store.layout.manifest(TINY, FIRST)
    document = {**json.loads(path.read_text("utf-8")), "origin": "local", "later": 1}
    path.write_text(codec.dump(document), encoding="utf-8")
    export(store, stick)
    assert json.loads((stick / path.relative_to(store.root)).read_text("utf-8")) == document


def test_whether_anybody_may_read_a_repo_travels_and_no_token_does(store: DiskStore, stick: Path) -> None:
    store.ledger.mint("a friend", ["*"], "2026-01-01T00:00:00Z")
    export(store, stick)
    assert DiskStore(stick).public(TINY)
    assert [name for name in names(stick) if name.startswith("access/")] == [f"access/repos/{TINY.folder}.json"]


# -- parts --------------------------------------------------------------------------------------


def test_an_object_too_large_for_a_file_falls_into_parts(store: DiskStore, stick: Path) -> None:
    export(store, stick, most=2 * PART)
    parts = sorted(stick.glob("parts/sha256/*/*.part*"))
    assert [path.stat().st_size for path in parts] == [2 * PART, PART + 4321]
    assert b"".join(path.read_bytes() for path in parts) == WEIGHTS
    assert not list(stick.glob("objects/sha256/*/*"))
    assert set(sums_of((stick / SUMS).read_text("utf-8"))) == names(stick) - {SUMS}


def test_the_same_content_is_not_put_twice_when_parts_have_another_size(store: DiskStore, stick: Path) -> None:
    export(store, stick, most=2 * PART)
    before = names(stick)
    assert export(store, stick).copied == export(store, stick, most=PART).copied == 0
    assert names(stick) == before


def test_crumbs_and_parts_without_end_are_refused(store: DiskStore, stick: Path) -> None:
    with pytest.raises(UsageError, match="too small"):
        plan_export(store, stick, [Wish(TINY, "main")], most=PART - 1)
    assert not stick.exists()


# -- refusals -----------------------------------------------------------------------------------


def test_what_is_not_here_is_named_before_anything_is_written(tmp_path: Path, stick: Path) -> None:
    store = DiskStore(tmp_path / "other")
    put(store, leave_out=["model.safetensors"])
    with pytest.raises(NotHere, match=r"model.safetensors of acme/tiny, one of 1 files"):
        export(store, stick)
    with pytest.raises(NotHere):
        export(store, stick, Wish(OTHER, "main"))
    with pytest.raises(NotHere):
        export(store, stick, Wish(TINY, "v2"))
    assert not stick.exists()
    assert export(store, stick, Wish(TINY, "main", replace(only(), exclude=("*.safetensors",)))).copied == 3


def test_patterns_that_match_nothing_say_what_there_is(store: DiskStore, stick: Path) -> None:
    with pytest.raises(NothingMatches) as caught:
        export(store, stick, Wish(TINY, "main", only("*.gguf")))
    assert "config.json" in caught.value.hint()


@pytest.mark.parametrize("where", ["", "inside", "objects"])
def test_the_store_itself_is_no_place_for_a_bundle(store: DiskStore, where: str) -> None:
    with pytest.raises(UsageError, match="inside the store"):
        export(store, store.root / where)


def test_a_folder_with_other_files_is_left_alone(store: DiskStore, stick: Path) -> None:
    stick.mkdir()
    (stick / "thesis.doc").write_bytes(b"my work")
    with pytest.raises(UsageError) as caught:
        export(store, stick)
    assert str(stick / "hfmirror") in caught.value.hint()
    assert names(stick) == {"thesis.doc"}
    (stick / "thesis.doc").replace(stick / ".Trashes")
    (stick / "System Volume Information").mkdir()
    assert export(store, stick).copied == 4


def test_another_store_is_no_bundle(store: DiskStore, tmp_path: Path) -> None:
    other = DiskStore(tmp_path / "other")
    put(other)
    with pytest.raises(UsageError, match="store in use"):
        export(store, other.root)


def test_a_file_is_no_folder(store: DiskStore, stick: Path) -> None:
    stick.write_bytes(b"")
    with pytest.raises(UsageError, match="no folder"):
        export(store, stick)


def test_names_that_fat_takes_for_one_are_not_put_together(store: DiskStore, stick: Path) -> None:
    put(store, {"x": b"x"}, Pin(TINY, SECOND, "Main"))
    export(store, stick)
    with pytest.raises(UsageError, match="stick takes"):
        export(store, stick, Wish(TINY, "Main"))
    assert contents(DiskStore(stick)) == FILES


def test_a_full_disk_is_noticed_before_anything_is_written(
    store: DiskStore, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hfmirror.bundle.disk.Stick.free", lambda self: len(WEIGHTS))
    with pytest.raises(BundleFull) as caught:
        export(store, stick)
    assert caught.value.needed > len(WEIGHTS) == caught.value.free
    assert "--since" in caught.value.hint()
    assert not stick.exists()


def test_what_is_there_needs_no_room(store: DiskStore, stick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(store, stick)
    monkeypatch.setattr("hfmirror.bundle.disk.Stick.free", lambda self: 0)
    assert export(store, stick).copied == 0


# -- damage -------------------------------------------------------------------------------------


def damage(store: DiskStore, data: bytes, path: str = "f.bin") -> None:
    """Flip a byte of an object, behind the store's back."""
    (wanted,) = entries_of({path: data})
    place = store.path(wanted.digest)
    assert place is not None
    place.chmod(0o644)
    place.write_bytes(b"?" + data[1:])


@pytest.mark.parametrize("path", ["model.safetensors", "sub/vocab.txt"])
@pytest.mark.parametrize("most", [None, PART])
def test_a_damaged_object_is_named_and_not_carried(
    store: DiskStore, stick: Path, tmp_path: Path, path: str, most: int | None
) -> None:
    damage(store, FILES[path], path)
    done = export(store, stick, most=most)
    assert [problem.path for problem in done.problems] == [f"acme/tiny/{path}"]
    assert done.copied == 3
    assert set(contents(DiskStore(stick), revision=FIRST)) >= set(FILES) - {path, "model.safetensors"}
    assert path not in contents(DiskStore(stick), revision=FIRST)
    assert DiskStore(stick).refs_of(TINY) == {}, "a name leads to a commit that is not whole"
    fresh = DiskStore(tmp_path / "fresh")
    put(fresh)
    assert export(fresh, stick, most=most).copied == 1
    assert take_in(stick, target := DiskStore(tmp_path / "target")).problems == []
    assert contents(target) == FILES


def test_a_longer_object_is_damaged_too(store: DiskStore, stick: Path) -> None:
    (wanted,) = entries_of({"model.safetensors": WEIGHTS})
    place = store.path(wanted.digest)
    assert place is not None
    place.chmod(0o644)
    place.write_bytes(WEIGHTS + b"!")
    assert len(export(store, stick).problems) == 1


# -- going on -----------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [None, 2 * PART])
def test_what_an_earlier_run_had_written_is_not_written_again(
    store: DiskStore, stick: Path, monkeypatch: pytest.MonkeyPatch, most: int | None
) -> None:
    (wanted,) = entries_of({"model.safetensors": WEIGHTS})
    incoming = stick / "incoming"
    incoming.mkdir(parents=True)
    (incoming / f"sha256-{wanted.digest.hex}.0").write_bytes(WEIGHTS[: PART + 100])
    written: list[int] = []
    door = os.pwrite

    def counting(fd: int, data: bytes, offset: int) -> int:
        written.append(len(data))
        return door(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", counting)
    assert export(store, stick, most=most).problems == []
    assert sum(written) == len(WEIGHTS) - PART
    assert not incoming.exists()
    assert take_in(stick, target := DiskStore(stick.parent / "target")).problems == []
    assert contents(target) == FILES


def test_drafts_with_wrong_bytes_do_no_harm(store: DiskStore, stick: Path) -> None:
    (wanted,) = entries_of({"model.safetensors": WEIGHTS})
    incoming = stick / "incoming"
    incoming.mkdir(parents=True)
    (incoming / f"sha256-{wanted.digest.hex}.0").write_bytes(b"?" * (len(WEIGHTS) + 5))
    export(store, stick)
    assert contents(DiskStore(stick)) == FILES


def test_ten_thousand_small_files_are_made_durable_in_groups(
    tmp_path: Path, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = {f"data/{number}.txt": b"%d" % number for number in range(10_000)}
    store = DiskStore(tmp_path / "many")
    entries = entries_of(many)
    from hfmirror.model import Head, Manifest

    pin = Pin(OTHER, FIRST, "main")
    store.keep(pin, Manifest.of(OTHER, FIRST, entries))
    with store.batch() as batch:
        for wanted, data in entries.items():
            batch.add(wanted, data)
    store.publish(pin, Head(FIRST))
    groups = 0
    from hfmirror.store import files as door

    sync_many = door.sync_many

    def counting(files: list[Path], folders: list[Path]) -> None:
        nonlocal groups
        groups += 1
        sync_many(files, folders)

    monkeypatch.setattr(door, "sync_many", counting)
    assert export(store, stick, Wish(OTHER, "main")).copied == 10_000
    assert groups < 200
    assert len(objects_of(stick)) == 10_000
    target = DiskStore(tmp_path / "target")
    assert take_in(stick, target).objects == 10_000


def test_what_other_systems_leave_in_a_bundle_is_passed_over(store: DiskStore, stick: Path) -> None:
    export(store, stick)
    (stick / ".DS_Store").write_bytes(b"x")
    (stick / "objects" / "sha256" / "._ab").write_bytes(b"x")
    (stick / "pins" / "._x.json").write_bytes(b"x")
    assert not {name for name, _ in files_of(stick) if "._" in name or "DS_" in name}
    assert export(store, stick).copied == 0


def test_the_readme_speaks_both_languages_and_says_what_is_here(store: DiskStore, stick: Path) -> None:
    export(store, stick)
    text = (stick / README).read_bytes().decode("utf-8-sig")
    assert "acme/tiny @ main (aaaaaaaaaaaa): 5 files" in text
    assert f"python {SCRIPT}" in text
    assert "离线包" in text
    assert "\r\n" in text
    assert (stick / FORMAT).exists()


@pytest.mark.parametrize("room", ["objects", "objects/sha256", "incoming", "pins", "verify.py"])
def test_a_stick_that_leads_elsewhere_is_not_written_to(store: DiskStore, stick: Path, room: str) -> None:
    export(store, stick)
    elsewhere = stick.parent / "elsewhere"
    if (stick / room).exists():
        (stick / room).rename(elsewhere)
    else:
        elsewhere.mkdir()
    (stick / room).symlink_to(elsewhere)
    before = names(elsewhere)
    put(store, {**FILES, "new.bin": b"new"}, Pin(TINY, SECOND, "main"))
    with pytest.raises(DamagedBundle, match="is a link"):
        export(store, stick)
    assert names(elsewhere) == before


# -- two at once --------------------------------------------------------------------------------

MANY = {f"{number}.safetensors": bytes([number]) * (4 * PART + number) for number in range(6)}


def test_a_fast_disk_gets_two_objects_at_once(store: DiskStore, stick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, MANY, Pin(OTHER, SECOND, "main"))
    monkeypatch.setattr("hfmirror.bundle.export.FAST", 0)
    assert export(store, stick, Wish(OTHER, "main")).copied == 6
    assert contents(DiskStore(stick), OTHER) == MANY
    assert set(sums_of((stick / SUMS).read_text("utf-8"))) == names(stick) - {SUMS}


@pytest.mark.parametrize("fast", [0, 1e18])
def test_whoever_interrupts_it_need_not_wait(
    store: DiskStore, stick: Path, monkeypatch: pytest.MonkeyPatch, fast: float
) -> None:
    put(store, MANY, Pin(OTHER, SECOND, "main"))
    monkeypatch.setattr("hfmirror.bundle.export.FAST", fast)
    copied: list[str] = []

    def watch(event: Event) -> None:
        if isinstance(event, Arrived):
            copied.append(event.entry.path)
            if len(copied) == 5:
                raise KeyboardInterrupt

    plan = plan_export(store, stick, [Wish(OTHER, "main")])
    with pytest.raises(KeyboardInterrupt):
        carry_out(plan, store, None, watch)
    assert len(copied) < 12, "of thirty"
    assert not (stick / SUMS).exists()
    assert export(store, stick, Wish(OTHER, "main")).problems == []
    assert contents(DiskStore(stick), OTHER) == MANY
