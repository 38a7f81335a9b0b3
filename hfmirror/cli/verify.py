"""`hfmirror verify`: hash again what is held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hfmirror.cli.exits import guarded, say
from hfmirror.cli.options import Json, Quiet, Root
from hfmirror.cli.repair import Report, mend, where
from hfmirror.errors import DamagedObject, NotHere

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.care.verify import Finding

PATIENCE_S = 900.0  # as of a pull


def command(
    repos: Annotated[list[str] | None, typer.Argument(metavar="[REPO...]", help="Default: everything here.")] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Then do what `hfmirror repair` does.")] = False,
    root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Read everything again and prove it; damaged objects are set aside, and the next pull fetches them anew.

    Example: hfmirror verify google-bert/bert-base-chinese
    """
    report = Report(as_json=as_json, quiet=quiet)
    return guarded(lambda: _verify(repos or [], root, report, mending=repair), as_json=as_json)


def _verify(texts: list[str], root: Path | None, report: Report, *, mending: bool) -> int:
    from hfmirror import settings
    from hfmirror.mirror import Mirror
    from hfmirror.words import parse_repo

    mirror = Mirror.open(settings.current(root))
    repos = [parse_repo(text)[0] for text in texts]
    for repo in repos:
        if not any(mirror.store.pins_of(repo)):
            raise NotHere(repo)
    checked = size = 0
    damaged = []
    for finding in mirror.verify(repos):
        checked, size = checked + 1, size + finding.size
        if not finding.sound:
            damaged.append(finding)
            say(_verdict(finding))
    report.verified(checked, size, damaged)
    if mending:
        code = mend(mirror, repos, PATIENCE_S, report)
        damaged = [finding for finding in damaged if not mirror.store.has(finding.digest) or not finding.actual]
        if code:
            report.close()
            return code
    report.close()
    if damaged:
        raise DamagedObject(len(damaged), checked)
    return 0


def _verdict(finding: Finding) -> str:
    if finding.actual:
        told = "" if finding.wrong is None else f"{where(finding)}; "
        return f"damaged: {finding.digest} hashes to {finding.actual}; {told}set aside"
    return f"unreadable: {finding.digest}: {finding.complaint}; left where it is"
