"""Options that several commands share, spelled once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def _placed(wheres: list[str] | None) -> list[str] | None:
    """Folders by their whole names: a pull may wait, and be done from elsewhere."""
    if not wheres:
        return None
    from hfmirror.settings import at_home

    return [where if "://" in where else str(at_home(Path(where)).absolute()) for where in wheres]


RepoName = Annotated[
    str, typer.Argument(metavar="REPO", help="owner/name, datasets/owner/name, name@revision, or a page.")
]
Revision = Annotated[str | None, typer.Option("--revision", "-r", help="Branch, tag or commit; default: main.")]
Include = Annotated[list[str] | None, typer.Option("--include", help="Only files that match; may be repeated.")]
Exclude = Annotated[list[str] | None, typer.Option("--exclude", help="No files that match; may be repeated.")]
LimitRate = Annotated[
    str | None,
    typer.Option("--limit-rate", metavar="RATE", help='Bytes a second, as 2M or "08:00 2M, 19:00 off"; default: all.'),
]
From = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        metavar="WHERE",
        help="Bytes from there, too: an address, a bundle, a folder; may be repeated; default: HFMIRROR_FROM.",
        callback=_placed,
    ),
]
Pickles = Annotated[
    str | None,
    typer.Option(
        "--pickles", metavar="POLICY", help="Files that would run code when loaded: warn, refuse, off; default: warn."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Root = Annotated[
    Path | None, typer.Option("--root", help="The store's folder; default: HFMIRROR_HOME, else your user data folder.")
]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, words for people on stderr.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors and what was asked for.")]
