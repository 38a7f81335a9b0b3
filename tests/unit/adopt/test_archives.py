"""Archives that somebody made to do harm: nothing of them is written, and their cost is bounded by their size."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import tracemalloc
import zipfile
from typing import TYPE_CHECKING

import pytest

from hfmirror.adopt import archives
from hfmirror.adopt.archives import Broken, members

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DATA = b"a plain file"
HOSTILE = [
    "../evil.txt", "../../../../evil.txt", "/evil.txt", "C:\\evil.txt", "..\\evil.txt", "a/../../evil.txt",
    "CON", "nul.txt", "COM1", "aux.safetensors", "evil.", "evil ", "evil\n.txt", "x" * 300,
]  # fmt: skip


def read_all(place: Path) -> list[tuple[str, bytes]]:
    """Every member, read to its end."""
    return [(member.name, member.stream().read(member.size)) for member in members(str(place))]


def tar(place: Path, *rows: tarfile.TarInfo | tuple[str, bytes]) -> Path:
    """A tar file with these members; those without bytes are of any kind."""
    with tarfile.open(place, "w", format=tarfile.PAX_FORMAT) as out:
        for row in rows:
            if isinstance(row, tarfile.TarInfo):
                out.addfile(row)
            else:
                plain = tarfile.TarInfo(row[0])
                plain.size = len(row[1])
                out.addfile(plain, io.BytesIO(row[1]))
    return place


def odd(kind: bytes, target: str = "") -> tarfile.TarInfo:
    """A member that is no plain file."""
    row = tarfile.TarInfo("odd")
    row.type, row.linkname, row.size = kind, target, 0
    return row


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("form", ["zip", "tar"])
def test_no_name_writes_anything_anywhere(tmp_path: Path, name: str, form: str) -> None:
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    place = folder / f"slip.{form}"
    if form == "tar":
        tar(place, (name, DATA))
    else:
        with zipfile.ZipFile(place, "w") as out:
            out.writestr(name, DATA)
    assert [data for _, data in read_all(place)] == [DATA]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [place]


@pytest.mark.parametrize(
    "row",
    [
        odd(tarfile.SYMTYPE, "/etc/passwd"),
        odd(tarfile.SYMTYPE, "../../secret"),
        odd(tarfile.LNKTYPE, "/etc/passwd"),
        odd(tarfile.CHRTYPE),
        odd(tarfile.BLKTYPE),
        odd(tarfile.FIFOTYPE),
        odd(tarfile.DIRTYPE),
    ],
)
def test_links_and_devices_in_a_tar_are_passed_over(tmp_path: Path, row: tarfile.TarInfo) -> None:
    place = tar(tmp_path / "odd.tar", row, ("plain", DATA))
    assert read_all(place) == [("plain", DATA)]


def test_a_link_in_a_zip_is_only_its_text(tmp_path: Path) -> None:
    row = zipfile.ZipInfo("link")
    row.create_system, row.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as out:
        out.writestr(row, "/etc/passwd")
    assert read_all(tmp_path / "link.zip") == [("link", b"/etc/passwd")]


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bombs of a few megabytes are large enough."""
    monkeypatch.setattr(archives, "FLOOR", 2**20)
    monkeypatch.setattr(archives, "RATIO", 20)


PACKERS: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("form", sorted(PACKERS))
@pytest.mark.usefixtures("strict")
def test_a_tar_that_unpacks_without_end_is_given_up(tmp_path: Path, form: str) -> None:
    inner = tar(tmp_path / "inner.tar", ("first", DATA), ("zeros", bytes(30 * 2**20)), ("last", DATA))
    bomb = tmp_path / f"bomb.tar.{form}"
    bomb.write_bytes(PACKERS[form](inner.read_bytes()))
    seen: list[str] = []
    with pytest.raises(Broken, match="far more"):
        seen.extend(member.name for member in members(str(bomb)))  # nothing is read: passing over it costs as much
    assert "last" not in seen


@pytest.mark.usefixtures("strict")
def test_a_zip_of_many_names_for_the_same_zeros_is_given_up(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("one", bytes(2**20))
        (row,) = out.infolist()
        out.filelist += [row] * 50  # the directory names it again and again, as zip bombs do
    with pytest.raises(Broken, match="far more"):
        read_all_but_broken(bomb)


def read_all_but_broken(place: Path) -> None:
    """As an import does: what cannot be read of a member is a trouble of its own."""
    for member in members(str(place)):
        try:
            while member.stream().read(2**16):
                pass
        except OSError as error:
            raise Broken(str(error)) from error


@pytest.mark.usefixtures("strict")
def test_a_hole_in_a_tar_is_counted_like_bytes(tmp_path: Path) -> None:
    row = tarfile.TarInfo("hole")
    row.type, row.size = tarfile.GNUTYPE_SPARSE, 0
    head = bytearray(row.tobuf(tarfile.GNU_FORMAT))
    head[483:495] = b"%011o\0" % (200 * 2**20)  # the real size of an old GNU sparse file
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    (tmp_path / "hole.tar").write_bytes(bytes(head) + bytes(1024))
    with pytest.raises(Broken, match="far more"):
        read_all_sparse(tmp_path / "hole.tar")


def read_all_sparse(place: Path) -> None:
    for member in members(str(place)):
        assert member.size == 200 * 2**20
        stream = member.stream()
        try:
            while stream.read(2**20):
                pass
        except OSError as error:
            raise Broken(str(error)) from error


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_a_name_of_gigabytes_takes_no_memory(tmp_path: Path, kind: bytes) -> None:
    row = tarfile.TarInfo("name")
    row.type, row.size = kind, 64 * 2**20
    place = tmp_path / "long.tar.gz"
    place.write_bytes(gzip.compress(row.tobuf(tarfile.GNU_FORMAT) + bytes(row.size), compresslevel=1))
    tracemalloc.start()
    with pytest.raises(Broken, match="larger than a name"):
        read_all(place)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 2**20  # bytes


def test_a_zip_that_lies_about_a_size_gives_no_more_than_it_said(tmp_path: Path) -> None:
    place = tmp_path / "liar.zip"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("w.bin", bytes(2**20))
    raw = bytearray(place.read_bytes())
    at = raw.rindex(b"PK\x01\x02") + 24  # the size in the directory
    raw[at : at + 4] = struct.pack("<I", 100)
    place.write_bytes(bytes(raw))
    (member,) = members(str(place))
    assert member.size == 100
    try:
        got = member.stream().read(member.size)
    except (Broken, zipfile.BadZipFile):
        return
    assert len(got) <= 100


@pytest.mark.parametrize("name", ["cut.zip", "cut.tar", "cut.tar.gz", "cut.tar.xz", "cut.tar.bz2"])
@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0\0", b"\0" * 511, b"x" * 5000]
)
def test_what_is_no_archive_is_said_to_be_broken_or_empty(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    try:
        assert read_all(tmp_path / name) == []
    except Broken as error:
        assert str(error)
