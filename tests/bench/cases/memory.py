"""The most memory a pull ever holds."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tests.bench import peers
from tests.bench.hub import nginx_hub
from tests.bench.material import Repo, large_repo, small_repo
from tests.bench.pin import pinned
from tests.bench.report import Goal
from tests.bench.settings import MIB

if TYPE_CHECKING:
    from tests.bench.bench import Bench
    from tests.bench.workshop import Workshop

_ROUNDS = 2  # a peak varies little; the larger one counts


def memory(bench: Bench) -> None:
    """Resident bytes, at the peak, of the command and its children: one large file, and a repo of 5 000."""
    size, count = bench.settings.bytes_or(2048), bench.settings.files_or(5_000)
    with bench.workshop() as shop:
        repo = large_repo(shop.folder(needs=size), "large", size)
        _peaks(bench, shop, repo, f"a file of {size // MIB} MiB", Goal(80, at_least=False))
    with bench.workshop() as shop:
        repo = small_repo(shop.folder(needs=count * 10_000), "many", count, smallest=1_000, largest=8_000)
        _peaks(bench, shop, repo, f"a repo of {count} files", Goal(150, at_least=False))


def _peaks(bench: Bench, shop: Workshop, repo: Repo, what: str, goal: Goal) -> None:
    hub = shop.enter(nginx_hub(shop.folder(), [repo]))
    warm = shop.enter(pinned(repo.folder))
    target = peers.Target(hub.endpoint, repo)
    folder = shop.folder(needs=repo.size + 64 * MIB)
    makers = [
        partial(peers.hfmirror_pull, bench.settings, target, folder, "requests"),
        partial(peers.hfmirror_pull, bench.settings, target, folder, "curl"),
        partial(peers.hf_download, bench.settings, target, folder),
    ]
    manner = replace(bench.manner(warm), rounds=_ROUNDS, together=True, warm_up=False)
    turns = bench.race(bench.present(makers), manner, tag=f", {what}")
    for name, runs in turns.runs.items():
        peak = max(run.peak_bytes for run in runs) / 1e6
        bench.figure(f"peak, {what}, {name}", [peak], "MB", goal if name.startswith("hfmirror") else None)
