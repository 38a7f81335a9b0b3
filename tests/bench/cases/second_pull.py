"""Asking again for what is already here."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tests.bench import peers
from tests.bench.bench import wall
from tests.bench.children import run
from tests.bench.hub import NginxHub, nginx_hub
from tests.bench.material import small_repo
from tests.bench.report import Goal

if TYPE_CHECKING:
    from tests.bench.bench import Bench
    from tests.bench.compare import Subject

_EACH = 20_000  # bytes of room a file, source and copy


def second_pull(bench: Bench) -> None:
    """Seconds and requests of a pull of a complete repo of 5 000 files, beside the official client's."""
    count = bench.settings.files_or(5_000)
    with bench.workshop() as shop:
        repo = small_repo(shop.folder(needs=count * _EACH), "many", count, smallest=1_000, largest=8_000)
        hub = shop.enter(nginx_hub(shop.folder(), [repo], logged=True))
        target = peers.Target(hub.endpoint, repo)
        mine, theirs = shop.folder(needs=count * _EACH), shop.folder(needs=count * _EACH)
        makers = [
            partial(peers.hfmirror_pull, bench.settings, target, mine, "requests"),
            partial(peers.hf_download, bench.settings, target, theirs),
        ]
        complete = [subject for subject in bench.present(makers) if _first(bench, subject)]
        again = [replace(subject, folder=None) for subject in complete]
        for subject in again:
            _requests(bench, hub, subject)
        turns = bench.race(again, bench.manner(lambda: None))
    for name, runs in turns.runs.items():
        goal = Goal(0.5, at_least=False) if name.startswith("hfmirror") else None
        bench.figure(f"time, {name}, {count} files again", [made.wall_s for made in runs], "s", goal)
    if values := turns.ratio("hfmirror (requests)", "hf download", wall):
        bench.figure("time, hfmirror (requests) : hf download", values)


def _first(bench: Bench, subject: Subject) -> bool:
    made = run(subject.argv, subject.env, bench.settings.timeout_s)
    if made.failure:
        bench.report.skip(f"{bench.case}: {subject.name}", made.failure)
    return not made.failure


def _requests(bench: Bench, hub: NginxHub, subject: Subject) -> None:
    before = hub.requests()
    made = run(subject.argv, subject.env, bench.settings.timeout_s)
    if not made.failure:
        goal = Goal(1, at_least=False) if subject.name.startswith("hfmirror") else None
        bench.figure(f"requests, {subject.name}, again", [hub.requests() - before], "", goal)
