"""Files that lie elsewhere become objects: proven, read-only, and the files themselves are left alone."""

from __future__ import annotations

import errno
import io
import os
import stat
from typing import TYPE_CHECKING

import pytest

from hfmirror.errors import DiskFull
from hfmirror.model import PART, Algorithm, Digest
from hfmirror.store import files
from hfmirror.store.adopting import COPY, HARD_LINK, REFLINK, Adopter, Linking, Offered, Unfit, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hfmirror.store.disk import DiskStore

DATA = bytes(range(256)) * 5000
BOTH = (Algorithm.GIT_SHA1, Algorithm.SHA256)
SHA256 = Digest.of(Algorithm.SHA256, DATA)


@pytest.fixture
def adopter(store: DiskStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Adopter]:
    """On a disk that shares no blocks, so that the other ways are seen; nothing may be left over."""
    monkeypatch.setattr(files, "reflink", lambda source, target: False)
    yield Adopter(store.layout, store.drafts)
    assert list(store.layout.incoming.iterdir()) == []


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A user's file."""
    place = tmp_path / "mine.bin"
    place.write_bytes(DATA)
    place.chmod(0o640)
    return place


def take(adopter: Adopter, file: Path, linking: Linking = Linking.NEVER, wanted: Digest = SHA256) -> str:
    """How it was taken; empty when it was not."""
    with opened(str(file)) as offered:
        return adopter.take(offered, BOTH, wanted.__eq__, linking).how


def facts_of(file: Path) -> tuple[int, ...]:
    """What must not change."""
    facts = file.stat()
    return facts.st_ino, facts.st_mode, facts.st_mtime_ns, facts.st_nlink


def test_a_copy_is_an_object_of_its_own(store: DiskStore, adopter: Adopter, file: Path) -> None:
    before = facts_of(file)
    assert take(adopter, file) == COPY
    place = store.path(SHA256)
    assert place is not None
    assert place.read_bytes() == DATA
    assert (stat.S_IMODE(place.stat().st_mode), place.stat().st_nlink) == (0o444, 1)
    assert facts_of(file) == before


def test_what_is_not_wanted_leaves_no_trace(store: DiskStore, adopter: Adopter, file: Path) -> None:
    assert take(adopter, file, wanted=Digest(Algorithm.SHA256, "0" * 64)) == ""
    assert list(store.objects()) == []


def test_every_algorithm_that_is_asked_for_is_answered(adopter: Adopter, file: Path) -> None:
    with opened(str(file)) as offered:
        taken = adopter.take(offered, BOTH, lambda digest: False)
    assert set(taken.digests) == {Digest.of(algorithm, DATA) for algorithm in BOTH}


@pytest.mark.parametrize(
    ("mode", "linking", "how"),
    [
        (0o644, Linking.NEVER, COPY),
        (0o444, Linking.NEVER, COPY),
        (0o644, Linking.READ_ONLY, COPY),
        (0o400, Linking.READ_ONLY, COPY),
        (0o444, Linking.READ_ONLY, HARD_LINK),
        (0o644, Linking.ALWAYS, HARD_LINK),
    ],
)
def test_a_file_is_shared_only_where_that_was_allowed(
    adopter: Adopter, file: Path, mode: int, linking: Linking, how: str
) -> None:
    file.chmod(mode)
    before = facts_of(file)
    copies = adopter.copies(str(file), linking)
    assert take(adopter, file, linking) == how
    assert copies == (how == COPY)
    assert file.read_bytes() == DATA
    if linking is not Linking.ALWAYS:
        assert facts_of(file)[:3] == before[:3]


def test_a_file_with_other_names_is_not_made_read_only_under_them(adopter: Adopter, file: Path) -> None:
    os.link(file, file.with_name("other name"))
    assert take(adopter, file, Linking.ALWAYS) == COPY
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_disk_without_hard_links_gets_a_copy(adopter: Adopter, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no")

    monkeypatch.setattr(os, "link", refuse)
    assert take(adopter, file, Linking.ALWAYS) == COPY


def test_blocks_are_shared_where_the_disk_can(store: DiskStore, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def share(source: int, target: int) -> bool:
        os.pwrite(target, os.pread(source, len(DATA), 0), 0)
        return True

    monkeypatch.setattr(files, "reflink", share)
    adopter = Adopter(store.layout, store.drafts)
    assert not adopter.copies(str(file), Linking.NEVER)
    assert take(adopter, file, Linking.ALWAYS) == REFLINK
    assert file.stat().st_nlink == 1


def test_a_file_that_is_written_to_meanwhile_is_not_linked(store: DiskStore, adopter: Adopter, file: Path) -> None:
    def wanted(digest: Digest) -> bool:
        os.utime(file, ns=(1, 1))  # somebody writes just after the proof
        return digest == SHA256

    with opened(str(file)) as offered, pytest.raises(Unfit):
        adopter.take(offered, BOTH, wanted, Linking.ALWAYS)
    assert not store.has(SHA256)


def test_a_file_that_changed_since_it_was_seen_is_refused(file: Path) -> None:
    with pytest.raises(Unfit), opened(str(file), 5):
        pass


@pytest.mark.parametrize("kind", ["folder", "pipe", "nothing"])
def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "x"
    if kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    with pytest.raises(Unfit), opened(str(place)):
        pass


class Breaking(io.BytesIO):
    """A stream that a disk gives up in the middle."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= PART:
            raise OSError(errno.EIO, "Input/output error")
        return super().read(size)


def test_a_stream_that_breaks_is_refused_in_its_own_words(store: DiskStore, adopter: Adopter) -> None:
    with pytest.raises(Unfit, match="Input/output"):
        adopter.take(Offered(Breaking(DATA), len(DATA)), BOTH, SHA256.__eq__)
    with pytest.raises(Unfit, match="shorter"):
        adopter.take(Offered(io.BytesIO(DATA[:-1]), len(DATA)), BOTH, SHA256.__eq__)
    assert list(store.objects()) == []


def test_a_stream_with_the_right_bytes_is_taken(store: DiskStore, adopter: Adopter) -> None:
    taken = adopter.take(Offered(io.BytesIO(DATA), len(DATA)), BOTH, SHA256.__eq__)
    assert (taken.kept, taken.how) == (SHA256, COPY)
    assert store.has(SHA256)


def test_a_full_disk_is_said_before_the_first_byte(
    store: DiskStore, adopter: Adopter, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "preallocate", full)
    with pytest.raises(DiskFull):
        take(adopter, file)
    assert list(store.objects()) == []
