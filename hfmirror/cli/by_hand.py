"""What a person with a browser has to fetch: address, size, digest, and what it is called in the repo."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hfmirror.cli.exits import say
from hfmirror.errors import human

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hfmirror.model import Entry
    from hfmirror.transfer.plan import Plan


def print_document(plan: Plan, rows: Sequence[tuple[Entry, str]]) -> None:
    """For machines."""
    files = [
        {"path": entry.path, "size": entry.size, "digest": str(entry.digest), "url": address} for entry, address in rows
    ]
    document = {
        "event": "by_hand",
        "repo": str(plan.pin.repo),
        "revision": plan.pin.revision,
        "commit": plan.pin.commit,
        "files": files,
    }
    print(json.dumps(document, ensure_ascii=False))  # noqa: T201 - the command's answer


def print_list(_: Plan, rows: Sequence[tuple[Entry, str]]) -> None:
    """For people. An address is never broken in two: it is there to be clicked on or copied."""
    sizes = [human(entry.size) for entry, _ in rows]
    widths = [max(map(len, column), default=0) for column in (sizes, [entry.path for entry, _ in rows])]
    for size, (entry, address) in zip(sizes, rows, strict=True):
        print(f"{size.rjust(widths[0])}  {entry.path.ljust(widths[1])}  {entry.digest}  {address}")  # noqa: T201 - as above
    if rows:
        say("put them into one folder, under any names, and then: hfmirror import THAT-FOLDER")
