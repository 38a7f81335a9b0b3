"""How well `--limit-rate` holds, as seen from the other end of the line.

What has arrived is what the receiver's kernel has acknowledged: so what lies in its buffers counts, and
what is still under way does not. A rate is to hold over any ten seconds; those at the very end, when
less is left than would fit, are left out.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from bisect import bisect_left
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from tests.bench import peers
from tests.bench.children import run
from tests.bench.hub import PeerMissing
from tests.bench.material import large_repo, small_repo
from tests.bench.metered import metered_hub
from tests.bench.report import Goal
from tests.bench.settings import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.bench.bench import Bench
    from tests.bench.compare import Subject
    from tests.bench.material import Repo
    from tests.bench.metered import MeteredHub

_RATE = 2 * MIB  # bytes a second
_WINDOW_S, _GLANCE_S = 10.0, 0.05
_MIB, _FILES = 36, 640  # of the large file; of small ones, 55 KB each on average
_FIRST, _NEARLY = 64 * 2**10, 0.97  # bytes, and share of all, between which is looked
_GOAL = Goal(5.0, at_least=False)  # percent
_ACKED = 120  # offset of tcpi_bytes_acked in Linux's struct tcp_info
ENGINES = ("requests", "curl")


def limit_rate(bench: Bench) -> None:
    """--limit-rate 2M over any ten seconds: one large file, many small ones, two pulls at once."""
    if not hasattr(socket, "TCP_INFO"):
        raise PeerMissing("this system does not tell what a receiver has acknowledged")
    with bench.workshop() as shop:
        folder = shop.folder(needs=8 * _MIB * MIB)
        size = bench.settings.bytes_or(_MIB)
        large, other = large_repo(folder, "large", size), large_repo(folder, "other", size)
        small = small_repo(folder, "small", bench.settings.files_or(_FILES))
        for engine in ENGINES:
            for repos in ([large], [small], [large, other]):
                _measure(bench, repos, shop.folder(needs=2 * size), engine)


def _measure(bench: Bench, repos: Sequence[Repo], root: Path, engine: str) -> None:
    what = f"{' and '.join(repo.name for repo in repos)}, {engine}"
    with metered_hub(repos) as hub, _watched(hub) as arrivals, ThreadPoolExecutor(len(repos)) as pool:
        makers = [partial(_limited, bench, peers.Target(hub.endpoint, repo), root, engine) for repo in repos]
        subjects = bench.present(makers)
        if len(subjects) < len(repos):
            return
        made = list(pool.map(lambda one: run(one.argv, one.env, bench.settings.timeout_s), subjects))
    if failure := next((one.failure for one in made if one.failure), ""):
        bench.report.skip(f"{bench.case}: {what}", failure)
        return
    rates = arrivals.rates(sum(repo.size for repo in repos))
    if not rates:
        bench.report.skip(f"{bench.case}: {what}", f"it took less than {_WINDOW_S:g} s")
        return
    low, high = min(rates) / _RATE, max(rates) / _RATE
    worst = max(abs(low - 1), abs(high - 1)) * 100
    bench.figure(f"worst 10 s, {what}", [worst], "%", _GOAL, f"{low:.3f} to {high:.3f} of the rate")


def _limited(bench: Bench, target: peers.Target, root: Path, engine: str) -> Subject:
    subject = peers.hfmirror_pull(bench.settings, target, root, engine)
    return replace(subject, argv=(*subject.argv, "--limit-rate", str(_RATE)))


@dataclass
class Arrivals:
    """How much had arrived by when."""

    times: list[float] = field(default_factory=list)  # seconds
    sizes: list[int] = field(default_factory=list)  # bytes, in all

    def rates(self, expected: int) -> list[float]:
        """Bytes a second in every window that begins after the first bytes and ends before the last few."""
        begins = bisect_left(self.sizes, _FIRST)
        ends = bisect_left(self.sizes, expected * _NEARLY)
        found = []
        for first in range(begins, ends):
            last = bisect_left(self.times, self.times[first] + _WINDOW_S)
            if last < ends:
                lasted = self.times[last] - self.times[first]
                found.append((self.sizes[last] - self.sizes[first]) / lasted)
        return found


@contextmanager
def _watched(hub: MeteredHub) -> Iterator[Arrivals]:
    """Look at a Hub's connections again and again, while the block runs."""
    arrivals, over = Arrivals(), threading.Event()
    acked: dict[socket.socket, int] = {}

    def look() -> None:
        while not over.wait(_GLANCE_S):
            for connection in list(hub.connections):
                with suppress(OSError):  # it is closed; what was seen last stays
                    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED + 8)
                    acked[connection] = struct.unpack_from("=Q", info, _ACKED)[0]
            arrivals.times.append(time.monotonic())
            arrivals.sizes.append(sum(acked.values()))

    thread = threading.Thread(target=look, name="watch")
    thread.start()
    try:
        yield arrivals
    finally:
        over.set()
        thread.join()
