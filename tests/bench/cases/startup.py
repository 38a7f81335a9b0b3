"""How long the commands take that do nearly nothing: scripts call them in loops, shells at every prompt."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.bench import peers
from tests.bench.bench import wall
from tests.bench.children import plain_environment, run
from tests.bench.compare import Subject
from tests.bench.material import Repo, write_file
from tests.bench.metered import metered_hub
from tests.bench.report import Goal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.bench import Bench

_LEAST_ROUNDS = 15  # the runs are short and so is their noise

BARE = "python -c pass"
_GOALS_MS = {"hfmirror --version": 60, "hfmirror path": 60, "hfmirror env": 60, "hfmirror --help": 100}
_RIVALS = {"hfmirror --version": "hf version", "hfmirror --help": "hf --help"}


def startup(bench: Bench) -> None:
    """Milliseconds in all, beside bare Python and the official client."""
    with bench.workshop() as shop:
        root = shop.folder()
        repo = _pulled(bench, shop.folder(), root)
        subjects = [_subject(BARE, (sys.executable, "-c", "pass"), {})]
        subjects += [_mine(bench, name, repo, root) for name in _GOALS_MS]
        if bench.settings.hf:
            home = peers.hf_environment(shop.folder())
            hf = bench.settings.hf
            subjects += [_subject(name, (hf, name.split()[1]), home) for name in _RIVALS.values()]
        else:
            bench.report.skip(bench.case, "the command hf is not installed")
        rounds = max(_LEAST_ROUNDS, 5 * bench.settings.pairs)
        turns = bench.race(subjects, replace(bench.manner(lambda: None), rounds=rounds, quiet=True))
    for name, runs in turns.runs.items():
        goal = Goal(_GOALS_MS[name], at_least=False) if name in _GOALS_MS else None
        bench.figure(name, [1000 * made.wall_s for made in runs], "ms", goal)
        if name in _GOALS_MS:
            pairs = zip(runs, turns.runs[BARE], strict=True)
            over = [1000 * (made.wall_s - bare.wall_s) for made, bare in pairs]
            bench.figure(f"{name}, over bare Python", over, "ms")
    for mine, theirs in _RIVALS.items():
        if values := turns.ratio(mine, theirs, wall):
            bench.figure(f"time, {mine} : {theirs}", values)


def _subject(name: str, argv: tuple[str, ...], extra: dict[str, str]) -> Subject:
    return Subject(name, argv, plain_environment(**extra))


def _mine(bench: Bench, name: str, repo: Repo, root: Path) -> Subject:
    words = ("path", repo.id) if name.endswith("path") else (name.split()[1],)
    return _subject(name, (*bench.settings.hfmirror, *words), {"HFMIRROR_HOME": str(root)})


def _pulled(bench: Bench, folder: Path, root: Path) -> Repo:
    """A little repo, in `root`: what `path` has to find."""
    repo = Repo("little", folder, (write_file(folder, "config.json", b"{}"),))
    with metered_hub([repo]) as hub:
        subject = peers.hfmirror_pull(bench.settings, peers.Target(hub.endpoint, repo), root, "requests")
        run(subject.argv, subject.env, bench.settings.timeout_s)
    return repo
