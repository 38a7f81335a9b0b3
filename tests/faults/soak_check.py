"""What must hold of a store after the storm, told without a line of hfmirror's own reading of it."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

REPO = "acme/many"
FOLDER = "models--acme--many"
_HEX = r"[0-9a-f]+"
# Every file that a store may have, by its path under the root, once nothing is on its way.
_KNOWN = re.compile(
    rf"""format\.json | line | locks/.* | access/.*
    | objects/(sha256|git-sha1)/[0-9a-f]{{2}}/{_HEX} | parts/(sha256|git-sha1)/[0-9a-f]{{2}}/{_HEX}
    | scans/(sha256|git-sha1)/[0-9a-f]{{2}}/{_HEX}\.json
    | (manifests|pins|about)/{FOLDER}/{_HEX}(\.partial)?\.json | refs/{FOLDER}/[^/]+\.json
    | hub/CACHEDIR\.TAG | hub/{FOLDER}/(blobs/{_HEX} | refs/[^/]+ | snapshots/{_HEX}/.* | trees/{_HEX}\.json)""",
    re.VERBOSE,
)


def sha256_of(path: Path) -> str:
    """Of a file, by hashlib."""
    with path.open("rb") as file:
        hasher = hashlib.sha256()
        while block := file.read(2**20):
            hasher.update(block)
    return hasher.hexdigest()


def wrong_files(snapshot: Path, expected: Mapping[str, str]) -> list[str]:
    """What a snapshot has that the Hub has not, lacks, or has otherwise; `expected` is the SHA-256 of each path."""
    found = {p.relative_to(snapshot).as_posix(): sha256_of(p) for p in snapshot.rglob("*") if p.is_file()}
    return [
        *(f"{path} is lost" for path in sorted(expected.keys() - found.keys())),
        *(f"{path} is nobody's" for path in sorted(found.keys() - expected.keys())),
        *(f"{path} is wrong" for path, told in sorted(expected.items()) if found.get(path, told) != told),
    ]


def wrong_store(root: Path, wanted: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """What is not as it must be in a store after gc. `wanted`: of each commit, the object's name of each path."""
    yield from (f"{path.name} is left in incoming" for path in (root / "incoming").glob("*"))
    yield from (f"{path.name} is in quarantine" for path in (root / "quarantine").glob("*"))
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if (path.is_symlink() or path.is_file()) and not _KNOWN.fullmatch(name):
            yield f"{name} is nobody's"
        if path.is_symlink() and not path.exists():
            yield f"{name} leads nowhere"
    pinned = [json.loads(path.read_text())["commit"] for path in (root / "pins" / FOLDER).glob("*.json")]
    of_pins = {name for commit in pinned for name in wanted[commit].values()}
    for path in (root / "objects").rglob("*"):
        if path.is_file():
            yield from _wrong_object(path, of_pins)


def _wrong_object(path: Path, wanted: set[str]) -> Iterator[str]:
    if path.name not in wanted:
        yield f"object {path.name} is wanted by no pin"
    data = path.read_bytes()
    by_git = path.parent.parent.name == "git-sha1"
    digest = hashlib.sha1(b"blob %d\0" % len(data) + data) if by_git else hashlib.sha256(data)
    if digest.hexdigest() != path.name:
        yield f"object {path.name} is something else"
    if path.stat().st_mode & 0o222:
        yield f"object {path.name} can be written to"
