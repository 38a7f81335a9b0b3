"""One large file over lines that are slow, lossy or capped: the number of connections hfmirror finds by itself.

Beside `aria2c -x16`, and beside hfmirror with fixed numbers, of which the best is the measure. TCP is
the kernel's own, with Reno at both ends; delay, losses and caps are made by `lines_carrier`.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from tests.bench import peers
from tests.bench.bench import wall
from tests.bench.hub import PeerMissing, nginx_hub
from tests.bench.lines import NoLine, laid
from tests.bench.lines_carrier import Line
from tests.bench.material import large_repo
from tests.bench.pin import pinned
from tests.bench.report import Goal
from tests.bench.settings import MIB

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.bench.bench import Bench
    from tests.bench.compare import Subject, Turns
    from tests.bench.lines import Laid
    from tests.bench.workshop import Workshop

_SLACK = 64 * MIB  # beside the file itself: views, journals, logs
_RATE = 50e6  # bytes a second of the whole line: 400 Mbit/s

ARIA2 = "aria2c -x16"
MINE = {"requests": "hfmirror (requests)", "curl": "hfmirror (curl)"}


def lossy_50(bench: Bench) -> None:
    """A round trip of 50 ms, 1 % of packets lost."""
    _Race(Line(0.05, loss=0.01, rate=_RATE), 128, (32, 64), over_aria2=2.5).run(bench)


def lossy_200(bench: Bench) -> None:
    """A round trip of 200 ms, 5 % of packets (of 9000 bytes) lost."""
    _Race(Line(0.2, loss=0.05, rate=_RATE, mtu=9000), 64, (32, 64), over_aria2=1.7).run(bench)


def capped(bench: Bench) -> None:
    """A round trip of 50 ms, 2 MB a second for each connection."""
    _Race(Line(0.05, rate=_RATE, flow_rate=2e6), 256, (32, 64), over_aria2=1.2).run(bench)


def clean_50(bench: Bench) -> None:
    """A round trip of 50 ms, and nothing else wrong."""
    _Race(Line(0.05, rate=_RATE), 256, (4, 8), over_best=0.95).run(bench)


def clean(bench: Bench) -> None:
    """The loopback."""
    _Race(None, 2048, (1, 2, 4), over_best=0.95).run(bench)


@dataclass(frozen=True, slots=True)
class _Race:
    """A line, what is downloaded over it, and what is expected."""

    line: Line | None  # None: the loopback
    mib: int
    fixed: tuple[int, ...]  # numbers of connections that may be the best
    over_aria2: float | None = None  # times its rate
    over_best: float | None = None  # times the rate of the best fixed number

    def run(self, bench: Bench) -> None:
        with bench.workshop() as shop:
            size = bench.settings.bytes_or(self.mib)
            repo = large_repo(shop.folder(needs=size + _SLACK), "large", size)
            way = self._laid(shop)
            with way.at_server() if way else nullcontext():
                host = way.address if way else "127.0.0.1"
                hub = shop.enter(nginx_hub(shop.folder(), [repo], host=host))
            warm = shop.enter(pinned(repo.folder))
            target = peers.Target(hub.endpoint, repo)
            folder = shop.folder(needs=size + _SLACK)
            with way.at_client() if way else nullcontext():
                turns = bench.race(bench.present(self._makers(bench, target, folder)), bench.manner(warm))
        self._report(bench, turns, size)

    def _laid(self, shop: Workshop) -> Laid | None:
        if self.line is None:
            return None
        try:
            return shop.enter(laid(self.line))
        except NoLine as why:
            raise PeerMissing(str(why)) from None

    def _makers(self, bench: Bench, target: peers.Target, folder: Path) -> list[Callable[[], Subject]]:
        mine = [partial(peers.hfmirror_pull, bench.settings, target, folder, engine) for engine in MINE]
        fixed = [partial(_fixed, make, number) for make in mine for number in self.fixed]
        return [partial(_aria2_16, bench, target, folder), *mine, *fixed]

    def _report(self, bench: Bench, turns: Turns, size: int) -> None:
        for name in MINE.values():
            goal = Goal(self.over_aria2) if self.over_aria2 else None
            bench.rate_ratio(turns, name, ARIA2, goal)
            tried = [_with(name, number) for number in self.fixed if _with(name, number) in turns.runs]
            if tried:
                best = min(tried, key=lambda one: median(map(wall, turns.runs[one])))
                bench.rate_ratio(turns, name, best, Goal(self.over_best) if self.over_best else None)
        bench.absolutes(turns, size)


def _with(name: str, number: int) -> str:
    return f"{name} --connections {number}"


def _fixed(make: Callable[[], Subject], number: int) -> Subject:
    subject = make()
    return replace(subject, name=_with(subject.name, number), argv=(*subject.argv, "--connections", str(number)))


def _aria2_16(bench: Bench, target: peers.Target, folder: Path) -> Subject:
    """With sixteen connections for files of any size; by itself it gives one to each 20 MiB. Raises PeerMissing."""
    subject = peers.aria2_large(bench.settings, target, folder)
    instead = {"-x8": "-x16", "-s8": "-s16"}
    argv = (subject.argv[0], "-k1M", *(instead.get(word, word) for word in subject.argv[1:]))
    return replace(subject, name=ARIA2, argv=argv)
