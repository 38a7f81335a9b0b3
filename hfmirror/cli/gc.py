"""`hfmirror gc`: free what nothing wants."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hfmirror.cli import measures
from hfmirror.cli.exits import guarded, say
from hfmirror.cli.options import DryRun, Json, Quiet, Root
from hfmirror.errors import QuotaFull, human

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.care.gc import Sweep
    from hfmirror.care.limits import Limits

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
    to: Annotated[
        str | None, typer.Option(help="Bytes the store may take, like 500G; default: HFMIRROR_QUOTA.", metavar="SIZE")
    ] = None,
    min_free: Annotated[
        str | None,
        typer.Option(help="Bytes to leave free on its disk, like 20G; default: HFMIRROR_MIN_FREE.", metavar="SIZE"),
    ] = None,
    root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Give back the space of files that no repo wants any more.

    If the store still takes too much then (--to, --min-free), what only clients of `serve` asked for goes as well,
    longest unused first, and never what was pulled or pinned.

    Example: hfmirror gc --dry-run
    """
    words = Words(Age(min_age, unused_for), to, min_free)
    return guarded(lambda: _gc(words, root, dry_run=dry_run, as_json=as_json, quiet=quiet), as_json=as_json)


@dataclass(frozen=True, slots=True)
class Age:
    """How old things must be to go."""

    objects: float  # hours
    demands: float | None  # days; None: they never go by themselves


@dataclass(frozen=True, slots=True)
class Words:
    """What the words of the command ask for."""

    age: Age
    to: str | None
    min_free: str | None

    def limits(self, usual: Limits) -> Limits:
        """How much the store may take; what is not said is as usual. Raises UsageError."""
        from hfmirror.care.limits import Limits
        from hfmirror.settings import parse_size

        return Limits(
            usual.most if self.to is None else parse_size(self.to, "--to"),
            usual.least_free if self.min_free is None else parse_size(self.min_free, "--min-free"),
        )


def _gc(words: Words, root: Path | None, *, dry_run: bool, as_json: bool, quiet: bool) -> None:
    from hfmirror import settings
    from hfmirror.mirror import Mirror

    mirror = Mirror.open(settings.current(root))
    limits, age = words.limits(mirror.limits), words.age
    sweep = mirror.sweep(age.objects * 3600, age.demands, limits, dry=dry_run)
    if as_json:
        print(json.dumps(_document(sweep, dry=dry_run)))  # noqa: T201 - the command's answer
    elif not quiet:
        _say_why(sweep, age, dry=dry_run)
        verb = "would free" if dry_run else "freed"
        print(f"{verb} {human(sweep.freed)} in {len(sweep.doomed)} objects")  # noqa: T201 - the command's answer
        if sweep.spared:
            size = human(sum(sweep.spared.values()))
            told = f"spared {size} in {len(sweep.spared)} objects younger than {age.objects:g} hours; see --min-age"
            print(told)  # noqa: T201 - as above
    if sweep.short:
        raise QuotaFull(str(mirror.store.root), sweep.short, limits.most, limits.least_free)


def _document(sweep: Sweep, *, dry: bool) -> dict[str, Any]:
    return {
        "dry_run": dry,
        "removed": sorted(map(str, sweep.doomed)),
        "freed": sweep.freed,
        "spared": len(sweep.spared),
        "unused": [{"repo": str(pin.repo), "commit": pin.commit} for pin in sweep.idle],
        "unpinned": [{"repo": str(repo), "commit": commit} for repo, commit in sweep.let_go],
        "evicted": [
            {
                "repo": str(going.pin.repo),
                "commit": going.pin.commit,
                "size": going.freed,
                "used": measures.utc(going.used),
            }
            for going in sweep.evicted
        ],
        "short": sweep.short,
    }


def _say_why(sweep: Sweep, age: Age, *, dry: bool) -> None:
    """What goes, and for what reason."""
    verb = "would forget" if dry else "forgot"
    for pin in sweep.idle:
        say(f"{verb} {pin.repo}@{pin.commit}: no client has asked for it for {age.demands:g} days")
    for going in sweep.evicted:
        used = measures.since(going.used, time.time())
        say(f"{verb} {going.pin.repo}@{going.pin.commit}: {human(going.freed)}, last used {used}, to make room")
    for repo, commit in sweep.let_go:
        if commit not in {pin.commit for pin in sweep.idle}:
            say(f"{verb} {repo}@{commit}: it was unpinned")
    if dry:
        largest = sorted(sweep.doomed.items(), key=lambda row: -row[1])
        for digest, size in largest[:SHOWN]:
            say(f"would remove {digest}, {human(size)}: no pin wants it")
        if len(largest) > SHOWN:
            say(f"would remove {len(largest) - SHOWN} more that no pin wants")
