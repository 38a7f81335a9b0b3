"""`hfmirror status`: wanted, held, lacking, garbage; downloads under way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hfmirror.cli.exits import guarded
from hfmirror.cli.options import Json, Quiet, Root
from hfmirror.errors import human

if TYPE_CHECKING:
    from pathlib import Path


def command(root: Root = None, as_json: Json = False, quiet: Quiet = False) -> int:
    """Compare what ought to be here with what is.

    Example: hfmirror status
    """
    return guarded(lambda: _status(root, as_json=as_json, hints=not quiet), as_json=as_json)


def _status(root: Path | None, *, as_json: bool, hints: bool) -> None:
    from hfmirror import settings
    from hfmirror.cli import table
    from hfmirror.mirror import Mirror

    mirror = Mirror.open(settings.current(root))
    status = mirror.status()
    sizes = {
        "wanted": (len(status.wanted), sum(status.wanted.values())),
        "held": (len(status.held), mirror.store.size_of(status.held)),
        "lacking": (len(status.lacking), sum(status.lacking.values())),
        "garbage": (len(status.garbage), mirror.store.size_of(status.garbage)),
    }
    under_way = list(mirror.store.under_way())
    if as_json:
        unfinished = [{"digest": str(digest), "kept": kept} for digest, kept in under_way]
        counts = {name: {"objects": count, "size": size} for name, (count, size) in sizes.items()}
        print(json.dumps({"root": str(mirror.store.root), **counts, "unfinished": unfinished}))  # noqa: T201 - the answer
        return
    print(f"store: {mirror.store.root}")  # noqa: T201 - the command's answer
    rows = [
        (name, str(count), human(size), HINTS[name] if count and hints else "") for name, (count, size) in sizes.items()
    ]
    table.show(("", "OBJECTS", "SIZE", ""), rows, right=frozenset({1, 2}))
    for digest, kept in under_way:
        print(f"unfinished: {digest}, about {human(kept)} kept")  # noqa: T201 - the command's answer


HINTS = {"wanted": "", "held": "", "lacking": "fetched by `hfmirror pull`", "garbage": "removed by `hfmirror gc`"}
