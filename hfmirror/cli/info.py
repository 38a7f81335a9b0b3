"""`hfmirror info`: one repo, file by file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hfmirror.cli.exits import guarded
from hfmirror.cli.options import Json, Quiet, RepoName, Revision, Root
from hfmirror.errors import human

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.mirror import Held


ORIGINS = {"local": "your own, not the Hub's", "cache": "as a client's cache says; the Hub was not asked"}


def command(
    repo: RepoName, revision: Revision = None, root: Root = None, as_json: Json = False, quiet: Quiet = False
) -> int:
    """Show one repo: its commit, its licence, and which of its files are here.

    Example: hfmirror info google-bert/bert-base-chinese
    """
    return guarded(lambda: _info(repo, revision, root, as_json=as_json, heads=not quiet), as_json=as_json)


def _info(text: str, revision: str | None, root: Path | None, *, as_json: bool, heads: bool) -> None:
    from hfmirror import settings
    from hfmirror.cli.ls import document
    from hfmirror.mirror import Mirror
    from hfmirror.words import parse

    held = Mirror.open(settings.current(root)).held(*parse(text, revision))
    if not as_json:
        _show(held, heads=heads)
        return
    rows = [
        {"path": entry.path, "size": entry.size, "digest": str(entry.digest), "held": entry in held.here}
        for entry in held.entries
    ]
    whole = {**document(held), "licence": licence(held), "gated": gated(held), "entries": rows}
    print(json.dumps(whole, ensure_ascii=False))  # noqa: T201 - the command's answer


def _show(held: Held, *, heads: bool) -> None:
    from hfmirror.cli import table

    if heads:
        _head(held)
    rows = [("here" if entry in held.here else "-", human(entry.size), entry.path) for entry in held.entries]
    table.show(("", "SIZE", "FILE"), rows, right=frozenset({1}))


def _head(held: Held) -> None:
    print(f"{held.repo}@{held.commit}")  # noqa: T201 - the command's answer
    print(f"revisions: {' '.join(held.names) or '-'}")  # noqa: T201
    if held.origin in ORIGINS:
        print(f"listing:   {ORIGINS[held.origin]}")  # noqa: T201
    print(f"licence:   {licence(held) or 'not stated'}{'; gated' if gated(held) else ''}")  # noqa: T201
    print(f"held:      {len(held.here)} of {len(held.entries)} files, {human(held.size)}")  # noqa: T201


def licence(held: Held) -> str:
    """The licence the model card names; empty when it names none."""
    card = held.about.get("cardData")
    named = card.get("license") if isinstance(card, dict) else None
    tags = held.about.get("tags")
    tagged = [tag.removeprefix("license:") for tag in tags or [] if isinstance(tag, str) and tag.startswith("license:")]
    return str(named) if named else " ".join(tagged)


def gated(held: Held) -> bool:
    """Whether the Hub asks readers to accept terms."""
    return bool(held.about.get("gated"))
