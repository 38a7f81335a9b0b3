"""One large file, its SHA-256 proven, over loopback: into memory, onto a disk, plain and over TLS."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tests.bench import peers
from tests.bench.hub import nginx_hub
from tests.bench.material import Repo, large_repo
from tests.bench.pin import pinned
from tests.bench.report import Goal
from tests.bench.settings import MIB
from tests.bench.tls import new_certificate

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.bench import Bench
    from tests.bench.compare import Turns
    from tests.bench.workshop import Workshop

_SLACK = 64 * MIB  # beside the file itself: views, journals, logs

ARIA2, HF = "aria2c -x8", "hf download"
REQUESTS, CURL = "hfmirror (requests)", "hfmirror (curl)"


def large(bench: Bench) -> None:
    """Into memory, with the engine every install has."""
    with bench.workshop() as shop:
        repo = _published(bench, shop, 2048)
        turns = _Race(shop.folder(needs=repo.size + _SLACK), "requests").run(bench, shop, repo)
    bench.rate_ratio(turns, REQUESTS, ARIA2, Goal(1.7))
    bench.cpu_ratio(turns, REQUESTS, ARIA2, Goal(0.7, at_least=False))
    bench.rate_ratio(turns, REQUESTS, HF, Goal(2.5))
    bench.cpu_ratio(turns, REQUESTS, HF, None)
    bench.rate_ratio(turns, HF, ARIA2, None)
    bench.absolutes(turns, repo.size)


def large_disk(bench: Bench) -> None:
    """Onto a disk. `and synced`: until the disk really has it, which only hfmirror waits for by itself."""
    with bench.workshop() as shop:
        repo = _published(bench, shop, 4096)
        folder = shop.folder(needs=repo.size + _SLACK, on_disk=True)
        turns = _Race(folder, "requests", disk=True).run(bench, shop, repo)
    bench.rate_ratio(turns, REQUESTS, ARIA2, Goal(2.2))
    bench.cpu_ratio(turns, REQUESTS, ARIA2, None)
    bench.rate_ratio(turns, REQUESTS, HF, None)
    synced = turns.ratio(ARIA2, REQUESTS, lambda run: run.wall_s + run.settle_s)
    if synced:
        bench.figure(f"rate, {REQUESTS} : {ARIA2}, and synced", synced)
    bench.absolutes(turns, repo.size)


def large_fast(bench: Bench) -> None:
    """Into memory, with the extra engine, plain and over TLS."""
    with bench.workshop() as shop:
        repo = _published(bench, shop, 2048)
        folder = shop.folder(needs=repo.size + _SLACK)
        turns = _Race(folder, "curl", official=False).run(bench, shop, repo)
        over_tls = _Race(folder, "curl", official=False, tls=True).run(bench, shop, repo)
    for made, tag, bound in ((turns, ", plain", 2.1), (over_tls, ", TLS", 1.8)):
        bench.rate_ratio(made, CURL, ARIA2, Goal(bound), tag=tag)
        bench.cpu_ratio(made, CURL, ARIA2, None, tag=tag)
        bench.absolutes(made, repo.size, tag=tag)


def _published(bench: Bench, shop: Workshop, default_mib: int) -> Repo:
    size = bench.settings.bytes_or(default_mib)
    return large_repo(shop.folder(needs=size + _SLACK), "large", size)


@dataclass(frozen=True, slots=True)
class _Race:
    """Who downloads what to where, and how."""

    folder: Path
    engine: str
    official: bool = True  # with the official client among the runners
    tls: bool = False
    disk: bool = False

    def run(self, bench: Bench, shop: Workshop, repo: Repo) -> Turns:
        tag = ", TLS" if self.tls else ""
        certificate = new_certificate(shop.folder()) if self.tls else None
        hub = shop.enter(nginx_hub(shop.folder(), [repo], certificate=certificate))
        warm = shop.enter(pinned(repo.folder))
        target = peers.Target(hub.endpoint, repo, certificate)
        makers = [
            partial(peers.hfmirror_pull, bench.settings, target, self.folder, self.engine),
            partial(peers.aria2_large, bench.settings, target, self.folder),
        ]
        if self.official:
            makers.append(partial(peers.hf_download, bench.settings, target, self.folder))
        return bench.race(bench.present(makers), bench.manner(warm, settle=self.disk), tag=tag)
