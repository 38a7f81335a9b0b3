"""Looking through what people name: files, folders, caches, clones, archives. Only names and sizes are read."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from hfmirror.adopt import folders, hubcache
from hfmirror.adopt.archives import is_archive
from hfmirror.adopt.found import Find
from hfmirror.adopt.halves import CONTROL, controlled, half_of, slice_of
from hfmirror.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

CONTROL_BYTES = 16 * 2**20  # a control file of a terabyte's download has a tenth of that
UNFINISHED = "._____temp"  # where ModelScope keeps what it has not finished
_CLIENTS = (os.path.join(".cache", "huggingface"), ".huggingface")  # a client's folder in a folder of files
_RECORDS = {"download", "upload", "trees"}  # what a client keeps below those, read by `folders`
_USELESS = {".locks", ".no_exist", "xet"}  # of a client's: locks, what is not there, and chunks


def look(paths: Iterable[str], but: str = "") -> Find:
    """Look through all of these, but for one folder in them. Raises UsageError when one is not there."""
    find = Find()
    seen: set[tuple[int, int]] = set()
    with suppress(OSError):
        seen.add((os.stat(but).st_dev, os.stat(but).st_ino))
    for path in paths:
        if not os.path.exists(path):  # noqa: PTH110 - strings throughout
            raise UsageError(f"{path}: there is no such file or folder")
        if os.path.isdir(path):  # noqa: PTH112 - as above
            _look_into(os.path.normpath(path), find, seen)
        elif os.path.isfile(path):  # noqa: PTH113 - as above
            _file(path, os.stat(path).st_size, find)
        else:
            raise UsageError(f"{path} is neither a file nor a folder")
    return find


def _look_into(top: str, find: Find, seen: set[tuple[int, int]]) -> None:
    waiting = [top]
    while waiting:
        place = waiting.pop()
        try:
            facts = os.stat(place)
            rows = sorted(os.scandir(place), key=lambda row: row.name)
        except OSError as error:
            find.trouble(place, error.strerror or str(error))
            continue
        if (facts.st_dev, facts.st_ino) in seen:
            continue
        seen.add((facts.st_dev, facts.st_ino))
        waiting += reversed(_folder(place, rows, find))


def _folder(place: str, rows: list[os.DirEntry[str]], find: Find) -> list[str]:
    """Take note of what a folder holds; the folders in it that are to be looked into."""
    names = {row.name for row in rows}
    if hubcache.is_repo(place):
        hubcache.read(place, find)
        return []
    if hubcache.SHARED_MARK in names:
        hubcache.read_shared(place, find)
        return []
    if ".git" in names:
        folders.read_clone(place, find)
    if names & {".cache", ".huggingface"}:
        folders.read_local_dir(place, find)
    inner: list[str] = []
    for row in rows:
        try:
            if row.is_dir():
                inner += _inner(place, row, find)
            else:
                _row(row, names, find)
        except OSError as error:  # a link that leads to itself, a file that went away
            find.trouble(row.path, error.strerror or str(error))
    return inner


def _row(row: os.DirEntry[str], names: set[str], find: Find) -> None:
    """Take note of what is no folder."""
    if not row.is_file():
        find.trouble(row.path, hubcache.NOWHERE if row.is_symlink() else "it is no plain file")
    elif f"{os.sep}{UNFINISHED}{os.sep}" in f"{os.sep}{row.path}":
        find.halves.append(slice_of(row.path, row.stat().st_size))
        find.add(row.path, row.stat().st_size)
    elif f"{row.name}{CONTROL}" in names:
        _controlled(row, find)
    elif not row.name.endswith(CONTROL):
        _file(row.path, row.stat().st_size, find)


def _inner(place: str, row: os.DirEntry[str], find: Find) -> list[str]:
    """The folder to be looked into, or the parts of it that are worth a look."""
    if row.name == ".git":
        return [f"{row.path}/lfs"] if os.path.isdir(f"{row.path}/lfs") else []  # noqa: PTH112 - as above
    if row.name in _USELESS or (row.name in _RECORDS and place.endswith(_CLIENTS)):
        return []
    if row.is_symlink() and hubcache.repo_of(row.name) is None:
        find.trouble(row.path, "a link to a folder; name that folder itself to have it looked into")
        return []
    return [row.path]


def _controlled(row: os.DirEntry[str], find: Find) -> None:
    """A file that aria2 has not finished: full size perhaps, but with holes."""
    with open(row.path + CONTROL, "rb") as control:  # noqa: PTH123 - a string
        half = controlled(row.path, row.stat().st_size, control.read(CONTROL_BYTES))
    if half is None:
        find.trouble(row.path, "aria2 has not finished it, and its control file cannot be read")
    else:
        find.halves.append(half)


def _file(place: str, size: int, find: Find) -> None:
    half = half_of(place, size)
    if half is not None:
        find.halves.append(half)
    if is_archive(place):
        find.archives.append(place)
    find.add(place, size)  # a half one, too: it may be whole and merely not renamed
