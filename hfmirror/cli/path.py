"""`hfmirror path`: where things lie, for scripts."""

from __future__ import annotations

from typing import Annotated

import typer

from hfmirror.cli import scripted
from hfmirror.cli.exits import guarded
from hfmirror.cli.options import Json, Quiet, Revision, Root


def command(
    repo: Annotated[
        str | None, typer.Argument(metavar="[REPO]", help="Without one: the value for HF_HUB_CACHE.")
    ] = None,
    file: Annotated[str | None, typer.Argument(metavar="[FILE]", help="A file of the repo.")] = None,
    revision: Revision = None,
    root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - there is nothing else to say; scripts may pass it everywhere
) -> int:
    """Print where a repo, or a file of it, lies on this disk. Asks no network.

    Example: python -c "AutoModel.from_pretrained('$(hfmirror path owner/name)')"
    """
    return guarded(lambda: scripted.path(repo, file, revision, root, as_json=as_json), as_json=as_json)
