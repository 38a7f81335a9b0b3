"""A store moves: at once, or as a proven copy, and never over anything."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hfmirror.errors import DiskFull, StoreElsewhere, StoreLocked, UsageError
from hfmirror.mirror import Mirror
from hfmirror.model import PART, Head
from hfmirror.settings import Settings
from hfmirror.store import files, locks
from hfmirror.store.disk import DiskStore
from hfmirror.store.moving import Move
from hfmirror.transfer.events import Arrived, silent
from tests.contracts.scene import TINY, entry, manifest, pin_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfmirror.store.moving import Moved
    from hfmirror.transfer.events import Event

SMALL, LARGE, HALF = b'{"a": 1}', os.urandom(2 * PART + 77), os.urandom(3 * PART + 5)
LISTING = manifest([entry(SMALL, "config.json"), entry(LARGE, "model.safetensors"), entry(HALF, "half.bin")])
PIN = pin_of(LISTING)


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    """Two objects, a download of which one part is here, a token, a view, and what a client put into it."""
    store = DiskStore(tmp_path / "old")
    store.keep(PIN, LISTING)
    with store.batch() as batch:
        batch.add(entry(SMALL, "config.json"), SMALL)
    with store.receive(entry(LARGE, "model.safetensors")) as intake:
        intake.write(0, LARGE)
        intake.seal()
    with store.receive(entry(HALF, "half.bin")) as intake:
        intake.write(PART, HALF[PART : 2 * PART])
    store.publish(PIN, Head(PIN.commit, {"license": "mit"}, "https://hub"))
    store.ledger.mint("ward-3", ["*"], "2026-01-01T00:00:00Z")
    mirror = Mirror(Settings(store.root))
    mirror.show_again(PIN, LISTING)
    theirs = store.layout.hub / "models--acme--own" / "blobs"
    theirs.mkdir(parents=True)
    (theirs / "abc").write_bytes(b"a client's own")
    (store.layout.hub / "models--acme--own" / "link").symlink_to("blobs/abc")
    (store.root / "later" / "deep").mkdir(parents=True)
    (store.root / "later" / "deep" / "room.json").write_text("of a later version", encoding="utf-8")
    return store


@pytest.fixture(params=["near", "far"])
def distance(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """On the same disk, or as if on another one."""
    if request.param == "far":
        monkeypatch.setattr(Move, "_rename", lambda self: False)
    return str(request.param)


def moved(store: DiskStore, target: Path, **more: bool) -> Moved:
    """As the command does it."""
    return Mirror(Settings(store.root)).move(target, silent, **more)


def told(root: Path) -> dict[str, object]:
    """Everything a store is: its names, modes and bytes; but for locks and whose downloads they are."""
    found: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix().partition("~")[0]
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file() and not name.startswith("locks/"):
            found.setdefault(name, (stat.S_IMODE(path.stat().st_mode), path.read_bytes()))
    return found


def test_all_of_it_is_there_and_nothing_where_it_was(store: DiskStore, tmp_path: Path, distance: str) -> None:
    before, target = told(store.root), tmp_path / "far" / "new"
    done = moved(store, target)
    assert (done.how, done.done) == ("rename" if distance == "near" else "copy", True)
    after = told(target)
    for gone in ("incoming/sha256-" + entry(HALF).digest.hex,):
        assert before.pop(gone) is not None
        assert after.pop(gone) is not None
    assert after == before
    assert {path.name for path in store.root.iterdir()} == {"moved.json"}


def test_half_a_download_travels(store: DiskStore, tmp_path: Path, distance: str) -> None:
    moved(store, tmp_path / "new")
    with DiskStore(tmp_path / "new").receive(entry(HALF, "half.bin")) as intake:
        assert [(span.start, span.stop) for span in intake.missing()] == [(0, PART), (2 * PART, len(HALF))]


def test_the_old_place_says_where_it_is(store: DiskStore, tmp_path: Path, distance: str) -> None:
    moved(store, tmp_path / "new")
    for act in (store.check, store.prepare, lambda: store.keep(PIN, LISTING)):
        with pytest.raises(StoreElsewhere) as caught:
            act()
        assert str(tmp_path / "new") in caught.value.hint()
    with pytest.raises(StoreElsewhere), store.batch():
        pass


def test_there_and_back_again(store: DiskStore, tmp_path: Path, distance: str) -> None:
    before = told(store.root).keys()
    moved(store, tmp_path / "new")
    moved(DiskStore(tmp_path / "new"), store.root)
    assert told(store.root).keys() == before
    assert store.check()
    with pytest.raises(StoreElsewhere):
        DiskStore(tmp_path / "new").check()


def test_moving_again_says_that_it_is_done(store: DiskStore, tmp_path: Path, distance: str) -> None:
    moved(store, tmp_path / "new")
    before = told(tmp_path / "new")
    assert moved(store, tmp_path / "new").done
    assert told(tmp_path / "new") == before


def test_a_new_store_at_the_old_place_is_left_alone(store: DiskStore, tmp_path: Path, distance: str) -> None:
    moved(store, tmp_path / "new")
    store.layout.moved.unlink()
    store.keep(PIN, LISTING)
    with pytest.raises(UsageError, match="another store"):
        moved(store, tmp_path / "new")
    assert store.check()


def test_a_copy_is_proven_and_what_is_damaged_is_set_aside(
    store: DiskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Move, "_rename", lambda self: False)
    object_ = Path(store.layout.object(entry(LARGE).digest))
    object_.chmod(0o600)
    with object_.open("r+b") as stream:
        stream.write(b"rotten")
    done = moved(store, tmp_path / "new")
    assert (done.done, done.damaged, done.lost) == (True, [entry(LARGE).digest], [])
    new = DiskStore(tmp_path / "new")
    assert not new.has(entry(LARGE).digest)
    assert new.damaged() == [entry(LARGE).digest]
    shown = new.layout.hub / TINY.folder
    assert [path.name for path in (shown / "blobs").iterdir()] == [entry(SMALL).digest.hex]
    assert [path.name for path in shown.glob("snapshots/*/*")] == ["config.json"]


@pytest.mark.parametrize("losing", [False, True])
def test_what_cannot_be_read_keeps_the_store_where_it_is_unless_it_may_be_lost(
    store: DiskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, losing: bool
) -> None:
    monkeypatch.setattr(Move, "_rename", lambda self: False)
    object_ = Path(store.layout.object(entry(LARGE).digest))
    object_.unlink()
    object_.mkdir()  # it is there, and gives no byte: as on a disk that dies
    before = told(store.root)
    done = moved(store, tmp_path / "new", losing=losing)
    assert (done.done, done.lost) == (losing, [entry(LARGE).digest])
    if losing:
        assert {path.name for path in store.root.iterdir()} == {"moved.json"}
        assert DiskStore(tmp_path / "new").has(entry(SMALL).digest)
    else:
        assert told(store.root) == before
        with pytest.raises(StoreElsewhere, match="on its way"):
            DiskStore(tmp_path / "new").check()


def test_a_name_that_went_after_a_first_try_does_not_come_back(
    store: DiskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Move, "_rename", lambda self: False)

    def broken(new: DiskStore) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Move(store.root, tmp_path / "new").carry_out(broken, lambda entry, size: None)
    assert (tmp_path / "new" / "pins").is_dir()
    store.unkeep(PIN.repo, PIN.commit)
    assert moved(store, tmp_path / "new").objects == 0  # they had come
    assert list(DiskStore(tmp_path / "new").pins()) == []


# -- refusals -------------------------------------------------------------------------------------


def _others(target: Path) -> None:
    target.mkdir()
    (target / "thesis.txt").write_text("mine", encoding="utf-8")


def _another(target: Path) -> None:
    DiskStore(target).prepare()


def _on_the_way(target: Path) -> None:
    target.mkdir()
    row = {"format": 1, "home": "/elsewhere", "id": "x"}
    (target / "moving.json").write_text(json.dumps(row), encoding="utf-8")


@pytest.mark.parametrize(
    ("make", "said"), [(_others, "other files"), (_another, "another store"), (_on_the_way, "on its way")]
)
def test_what_is_at_the_new_place_is_left_alone(
    store: DiskStore, tmp_path: Path, distance: str, make: Callable[[Path], None], said: str
) -> None:
    target = tmp_path / "new"
    make(target)
    before, here = told(target), told(store.root)
    with pytest.raises(UsageError, match=said):
        moved(store, target)
    assert (told(target), told(store.root)) == (before, here)


@pytest.mark.parametrize("where", [".", "inside", "..", "objects"])
def test_a_store_does_not_move_into_itself(store: DiskStore, where: str, distance: str) -> None:
    with pytest.raises(UsageError, match="not apart"):
        moved(store, store.root / where)
    assert store.check()


def test_without_a_store_there_is_nothing_to_move(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no store"):
        moved(DiskStore(tmp_path / "none"), tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_touches_nothing(store: DiskStore, tmp_path: Path) -> None:
    before = told(store.root)
    assert moved(store, tmp_path / "new", dry=True).how == "rename"
    assert (told(store.root), (tmp_path / "new").exists()) == (before, False)


def test_nobody_may_be_at_work_there(store: DiskStore, tmp_path: Path, distance: str) -> None:
    before = told(store.root)
    with store.in_use(), pytest.raises(StoreLocked, match="at work"):
        moved(store, tmp_path / "new")
    with store.receive(entry(HALF, "half.bin")), pytest.raises(StoreLocked, match="at work"):
        moved(store, tmp_path / "new")
    assert told(store.root).keys() == before.keys()
    assert moved(store, tmp_path / "new").done


def test_nobody_can_begin_while_it_moves(store: DiskStore, tmp_path: Path) -> None:
    with locks.alone(store.layout.using), pytest.raises(StoreLocked, match="being moved"), store.batch():
        pass


def test_where_locks_keep_nobody_out_it_stays(
    store: DiskStore, tmp_path: Path, distance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DiskStore, "locks_exclude", lambda self: False)
    with pytest.raises(StoreLocked, match="copy the folder"):
        moved(store, tmp_path / "new")
    assert store.check()


def test_a_disk_that_is_too_small_says_so_before_the_first_object(
    store: DiskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Move, "_rename", lambda self: False)
    monkeypatch.setattr(files, "free_space", lambda where: 1000)
    with pytest.raises(DiskFull):
        moved(store, tmp_path / "new")
    assert list(DiskStore(tmp_path / "new").objects()) == []
    assert store.check()


def test_a_link_to_a_store_is_followed(store: DiskStore, tmp_path: Path, distance: str) -> None:
    (tmp_path / "link").symlink_to(store.root)
    moved(DiskStore(tmp_path / "link"), tmp_path / "new")
    assert not (tmp_path / "new").is_symlink()
    assert DiskStore(tmp_path / "new").check()
    assert {path.name for path in store.root.iterdir()} == {"moved.json"}


def test_progress_counts_each_byte_once(store: DiskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Move, "_rename", lambda self: False)
    seen: list[Event] = []
    done = Mirror(Settings(store.root)).move(tmp_path / "new", seen.append)
    assert sum(event.size for event in seen if isinstance(event, Arrived)) == done.size == len(SMALL) + len(LARGE)


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="there is no second disk that tests may write to")
def test_a_real_second_disk(store: DiskStore, tmp_path: Path) -> None:
    import tempfile

    if os.stat("/dev/shm").st_dev == tmp_path.stat().st_dev:
        pytest.skip("the temporary folder is on that disk too")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        assert moved(store, Path(folder)).how == "copy"  # a folder that is there, and empty
        assert DiskStore(Path(folder)).has(entry(LARGE).digest)
        assert {path.name for path in store.root.iterdir()} == {"moved.json"}
