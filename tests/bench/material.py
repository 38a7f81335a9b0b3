"""Repos to pull: their files on disk, and what a Hub says of them."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BLOCK = 2**20  # bytes written at a time
_POOL = 4  # blocks of true noise; more would only cost time, as nobody here compresses


@dataclass(frozen=True, slots=True)
class File:
    """One file of a repo, with every name its content has."""

    path: str
    size: int
    sha256: str
    git_sha1: str  # of the content; empty for an LFS file
    lfs: bool

    @property
    def etag(self) -> str:
        """What the Hub calls the content."""
        return self.sha256 if self.lfs else self.git_sha1


@dataclass(frozen=True, slots=True)
class Repo:
    """A repo `bench/<name>` with one commit."""

    name: str
    folder: Path
    files: tuple[File, ...]

    @property
    def id(self) -> str:
        """How a client asks for it."""
        return f"bench/{self.name}"

    @property
    def size(self) -> int:
        """Bytes in all files."""
        return sum(file.size for file in self.files)

    @property
    def commit(self) -> str:
        """Forty digits that change with the content."""
        content = "".join(f"{file.path}\0{file.etag}\n" for file in self.files)
        return hashlib.sha1(content.encode(), usedforsecurity=False).hexdigest()

    def address(self, endpoint: str, path: str) -> str:
        """Where a Hub has one of the files."""
        return f"{endpoint}/{self.id}/resolve/{self.commit}/{path}"

    def info(self) -> bytes:
        """The answer about the repo."""
        return _compact(
            {
                "_id": "0", "id": self.id, "modelId": self.id, "author": "bench", "sha": self.commit,
                "lastModified": "2024-01-02T03:04:05.000Z", "createdAt": "2024-01-01T00:00:00.000Z",
                "private": False, "gated": False, "disabled": False, "downloads": 0, "likes": 0, "tags": [],
                "siblings": [{"rfilename": file.path} for file in self.files],
            }
        )  # fmt: skip

    def tree(self) -> bytes:
        """The answer about the commit's files, all on one page."""
        folders = sorted({file.path.rpartition("/")[0] for file in self.files} - {""})
        rows: list[dict[str, object]] = [
            {"type": "directory", "oid": _git_id(b"tree", folder.encode()), "size": 0, "path": folder}
            for folder in folders
        ]
        return _compact([*rows, *map(_row, self.files)])


def _row(file: File) -> dict[str, object]:
    if not file.lfs:
        return {"type": "file", "oid": file.git_sha1, "size": file.size, "path": file.path}
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{file.sha256}\nsize {file.size}\n"
    pointer = text.encode()
    lfs = {"oid": file.sha256, "size": file.size, "pointerSize": len(pointer)}
    oid = _git_id(b"blob", pointer)
    return {"type": "file", "oid": oid, "size": file.size, "lfs": lfs, "path": file.path}


def drawn(seed: int, number: int, below: int) -> int:
    """The `number`-th of a row of numbers below a bound that look random, and are the same everywhere."""
    return int.from_bytes(hashlib.sha256(b"%d %d" % (seed, number)).digest()[:16], "big") % below


def _git_id(kind: bytes, content: bytes) -> str:
    return hashlib.sha1(b"%s %d\0%s" % (kind, len(content), content), usedforsecurity=False).hexdigest()


def _compact(answer: object) -> bytes:
    return json.dumps(answer, separators=(",", ":")).encode()


def large_repo(parent: Path, name: str, size: int) -> Repo:
    """A repo of one LFS file of `size` bytes, no two MiB of it alike."""
    folder = parent / name
    folder.mkdir()
    sha256 = hashlib.sha256()
    with (folder / "model.safetensors").open("wb") as out:
        for block in _noise(size):
            sha256.update(block)
            out.write(block)
    return Repo(name, folder, (File("model.safetensors", size, sha256.hexdigest(), git_sha1="", lfs=True),))


def _noise(size: int) -> Iterator[bytes]:
    pool = [os.urandom(_BLOCK) for _ in range(_POOL)]
    for number, start in enumerate(range(0, size, _BLOCK)):
        block = number.to_bytes(8, "big") + pool[number % _POOL][8:]
        yield block[: size - start]


def small_repo(parent: Path, name: str, count: int, *, smallest: int = 10_000, largest: int = 100_000) -> Repo:
    """A repo of `count` files kept in git, of even-spread sizes in bytes, a hundred to a folder."""
    folder = parent / name
    stride = 7_919 * 2 + 1  # coprime to the usual spreads: sizes come in no order
    files = []
    for number in range(count):
        size = smallest + number * stride % (largest - smallest + 1)
        path = f"part-{number // 100:03d}/file-{number:05d}.jpg"
        files.append(write_file(folder, path, os.urandom(size)))
    return Repo(name, folder, tuple(files))


def write_file(folder: Path, path: str, content: bytes, *, lfs: bool = False) -> File:
    """Put one file into a repo's folder."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    git_sha1 = "" if lfs else _git_id(b"blob", content)
    return File(path, len(content), hashlib.sha256(content).hexdigest(), git_sha1, lfs)
