"""The matrix: which troubles are tried where, from how many sources, with a kill or without, by which engine."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from hfmirror.model import PART
from tests.faults.troubles import TROUBLES, Trouble

SIZE = 6 * PART + 123  # bytes of the file
EDGE = 5_000  # bytes; so near the file's ends the first and the last places are
PLACES = {"first": EDGE, "middle": SIZE // 2, "last": SIZE - EDGE}  # the byte whose bringing goes wrong
SOURCES = (1, 2)
ENGINES = ("requests", "curl")


@dataclass(frozen=True, slots=True)
class Cell:
    """One trial."""

    trouble: Trouble
    place: str
    sources: int
    killed: bool
    engine: str

    def __str__(self) -> str:
        words = (self.trouble.name, self.place, f"{self.sources} source{'s' * (self.sources > 1)}", self.engine)
        return ", ".join((*words, "killed") if self.killed else words)


def cells() -> list[Cell]:
    """All of them. Without a kill and from one source both engines are tried; elsewhere they take turns."""
    found: list[Cell] = []
    for number, (trouble, place) in enumerate(product(TROUBLES, PLACES)):
        turn, other = ENGINES[number % 2], ENGINES[(number + 1) % 2]
        ways = [*((1, False, engine) for engine in ENGINES), (1, True, turn), (2, False, other), (2, True, turn)]
        found += [Cell(trouble, place, *way) for way in ways]
    return found


def some() -> list[Cell]:
    """A part in which every trouble, place, number of sources and engine is met, with and without a kill."""
    kinds = [(1, False), (2, True), (2, False), (1, True)]
    chosen = []
    for number, trouble in enumerate(TROUBLES):
        place, kind = [*PLACES][number % len(PLACES)], kinds[number % len(kinds)]
        here = [c for c in cells() if c.trouble is trouble and c.place == place and (c.sources, c.killed) == kind]
        chosen.append(here[number // 2 % len(here)])
    return chosen
