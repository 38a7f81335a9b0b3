"""A body on its way, with what happens to it: the same for a socket and for memory."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.simulator.answers import Part, Slice, length

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.simulator.faults import Case, Faults

_PAUSES = frozenset({"stall", "hold"})
_NEVER = -(2**63)  # bytes; before any body began
PIECE = 2**20  # bytes handed on at once; small enough that the counts keep up


@dataclass(frozen=True, slots=True)
class Mishap:
    """Something other than bytes: "cut", "reset", "stall" or "hold". After the first two nothing follows."""

    what: str
    seconds: float = 0.0
    over: threading.Event = field(default_factory=threading.Event)  # what a hold waits for


@dataclass(frozen=True, slots=True)
class _Due:
    left: int  # bytes that still go through before
    case: Case
    mishap: Mishap


def flow(body: Iterable[Part], cases: Sequence[Case], piece: int = PIECE) -> Iterator[Part | Mishap]:
    """The parts in pieces, damaged where a fault says so, and mishaps in their places."""
    over: set[tuple[Case, str]] = set()
    sent = 0
    for part in body:
        at, size = 0, length(part)
        while at < size:
            dues = [*_dues(cases, part, at, sent, over), *_holds(cases, part, at)]
            due = min(dues, key=lambda d: d.left, default=None)
            if due is not None and due.left == 0:
                over.add((due.case, due.mishap.what))
                if due.case.strikes_now():
                    yield due.mishap
                    if due.mishap.what not in _PAUSES:
                        return
                continue
            count = min(piece, size - at, size if due is None else due.left)
            yield _damaged(_cut_out(part, at, at + count), cases)
            at, sent = at + count, sent + count
            for case in cases:
                case.armed.passed(count)


def _dues(cases: Sequence[Case], part: Part, at: int, sent: int, over: set[tuple[Case, str]]) -> Iterator[_Due]:
    for case in cases:
        faults = case.faults
        before = _before(faults, part, at, sent)
        points = (("cut", faults.cut_after), ("reset", faults.reset_after), ("stall", faults.stall_after))
        for what, point in points:
            if point is None or (faults.every is None and (case, what) in over):
                continue
            left = case.until(before + point, sent)
            if left is not None:
                yield _Due(left, case, Mishap(what, faults.stall_s))


def _before(faults: Faults, part: Part, at: int, sent: int) -> int:
    """Bytes of the body from which its mishaps are counted; negative when that place is not in it."""
    if faults.at is None:
        return 0
    return _NEVER if isinstance(part, bytes) else sent + faults.at - part.start - at


def _holds(cases: Sequence[Case], part: Part, at: int) -> Iterator[_Due]:
    """Where in this part bytes are held back, whatever connection they go over."""
    if isinstance(part, bytes):
        return
    for case in cases:
        left = case.held(part.start + at)
        if left is not None:
            yield _Due(left, case, Mishap("hold", over=case.armed.lifted))


def _cut_out(part: Part, start: int, stop: int) -> Part:
    if isinstance(part, bytes):
        return part if stop - start == len(part) else part[start:stop]
    return Slice(part.content, part.start + start, part.start + stop)


def _damaged(part: Part, cases: Sequence[Case]) -> Part:
    if isinstance(part, bytes):
        return part
    for case in cases:
        flips = {at: mask for at, mask in case.faults.flips.items() if part.start <= at < part.stop}
        if flips and case.bites():
            return _flipped(part, flips)
    return part


def _flipped(part: Slice, flips: dict[int, int]) -> bytes:
    data = bytearray(b"".join(part.content.read(part.start, part.stop)))
    for offset, mask in flips.items():
        data[offset - part.start] ^= mask
    return bytes(data)
