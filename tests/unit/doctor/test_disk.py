"""What the disk can do, on disks that cannot."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from hfmirror.doctor import disk
from hfmirror.doctor.findings import Level
from hfmirror.errors import DiskFull, StoreError
from hfmirror.store import files, locks
from hfmirror.store.drafts import Drafts


def levels(root: Path) -> dict[str, Level]:
    return {finding.check: finding.level for finding in disk.check_disk(root)}


def test_a_usual_disk_can_do_everything_and_nothing_is_left_on_it(tmp_path: Path) -> None:
    found = levels(tmp_path / "not" / "there" / "yet")
    assert set(found) == {"space", "write", *disk.CHECKS}
    assert Level.FAIL not in found.values()
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("free", "level"), [(10**7, Level.FAIL), (10**9, Level.WARN), (disk.TIGHT, Level.OK), (10**12, Level.OK)]
)
def test_space(free: int, level: Level) -> None:
    found = disk.space(free)
    assert found.level is level
    assert found.code == (DiskFull.exit_code if level is Level.FAIL else 0)


def test_locks_that_exclude_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert disk.exclusion(tmp_path).level is Level.OK

    class Granted:
        """A claim that everybody gets."""

        got = True

        def __init__(self, _: Path) -> None: ...

        def release(self) -> None: ...

    monkeypatch.setattr(locks, "Claim", Granted)
    found = disk.exclusion(tmp_path)
    assert found.level is Level.WARN
    assert "gc" in found.advice


@pytest.mark.parametrize(("clone", "level"), [("copy", Level.WARN), ("reflink", Level.OK)])
def test_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clone: str, level: Level) -> None:
    monkeypatch.setattr(files, "hard_link", lambda *_: False)
    monkeypatch.setattr(files, "clone", lambda *_: clone)
    assert disk.sharing(tmp_path).level is level


@pytest.mark.parametrize("kind", ["read-only", "being read"])
def test_a_file_that_cannot_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    real, spared = files.replace, {"read-only": "read", "being read": "read-only"}[kind]

    def replace(source: Path, target: Path) -> None:
        if target.name != spared:
            raise StoreError(str(target), "permission denied")
        real(source, target)

    monkeypatch.setattr(files, "replace", replace)
    found = disk.renaming(tmp_path)
    assert found.level is Level.WARN
    assert kind in found.sentence


def test_a_disk_blind_to_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Drafts, "case_blind", lambda _: True)
    assert disk.spelling(tmp_path).level is Level.NOTE


def test_a_disk_without_long_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(path: Path, _: bytes) -> int:
        raise OSError(errno.ENAMETOOLONG, "file name too long", str(path))

    monkeypatch.setattr(Path, "write_bytes", short)
    assert disk.length(tmp_path).level is Level.WARN


def test_a_folder_nobody_may_write_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    *_, found = disk.check_disk(tmp_path)
    assert (found.check, found.level, found.code) == ("write", Level.FAIL, StoreError.exit_code)
    assert "permission denied" in found.sentence.lower()


def test_a_check_that_the_disk_breaks_off_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bool:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(files, "hard_link", broken)
    found = {finding.check: finding for finding in disk.check_disk(tmp_path)}
    assert found["links"].code == StoreError.exit_code
    assert found["paths"].level is Level.OK, "the others are still tried"
