"""`hfmirror why`: who wants an object, under which path, and since when it is here."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hfmirror.cli.exits import OBEYED, guarded
from hfmirror.cli.options import Json, Root
from hfmirror.errors import human

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.care.why import Claim, Reason


def command(
    thing: Annotated[
        str, typer.Argument(metavar="DIGEST|PATH", help="A digest, a file of the view, or a path in a repo.")
    ],
    root: Root = None,
    as_json: Json = False,
) -> int:
    """Say why a file is here: who wants it, and when it was proven.

    Also on whose word its digest stands, and when it came.

    Example: hfmirror why config.json
    """
    return guarded(lambda: _why(thing, root, as_json=as_json), as_json=as_json)


def _why(thing: str, root: Path | None, *, as_json: bool) -> None:
    from hfmirror import settings
    from hfmirror.mirror import Mirror

    reasons = Mirror.open(settings.current(root)).why(thing)
    if as_json:
        print(json.dumps([_row(reason) for reason in reasons], ensure_ascii=False))  # noqa: T201 - the answer
        return
    for reason in reasons:
        print("\n".join(_lines(reason)).translate(OBEYED))  # noqa: T201 - the command's answer


def _row(reason: Reason) -> dict[str, Any]:
    return {
        "digest": str(reason.digest),
        "size": reason.size,
        "since": _time(reason.since),
        "proven": _time(reason.proven),
        "parts": reason.parts,
        "wanted_by": [
            {
                "repo": str(claim.pin.repo),
                "commit": claim.pin.commit,
                "revision": claim.pin.revision,
                "path": claim.path,
                "demand": claim.pin.demand,
                "told_by": claim.told,
            }
            for claim in reason.claims
        ],
    }


def _lines(reason: Reason) -> list[str]:
    parts = ", with digests of its parts" if reason.parts else ""
    head = f"{reason.digest}: {human(reason.size)}, here since {_time(reason.since)}{parts}"
    proven = f"  last proven {_time(reason.proven)}"
    return [head, proven, *(_line(claim) for claim in reason.claims or ()), *([] if reason.claims else [NOBODY])]


WORDS = {"": "", "hub": "", "local": "; your own, not the Hub's", "cache": "; as a client's cache says"}
NOBODY = "  nothing wants it: `hfmirror gc` removes it"


def _line(claim: Claim) -> str:
    who = "clients of `serve`" if claim.pin.demand else f"pulled as {claim.pin.revision}"
    told = WORDS.get(claim.told, f"; as {claim.told} says")
    return f"  {claim.pin.repo}@{claim.pin.commit[:12]}: {claim.path} ({who}{told})"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
