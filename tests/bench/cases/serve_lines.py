"""Cold files over a line of 50 ms, the mirror at its near end: beside clients that go straight to upstream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.cases.serve_cold import SLACK, cold
from tests.bench.duel import by_turns
from tests.bench.hub import PeerMissing, nginx_hub
from tests.bench.lines import NoLine, laid
from tests.bench.lines_carrier import Line
from tests.bench.load import made
from tests.bench.material import large_repo
from tests.bench.pin import pinned
from tests.bench.report import Goal
from tests.bench.served import MINE, direct

if TYPE_CHECKING:
    from tests.bench.bench import Bench
    from tests.bench.load import Work

_RTT_S = 0.05
_RATE = 50e6  # bytes a second: 400 Mbit/s
_CAP = 2e6  # bytes a second of each connection


def cold_line(bench: Bench) -> None:
    """One client and a cold file over 50 ms and 400 Mbit/s."""
    _race(bench, Line(_RTT_S, rate=_RATE), clients=1, size_mib=256, bound=1.05)


def cold_cap(bench: Bench) -> None:
    """One client and a cold file over 50 ms, where each connection gets 2 MB a second."""
    _race(bench, Line(_RTT_S, rate=_RATE, flow_rate=_CAP), clients=1, size_mib=32, bound=0.25)


def cold_8(bench: Bench) -> None:
    """8 clients and a cold file over 50 ms and 400 Mbit/s."""
    _race(bench, Line(_RTT_S, rate=_RATE), clients=8, size_mib=64, bound=0.2)


def _race(bench: Bench, line: Line, *, clients: int, size_mib: int, bound: float) -> None:
    with bench.workshop() as shop:
        size = bench.settings.bytes_or(size_mib)
        repo = large_repo(shop.folder(needs=size), "large", size)
        try:
            way = shop.enter(laid(line))
        except NoLine as why:
            raise PeerMissing(str(why)) from None
        with way.at_server():
            hub = shop.enter(nginx_hub(shop.folder(), [repo], host=way.address))
        shop.enter(pinned(repo.folder))
        folder = shop.folder(needs=size + SLACK)

        def through() -> tuple[float, float]:
            with way.at_client(), cold(bench, folder, hub) as mirror:
                return _times(mirror.work("fetch", repo, clients=clients))

        def straight() -> tuple[float, float]:
            with way.at_client():
                return _times(direct(hub).work("fetch", repo, clients=clients))

        found = by_turns(bench, {MINE: through, "direct": straight})
    if len(found) == 2:
        pairs = list(zip(found[MINE], found["direct"], strict=True))
        ratios = [mine[1] / theirs[1] for mine, theirs in pairs]
        bench.figure(f"time, {clients} cold : upstream direct", ratios, goal=Goal(bound, at_least=False))
        over = [1000 * (mine[0] - theirs[0]) for mine, theirs in pairs]
        bench.figure("first byte over upstream's own, a repo nobody has asked for", over, "ms")
    for name, times in found.items():
        bench.figure(name, [last for _, last in times], "s")


def _times(work: Work) -> tuple[float, float]:
    """Seconds until the last client's first byte, and until its last."""
    result = made([work])[0]
    return max(result["firsts"]), max(result["lasts"])
