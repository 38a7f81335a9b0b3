"""`hfmirror rm`: forget a repo."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hfmirror.cli.exits import guarded, say
from hfmirror.cli.options import DryRun, Json, Quiet, RepoName, Revision, Root

if TYPE_CHECKING:
    from pathlib import Path


def command(
    repo: RepoName,
    revision: Revision = None,
    dry_run: DryRun = False,
    root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Forget a repo, or one commit of it. Bytes that nothing else wants are freed by `hfmirror gc`.

    Example: hfmirror rm google-bert/bert-base-chinese
    """
    return guarded(lambda: _rm(repo, revision, root, dry_run=dry_run, as_json=as_json, quiet=quiet), as_json=as_json)


def _rm(text: str, revision: str | None, root: Path | None, *, dry_run: bool, as_json: bool, quiet: bool) -> None:
    from hfmirror import settings
    from hfmirror.mirror import Mirror
    from hfmirror.words import parse_repo

    repo, named = parse_repo(text)
    mirror = Mirror.open(settings.current(root))
    commits = mirror.commits(repo, revision or named)
    if not dry_run:
        mirror.remove(repo, commits)
    if as_json:
        print(json.dumps({"repo": str(repo), "removed": commits, "dry_run": dry_run}))  # noqa: T201 - the command's answer
    if as_json or quiet:
        return
    for commit in commits:
        say(f"{'would forget' if dry_run else 'forgot'} {repo}@{commit}")
    if not dry_run:
        say("  `hfmirror gc` frees the bytes that nothing else wants, once they are a day old; see its --min-age")
