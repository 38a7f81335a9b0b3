"""`hfmirror gc`: free what nothing wants."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from hfmirror.cli.exits import guarded, say
from hfmirror.cli.options import DryRun, Json, Quiet, Root
from hfmirror.errors import human

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.care.gc import Sweep

SHOWN = 10  # objects named in words by a dry run; JSON has them all


def command(
    dry_run: DryRun = False,
    min_age: Annotated[float, typer.Option(min=0, help="Hours an object must be old to be removed.")] = 24.0,
    unused_for: Annotated[
        float | None,
        typer.Option(
            min=0, help="Forget what only clients of `serve` asked for, and not for so many DAYS.", metavar="DAYS"
        ),
    ] = None,
    root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Remove the objects that no pulled repo wants any more.

    Example: hfmirror gc --dry-run
    """
    age = Age(min_age, unused_for)
    return guarded(lambda: _gc(age, root, dry_run=dry_run, as_json=as_json, quiet=quiet), as_json=as_json)


@dataclass(frozen=True, slots=True)
class Age:
    """How old things must be to go."""

    objects: float  # hours
    demands: float | None  # days; None: they never go by themselves


def _gc(age: Age, root: Path | None, *, dry_run: bool, as_json: bool, quiet: bool) -> None:
    from hfmirror import settings
    from hfmirror.mirror import Mirror

    sweep = Mirror.open(settings.current(root)).sweep(age.objects * 3600, age.demands, dry=dry_run)
    if as_json:
        document = {
            "dry_run": dry_run,
            "removed": sorted(map(str, sweep.doomed)),
            "freed": sweep.freed,
            "spared": len(sweep.spared),
            "unused": [{"repo": str(pin.repo), "commit": pin.commit} for pin in sweep.idle],
            "unpinned": [{"repo": str(repo), "commit": commit} for repo, commit in sweep.let_go],
        }
        print(json.dumps(document))  # noqa: T201 - the command's answer
    if as_json or quiet:
        return
    _say_why(sweep, age, dry=dry_run)
    verb = "would free" if dry_run else "freed"
    print(f"{verb} {human(sweep.freed)} in {len(sweep.doomed)} objects")  # noqa: T201 - the command's answer
    if sweep.spared:
        size = human(sum(sweep.spared.values()))
        print(f"spared {size} in {len(sweep.spared)} objects younger than {age.objects:g} hours; see --min-age")  # noqa: T201


def _say_why(sweep: Sweep, age: Age, *, dry: bool) -> None:
    """What goes, and for what reason."""
    verb = "would forget" if dry else "forgot"
    for pin in sweep.idle:
        say(f"{verb} {pin.repo}@{pin.commit}: no client has asked for it for {age.demands:g} days")
    for repo, commit in sweep.let_go:
        if commit not in {pin.commit for pin in sweep.idle}:
            say(f"{verb} {repo}@{commit}: it was unpinned")
    if dry:
        largest = sorted(sweep.doomed.items(), key=lambda row: -row[1])
        for digest, size in largest[:SHOWN]:
            say(f"would remove {digest}, {human(size)}: no pin wants it")
        if len(largest) > SHOWN:
            say(f"would remove {len(largest) - SHOWN} more that no pin wants")
