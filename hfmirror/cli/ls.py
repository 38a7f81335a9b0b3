"""`hfmirror ls`: what was asked for, and how much of it is here."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from hfmirror.cli import measures
from hfmirror.cli.exits import guarded, say
from hfmirror.cli.options import Json, Quiet, Root
from hfmirror.errors import human

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hfmirror.care.shelf import Shelved
    from hfmirror.model import CommitId, RepoId

HEADS = ("REPO", "REVISION", "COMMIT", "FILES", "SIZE", "UNIQUE", "LAST USE", "LICENCE")


def command(root: Root = None, as_json: Json = False, quiet: Quiet = False) -> int:
    """List the repos here: how complete, how large, when last used.

    UNIQUE is what of it no other repo wants: what would be freed if it went.

    Example: hfmirror ls --json
    """
    return guarded(lambda: _ls(root, as_json=as_json, quiet=quiet), as_json=as_json)


def _ls(root: Path | None, *, as_json: bool, quiet: bool) -> None:
    from hfmirror import settings
    from hfmirror.cli import table
    from hfmirror.mirror import Mirror

    mirror = Mirror.open(settings.current(root))
    shelf, verdicts, now = mirror.inventory(), mirror.verdicts(), time.time()
    names = {repo: mirror.store.refs_of(repo) for repo in {one.repo for one in shelf}}
    if as_json:
        documents = [
            {**document(one, _led(names, one)), "pickles": verdicts.get((one.repo, one.commit))} for one in shelf
        ]
        print(json.dumps(documents, ensure_ascii=False))  # noqa: T201 - the command's answer
        return
    if not shelf and quiet:
        return
    if not shelf:
        say("nothing is here yet; begin with: hfmirror pull google-bert/bert-base-chinese")
        return
    heads = (*HEADS, "PICKLES")[: len(HEADS) + bool(verdicts)]
    rows = [
        (
            str(one.repo),
            " ".join(_led(names, one)) or "-",
            one.commit[:12],
            f"{one.held}/{one.files}",
            human(one.size),
            human(one.unique),
            measures.since(one.used, now),
            f"{one.card.licence or '-'}{', gated' if one.card.gated else ''}",
            verdicts.get((one.repo, one.commit), ""),
        )[: len(heads)]
        for one in shelf
    ]
    table.show(heads, rows, right=frozenset({3, 4, 5}))


def _led(names: Mapping[RepoId, Mapping[str, CommitId]], one: Shelved) -> list[str]:
    """The revisions that lead to a commit."""
    return sorted(name for name, commit in names[one.repo].items() if commit == one.commit)


def document(one: Shelved, names: Sequence[str]) -> dict[str, Any]:
    """A commit for machines."""
    return {
        "repo": str(one.repo),
        "commit": one.commit,
        "revisions": list(names),
        "files": one.files,
        "held": one.held,
        "size": one.size,
        "wanted": one.wanted,
        "unique": one.unique,
        "shared": one.shared,
        "repo_unique": one.repo_unique,
        "complete": one.complete,
        "asked": one.asked,
        "used": measures.utc(one.used),
        "origin": one.origin,
        "licence": one.card.licence,
        "gated": one.card.gated,
    }
