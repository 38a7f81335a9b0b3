"""What came out: as a table for people, as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Goal:
    """What the issue asks for."""

    bound: float
    at_least: bool = True

    def reached(self, value: float) -> bool:
        """Whether a value is on the right side."""
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of the table. `values` are the rounds' (pairs'), the figure is their median."""

    case: str
    what: str
    values: tuple[float, ...]
    unit: str  # "x" for a ratio
    goal: Goal | None = None
    note: str = ""

    @property
    def value(self) -> float:
        """The figure itself."""
        return median(self.values)


@dataclass(slots=True)
class Report:
    """All figures of a run, and all that could not be had."""

    figures: list[Figure] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)

    def add(self, figure: Figure) -> None:
        """Take in a figure."""
        self.figures.append(figure)

    def skip(self, what: str, why: str) -> None:
        """Note that a figure is missing, and say so at once."""
        self.skipped.append((what, why))
        say(f"  skipped: {what}: {why}")

    def table(self) -> str:
        """For a terminal."""
        head = ("case", "figure", "measured", "goal", "", "lowest .. highest", "n")
        rows = [head, *map(_row, self.figures)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        rows.insert(1, tuple("-" * width for width in widths))
        lines = [_line(row, widths) for row in rows]
        lines += [f"  {figure.case}, {figure.what}: {figure.note}" for figure in self.figures if figure.note]
        lines += [f"skipped  {what}: {why}" for what, why in self.skipped]
        return "\n".join(lines)

    def write_json(self, path: Path) -> None:
        """For a program."""
        figures = [asdict(figure) | _judged(figure) for figure in self.figures]
        skipped = [{"what": what, "why": why} for what, why in self.skipped]
        whole = {"format": 1, "machine": machine() | self.facts, "figures": figures, "skipped": skipped}
        path.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def machine() -> dict[str, str]:
    """What a reader must know to judge absolute numbers; nothing that names the machine."""
    return {
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
    }


def say(line: str) -> None:
    """A word on what is going on, apart from the table."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _reached(figure: Figure) -> bool | None:
    return figure.goal.reached(figure.value) if figure.goal else None


def _judged(figure: Figure) -> dict[str, object]:
    goal = str(figure.goal) if figure.goal else None
    return {"value": figure.value, "goal": goal, "reached": _reached(figure)}


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _row(figure: Figure) -> tuple[str, ...]:
    reached = {True: "reached", False: "SHORT", None: ""}[_reached(figure)]
    low, high = min(figure.values), max(figure.values)
    spread = f"{_number(low)} .. {_number(high)}" if len(figure.values) > 1 else ""
    goal = str(figure.goal) if figure.goal else ""
    measured = f"{_number(figure.value)} {figure.unit}".strip()
    return figure.case, figure.what, measured, goal, reached, spread, str(len(figure.values))


def _number(value: float) -> str:
    if value == int(value) or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
