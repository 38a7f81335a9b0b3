"""The good parts of a half-finished file go into the store's own intake, so that only its holes are fetched.

A part cannot be proven by itself. So only what the tool's own list, or the file's size, says is there
is taken; and the seal proves the whole, as always: if it fails, everything is thrown away and fetched.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hfmirror.adopt.halves import HEADER, safetensors_size
from hfmirror.model import PART, Span
from hfmirror.store.adopting import opened, read_from

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfmirror.adopt.found import Half
    from hfmirror.model import Entry
    from hfmirror.ports import Receiver
    from hfmirror.store.adopting import Offered


def fill(store: Receiver, entry: Entry, half: Half) -> tuple[int, bool]:
    """Take the parts that are lacking; the bytes that came, and whether the object is whole by that.

    Raises Unfit, DigestMismatch (and forgets the bytes), StoreLocked, DiskFull.
    """
    came = 0
    with opened(half.place) as offered, store.receive(entry) as intake:
        for part in good_parts(offered, half, intake.missing()):
            offered.stream.seek(part.start - half.start)
            data = _read(offered, part.size)
            if any(data):  # a part of zeros is rather a hole that the disk does not know for one
                intake.write(part.start, data)
                came += part.size
        whole = not intake.missing()
        if whole:
            intake.seal()
    return came, whole


def worth(entry: Entry, half: Half) -> int:
    """The bytes that could be taken from a half-finished file. Raises Unfit."""
    with opened(half.place) as offered:
        return sum(part.size for part in good_parts(offered, half, [Span(0, entry.size)]))


def good_parts(offered: Offered, half: Half, missing: list[Span]) -> Iterator[Span]:
    """The parts that are missing and of which every byte is in the half-finished file."""
    here = Span(half.start, half.start + offered.size)
    spans = [here] if half.spans is None else half.spans
    for run in missing:
        for start in range(run.start, run.stop, PART):
            part = Span(start, min(start + PART, run.stop))
            inside = any(span.start <= part.start and part.stop <= min(span.stop, here.stop) for span in spans)
            if inside and not _has_hole(offered, Span(part.start - half.start, part.stop - half.start)):
                yield part


def _has_hole(offered: Offered, span: Span) -> bool:
    """Whether the disk never wrote some of these bytes: tools that fetch several pieces at once leave holes."""
    try:
        return os.lseek(offered.stream.fileno(), span.start, os.SEEK_HOLE) < span.stop
    except (OSError, AttributeError):
        return False


def _read(offered: Offered, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += read_from(offered.stream, size - len(data))
    return data


def declared_size(place: str) -> int | None:
    """How large the whole of a safetensors file is by its own header. Raises Unfit."""
    with opened(place) as offered:
        if offered.size < 8:
            return None
        length = int.from_bytes(_read(offered, 8), "little")
        if length > min(HEADER, offered.size - 8):
            return None
        return safetensors_size(length.to_bytes(8, "little") + _read(offered, length))
