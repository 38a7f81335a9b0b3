"""`hfmirror ls`: what was asked for, and how much of it is here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hfmirror.cli.exits import guarded, say
from hfmirror.cli.options import Json, Quiet, Root
from hfmirror.errors import human

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.mirror import Held


def command(root: Root = None, as_json: Json = False, quiet: Quiet = False) -> int:
    """List the repos that were pulled, and how complete each is.

    Example: hfmirror ls --json
    """
    return guarded(lambda: _ls(root, as_json=as_json, quiet=quiet), as_json=as_json)


def _ls(root: Path | None, *, as_json: bool, quiet: bool) -> None:
    from hfmirror import settings
    from hfmirror.cli import table
    from hfmirror.mirror import Mirror

    shelf = list(Mirror.open(settings.current(root)).shelf())
    if as_json:
        print(json.dumps([document(held) for held in shelf], ensure_ascii=False))  # noqa: T201 - the command's answer
        return
    if not shelf and quiet:
        return
    if not shelf:
        say("nothing is here yet; begin with: hfmirror pull google-bert/bert-base-chinese")
        return
    rows = [
        (
            str(held.repo),
            " ".join(held.names) or "-",
            held.commit[:12],
            f"{len(held.here)}/{len(held.entries)}",
            human(held.size),
        )
        for held in shelf
    ]
    table.show(("REPO", "REVISION", "COMMIT", "FILES", "SIZE"), rows, right=frozenset({3, 4}))


def document(held: Held) -> dict[str, Any]:
    """A commit for machines."""
    return {
        "repo": str(held.repo),
        "commit": held.commit,
        "revisions": list(held.names),
        "files": len(held.entries),
        "held": len(held.here),
        "size": held.size,
        "complete": held.complete,
        "origin": held.origin,
    }
