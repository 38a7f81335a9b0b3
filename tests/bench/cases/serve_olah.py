"""Whole held files, beside the nearest peer: olah with what it has cached, and with a checkout of its own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.bench.cases.serve_company import read
from tests.bench.cases.serve_warm import published, warm
from tests.bench.duel import duel
from tests.bench.hub import PeerMissing, nginx_hub
from tests.bench.olah import olah_cache, olah_checkout
from tests.bench.report import Goal

if TYPE_CHECKING:
    from tests.bench.bench import Bench
    from tests.bench.load import Work
    from tests.bench.material import Repo
    from tests.bench.served import Server

_SIZE_MIB = 256  # it takes its time


def olah_1(bench: Bench) -> None:
    """Whole held files to one client, beside olah."""
    _beside_olah(bench, 1, 5)


def olah_8(bench: Bench) -> None:
    """Whole held files to 8 clients, beside olah."""
    _beside_olah(bench, 8, 50)


def _beside_olah(bench: Bench, clients: int, bound: float) -> None:
    with bench.workshop() as shop:
        repo = published(bench, shop, _SIZE_MIB)
        mine, _ = warm(bench, shop, repo)
        hub = shop.enter(nginx_hub(shop.folder(), [repo]))
        cached = shop.enter(olah_cache(shop.folder(needs=2 * repo.size), hub.endpoint))
        read(repo.address(cached.endpoint, repo.files[0].path))
        load = partial(_load, bench, repo, clients)
        duel(bench, mine, cached, load, Goal(bound))
        try:
            own = shop.enter(olah_checkout(shop.folder(needs=3 * repo.size), repo))
        except PeerMissing as why:
            bench.report.skip(bench.case, str(why))
            return
        duel(bench, mine, own, load, Goal(bound), ", beside a checkout")


def _load(bench: Bench, repo: Repo, clients: int, server: Server) -> Work:
    return server.work("flood", repo, clients=clients, seconds=bench.settings.seconds)
