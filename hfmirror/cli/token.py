"""`hfmirror token`: who may read what from this mirror."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

from hfmirror.cli.exits import guarded, say
from hfmirror.cli.options import Json, Root
from hfmirror.cli.table import show
from hfmirror.errors import UsageError
from hfmirror.moments import utc

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.store.ledger import Ledger

app = typer.Typer(help="Make, list and revoke tokens of this mirror's own.", rich_markup_mode=None)

Name = Annotated[str, typer.Argument(help="Whose token it is.")]


@app.command("add")
def add(
    name: Name,
    repo: Annotated[list[str] | None, typer.Option("--repo", help="A closed repo it opens; * for all.")] = None,
    root: Root = None,
    as_json: Json = False,
) -> int:
    """Make a token and print it. It is shown this once.

    Whoever sends it may read the repos named, and everything public where `serve --require-token` runs.

    Example: hfmirror token add ward-3 --repo owner/private-model
    """

    def work() -> int:
        from hfmirror.words import parse_repo

        if not name.strip():
            raise UsageError("a token needs a name", "for instance: hfmirror token add ward-3")
        repos = [text if text == "*" else str(parse_repo(text)[0]) for text in repo or ()]
        token = _ledger(root).mint(name, repos, utc(time.time()))
        print(json.dumps({"name": name, "token": token, "repos": repos}) if as_json else token)  # noqa: T201 - the answer
        return 0

    return guarded(work, as_json=as_json)


@app.command("list")
def list_(root: Root = None, as_json: Json = False) -> int:
    """Show whose tokens there are, and what they open.

    Example: hfmirror token list
    """

    def work() -> int:
        grants = _ledger(root).grants()
        if as_json:
            for grant in grants:
                row = {"name": grant.name, "repos": list(grant.repos), "made_at": grant.made_at}
                print(json.dumps(row, ensure_ascii=False))  # noqa: T201 - the answer
        else:
            show(
                ("name", "opens", "made"), [(g.name, " ".join(g.repos) or "what is public", g.made_at) for g in grants]
            )
        return 0

    return guarded(work, as_json=as_json)


@app.command("revoke")
def revoke(name: Name, root: Root = None, as_json: Json = False) -> int:
    """Make a token worthless, at once.

    Example: hfmirror token revoke ward-3
    """

    def work() -> int:
        _ledger(root).revoke(name)
        if as_json:
            print(json.dumps({"revoked": name}, ensure_ascii=False))  # noqa: T201 - the answer
        else:
            say(f"the token of {name} opens nothing any more")
        return 0

    return guarded(work, as_json=as_json)


def _ledger(root: Path | None) -> Ledger:
    from hfmirror import settings
    from hfmirror.mirror import Mirror

    mirror = Mirror.open(settings.current(root))
    mirror.store.prepare()
    return mirror.store.ledger
