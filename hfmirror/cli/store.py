"""`hfmirror store`: the store as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hfmirror.cli.exits import guarded, say
from hfmirror.cli.options import DryRun, Json, Quiet, Root
from hfmirror.errors import DamagedObject, human

if TYPE_CHECKING:
    from hfmirror.store.moving import Moved

app = typer.Typer(help="Move the store.", rich_markup_mode=None)


@app.callback()
def top() -> None:
    """The store as a whole."""


@app.command("move")
def move(
    target: Annotated[Path, typer.Argument(metavar="NEWROOT", help="The folder it is to be in.")],
    drop_unreadable: Annotated[
        bool, typer.Option("--drop-unreadable", help="Leave behind what the old disk does not give any more.")
    ] = False,
    dry_run: DryRun = False,
    root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Move the store to another folder or disk.

    At once on the same disk, else as a copy that is proven file by file. Nothing is removed before all of it is
    proven at the new place. Run it again after any interruption: it goes on.

    Example: hfmirror store move /data/hfmirror
    """

    def work() -> int:
        from hfmirror import settings
        from hfmirror.cli.carrying import Carrying
        from hfmirror.mirror import Mirror
        from hfmirror.transfer.events import silent

        mirror = Mirror(settings.current(root))  # not opened: it may have left for the most part
        planned = mirror.move(target, silent, dry=True)
        if dry_run:
            moved = planned
        else:
            with Carrying(planned.size, quiet=quiet or as_json) as watch:
                moved = mirror.move(target, watch, losing=drop_unreadable)
        if as_json:
            print(json.dumps(_document(mirror.store.root, moved, dry=dry_run), ensure_ascii=False))  # noqa: T201
        _tell(moved, dry=dry_run, quiet=quiet or as_json)
        if not as_json and moved.done and not dry_run:
            print(moved.root)  # noqa: T201 - the command's answer
        return _judged(moved)

    return guarded(work, as_json=as_json)


def _tell(moved: Moved, *, dry: bool, quiet: bool) -> None:
    if quiet:
        return
    if dry:
        how = f"{moved.objects} objects to copy, {human(moved.size)}" if moved.how == "copy" else f"a {moved.how}"
        say(f"would move the store to {moved.root}: {how}")
    elif moved.done:
        say(f"the store is in {moved.root} now")
        say(f"  from now on: HFMIRROR_HOME={moved.root}")


def _judged(moved: Moved) -> int:
    """0. Raises DamagedObject."""
    bad, seen = len(moved.damaged) + len(moved.lost), moved.objects + len(moved.damaged) + len(moved.lost)
    if not moved.done:
        advice = (
            f"{len(moved.lost)} of them cannot be read; the store stays where it is, and what has come to {moved.root} "
            "waits there. Try again, or leave them behind with --drop-unreadable"
        )
        raise DamagedObject(bad, seen, advice)
    if bad:
        advice = f"all others are at the new place; to fetch these: hfmirror repair --root {moved.root}, and pull again"
        raise DamagedObject(bad, seen, advice)
    return 0


def _document(old: Path, moved: Moved, *, dry: bool) -> dict[str, Any]:
    return {
        "dry_run": dry,
        "from": str(old),
        "to": str(moved.root),
        "how": moved.how,
        "copied": moved.objects,
        "size": moved.size,
        "damaged": [str(digest) for digest in moved.damaged],
        "unreadable": [str(digest) for digest in moved.lost],
        "done": moved.done and not dry,
    }
