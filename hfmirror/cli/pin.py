"""`hfmirror pin` and `hfmirror unpin`: what gc spares, and what it may take."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hfmirror.cli.exits import guarded, say
from hfmirror.cli.options import Exclude, Include, Json, Quiet, RepoName, Revision, Root
from hfmirror.errors import human

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.model import Selection


def pin(
    repo: RepoName,
    revision: Revision = None,
    include: Include = None,
    exclude: Exclude = None,
    root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Keep what is here of a repo: `gc` spares it. Nothing is fetched.

    Example: hfmirror pin google-bert/bert-base-chinese --include '*.json'
    """
    from hfmirror.model import Selection

    selection = Selection(tuple(include or ()), tuple(exclude or ()))
    return guarded(lambda: _pin((repo, revision), selection, root, as_json=as_json, quiet=quiet), as_json=as_json)


def _pin(named: tuple[str, str | None], selection: Selection, root: Path | None, *, as_json: bool, quiet: bool) -> None:
    from hfmirror import settings
    from hfmirror.mirror import Mirror
    from hfmirror.words import parse

    repo, revision = parse(*named)
    plan = Mirror.open(settings.current(root)).pin(repo, revision, selection)
    if as_json:
        document = {
            "repo": str(repo),
            "revision": revision,
            "commit": plan.pin.commit,
            "files": len(plan.selected),
            "size": plan.size,
            "to_fetch": plan.to_fetch,
        }
        print(json.dumps(document))  # noqa: T201 - the command's answer
    elif not quiet:
        say(f"pinned {repo}@{plan.pin.commit}: {len(plan.selected)} files, {human(plan.size)}")
        if plan.lacking:
            say(f"  {human(plan.to_fetch)} of it are not here; `hfmirror pull` fetches them")


def unpin(
    repo: RepoName, revision: Revision = None, root: Root = None, as_json: Json = False, quiet: Quiet = False
) -> int:
    """Let `gc` take a repo, or one commit of it. It loads until then.

    Example: hfmirror unpin google-bert/bert-base-chinese
    """
    return guarded(lambda: _unpin((repo, revision), root, as_json=as_json, quiet=quiet), as_json=as_json)


def _unpin(named: tuple[str, str | None], root: Path | None, *, as_json: bool, quiet: bool) -> None:
    from hfmirror import settings
    from hfmirror.mirror import Mirror
    from hfmirror.words import parse_repo

    repo, spelled = parse_repo(named[0])
    mirror = Mirror.open(settings.current(root))
    commits = mirror.commits(repo, named[1] or spelled)
    mirror.unpin(repo, commits)
    if as_json:
        print(json.dumps({"repo": str(repo), "unpinned": commits}))  # noqa: T201 - the command's answer
    if as_json or quiet:
        return
    for commit in commits:
        say(f"unpinned {repo}@{commit}")
    say("  it stays until `hfmirror gc`; `hfmirror pin` or `hfmirror pull` want it again")
