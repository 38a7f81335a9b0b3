"""What other tools write beside the files they fetched: which commit they were fetched from.

Facts: huggingface_hub 0.23-2.4 `_local_folder.py` (three lines a file: commit, etag, time of writing;
void once the file was changed); git's `gitrepository-layout`.
"""

from __future__ import annotations

import configparser
import os
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hfmirror.adopt.found import Claim, Told
from hfmirror.adopt.halves import half_of
from hfmirror.adopt.hubcache import digest_of, listing_of
from hfmirror.errors import UnsafePath, UsageError
from hfmirror.model import CommitId, Kind, RepoId, entry_path, is_commit

if TYPE_CHECKING:
    from hfmirror.adopt.found import Find

RECORDS = (".cache/huggingface/download", ".huggingface/download")  # the second up to 0.24
_RECORD = ".metadata"
_CLOCK = 1.0  # seconds by which the client lets a file be younger than its record
_KINDS = {"datasets": Kind.DATASET, "spaces": Kind.SPACE}
_SCP = re.compile(r"(?:[^/@]+@)?[^/:]+:(?!//)(.+)")  # git's short way to write an ssh address: host:path


def read_local_dir(place: str, find: Find) -> None:
    """The records that `hf download --local-dir` keeps in a folder of files."""
    for records in RECORDS:
        if os.path.isdir(f"{place}/{records}"):  # noqa: PTH112 - strings throughout
            _read_records(place, records, find)


def _read_records(place: str, records: str, find: Find) -> None:
    top = f"{place}/{records}"
    by_commit: dict[CommitId, list[Told]] = {}
    for folder, _, names in os.walk(top):
        for name in sorted(names):
            record = f"{folder}/{name}"
            half = half_of(record, _size(record)) if name.endswith(".incomplete") else None
            if half is not None:
                find.halves.append(half)
            elif name.endswith(_RECORD):
                path = os.path.relpath(record, top).replace(os.sep, "/").removesuffix(_RECORD)
                told = _recorded(place, path, record)
                if told is not None:
                    by_commit.setdefault(told[0], []).append(told[1])
    for commit, files in sorted(by_commit.items()):
        listing = listing_of(os.path.dirname(top), commit)  # noqa: PTH120 - a string
        find.claims.append(Claim(None, commit, place, tuple(files), listing=listing))


def _recorded(place: str, path: str, record: str) -> tuple[CommitId, Told] | None:
    """The commit and the file that a record is about; None when it is void."""
    file = f"{place}/{path}"
    try:
        with open(record, encoding="utf-8") as told:  # noqa: PTH123 - a string
            commit, etag, written = told.read(1000).splitlines()[:3]
        facts = os.stat(file)
        if not is_commit(commit) or facts.st_mtime - _CLOCK > float(written):
            return None
        return CommitId(commit), Told(entry_path(path), file, facts.st_size, digest_of(etag))
    except (OSError, ValueError, UnsafePath):
        return None


def read_clone(place: str, find: Find) -> None:
    """A clone made by git: whose it is, and the commit that is checked out."""
    repo, (branch, commit, when) = _origin(f"{place}/.git/config"), _checked_out(f"{place}/.git")
    if repo is not None and is_commit(commit):
        names = {branch: when} if branch else {}
        find.claims.append(Claim(repo, CommitId(commit), place, names=names, whole=True))


def _origin(config: str) -> RepoId | None:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read(config, encoding="utf-8")
        address = parser.get('remote "origin"', "url")
    except (configparser.Error, OSError, UnicodeDecodeError):
        return None
    return repo_of_address(address)


def repo_of_address(address: str) -> RepoId | None:
    """The repo that a clone's address is for, wherever it is kept; None when that can be none."""
    short = _SCP.fullmatch(address)
    path = short.group(1) if short else urlsplit(address).path
    steps = path.strip("/").removesuffix(".git").split("/")
    kind = _KINDS.get(steps[-3], Kind.MODEL) if len(steps) > 2 else Kind.MODEL
    try:
        return RepoId.of(kind, "/".join(steps[-2:]))
    except UsageError:
        return None


def _checked_out(git: str) -> tuple[str, str, float]:
    """The branch, its commit, and when it was moved there; empty where there is none."""
    head = _line(f"{git}/HEAD")
    if not head.startswith("ref: refs/heads/"):
        return "", head, 0.0
    ref = head.removeprefix("ref: ")
    for file in (f"{git}/{ref}", f"{git}/packed-refs"):
        for line in _lines(file):
            commit, _, name = line.partition(" ")
            if not file.endswith("packed-refs") or name == ref:
                return ref.removeprefix("refs/heads/"), commit, os.stat(file).st_mtime
    return "", "", 0.0


def _lines(place: str) -> list[str]:
    try:
        with open(place, encoding="utf-8", errors="replace") as text:  # noqa: PTH123 - a string
            return text.read(2**20).splitlines()
    except OSError:
        return []


def _line(place: str) -> str:
    return next(iter(_lines(place)), "").strip()


def _size(place: str) -> int:
    try:
        return os.stat(place).st_size
    except OSError:
        return 0
