"""The store on a disk: a `Store`, and what is special about disks."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING

import pytest

from hfmirror.errors import DigestMismatch, DiskFull, StoreError, StoreLocked, StoreTooNew, UsageError
from hfmirror.model import PART, Algorithm, Entry, Pin, Span
from hfmirror.store import files, locks
from hfmirror.store.disk import DiskStore
from hfmirror.store.layout import label
from tests.contracts.scene import entry, head_of, manifest, pin_of, read
from tests.contracts.store import LARGE, StoreContract, fill

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class TestDiskStore(StoreContract):
    pass


def test_making_a_store_touches_nothing(tmp_path: Path) -> None:
    DiskStore(tmp_path / "mirror")
    assert list(tmp_path.iterdir()) == []


def test_a_store_of_a_later_format_is_refused_with_the_number(store: DiskStore) -> None:
    store.layout.format.write_text(json.dumps({"format": "hfmirror", "version": 99}), encoding="utf-8")
    with pytest.raises(StoreTooNew) as caught:
        store.prepare()
    assert caught.value.version == 99


def test_objects_are_read_only_files_named_by_their_digest(store: DiskStore) -> None:
    small, large = entry(b"small", algorithm=Algorithm.GIT_SHA1), entry(LARGE)
    with store.batch() as batch:
        batch.add(small, b"small")
    fill(store, large, LARGE)
    for wanted in (small, large):
        path = store.path(wanted.digest)
        assert path is not None
        assert path.name == wanted.digest.hex
        assert path.stat().st_mode & 0o777 == 0o444
        assert path.stat().st_nlink == 1


def test_nothing_is_left_of_what_came_in(store: DiskStore) -> None:
    with store.batch() as batch:
        batch.add(entry(b"small"), b"small")
    fill(store, entry(LARGE), LARGE)
    with pytest.raises(DigestMismatch):
        fill(store, entry(b"?" * len(LARGE)), LARGE)
    assert list(store.layout.incoming.iterdir()) == []


def test_the_name_comes_after_the_sync(store: DiskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def watched(what: str, door: Callable[..., object]) -> Callable[..., object]:
        def through(*words: object) -> object:
            done.append(what)
            return door(*words)

        return through

    monkeypatch.setattr(files, "sync", watched("sync", files.sync))
    monkeypatch.setattr(os, "replace", watched("name", os.replace))
    monkeypatch.setattr(files, "sync_folder", watched("folder", files.sync_folder))
    fill(store, entry(LARGE), LARGE)
    named = done.index("name")
    assert done[0] == "sync"
    assert "folder" in done[named:], "the name is made durable, too"


def test_a_seal_that_lacks_parts_is_refused_at_once(store: DiskStore) -> None:
    refused: list[Exception] = []

    def seal_early() -> None:
        try:
            with store.receive(entry(LARGE)) as intake:
                intake.write(0, LARGE[:PART])
                intake.seal()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
            refused.append(error)

    sealing = threading.Thread(target=seal_early, daemon=True)
    sealing.start()
    sealing.join(5)
    assert not sealing.is_alive(), "it waits for bytes that nobody brings"
    assert len(refused) == 1


def test_bytes_that_come_in_disorder_and_in_crumbs_give_the_object(store: DiskStore) -> None:
    wanted = entry(LARGE)
    with store.receive(wanted) as intake:
        for start in reversed(range(0, len(LARGE), PART)):
            piece = LARGE[start : start + PART]
            for at in range(0, len(piece), 300_007):
                intake.write(start + at, memoryview(piece)[at : at + 300_007])
        intake.seal()
    assert read(store, manifest([wanted]), wanted) == LARGE


def test_one_write_may_cross_parts(store: DiskStore) -> None:
    wanted = entry(LARGE)
    with store.receive(wanted) as intake:
        intake.write(0, LARGE[: PART + 10])
        intake.write(PART + 10, LARGE[PART + 10 :])
        assert intake.missing() == []
        intake.seal()
    assert store.has(wanted.digest)


def test_several_threads_fill_one_object(store: DiskStore) -> None:
    data = os.urandom(16 * PART + 5)
    wanted = entry(data)
    with store.receive(wanted) as intake:

        def work(lane: int) -> None:
            for start in range(lane * PART, len(data), 4 * PART):
                for at in range(start, min(start + PART, len(data)), 70_001):
                    intake.write(at, data[at : min(at + 70_001, start + PART)])

        threads = [threading.Thread(target=work, args=(lane,)) for lane in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        intake.seal()
    assert read(store, manifest([wanted]), wanted) == data


# -- what a dead writer left --------------------------------------------------------------------


def left_behind(store: DiskStore, data: bytes, *spans: Span) -> Path:
    """An intake whose writer died after these spans."""
    with store.receive(entry(data)) as intake:
        for span in spans:
            intake.write(span.start, data[span.start : span.stop])
    (folder,) = store.layout.incoming.glob(f"{label(entry(data).digest)}~*")
    return folder


def absent(store: DiskStore, data: bytes) -> list[tuple[int, int]]:
    """What the next writer would have to fetch."""
    with store.receive(entry(data)) as intake:
        return [(span.start, span.stop) for span in intake.missing()]


def test_a_torn_line_of_the_journal_costs_its_part_only(store: DiskStore) -> None:
    folder = left_behind(store, LARGE, Span(0, len(LARGE)))
    journal = folder / "journal"
    journal.write_bytes(journal.read_bytes()[:-5])
    assert absent(store, LARGE) == [(2 * PART, len(LARGE))]


@pytest.mark.parametrize(
    "noise",
    [b"\xff\xfe\x00 not text\n", b"-1 ffff\n", b"99999 00\n", b"\xc2\xb2 0123456789abcdef\n", b"0\n", b"0 0 0\n\n\n"],
)
def test_noise_in_the_journal_is_no_reason_to_fail(store: DiskStore, noise: bytes) -> None:
    folder = left_behind(store, LARGE, Span(0, PART))
    claims = (folder / "journal").read_bytes()
    (folder / "journal").write_bytes(noise + claims)
    assert absent(store, LARGE) == [(PART, len(LARGE))]


def test_a_claimed_part_that_rotted_is_fetched_again_and_no_other(store: DiskStore) -> None:
    folder = left_behind(store, LARGE, Span(0, len(LARGE)))
    with (folder / "data").open("r+b") as data:
        data.seek(PART + 77)
        data.write(b"\0\1\2")
    assert absent(store, LARGE) == [(PART, 2 * PART)]


@pytest.mark.parametrize("size", [0, 1, PART, len(LARGE) + 1])
def test_data_of_another_size_is_put_right(store: DiskStore, size: int) -> None:
    folder = left_behind(store, LARGE, Span(0, len(LARGE)))
    os.truncate(folder / "data", size)
    fill(store, entry(LARGE), LARGE)
    path = store.path(entry(LARGE).digest)
    assert path is not None
    assert path.read_bytes() == LARGE


def test_remains_of_a_listing_that_lied_about_the_size_harm_no_other(store: DiskStore) -> None:
    honest = entry(LARGE)
    lied = Entry(honest.path, honest.size + 1, honest.digest)  # another repo may say anything of the same digest
    with store.receive(lied) as intake:
        intake.write(0, LARGE[: 2 * PART])
    fill(store, honest, LARGE)
    path = store.path(honest.digest)
    assert path is not None
    assert path.stat().st_size == len(LARGE)


def test_the_fullest_of_several_remains_is_taken_over_and_the_others_go(store: DiskStore) -> None:
    thin = left_behind(store, LARGE, Span(0, PART))
    aside = thin.with_name("aside")
    thin.rename(aside)
    full = left_behind(store, LARGE, Span(PART, len(LARGE)))
    aside.rename(f"{full}0")
    assert absent(store, LARGE) == [(0, PART)]
    assert len(list(store.layout.incoming.iterdir())) == 1


def test_a_full_but_unproven_download_is_sealed_without_a_byte(store: DiskStore) -> None:
    left_behind(store, LARGE, Span(0, len(LARGE)))
    with store.receive(entry(LARGE)) as intake:
        assert intake.missing() == []
        intake.seal()
    assert store.has(entry(LARGE).digest)


def test_a_dead_batch_is_taken_in_after_another_proof(store: DiskStore) -> None:
    good, bad = entry(b"good"), entry(b"bad")
    folder = store.layout.incoming / "batch~elsewhere.1.1.dead"
    folder.mkdir(parents=True)
    (folder / label(good.digest)).write_bytes(b"good")
    (folder / label(bad.digest)).write_bytes(b"ba")
    (folder / "stray").write_bytes(b"?")
    long_ago = 1_000_000_000
    for path in (*folder.iterdir(), folder):
        os.utime(path, (long_ago, long_ago))
    with store.batch():
        pass
    assert list(store.objects()) == [good.digest]
    assert list(store.layout.incoming.iterdir()) == []


# -- locks --------------------------------------------------------------------------------------


def test_a_store_somebody_else_holds_is_said_to_be_locked(store: DiskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    held = locks.Claim(store.layout.locks / "store.lock")
    try:
        with pytest.raises(StoreLocked), locks.held(store.layout.locks / "store.lock", timeout_s=0.01):
            pass
    finally:
        held.release()


def test_a_failure_under_the_lock_is_not_blamed_on_the_lock(store: DiskStore) -> None:
    with pytest.raises(FileNotFoundError), store.locked():
        raise FileNotFoundError("mine")


def test_the_probe_of_locks_is_not_fooled_by_another_probe(store: DiskStore) -> None:
    other = locks.Claim(store.layout.locks / ".probe.lock")  # as another process would hold it just now
    try:
        assert store.locks_exclude()
    finally:
        other.release()


def test_where_locks_exclude_nobody_two_writers_both_seal(store: DiskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_exclusive", False)
    wanted = entry(LARGE)
    with store.receive(wanted) as first, store.receive(wanted) as second:
        for intake in (first, second):
            assert [(span.start, span.stop) for span in intake.missing()] == [(0, len(LARGE))]
            intake.write(0, LARGE)
        first.seal()
        second.seal()
    assert read(store, manifest([wanted]), wanted) == LARGE
    assert list(store.layout.incoming.iterdir()) == []


def test_a_writer_whose_folder_was_taken_over_stops(store: DiskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_exclusive", False)
    wanted = entry(LARGE)
    with store.receive(wanted) as slow:
        slow.write(0, LARGE[:PART])
        with monkeypatch.context() as patched:
            patched.setattr(locks, "is_dead", lambda owner, folder, **how: True)
            with store.receive(wanted) as heir:
                assert [(span.start, span.stop) for span in heir.missing()] == [(PART, len(LARGE))]
                with pytest.raises(StoreLocked):
                    slow.write(PART, LARGE[PART : 2 * PART])
                heir.write(PART, LARGE[PART:])
                heir.seal()
        with pytest.raises(StoreLocked):
            slow.write(2 * PART, LARGE[2 * PART :])
    assert read(store, manifest([wanted]), wanted) == LARGE


def test_a_writer_thought_dead_cannot_change_what_its_heir_has_proven(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_exclusive", False)
    wanted = entry(LARGE)
    with store.receive(wanted) as slow:
        slow.write(0, LARGE[:PART])
        with monkeypatch.context() as patched:
            patched.setattr(locks, "is_dead", lambda owner, folder, **how: True)
            fill(store, wanted, LARGE)
        with pytest.raises(StoreLocked):  # it wakes up and goes on, with bytes that went wrong on their way
            slow.write(PART, b"?" * PART)
    assert read(store, manifest([wanted]), wanted) == LARGE


# -- the disk -----------------------------------------------------------------------------------


def full(fd: int, size: int) -> None:
    raise OSError(28, "No space left on device")


def test_a_full_disk_is_noticed_before_the_first_byte(store: DiskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "preallocate", full)
    with pytest.raises(DiskFull) as caught, store.receive(entry(LARGE)):
        pass
    assert caught.value.needed == len(LARGE)


def test_what_could_not_be_given_room_still_needs_it(store: DiskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(files, "preallocate", full)
        with pytest.raises(DiskFull), store.receive(entry(LARGE)):
            pass
    monkeypatch.setattr(files, "free_space", lambda where: 1000)
    with pytest.raises(DiskFull):
        store.room_for([entry(LARGE)])


def test_what_is_half_here_has_its_room_already(store: DiskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    left_behind(store, LARGE, Span(0, PART))
    monkeypatch.setattr(files, "free_space", lambda where: 1000)
    store.room_for([entry(LARGE)])


def test_a_disk_that_fails_to_read_back_ends_the_proof(store: DiskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(fd: int, buffer: memoryview, offset: int) -> int:
        raise OSError(5, "Input/output error")

    outcome: list[Exception] = []

    def bring() -> None:
        try:
            fill(store, entry(LARGE), LARGE)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
            outcome.append(error)

    monkeypatch.setattr(files, "read_into", unreadable)
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    bringing = threading.Thread(target=bring, daemon=True)
    bringing.start()
    bringing.join(5)
    assert not bringing.is_alive()
    assert [type(error) for error in outcome] == [StoreError], "not the bytes are wrong, the disk is"
    assert not store.has(entry(LARGE).digest)


def test_removing_a_commit_forgets_its_names_but_not_its_bytes(store: DiskStore) -> None:
    listing = manifest([entry(b"a", "a")])
    store.keep(pin_of(listing), listing)
    with store.batch() as batch:
        batch.add(listing.entries[0], b"a")
    store.publish(pin_of(listing), head_of(listing))
    store.unkeep(listing.repo, listing.commit)
    assert list(store.pins()) == []
    assert store.refs_of(listing.repo) == {}
    assert list(store.objects()) == [listing.entries[0].digest]


def test_unfinished_downloads_are_swept_unless_wanted_or_worked_on(store: DiskStore) -> None:
    wanted, unwanted, alive = os.urandom(PART + 1), os.urandom(PART + 1), os.urandom(PART + 1)
    left_behind(store, wanted, Span(0, PART))
    left_behind(store, unwanted, Span(0, PART))
    with store.receive(entry(alive)):
        store.sweep_incoming({entry(wanted).digest})
        left = {folder.name.partition("~")[0] for folder in store.layout.incoming.iterdir()}
    assert left == {label(entry(wanted).digest), label(entry(alive).digest)}


def test_what_is_set_aside_is_no_object_any_more(store: DiskStore) -> None:
    fill(store, entry(LARGE), LARGE)
    where = store.set_aside(entry(LARGE).digest)
    assert where.read_bytes() == LARGE
    assert list(store.objects()) == []


def test_a_writer_on_another_machine_keeps_its_folder_while_it_writes(store: DiskStore) -> None:
    """Locks that exclude on this machine may know nothing of another one that shares the disk."""
    theirs = store.layout.incoming / f"{label(entry(LARGE).digest)}~elsewhere.1.1.cafe"
    theirs.mkdir(parents=True)
    (theirs / "data").touch()
    with store.receive(entry(LARGE)):
        assert theirs.exists()


def test_two_spellings_that_the_disk_takes_for_one_are_refused(store: DiskStore) -> None:
    listing = manifest([entry(b"x")])
    pin = Pin(listing.repo, listing.commit, "main")
    store.keep(pin, listing)
    path = store.layout.pin(pin.repo, pin.commit)  # as a case-blind disk would lead another spelling here
    path.write_text(path.read_text().replace("model:acme", "model:Acme"), encoding="utf-8")
    with pytest.raises(UsageError):
        store.keep(pin, listing)
