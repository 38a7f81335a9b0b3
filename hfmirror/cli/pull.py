"""`hfmirror pull`: bring repos here, over any line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hfmirror.cli.exits import guarded
from hfmirror.cli.options import DryRun, Exclude, Include, Json, Quiet, Revision, Root
from hfmirror.errors import UsageError

if TYPE_CHECKING:
    from hfmirror.model import Selection
    from hfmirror.transfer.desk import Manner


def command(
    repos: Annotated[list[str] | None, typer.Argument(metavar="REPO...", help="What to bring here.")] = None,
    revision: Revision = None,
    include: Include = None,
    exclude: Exclude = None,
    local_dir: Annotated[Path | None, typer.Option(help="Put real files of your own into this folder, too.")] = None,
    connections: Annotated[
        int | None, typer.Option(min=1, max=128, help="Connections at once; default: what fits.")
    ] = None,
    patience: Annotated[float, typer.Option(min=0, help="Seconds without a new byte until giving up.")] = 900.0,
    dry_run: DryRun = False,
    root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Bring repos here: resumed, proven byte by byte, ready to load offline.

    Run it again after any interruption: what has come is kept.

    Example: hfmirror pull google-bert/bert-base-chinese --include '*.safetensors' --include '*.json'
    """
    from hfmirror.model import Selection
    from hfmirror.transfer.desk import Manner

    selection = Selection(tuple(include or ()), tuple(exclude or ()))
    manner = Manner(connections, patience)

    def work() -> None:
        if not repos:
            raise UsageError(
                "name at least one repo to pull", "for instance: hfmirror pull google-bert/bert-base-chinese"
            )
        for text in repos:
            _pull(
                text, revision, selection, manner, local_dir, dry_run=dry_run, root=root, as_json=as_json, quiet=quiet
            )

    return guarded(work, as_json=as_json)


def _pull(
    text: str,
    revision: str | None,
    selection: Selection,
    manner: Manner,
    local_dir: Path | None,
    *,
    dry_run: bool,
    root: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    from hfmirror import settings
    from hfmirror.cli.watching import watching
    from hfmirror.mirror import Mirror
    from hfmirror.words import parse

    repo, wanted = parse(text, revision)
    mirror = Mirror(settings.current(root))
    with watching(as_json=as_json, quiet=quiet) as watch:
        if dry_run:
            mirror.plan(repo, wanted, selection, manner, watch)
            return
        plan = mirror.pull(repo, wanted, selection, manner, watch)
        where = mirror.put(plan, local_dir) if local_dir else mirror.view.snapshot(repo, plan.pin.commit)
        watch.done(plan, where)
