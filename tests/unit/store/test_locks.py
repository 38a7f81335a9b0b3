"""Who is alive, and what a lock is worth."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hfmirror.store import locks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def owner() -> Iterator[str]:
    """A writer of this process."""
    owner = locks.new_owner()
    yield owner
    locks.let_go(owner)


def this_machine() -> str:
    """Its name as owners carry it."""
    owner = locks.new_owner()
    locks.let_go(owner)
    return owner.partition(".")[0]


def test_every_writer_has_a_name_of_its_own(owner: str) -> None:
    other = locks.new_owner()
    locks.let_go(other)
    assert owner != other
    assert "~" not in owner
    assert "/" not in owner


def test_a_writer_of_this_process_is_alive_until_it_is_let_go(owner: str, tmp_path: Path) -> None:
    assert not locks.is_dead(owner, tmp_path)
    locks.let_go(owner)
    assert locks.is_dead(owner, tmp_path)


def test_a_writer_of_another_process_is_as_alive_as_that(tmp_path: Path) -> None:
    words = [sys.executable, "-c", "from hfmirror.store import locks; print(locks.new_owner(), flush=True); input()"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        owner = process.stdout.readline().strip()
        assert not locks.is_dead(owner, tmp_path)
        process.kill()
        process.wait()
        assert locks.is_dead(owner, tmp_path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only there a process tells how it is")
def test_a_dead_process_that_nobody_has_buried_is_dead(tmp_path: Path) -> None:
    """In many containers nobody does."""
    words = [sys.executable, "-c", "from hfmirror.store import locks; print(locks.new_owner(), flush=True)"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        owner = process.stdout.readline().strip()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is still there
        os.kill(process.pid, 0)
        assert locks.is_dead(owner, tmp_path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only there a process tells when it began")
def test_a_process_that_has_the_number_of_a_dead_one_is_another(tmp_path: Path) -> None:
    parent = os.getppid()
    host = this_machine()
    assert not locks.is_dead(f"{host}.{parent}.{locks._started(parent)}.cafe", tmp_path)
    assert locks.is_dead(f"{host}.{parent}.1.cafe", tmp_path)


def test_a_writer_on_another_machine_is_alive_while_it_writes(tmp_path: Path) -> None:
    owner = "elsewhere.1.1.cafe"
    (tmp_path / "data").touch()
    assert not locks.is_dead(owner, tmp_path)
    silent = os.stat(tmp_path).st_mtime - locks.SILENCE_S - 60
    os.utime(tmp_path, (silent, silent))
    assert not locks.is_dead(owner, tmp_path), "its data are new"
    os.utime(tmp_path / "data", (silent, silent))
    assert locks.is_dead(owner, tmp_path)


def test_a_name_nobody_gave_is_judged_by_its_silence(tmp_path: Path) -> None:
    for owner in ("", "x", f"{this_machine()}.notanumber.1.cafe", f"{this_machine()}.1"):
        assert not locks.is_dead(owner, tmp_path)


def test_a_claim_is_got_by_one(tmp_path: Path) -> None:
    first, second = locks.Claim(tmp_path / "a.lock"), locks.Claim(tmp_path / "a.lock")
    assert (first.got, second.got) == (True, False)
    second.release()
    first.release()
    third = locks.Claim(tmp_path / "a.lock")
    assert third.got
    third.release()


def test_a_disk_without_locks_costs_the_courtesy_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import filelock

    def refuse(*words: object, **more: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    claim = locks.Claim(tmp_path / "a.lock")
    assert claim.got
    claim.release()
    assert not locks.exclude_here(tmp_path)


def test_the_stores_lock_is_no_hurdle_on_a_disk_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import filelock

    def refuse(*words: object, **more: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with locks.held(tmp_path / "store.lock"):
        pass
