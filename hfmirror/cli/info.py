"""`hfmirror info`: one repo, file by file."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from hfmirror.cli import pickles
from hfmirror.cli.exits import guarded
from hfmirror.cli.options import Json, Quiet, RepoName, Revision, Root
from hfmirror.errors import human

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.care.held import Held
    from hfmirror.care.shelf import Shelved
    from hfmirror.store.scans import Scan


ORIGINS = {"local": "your own, not the Hub's", "cache": "as a client's cache says; the Hub was not asked"}


def command(
    repo: RepoName, revision: Revision = None, root: Root = None, as_json: Json = False, quiet: Quiet = False
) -> int:
    """Show one repo: its commit, its licence, which files are here.

    Example: hfmirror info google-bert/bert-base-chinese
    """
    return guarded(lambda: _info(repo, revision, root, as_json=as_json, heads=not quiet), as_json=as_json)


def _info(text: str, revision: str | None, root: Path | None, *, as_json: bool, heads: bool) -> None:
    from hfmirror import settings
    from hfmirror.cli.ls import document
    from hfmirror.mirror import Mirror
    from hfmirror.words import parse

    mirror = Mirror.open(settings.current(root))
    held = mirror.held(*parse(text, revision))
    scans = mirror.scans(held.here)
    one = next(one for one in mirror.inventory() if (one.repo, one.commit) == (held.repo, held.commit))
    if not as_json:
        if heads:
            _head(held, one)
        _show(held, scans)
        return
    rows = [
        {
            "path": entry.path,
            "size": entry.size,
            "digest": str(entry.digest),
            "held": entry in held.here,
            "pickle": pickles.document(scans[entry.path]) if entry.path in scans else None,
        }
        for entry in held.entries
    ]
    whole = {**document(one, held.names), "entries": rows}
    print(json.dumps(whole, ensure_ascii=False))  # noqa: T201 - the command's answer


def _show(held: Held, scans: dict[str, Scan]) -> None:
    from hfmirror.cli import table

    columns = ("", "SIZE", "FILE", "PICKLE")[: 4 if scans else 3]
    rows = [
        (
            "here" if entry in held.here else "-",
            human(entry.size),
            entry.path,
            pickles.mark(scans.get(entry.path)),
        )[: len(columns)]
        for entry in held.entries
    ]
    table.show(columns, rows, right=frozenset({1}))


def _head(held: Held, one: Shelved) -> None:
    from hfmirror.cli import measures

    licence = f"{one.card.licence or 'not stated'}{'; gated' if one.card.gated else ''}"
    lines = [
        f"{held.repo}@{held.commit}",
        f"revisions: {' '.join(held.names) or '-'}",
        *([f"listing:   {ORIGINS[held.origin]}"] if held.origin in ORIGINS else []),
        f"licence:   {licence}",
        f"held:      {one.held} of {one.files} files, {human(one.size)} of {human(one.wanted)}",
        f"unique:    {human(one.unique)}; {human(one.shared)} are shared with other commits",
        f"last use:  {measures.since(one.used, time.time())}",
    ]
    print("\n".join(lines))  # noqa: T201 - the command's answer
