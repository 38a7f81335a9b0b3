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
    """Show what is here, what is lacking, and what waits.

    Pulls in the background and downloads that were broken off are listed below the sizes.

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
    from hfmirror.cli import queue, table
    from hfmirror.mirror import Mirror

    mirror = Mirror.open(settings.current(root))
    jobs = mirror.queue()
    tally = mirror.tally()
    here = [size for size in tally.held.values() if size is not None]  # of what is wanted the size is known
    garbage = (len(tally.held) - len(here), mirror.store.size_of(tally.loose()))
    lacking = (len(tally.lacking), sum(tally.lacking.values()))
    sizes = {
        "wanted": (len(here) + lacking[0], sum(here) + lacking[1]),
        "held": (len(tally.held), sum(here) + garbage[1]),
        "lacking": lacking,
        "garbage": (0, 0) if tally.unlisted else garbage,
    }
    under_way = list(mirror.store.under_way())
    if as_json:
        unfinished = [{"digest": str(digest), "kept": kept} for digest, kept in under_way]
        counts = {name: {"objects": count, "size": size} for name, (count, size) in sizes.items()}
        document = {"root": str(mirror.store.root), **counts, "unfinished": unfinished, "jobs": queue.described(jobs)}
        print(json.dumps(document, ensure_ascii=False))  # noqa: T201 - the answer
        return
    print(f"store: {mirror.store.root}")  # noqa: T201 - the command's answer
    rows = [
        (name, str(count), human(size), HINTS[name] if count and hints else "") for name, (count, size) in sizes.items()
    ]
    table.show(("", "OBJECTS", "SIZE", ""), rows, right=frozenset({1, 2}))
    for digest, kept in under_way:
        print(f"unfinished: {digest}, about {human(kept)} kept")  # noqa: T201 - the command's answer
    queue.show(jobs)


HINTS = {"wanted": "", "held": "", "lacking": "fetched by `hfmirror pull`", "garbage": "removed by `hfmirror gc`"}
