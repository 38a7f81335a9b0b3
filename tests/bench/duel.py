"""Servers under the same load, by turns: A B A B."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from tests.bench.load import LoadFailed, made
from tests.bench.report import say
from tests.bench.served import MINE
from tests.bench.settings import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.bench.bench import Bench
    from tests.bench.load import Work
    from tests.bench.report import Goal
    from tests.bench.served import Server

T = TypeVar("T")

MAKERS = 2  # processes that make a load, one for each core of the machine


@dataclass(frozen=True, slots=True)
class Pace:
    """What a load got out of a server."""

    rate: float  # bytes or answers a second
    cpu_s: float  # of the server, for a byte or an answer

    def __str__(self) -> str:
        return f"{self.rate / MIB:.0f} MiB/s" if self.rate > 10 * MIB else f"{self.rate:.0f} a second"


def pace(server: Server, work: Work, *company: Work) -> Pace:
    """The pace of one server under a load, beside company that does not count. Raises LoadFailed."""
    before = server.cpu_s()
    results = [result for result in made([*work.shared(MAKERS), *company]) if "count" in result]
    used = server.cpu_s() - before
    if broken := sum(result["broken"] for result in results):
        raise LoadFailed(f"{broken} answers of {server.name} were broken")
    return Pace(sum(result["count"] / result["seconds"] for result in results), used / sum(r["all"] for r in results))


def by_turns(bench: Bench, measures: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
    """Each measure once a round, after a round that does not count. One that fails is not tried again."""
    found: dict[str, list[T]] = {name: [] for name in measures}
    for number in range(bench.settings.pairs + 1):
        for name, measure in measures.items():
            if name not in found:
                continue
            try:
                value = measure()
            except LoadFailed as why:
                bench.report.skip(f"{bench.case}: {name}", str(why))
                del found[name]
                continue
            say(f"  {f'round {number}' if number else 'warm-up'}  {name}: {value}")
            if number:
                found[name].append(value)
    return found


def duel(
    bench: Bench, mine: Server, theirs: Server, work: Callable[[Server], Work], goal: Goal | None, tag: str = ""
) -> None:
    """One load on two servers: the ratio of their rates, and of the processor they need."""
    servers = (mine, theirs)
    found = by_turns(bench, {one.name: partial(pace, one, work(one)) for one in servers})
    report(bench, found, theirs.name, goal, tag)


def report(bench: Bench, found: Mapping[str, list[Pace]], theirs: str, goal: Goal | None, tag: str = "") -> None:
    """The figures of paces."""
    if MINE in found and theirs in found:
        pairs = list(zip(found[MINE], found[theirs], strict=True))
        bench.figure(f"rate, {MINE} : {theirs}{tag}", [ours.rate / other.rate for ours, other in pairs], goal=goal)
        if all(other.cpu_s for _, other in pairs):
            bench.figure(f"CPU, {MINE} : {theirs}{tag}", [ours.cpu_s / other.cpu_s for ours, other in pairs])
    for name, paces in found.items():
        bulk = paces[0].rate > 10 * MIB
        bench.figure(f"{name}{tag}", [one.rate / (MIB if bulk else 1) for one in paces], "MiB/s" if bulk else "a s")
        if not all(one.cpu_s for one in paces):
            continue
        scale, unit = (1e9, "CPU s/GB") if bulk else (1e6, "CPU us each")
        bench.figure(f"{name}{tag}", [one.cpu_s * scale for one in paces], unit)
