"""Half-finished files of other tools: what their names and their own records say. Pure.

Facts: aria2 1.37 "Technical Notes" (control file); huggingface_hub 0.17-2.4 `file_download.py` and
`_local_folder.py` (`<etag>.incomplete`, `<etag>.<8 hex>.incomplete`, `<hash>.<etag>…`); git-lfs 3
(`<oid>.part`); ModelScope 1.2x `file_download.py` (`._____temp/<file>_<first>_<last>`); browsers'
`.part` and `.crdownload`, wget and curl, which give a stopped download its final name at once.
"""

from __future__ import annotations

import json
import os
import re
import struct
from typing import TYPE_CHECKING

from hfmirror.adopt.found import Half
from hfmirror.model import Span

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from hfmirror.model import Entry

CONTROL = ".aria2"
SUFFIXES = (".incomplete", ".part", ".partial", ".crdownload", ".opdownload", ".download")
HEADER = 100 * 2**20  # bytes; the format itself allows a header no more
_DIGEST = re.compile(r"(?:^|[.-])([0-9a-f]{64}|[0-9a-f]{40})(?:\.[0-9a-f]{8})?(?:\.incomplete|\.part)$")
_SLICE = re.compile(r"(.+)_(\d+)_(\d+)")
_COPY = re.compile(r" ?\(\d{1,3}\)(?=(?:\.[^.]*)?$)")  # what a browser adds when there is a file of that name


def plain_name(name: str) -> str:
    """What a file was called before a tool or a browser added to its name."""
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return _COPY.sub("", name)


def half_of(place: str, size: int) -> Half | None:
    """The half-finished file that one with this name is, or None when its name does not say so."""
    name = os.path.basename(place)  # noqa: PTH119 - a string
    if not name.endswith(SUFFIXES):
        return None
    digest = _DIGEST.search(name)
    return Half(place, size, "" if digest else plain_name(name), digest.group(1) if digest else "")


def slice_of(place: str, size: int) -> Half:
    """The file, or the slice of one, that ModelScope was fetching."""
    name = os.path.basename(place)  # noqa: PTH119 - a string
    cut = _SLICE.fullmatch(name)
    if cut and int(cut.group(3)) - int(cut.group(2)) + 1 >= size:
        return Half(place, size, cut.group(1), start=int(cut.group(2)))
    return Half(place, size, name)


def controlled(place: str, size: int, control: bytes) -> Half | None:
    """The file that aria2 was fetching, by its control file; None when that cannot be read."""
    told = aria2_pieces(control)
    if told is None:
        return None
    whole, spans = told
    here = tuple(Span(span.start, min(span.stop, size)) for span in spans if span.start < size)
    return Half(place, size, plain_name(os.path.basename(place)), whole=whole, spans=here)  # noqa: PTH119 - a string


def aria2_pieces(control: bytes) -> tuple[int, list[Span]] | None:
    """The length of the finished file and the runs of pieces that are there. None when it is no control file."""
    try:
        (version,) = struct.unpack_from(">H", control)
        order = {0: "=", 1: ">"}[version]  # version 0 was written in the machine's own order
        (hashed,) = struct.unpack_from(f"{order}I", control, 6)
        piece, whole, _, fields = struct.unpack_from(f"{order}IQQI", control, 10 + hashed)
    except (struct.error, KeyError):
        return None
    bits = control[34 + hashed : 34 + hashed + fields]
    if not piece or 8 * len(bits) * piece < whole:
        return None
    return whole, list(_runs(bits, piece, whole))


def _runs(bits: bytes, piece: int, whole: int) -> Iterator[Span]:
    begun: int | None = None
    for index in range(-(-whole // piece)):
        there = bits[index // 8] & (0x80 >> index % 8)
        if there and begun is None:
            begun = index * piece
        if not there and begun is not None:
            yield Span(begun, index * piece)
            begun = None
    if begun is not None:
        yield Span(begun, whole)


def safetensors_size(head: bytes) -> int | None:
    """How large the whole file is, by the header it begins with; None when there is none in these bytes.

    Facts: safetensors README, "Format": eight bytes of length, JSON, and tensors with their offsets.
    """
    if len(head) < 8:
        return None
    (length,) = struct.unpack_from("<Q", head)
    if not 2 <= length <= HEADER or len(head) < 8 + length:
        return None
    try:
        tensors = json.loads(head[8 : 8 + length])
        ends = [int(tensor["data_offsets"][1]) for name, tensor in tensors.items() if name != "__metadata__"]
        return 8 + int(length) + max(ends, default=0)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return None


def owner(half: Half, whole: int | None, entries: Collection[Entry]) -> Entry | None:
    """The entry this is a part of, or None when nothing says so plainly.

    The tool's own word for the content decides, then the size of the whole (`whole`: what its own
    bytes say), then the name. A name alone counts only if it fits one content.
    """
    if half.digest:
        return next((entry for entry in entries if entry.digest.hex == half.digest), None)
    known = {half.whole, whole} - {None}
    fitting = [
        entry for entry in entries if known <= {entry.size} and half.size + half.start <= entry.size and half.size
    ]
    named = [entry for entry in fitting if _basename(entry.path) == half.name]
    return _only(named) or (_only(fitting) if known else None)


def _only(entries: Iterable[Entry]) -> Entry | None:
    by_content = {entry.digest: entry for entry in entries}
    return next(iter(by_content.values())) if len(by_content) == 1 else None


def _basename(path: str) -> str:
    return path.rpartition("/")[2]
