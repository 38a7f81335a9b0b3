"""Taking turns: A B A B, never A A B B, so that what else the machine does hits both alike."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import TYPE_CHECKING

from tests.bench.children import Run, run
from tests.bench.report import say
from tests.bench.workshop import empty, held_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Subject:
    """A command to be measured, and how to tell that it did its work."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    folder: Path | None = None  # emptied before each run
    brings: int = 0  # bytes that must lie in the folder afterwards


@dataclass(frozen=True, slots=True)
class Manner:
    """How the runs are made."""

    rounds: int  # that count
    timeout_s: float
    before: Callable[[], None] = lambda: None  # ahead of each run, unmeasured
    settle: bool = False  # the disks must come to rest before each run, and after it with a clock
    together: bool = False  # watch memory
    quiet: bool = False  # say nothing of each run
    warm_up: bool = True  # a round before that does not count: bytecode is written, memory touched first


@dataclass(slots=True)
class Turns:
    """The runs that were made, and why others were not."""

    runs: dict[str, list[Run]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def ratio(self, of: str, to: str, measure: Callable[[Run], float]) -> list[float]:
        """The measure of one subject over another's, for each round both were in."""
        pairs = zip(self.runs.get(of, []), self.runs.get(to, []), strict=False)
        return [measure(mine) / measure(theirs) for mine, theirs in pairs]


def take_turns(subjects: Sequence[Subject], manner: Manner) -> Turns:
    """Run each subject once a round. One that fails is not run again, so that time stays bounded."""
    turns = Turns()
    for number in range(0 if manner.warm_up else 1, manner.rounds + 1):
        for subject in subjects:
            if subject.name not in turns.failed:
                _turn(number, subject, manner, turns)
    for folder in {subject.folder for subject in subjects if subject.folder}:
        empty(folder)
    return turns


def _turn(number: int, subject: Subject, manner: Manner, turns: Turns) -> None:
    made = _once(subject, manner)
    failure = made.failure or _lacking(subject)
    if failure:
        turns.failed[subject.name] = failure
        turns.runs.pop(subject.name, None)
    elif number:
        turns.runs.setdefault(subject.name, []).append(made)
    if failure or not manner.quiet:
        _tell(number, subject, made, failure)


def _once(subject: Subject, manner: Manner) -> Run:
    if subject.folder:
        empty(subject.folder)
    manner.before()
    if not manner.settle:
        return run(subject.argv, subject.env, manner.timeout_s, together=manner.together)
    os.sync()
    made = run(subject.argv, subject.env, manner.timeout_s, together=manner.together)
    start = perf_counter()
    os.sync()
    return replace(made, settle_s=perf_counter() - start)


def _lacking(subject: Subject) -> str:
    if subject.folder is None:
        return ""
    held = held_bytes(subject.folder)
    return f"said it was done, but brought {held} of {subject.brings} bytes" if held < subject.brings else ""


def _tell(number: int, subject: Subject, made: Run, failure: str) -> None:
    what = f"failed: {failure}" if failure else f"{made.wall_s:.3f} s, CPU {made.cpu_s:.2f} s"
    say(f"  {f'round {number}' if number else 'warm-up'}  {subject.name}: {what}")
