"""`hfmirror gc`: free what nothing wants."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from hfmirror.cli.exits import guarded
from hfmirror.cli.options import DryRun, Json, Quiet, Root
from hfmirror.errors import human

if TYPE_CHECKING:
    from pathlib import Path


def command(
    dry_run: DryRun = False,
    min_age: Annotated[float, typer.Option(min=0, help="Hours an object must be old to be removed.")] = 24.0,
    root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Remove the objects that no pulled repo wants any more.

    Example: hfmirror gc --dry-run
    """
    return guarded(lambda: _gc(min_age, root, dry_run=dry_run, as_json=as_json, quiet=quiet), as_json=as_json)


def _gc(min_age: float, root: Path | None, *, dry_run: bool, as_json: bool, quiet: bool) -> None:
    from hfmirror import settings
    from hfmirror.mirror import Mirror

    sweep = Mirror.open(settings.current(root)).sweep(min_age * 3600, dry=dry_run)
    if as_json:
        document = {
            "dry_run": dry_run,
            "removed": sorted(map(str, sweep.doomed)),
            "freed": sweep.freed,
            "spared": len(sweep.spared),
        }
        print(json.dumps(document))  # noqa: T201 - the command's answer
    if as_json or quiet:
        return
    verb = "would free" if dry_run else "freed"
    print(f"{verb} {human(sweep.freed)} in {len(sweep.doomed)} objects")  # noqa: T201 - the command's answer
    if sweep.spared:
        size = human(sum(sweep.spared.values()))
        print(f"spared {size} in {len(sweep.spared)} objects younger than {min_age:g} hours; see --min-age")  # noqa: T201
