"""What a case is given, and the few sentences all cases share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.bench.compare import Manner, Subject, Turns, take_turns
from tests.bench.hub import PeerMissing
from tests.bench.report import Figure, Goal, Report
from tests.bench.settings import MIB, Settings
from tests.bench.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tests.bench.children import Run


def wall(run: Run) -> float:
    """Seconds on the clock."""
    return run.wall_s


def cpu(run: Run) -> float:
    """Seconds of processor, of the command and its children."""
    return run.cpu_s


@dataclass(frozen=True, slots=True)
class Bench:
    """One case's view of the run."""

    case: str
    settings: Settings
    report: Report

    def workshop(self) -> Workshop:
        """Folders and servers that end with the case."""
        return Workshop(self.settings.work, self.settings.disk)

    def manner(self, before: Callable[[], None], *, settle: bool = False) -> Manner:
        """Rounds as asked for."""
        return Manner(self.settings.pairs, self.settings.timeout_s, before, settle)

    def present(self, makers: Iterable[Callable[[], Subject]]) -> list[Subject]:
        """The subjects that are installed; the report says which are not."""
        found: list[Subject] = []
        for make in makers:
            found += self._made(make)
        return found

    def _made(self, make: Callable[[], Subject]) -> list[Subject]:
        try:
            return [make()]
        except PeerMissing as missing:
            self.report.skip(self.case, str(missing))
            return []

    def race(self, subjects: Sequence[Subject], manner: Manner, *, tag: str = "") -> Turns:
        """Let them take turns; the report says which failed, and how."""
        turns = take_turns(subjects, manner)
        for name, why in turns.failed.items():
            self.report.skip(f"{self.case}{tag}: {name}", why)
        return turns

    def figure(
        self, what: str, values: Iterable[float], unit: str = "x", goal: Goal | None = None, note: str = ""
    ) -> None:
        """Report one figure."""
        self.report.add(Figure(self.case, what, tuple(values), unit, goal, note))

    def rate_ratio(self, turns: Turns, mine: str, theirs: str, goal: Goal | None, *, tag: str = "") -> None:
        """How many times faster `mine` is; nothing where one of them has no runs."""
        if values := turns.ratio(theirs, mine, wall):
            self.figure(f"rate, {mine} : {theirs}{tag}", values, goal=goal)

    def cpu_ratio(self, turns: Turns, mine: str, theirs: str, goal: Goal | None, *, tag: str = "") -> None:
        """How many times the processor `mine` needs; nothing where one of them has no runs."""
        if values := turns.ratio(mine, theirs, cpu):
            self.figure(f"CPU, {mine} : {theirs}{tag}", values, goal=goal)

    def absolutes(self, turns: Turns, size: int, *, tag: str = "") -> None:
        """Each subject's own numbers, to know what machine this was; goals are never set on them."""
        for name, runs in turns.runs.items():
            self.figure(f"{name}{tag}", [size / MIB / run.wall_s for run in runs], "MiB/s")
            self.figure(f"{name}{tag}", [run.cpu_s / (size / 1e9) for run in runs], "CPU s/GB")
