"""Files that are not here yet, over loopback: what they cost upstream, and how soon they begin to flow."""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from tests.bench.duel import by_turns
from tests.bench.hub import nginx_hub
from tests.bench.load import made
from tests.bench.material import Repo, large_repo, write_file
from tests.bench.pin import pinned
from tests.bench.report import Goal
from tests.bench.served import MINE, direct, hfmirror_serve
from tests.bench.settings import MIB
from tests.bench.workshop import empty

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.bench.bench import Bench
    from tests.bench.hub import NginxHub
    from tests.bench.load import Work
    from tests.bench.served import Server

SLACK = 64 * MIB  # beside the file: journals, logs
_QUIET_S = 0.3  # without a new line, the Hub's log is complete
_FIRST = 4 * MIB  # of a file whose first byte is waited for
_LEAST_ROUNDS = 9  # the waits are short and so is their noise
_AFTER_S = 0.02  # a slow client comes, and then the others
_SLOW = MIB  # bytes a second of a slow client


def cold_bytes(bench: Bench) -> None:
    """Bytes fetched from upstream, and time, when 8 clients ask for the same cold file, beside nginx itself."""
    with bench.workshop() as shop:
        repo = large_repo(shop.folder(needs=bench.settings.bytes_or(1024)), "large", bench.settings.bytes_or(1024))
        hub = shop.enter(nginx_hub(shop.folder(), [repo], logged=True))
        shop.enter(pinned(repo.folder))
        folder = shop.folder(needs=repo.size + SLACK)
        fetched = []

        def through() -> float:
            before = hub.sent()
            with cold(bench, folder, hub) as mirror:
                took = whole(mirror.work("fetch", repo, clients=8))
                fetched.append((_settled(hub) - before) / repo.size)
            return took

        found = by_turns(bench, {MINE: through, "direct": lambda: whole(direct(hub).work("fetch", repo, clients=8))})
    bench.figure("bytes from upstream : size, 8 clients", fetched[1:], goal=Goal(1.002, at_least=False), note=_LISTED)
    if len(found) == 2:
        pairs = zip(found[MINE], found["direct"], strict=True)
        bench.figure("time, 8 clients : upstream direct, loopback", [mine / theirs for mine, theirs in pairs])


_LISTED = "the listing and what is said of the repo are counted too"


def first_byte(bench: Bench) -> None:
    """From a client's connection to the first byte of a cold file, over upstream's own: store in memory, on disk."""
    for on_disk in (False, True):
        with bench.workshop() as shop:
            parent = shop.folder(needs=4 * _FIRST)
            repos = [_several(parent, name) for name in ("known", "other")]
            hub = shop.enter(nginx_hub(shop.folder(), repos))
            shop.enter(pinned(parent))
            folder = shop.folder(needs=4 * _FIRST + SLACK, on_disk=on_disk)
            samples = _waits(bench, folder, hub, repos)
        where = "disk" if on_disk else "memory"
        for what, over in samples.items():
            bench.figure(f"first byte over upstream's own, {what}, {where}", over, "ms", Goal(10, at_least=False))


def _waits(bench: Bench, folder: Path, hub: NginxHub, repos: Sequence[Repo]) -> dict[str, list[float]]:
    """Milliseconds more than upstream itself, for each question."""
    samples: dict[str, list[float]] = {}
    questions = (
        ("first request of all", repos[0], "0.safetensors"),
        ("second file of a repo", repos[0], "1.safetensors"),
        ("first file of a repo", repos[1], "0.safetensors"),
    )
    for number in range(max(_LEAST_ROUNDS, bench.settings.pairs) + 1):
        with cold(bench, folder, hub) as mirror:
            for what, repo, path in questions:
                theirs, mine = (_first(one.work("fetch", repo, path)) for one in (direct(hub), mirror))
                if number:
                    samples.setdefault(what, []).append(1000 * (mine - theirs))
    return samples


def slow_neighbour(bench: Bench) -> None:
    """7 fast clients beside a slow one that came first, and the same without it: a cold file, and a held one."""
    with bench.workshop() as shop:
        repo = large_repo(shop.folder(needs=bench.settings.bytes_or(1024)), "large", bench.settings.bytes_or(1024))
        hub = shop.enter(nginx_hub(shop.folder(), [repo]))
        shop.enter(pinned(repo.folder))
        folder = shop.folder(needs=repo.size + SLACK)

        def timed(*, cold_store: bool, beside: bool) -> float:
            with cold(bench, folder, hub, keep=not cold_store) as mirror:
                fast = mirror.work("fetch", repo, clients=7, delay_s=_AFTER_S)
                slow = mirror.work("crawl", repo, rate=_SLOW)
                return whole(fast, *([slow] if beside else []))

        for what, cold_store in (("cold", True), ("held", False)):
            alone = partial(timed, cold_store=cold_store, beside=False)
            beside = partial(timed, cold_store=cold_store, beside=True)
            found = by_turns(bench, {"alone": alone, "beside": beside})
            pairs = zip(found.get("alone", []), found.get("beside", []), strict=False)
            ratios = [without / with_it for without, with_it in pairs]
            bench.figure(f"rate of 7 fast clients beside a slow one : alone, {what}", ratios, goal=Goal(0.9))


@contextmanager
def cold(bench: Bench, folder: Path, hub: NginxHub, *, keep: bool = False) -> Iterator[Server]:
    """A server that has just started, over an empty store, unless what it holds is to be kept."""
    if not keep:
        empty(folder)
    with hfmirror_serve(bench.settings, folder, hub.endpoint) as server:
        yield server


def whole(work: Work, *company: Work) -> float:
    """Seconds until the last client has its whole file. Raises LoadFailed."""
    results = made([work, *company])
    return float(max(results[0]["lasts"]))


def _first(work: Work) -> float:
    return float(made([work])[0]["firsts"][0])


def _settled(hub: NginxHub) -> int:
    """Bytes the Hub has sent, once no more are added."""
    before = -1
    while (now := hub.sent()) != before:
        before = now
        time.sleep(_QUIET_S)
    return now


def _several(parent: Path, name: str) -> Repo:
    """A repo of two files kept in LFS."""
    folder = parent / name
    head = name.encode()
    files = [
        write_file(folder, f"{number}.safetensors", head + bytes([number]) * (_FIRST - len(head)), lfs=True)
        for number in range(2)
    ]
    return Repo(name, folder, tuple(files))
