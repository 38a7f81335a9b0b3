"""`hfmirror verify`: hash again what is held."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from hfmirror.cli.exits import guarded, say
from hfmirror.cli.options import Json, Quiet, Root
from hfmirror.errors import DamagedObject, NotHere, human

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.care.verify import Finding


def command(
    repos: Annotated[list[str] | None, typer.Argument(metavar="[REPO...]", help="Default: everything here.")] = None,
    root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Read everything again and prove it; damaged objects are set aside, and the next pull fetches them anew.

    Example: hfmirror verify google-bert/bert-base-chinese
    """
    return guarded(lambda: _verify(repos or [], root, as_json=as_json, quiet=quiet), as_json=as_json)


def _verify(texts: list[str], root: Path | None, *, as_json: bool, quiet: bool) -> None:
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
            damaged.append(str(finding.digest))
            say(_verdict(finding))
    if as_json:
        print(json.dumps({"checked": checked, "size": size, "damaged": damaged}))  # noqa: T201 - the command's answer
    elif not quiet:
        print(f"{checked} objects, {human(size)}: {len(damaged)} damaged")  # noqa: T201 - as above
    if damaged:
        raise DamagedObject(len(damaged), checked)


def _verdict(finding: Finding) -> str:
    if finding.actual:
        return f"damaged: {finding.digest} hashes to {finding.actual}; set aside"
    return f"unreadable: {finding.digest}: {finding.complaint}; left where it is"
