"""Thousands of small files over loopback, each proven."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tests.bench import peers
from tests.bench.hub import nginx_hub
from tests.bench.material import small_repo
from tests.bench.pin import pinned
from tests.bench.report import Goal

if TYPE_CHECKING:
    from tests.bench.bench import Bench

_EACH = 200_000  # bytes of room a file, source and copy, on any file system

ARIA2, HF = "aria2c -j16", "hf download"
REQUESTS, CURL = "hfmirror (requests)", "hfmirror (curl)"


def small(bench: Bench) -> None:
    """2 000 files of 10 to 100 KB, with the engine every install has and with the extra one."""
    count = bench.settings.files_or(2_000)
    with bench.workshop() as shop:
        repo = small_repo(shop.folder(needs=count * _EACH), "small", count)
        hub = shop.enter(nginx_hub(shop.folder(), [repo]))
        warm = shop.enter(pinned(repo.folder))
        target = peers.Target(hub.endpoint, repo)
        folder, listing = shop.folder(needs=count * _EACH), shop.folder() / "list"
        makers = [
            partial(peers.hfmirror_pull, bench.settings, target, folder, "requests"),
            partial(peers.hfmirror_pull, bench.settings, target, folder, "curl"),
            partial(peers.aria2_small, bench.settings, target, folder, listing),
            partial(peers.hf_download, bench.settings, target, folder),
        ]
        turns = bench.race(bench.present(makers), bench.manner(warm))
    bench.rate_ratio(turns, REQUESTS, HF, Goal(10))
    bench.rate_ratio(turns, REQUESTS, ARIA2, Goal(0.7))
    bench.rate_ratio(turns, CURL, HF, Goal(30))
    bench.rate_ratio(turns, CURL, ARIA2, Goal(2))
    for mine in (REQUESTS, CURL):
        bench.cpu_ratio(turns, mine, ARIA2, None)
    bench.rate_ratio(turns, HF, ARIA2, None)
    bench.absolutes(turns, repo.size)
