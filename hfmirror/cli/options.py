"""Options that several commands share, spelled once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RepoName = Annotated[
    str, typer.Argument(metavar="REPO", help="owner/name, datasets/owner/name, name@revision, or a page.")
]
Revision = Annotated[str | None, typer.Option("--revision", "-r", help="Branch, tag or commit; default: main.")]
Include = Annotated[list[str] | None, typer.Option("--include", help="Only files that match; may be repeated.")]
Exclude = Annotated[list[str] | None, typer.Option("--exclude", help="No files that match; may be repeated.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Root = Annotated[Path | None, typer.Option("--root", help="The store's folder; default: HFMIRROR_HOME.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, words for people on stderr.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors and what was asked for.")]
