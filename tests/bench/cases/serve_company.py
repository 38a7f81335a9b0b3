"""Many at once: small answers while large ones run, memory with 500 clients; and a pinned commit, all alone."""

from __future__ import annotations

import time
import urllib.request
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.bench.cases.serve_warm import SLACK, published, warm
from tests.bench.duel import by_turns, duel
from tests.bench.hub import nginx_hub
from tests.bench.load import made
from tests.bench.material import large_repo
from tests.bench.report import Goal
from tests.bench.served import MINE, NGINX, hfmirror_serve, pull
from tests.bench.settings import MIB

if TYPE_CHECKING:
    from tests.bench.bench import Bench
    from tests.bench.served import Server

_PAUSE_S = 0.001  # between two small questions
_MANY = 500  # clients
_GLANCE_S = 0.05  # between two looks at a server's memory
_READ = MIB  # bytes


def latency(bench: Bench) -> None:
    """HEADs of one client, one after the other, while 8 others take whole files, beside nginx."""
    with bench.workshop() as shop:
        repo = published(bench, shop)
        servers = warm(bench, shop, repo)

        def measured(server: Server) -> tuple[float, float]:
            bulk = server.work("flood", repo, clients=8, seconds=bench.settings.seconds)
            small = server.work("ping", repo, method="HEAD", seconds=bench.settings.seconds, pause_s=_PAUSE_S)
            return percentiles(made([*bulk.shared(2), small])[-1])

        found = by_turns(bench, {one.name: partial(measured, one) for one in servers})
    for number, (what, bound) in enumerate((("p50", 1.0), ("p99", 10.0))):
        for name, times in found.items():
            goal = Goal(bound, at_least=False) if name == MINE else None
            bench.figure(f"HEAD {what} while 8 take files, {name}", [each[number] for each in times], "ms", goal)
        pairs = zip(found.get(MINE, []), found.get(NGINX, []), strict=False)
        ratios = [mine[number] / theirs[number] for mine, theirs in pairs]
        bench.figure(f"HEAD {what}, {MINE} : {NGINX}", ratios, goal=Goal(1, at_least=False))


def percentiles(result: dict[str, Any]) -> tuple[float, float]:
    """The middle one and the hundredth worst of some times, in milliseconds."""
    took = result["took"]
    return 1000 * took[len(took) // 2], 1000 * took[len(took) * 99 // 100]


def memory_500(bench: Bench) -> None:
    """Resident memory while 500 clients take whole files, beside nginx."""
    with bench.workshop() as shop:
        repo = published(bench, shop)
        mine, theirs = warm(bench, shop, repo)
        peaks: dict[str, int] = {}

        def watched(server: Server) -> None:
            until = time.monotonic() + bench.settings.seconds
            while time.monotonic() < until:
                peaks[server.name] = max(peaks.get(server.name, 0), server.resident())
                time.sleep(_GLANCE_S)

        for server in (mine, theirs):
            work = server.work("flood", repo, clients=_MANY, seconds=bench.settings.seconds)
            made(work.shared(2), partial(watched, server))
        asked = {"clients": _MANY, "seconds": bench.settings.seconds}
        duel(bench, mine, theirs, lambda one: one.work("flood", repo, **asked), None, f", {_MANY} clients")
    for name, peak in peaks.items():
        goal = Goal(120, at_least=False) if name == MINE else None
        bench.figure(f"peak memory, {_MANY} clients, {name}", [peak / 1e6], "MB", goal)


def pinned_commit(bench: Bench) -> None:
    """A cached commit, asked for by its id, of a server that has just started: what upstream hears of it."""
    with bench.workshop() as shop:
        repo = large_repo(shop.folder(), "large", 64 * MIB)
        hub = shop.enter(nginx_hub(shop.folder(), [repo], logged=True))
        folder = shop.folder(needs=repo.size + SLACK)
        pull(bench.settings, folder / "store", repo, hub.endpoint)
        before = hub.requests()
        with hfmirror_serve(bench.settings, folder, hub.endpoint) as mirror:
            for question in (f"revision/{repo.commit}", f"tree/{repo.commit}?recursive=true"):
                read(f"{mirror.endpoint}/api/models/{repo.id}/{question}")
            read(repo.address(mirror.endpoint, repo.files[0].path))
            work = mirror.work("ping", repo, method="HEAD", seconds=bench.settings.seconds)
            times = [percentiles(made([work])[0]) for _ in range(bench.settings.pairs)]
        asked = hub.requests() - before
    bench.figure("requests to upstream", [asked], "", Goal(0, at_least=False))
    bench.figure("HEAD p50", [middle for middle, _ in times], "ms", Goal(1, at_least=False))
    bench.figure("HEAD p99", [worst for _, worst in times], "ms")


def read(address: str) -> None:
    """All of an answer, thrown away. Raises OSError."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=600) as answer:
        while answer.read(_READ):
            pass
