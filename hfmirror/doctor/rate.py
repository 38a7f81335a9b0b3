"""How fast bytes come, over one connection and over four."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from hfmirror.doctor.findings import note, ok
from hfmirror.errors import human
from hfmirror.model import Selection, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfmirror.doctor.findings import Finding
    from hfmirror.model import Entry, Manifest, RepoId
    from hfmirror.sources.hub import HubSource

MEASURE_S = 3.0  # for one count of connections
ENOUGH = 2**20  # bytes; a smaller file is over before the line has got going
MANY = 4
GAIN = 1.5  # times the rate that makes more connections worth a word


def check_rate(source: HubSource, repo: RepoId, revision: str) -> Iterator[Finding]:
    """Fetch parts of the largest file, and throw them away. Raises what a source does."""
    commit = source.resolve(repo, revision).commit
    manifest = source.manifest(repo, commit, Selection())
    entry = max(manifest.entries, key=lambda found: found.size, default=None)
    if entry is None or entry.size < ENOUGH:
        yield note("rate", f"not measured: {repo} holds no file of {human(ENOUGH)}", "name a larger one with --repo")
        return
    yield rate(flow(source, manifest, entry, 1), flow(source, manifest, entry, MANY))


def rate(one: float, many: float) -> Finding:
    """What the two rates, in bytes per second, mean."""
    said = f"{human(one)}/s over one connection, {human(many)}/s over {MANY}"
    if many > GAIN * one:
        return note("rate", f"{said}: each connection is slowed down, by loss, distance or the server")
    return ok("rate", said)


def flow(source: HubSource, manifest: Manifest, entry: Entry, count: int) -> float:
    """Bytes per second over so many connections at once, for a few seconds."""
    began = time.monotonic()
    enough = threading.Event()
    share = entry.size // count
    spans = [Span(share * number, share * (number + 1)) for number in range(count)]

    def read(span: Span) -> int:
        got = 0
        with source.open(manifest, entry, span) as chunks:
            for chunk in chunks:
                got += len(chunk)
                if got >= span.size or enough.is_set() or time.monotonic() - began > MEASURE_S:
                    break
        return min(got, span.size)

    with ThreadPoolExecutor(count) as pool:
        try:
            total = sum(pool.map(read, spans))
        finally:
            enough.set()  # one that failed ends the others
    return total / max(time.monotonic() - began, 1e-6)
