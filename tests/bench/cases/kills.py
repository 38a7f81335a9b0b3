"""A pull that is killed again and again: what it costs in bytes fetched twice."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from tests.bench import peers
from tests.bench.children import child, run
from tests.bench.material import drawn, large_repo
from tests.bench.metered import MeteredHub, metered_hub
from tests.bench.report import Goal, say
from tests.bench.settings import MIB

if TYPE_CHECKING:
    from tests.bench.bench import Bench
    from tests.bench.compare import Subject

_KILLS = 20
_RATE = 100 * MIB  # bytes a second of the line, all connections together: a start costs little beside it
_PART = 16 * MIB  # the unit of resumption: what is under way of it may be lost
_SEED = 4306  # so that two runs of the bench die at the same places
_QUIET_S = 2.0  # for the broken answers to end


def kills(bench: Bench) -> None:
    """Bytes served over the file's size after 20 SIGKILLs spread at random over a pull of 1 GiB."""
    size = bench.settings.bytes_or(1024)
    for engine in ("requests", "curl"):
        with bench.workshop() as shop:
            repo = large_repo(shop.folder(needs=size), "large", size)
            hub = shop.enter(metered_hub([repo], bytes_per_s=_RATE))
            folder = shop.folder(needs=size + 64 * MIB)
            target = peers.Target(hub.endpoint, repo)
            make = partial(peers.hfmirror_pull, bench.settings, target, folder, engine)
            for subject in bench.present([make]):
                _torment(bench, hub, subject, size)


def _torment(bench: Bench, hub: MeteredHub, subject: Subject, size: int) -> None:
    under_way, landed = 0, 0
    for goal in sorted(drawn(_SEED, number, size) for number in range(_KILLS)):
        moved = max(goal, hub.served + 1)  # at least a chunk each life: dying before the first byte tells nothing
        lost = _kill_at(hub, subject, moved, bench.settings.timeout_s)
        if lost is None:
            continue
        landed, under_way = landed + 1, under_way + lost
        say(f"  kill {landed} at {hub.served / size:.3f} of the size, {lost / MIB:.1f} MiB under way")
    last = run(subject.argv, subject.env, bench.settings.timeout_s)
    what = f"bytes fetched : size, {subject.name}, {landed} kills"
    if last.failure:
        return bench.report.skip(f"{bench.case}: {what}", last.failure)
    bound = round(1.02 + under_way / size, 3)
    note = f"the goal is 1.02 and what was under way when killed, {under_way / MIB:.0f} MiB in all"
    bench.figure(what, [hub.served / size], goal=Goal(bound, at_least=False), note=note)
    twice = (hub.served - size) / MIB / max(landed, 1)
    return bench.figure(f"fetched twice, a kill, {subject.name}", [twice], "MiB")


def _kill_at(hub: MeteredHub, subject: Subject, served: int, timeout_s: float) -> int | None:
    """Start a pull, kill it when so much was served. Gives the bytes under way; None if it ended before."""
    deadline = time.monotonic() + timeout_s
    with child(subject.argv, subject.env) as pull:
        while hub.served < served and time.monotonic() < deadline:
            if not pull.running():
                return None
            time.sleep(0.001)
        lost = sum(min(sent, _PART) for sent in hub.under_way())
        pull.kill()
    quiet = time.monotonic() + _QUIET_S
    while hub.under_way() and time.monotonic() < quiet:
        time.sleep(0.005)
    return lost
