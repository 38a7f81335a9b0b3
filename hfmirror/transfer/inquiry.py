"""Whose bytes are wrong: found out before anything is thrown away.

Of a file that several sources brought and that is not what its digest says, one suspect's bytes after
the other's are fetched again from somebody else. If it is right then, the suspect lied.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfmirror.model import PART, Span, part_runs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from hfmirror.errors import DigestMismatch
    from hfmirror.transfer.orders import Bringer, Download
    from hfmirror.transfer.reports import Reports


RARE = 4  # times more bytes the word of who knows the names is worth: it is the least likely to be wrong


@dataclass(frozen=True, slots=True)
class Round:
    """Some bytes that are fetched again, and whose they were. None: an earlier run's."""

    suspect: Bringer | None
    spans: tuple[Span, ...]


@dataclass(slots=True)
class Inquiry:
    """What one download's proof has said, and whom to suspect next."""

    error: DigestMismatch
    suspects: deque[Bringer | None]
    under_way: Round | None = None

    def avoids(self, bringer: Bringer) -> bool:
        """Whether this one's word is just being checked."""
        return self.under_way is not None and bringer is self.under_way.suspect

    def rounds(self, download: Download) -> Iterator[Round]:
        """What is still worth trying: what the suspect has written by now, as far as it may be wrong."""
        wrong = download.intake.wrong_parts()
        while self.suspects:
            suspect = self.suspects.popleft()
            spans = parts_of(download.brought.get(suspect, ()), download.entry.size)
            if wrong:
                spans = [run for run in wrong if overlap([run], spans)]
            if spans:
                yield Round(suspect, tuple(spans))


def opened(download: Download, error: DigestMismatch, lanes: Sequence[Reports]) -> Inquiry:
    """Whom to suspect, the cheapest first.

    Those who were found out before come first, and of the others who brought the fewest bytes; what an
    earlier run had left comes last, for it was fetched from the same sources.
    """
    banned = [lane for lane in lanes if lane.banned]
    by_cost = sorted(
        (who is None, who not in banned, sum(span.size for span in spans) * (RARE if who is lanes[0] else 1), at, who)
        for at, (who, spans) in enumerate(download.brought.items())
        if spans
    )
    return Inquiry(error, deque(who for *_, who in by_cost))


def contributors(download: Download) -> list[Bringer | None]:
    """Who brought anything of it."""
    return [who for who, spans in download.brought.items() if spans]


def begin(download: Download, turn: Round) -> None:
    """Want these bytes once more, and forget who wrote them. Raises StoreError."""
    download.intake.doubt(turn.spans)
    download.brought = {who: without(spans, turn.spans) for who, spans in download.brought.items()}
    download.unassigned = deque(turn.spans)
    download.opened.clear()
    download.sealing = False


# -- spans ------------------------------------------------------------------------------------------


def parts_of(spans: Iterable[Span], size: int) -> list[Span]:
    """The whole parts that these spans touch, as runs: a part is claimed whole or not at all."""
    touched = {index for span in spans for index in range(span.start // PART, -(-span.stop // PART))}
    return part_runs(sorted(touched), size)


def overlap(some: Iterable[Span], others: Collection[Span]) -> bool:
    """Whether any byte is in both."""
    return any(one.start < other.stop and other.start < one.stop for one in some for other in others)


def without(spans: Iterable[Span], taken: Iterable[Span]) -> list[Span]:
    """What is left of the spans."""
    left = list(spans)
    for hole in taken:
        cut = [(Span(one.start, min(one.stop, hole.start)), Span(max(one.start, hole.stop), one.stop)) for one in left]
        left = [piece for pair in cut for piece in pair if piece.size > 0]
    return left


def rest_of(size: int, missing: Iterable[Span]) -> list[Span]:
    """Everything of a file but what is missing."""
    return without([Span(0, size)], missing)
