"""Disks that travel: what they can hold, and what they say when they are gone."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from hfmirror.bundle import disk as disks
from hfmirror.bundle import take_in
from hfmirror.bundle.disk import FAT32_MOST, SPLIT, Stick
from hfmirror.bundle.plan import Wish, needed, plan_export
from hfmirror.errors import BundleFull, DiskGone, FileTooLarge, MirrorError, StoreError
from hfmirror.store.disk import DiskStore
from tests.unit.bundle.shelf import FILES, TINY, contents, export, put

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
36 35 8:17 / /media/a\\040stick rw,nosuid shared:1 - vfat /dev/sdb1 rw,fmask=0022
37 35 8:33 / /media/other rw,nosuid - exfat /dev/sdc1 rw
"""


@pytest.fixture
def store(tmp_path: Path) -> DiskStore:
    """Something to carry."""
    store = DiskStore(tmp_path / "store")
    put(store)
    return store


@pytest.mark.parametrize(("minor", "name"), [(17, "vfat"), (33, "exfat"), (49, "")])
def test_the_filesystem_is_found_by_its_device(minor: int, name: str) -> None:
    assert disks._linux_filesystem(os.makedev(8, minor), MOUNTS) == name


@pytest.mark.parametrize("name", ["vfat", "FAT32", "fuse.fusefat", "msdos"])
def test_fat_is_split_for_and_nothing_else_is(
    store: DiskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    wishes = [Wish(TINY, "main")]
    monkeypatch.setattr(disks, "filesystem", lambda folder: name)
    fat = "fat" in name.lower()
    plan = plan_export(store, tmp_path / "stick", wishes)
    assert plan.most == (SPLIT if fat else None)
    assert plan_export(store, tmp_path / "stick", wishes, most=2**40).most == (SPLIT if fat else 2**40)
    assert plan_export(store, tmp_path / "stick", wishes, most=2**21).most == 2**21
    monkeypatch.setattr(disks, "filesystem", lambda folder: "exfat")
    assert plan_export(store, tmp_path / "stick", wishes).most is None
    assert SPLIT < FAT32_MOST


def test_large_clusters_are_counted(store: DiskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_export(store, tmp_path / "stick", [Wish(TINY, "main")])
    small = needed(plan)
    monkeypatch.setattr(Stick, "cluster", lambda self: 2**17)
    assert needed(plan) > small + 3 * (2**17 - 4096)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EIO, DiskGone),
        (errno.ENODEV, DiskGone),
        (errno.ENOSPC, BundleFull),
        (errno.EFBIG, FileTooLarge),
        (errno.EROFS, StoreError),
    ],
)
@pytest.mark.parametrize("door", ["pwrite", "fsync", "replace"])
def test_what_the_disk_says_becomes_a_sentence(
    store: DiskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[MirrorError], door: str
) -> None:
    def trouble(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, door, trouble)
    with pytest.raises(kind) as caught:
        export(store, tmp_path / "stick")
    assert type(caught.value) is kind
    assert str(tmp_path / "stick") in str(caught.value)
    monkeypatch.undo()
    assert export(store, tmp_path / "stick").problems == []
    assert contents(DiskStore(tmp_path / "stick")) == FILES


def test_a_stick_pulled_out_while_it_is_written_says_so(
    store: DiskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = os.pwrite

    def pulled_out(fd: int, data: bytes, offset: int) -> int:
        if offset:
            monkeypatch.setattr(Stick, "there", lambda self: False)
            raise OSError(errno.ENOENT, "no such file")
        return door(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", pulled_out)
    with pytest.raises(DiskGone) as caught:
        export(store, tmp_path / "stick")
    assert "run the same command again" in caught.value.hint()
    monkeypatch.undo()
    assert export(store, tmp_path / "stick").problems == []
    assert take_in(tmp_path / "stick", target := DiskStore(tmp_path / "target")).problems == []
    assert contents(target) == FILES


# -- real ones ----------------------------------------------------------------------------------


def _run(*words: str) -> str:
    """A command's answer; skips, with what it said, when it fails."""
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


@pytest.fixture(params=["vfat", "exfat"])
def stick(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A real filesystem of this kind in a file, mounted by the kernel or through FUSE."""
    if not hasattr(os, "geteuid") or os.geteuid():
        pytest.skip("only root mounts")
    image, place = tmp_path / "image", tmp_path / "mount"
    place.mkdir()
    with image.open("wb") as out:
        out.truncate(80 * 2**20)
    _run(*(["mkfs.vfat", "-F", "32"] if request.param == "vfat" else ["mkfs.exfat"]), str(image))
    loop = ""
    by_kernel = subprocess.run(
        ["mount", "-t", request.param, "-o", "loop", str(image), str(place)], capture_output=True, check=False
    )
    try:
        if by_kernel.returncode and request.param == "vfat":
            _run("fusefat", "-o", "rw+", str(image), str(place))
        elif by_kernel.returncode:
            loop = _run("losetup", "-f", "--show", str(image))
            _run("mount.exfat-fuse", loop, str(place))
        yield place
    finally:
        subprocess.run(["umount", str(place)], capture_output=True, check=False)
        if loop:
            subprocess.run(["losetup", "-d", loop], capture_output=True, check=False)


def test_a_real_fat_carries_a_bundle(store: DiskStore, stick: Path, tmp_path: Path) -> None:
    fat = "exfat" not in disks.filesystem(stick) and "fuseblk" not in disks.filesystem(stick)
    assert Stick.at(stick).largest_file() == (FAT32_MOST if fat else None)
    assert export(store, stick / "bundle", most=2**21 if fat else None).copied == 4
    assert export(store, stick / "bundle").copied == 0
    carried = tmp_path / "carried"
    shutil.copytree(stick / "bundle", carried)
    for folder in (stick / "bundle", carried):
        target = DiskStore(tmp_path / f"target of {folder.name}")
        assert take_in(folder, target).problems == []
        assert contents(target) == FILES
