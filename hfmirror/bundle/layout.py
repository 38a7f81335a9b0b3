"""What lies in a bundle, and under which names. Pure.

    <bundle>/
    ├── READ-ME-FIRST.txt               what this is and what to do with it, in English and Chinese
    ├── verify.py                       checks it, or puts it into a plain cache, with Python alone
    ├── SHA256SUMS                      the sums of all other files here; written last
    ├── SHA256SUMS.minisig              who says so; optional
    ├── format.json                     as in every store, and so are:
    ├── objects/ manifests/ pins/ refs/ about/ access/repos/
    ├── bundle.json                     the form of what follows
    ├── parts/<algorithm>/<2>/<hex>.part0001 …   an object that is too large for one file
    ├── parts/<algorithm>/<2>/<hex>.json         its size and its parts; written after them
    └── incoming/                       only while an export runs or has been broken off

Every name is one that FAT32, exFAT and Windows can hold. No links, no modes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfmirror import codec
from hfmirror.errors import BadManifest, DamagedBundle
from hfmirror.model import PART, Algorithm, Digest, byte_count, hex_length
from hfmirror.store.layout import Layout

if TYPE_CHECKING:
    from pathlib import Path

SUMS = "SHA256SUMS"
SIGNATURE = "SHA256SUMS.minisig"
README = "READ-ME-FIRST.txt"
SCRIPT = "verify.py"
ABOUT_BUNDLE = "bundle.json"
FORMAT = "format.json"
KIND = "hfmirror bundle"  # in bundle.json
NAMES = ("manifests", "pins", "refs", "about", "access/repos")  # rooms of small JSON files

MOST_PARTS = 9999  # what four digits can count
LEAST_PART = PART  # bytes; a split into smaller crumbs is somebody's joke
MOST_TEXT = 2**28  # bytes; the listing of a million files is smaller

_OBJECT = re.compile(r"(?:objects|parts)/(sha256|git-sha1)/([0-9a-f]{2})/([0-9a-f]+)(\.json|\.part[0-9]{4})?")
_SHA256 = re.compile("[0-9a-f]{64}")
_SUM = re.compile(r"([0-9a-f]{64}) [ *](.+)")


class BundleLayout(Layout):
    """Paths under a bundle's folder."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.sums, self.signature = root / SUMS, root / SIGNATURE
        self.before = self.incoming / "SHA256SUMS.before"  # while an export runs: the sums of what was there


@dataclass(frozen=True, slots=True)
class Piece:
    """A file of the bundle that holds a whole object, or a part of one."""

    name: str  # relative to the bundle, "/"-separated
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.stop - self.start


def object_name(digest: Digest) -> str:
    """Where an object lies in one file."""
    return f"objects/{digest.algorithm.value}/{digest.hex[:2]}/{digest.hex}"


def parts_name(digest: Digest) -> str:
    """Where it is written down which parts an object has."""
    return f"parts/{digest.algorithm.value}/{digest.hex[:2]}/{digest.hex}.json"


def part_name(digest: Digest, number: int) -> str:
    """Where the part with this number lies, from 1 on."""
    return f"parts/{digest.algorithm.value}/{digest.hex[:2]}/{digest.hex}.part{number:04}"


def pieces(digest: Digest, size: int, most: int | None) -> tuple[Piece, ...]:
    """The files of an object of `size` bytes where a file may have `most` (None: any number of) bytes."""
    if most is None or size <= most:
        return (Piece(object_name(digest), 0, size),)
    starts = range(0, size, most)
    return tuple(
        Piece(part_name(digest, number), start, min(start + most, size)) for number, start in enumerate(starts, 1)
    )


def digest_of(name: str) -> tuple[Digest, bool] | None:
    """The object that a file of the bundle belongs to, and whether it is all of it; None for other files."""
    match = _OBJECT.fullmatch(name)
    if match is None:
        return None
    algorithm, shelf, hexed, ending = match.groups()
    if len(hexed) != hex_length(Algorithm(algorithm)) or not hexed.startswith(shelf):
        return None
    if name.startswith("parts/") != (ending is not None):
        return None
    return Digest(Algorithm(algorithm), hexed), ending in (None, ".json")


def parts_text(digest: Digest, found: list[tuple[Piece, str]]) -> str:
    """The file that says which parts an object has, with the SHA-256 of each."""
    rows = [{"name": piece.name.rpartition("/")[2], "size": piece.size, "sha256": hexed} for piece, hexed in found]
    size = sum(piece.size for piece, _ in found)
    return codec.dump({"format": codec.FORMAT, "digest": str(digest), "size": size, "parts": rows})


def parts_of(text: str, digest: Digest) -> tuple[tuple[Piece, str], ...]:
    """The inverse of `parts_text`, believing nothing. Raises DamagedBundle, StoreTooNew."""
    where = parts_name(digest)
    try:
        document = codec.load(text, where)
        rows = [(str(row["name"]), byte_count(row["size"]), str(row["sha256"])) for row in document["parts"]]
        whole, told = byte_count(document["size"]), document["digest"]
    except (BadManifest, KeyError, TypeError, ValueError) as error:
        raise DamagedBundle(where, f"lacks or garbles {error}") from None
    sizes = [size for _, size, _ in rows]
    if told != str(digest):
        raise DamagedBundle(where, f"is about {told}")
    if not 0 < len(sizes) <= MOST_PARTS or any(size < LEAST_PART for size in sizes[:-1]) or sizes[-1] < 1:
        raise DamagedBundle(where, f"splits {whole} bytes into {len(sizes)} parts, some of them crumbs or too many")
    if sum(sizes) != whole:
        raise DamagedBundle(where, f"its parts have {sum(sizes)} bytes together, and the whole has {whole}")
    found: list[tuple[Piece, str]] = []
    for number, (name, size, hexed) in enumerate(rows, 1):
        start = found[-1][0].stop if found else 0
        piece = Piece(part_name(digest, number), start, start + size)
        if name != piece.name.rpartition("/")[2] or not _SHA256.fullmatch(hexed):
            raise DamagedBundle(where, f"its part {number} is called {name!r}, with the sum {hexed!r}")
        found.append((piece, hexed))
    return tuple(found)


def sums_text(sums: dict[str, str]) -> str:
    """The file `SHA256SUMS`, as `sha256sum` writes it, sorted by name."""
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))


def sums_of(text: str) -> dict[str, str]:
    """The inverse of `sums_text`, believing nothing. Raises DamagedBundle."""
    sums: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        match = _SUM.fullmatch(line)
        if match is None:
            raise DamagedBundle(SUMS, f"its line {number} is no sum and name")
        hexed, name = match.groups()
        if name in sums:
            raise DamagedBundle(SUMS, f"names {name!r} twice")
        sums[name] = hexed
    return sums
