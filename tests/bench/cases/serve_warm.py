"""Held files, served from memory: beside one nginx worker that has nothing else to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.duel import duel
from tests.bench.hub import nginx_hub
from tests.bench.material import large_repo, small_repo
from tests.bench.pin import pinned
from tests.bench.report import Goal
from tests.bench.served import hfmirror_serve, nginx_files, pull
from tests.bench.settings import MIB
from tests.bench.tls import new_certificate

if TYPE_CHECKING:
    from tests.bench.bench import Bench
    from tests.bench.material import Repo
    from tests.bench.served import Server
    from tests.bench.workshop import Workshop

SLACK = 64 * MIB  # beside the files: journals, logs
_SPAN = 8 * MIB  # a row group of a table, or a part of a parallel download
_SMALL = 10_000  # bytes


def whole_1(bench: Bench) -> None:
    """Whole files to one client, beside nginx."""
    _whole(bench, 1, 1.2)


def whole_8(bench: Bench) -> None:
    """Whole files to 8 clients, beside nginx."""
    _whole(bench, 8, 1.2)


def whole_64(bench: Bench) -> None:
    """Whole files to 64 clients, beside nginx."""
    _whole(bench, 64, 1.1)


def tls_1(bench: Bench) -> None:
    """Whole files to one client over TLS, beside nginx over TLS."""
    _whole(bench, 1, 0.9, tls=True)


def tls_8(bench: Bench) -> None:
    """Whole files to 8 clients over TLS, beside nginx over TLS."""
    _whole(bench, 8, 1.1, tls=True)


def _whole(bench: Bench, clients: int, bound: float, *, tls: bool = False) -> None:
    with bench.workshop() as shop:
        repo = published(bench, shop)
        mine, theirs = warm(bench, shop, repo, tls=tls)
        seconds = bench.settings.seconds
        duel(bench, mine, theirs, lambda one: one.work("flood", repo, clients=clients, seconds=seconds), Goal(bound))


def ranges(bench: Bench) -> None:
    """Ranges of 8 MiB, anywhere in a file, to 8 clients, beside nginx."""
    with bench.workshop() as shop:
        repo = published(bench, shop)
        mine, theirs = warm(bench, shop, repo)
        size, seconds = repo.size, bench.settings.seconds
        asked = {"clients": 8, "seconds": seconds, "size": size, "span": _SPAN}
        duel(bench, mine, theirs, lambda one: one.work("flood", repo, **asked), Goal(0.95))


def head(bench: Bench) -> None:
    """What is asked before each download: HEAD of a held file, by 8 clients that stay, beside nginx."""
    with bench.workshop() as shop:
        repo = small_repo(shop.folder(), "small", 1, smallest=_SMALL, largest=_SMALL)
        asked = {"clients": 8, "seconds": bench.settings.seconds, "method": "HEAD"}
        for logged, goal in ((False, Goal(0.4)), (True, None)):
            mine, theirs = warm(bench, shop, repo, logged=logged)
            tag = ", both with a log" if logged else ""
            duel(bench, mine, theirs, lambda one: one.work("ask", repo, **asked), goal, tag)


def small(bench: Bench) -> None:
    """A file of 10 KB, by 8 clients that stay, beside nginx."""
    with bench.workshop() as shop:
        repo = small_repo(shop.folder(), "small", 1, smallest=_SMALL, largest=_SMALL)
        asked = {"clients": 8, "seconds": bench.settings.seconds}
        mine, theirs = warm(bench, shop, repo)
        duel(bench, mine, theirs, lambda one: one.work("ask", repo, **asked), None)


def published(bench: Bench, shop: Workshop, default_mib: int = 1024) -> Repo:
    """A repo of one large file."""
    size = bench.settings.bytes_or(default_mib)
    return large_repo(shop.folder(needs=size + SLACK), "large", size)


def warm(bench: Bench, shop: Workshop, repo: Repo, *, tls: bool = False, logged: bool = False) -> tuple[Server, Server]:
    """hfmirror and nginx, both with the files of a repo in memory."""
    certificate = new_certificate(shop.folder()) if tls else None
    folder = shop.folder(needs=repo.size + SLACK)
    hub = shop.enter(nginx_hub(shop.folder(), [repo]))
    pull(bench.settings, folder / "store", repo, hub.endpoint)
    shop.enter(pinned(folder / "store"))
    shop.enter(pinned(repo.folder))
    mine = hfmirror_serve(bench.settings, folder, hub.endpoint, certificate=certificate, logged=logged)
    theirs = nginx_files(shop.folder(), repo, certificate=certificate, logged=logged)
    return shop.enter(mine), shop.enter(theirs)
