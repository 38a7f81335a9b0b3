"""`hfmirror status`: wanted, held, lacking, garbage; downloads under way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hfmirror.cli.exits import guarded
from hfmirror.cli.options import Json, Quiet, Root
from hfmirror.errors import human


def command(
    state: Annotated[
        Path | None, typer.Option(help="Write what is here into this file, for `export --since` elsewhere.")
    ] = None,
    root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Compare what ought to be here with what is.

    Example: hfmirror status
    """
    if state is not None:
        return guarded(lambda: _state(state, root, as_json=as_json, quiet=quiet), as_json=as_json)
    return guarded(lambda: _status(root, as_json=as_json, hints=not quiet), as_json=as_json)


def _state(path: Path, root: Path | None, *, as_json: bool, quiet: bool) -> None:
    """Write a state: few bytes, and no names."""
    from hfmirror import settings
    from hfmirror.mirror import Mirror
    from hfmirror.store import files

    mirror = Mirror.open(settings.current(root))
    data = mirror.state()
    with files.translated(path, len(data)):
        path.write_bytes(data)
    if as_json:
        print(json.dumps({"state": str(path), "size": len(data)}, ensure_ascii=False))  # noqa: T201 - the answer
    elif not quiet:
        print(f"wrote {path}, {human(len(data))}: mail it to where you export")  # noqa: T201 - the command's answer


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
