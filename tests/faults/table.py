"""The page docs/reference/faults.md, made from what came of the matrix."""

from __future__ import annotations

import datetime
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from hfmirror import __version__
from tests.faults.cells import PLACES, SIZE, SOURCES
from tests.faults.trial import CONNECTIONS
from tests.faults.troubles import TROUBLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.faults.trial import Outcome

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "faults.md"
COLUMNS = [(sources, killed) for sources in SOURCES for killed in (False, True)]
TITLES = {
    (1, False): "One source",
    (1, True): "One source, killed",
    (2, False): "Two sources",
    (2, True): "Two sources, killed",
}

HEAD = """# Faults

What a fault of the line costs. `hfmirror pull` as a real process fetched a file of {size:,} bytes over
{connections} connections from simulated Hubs behind sockets. At the byte named by the place (near the file's start,
in its middle, near its end) the fault struck. Made on {date} with

```sh
python -m tests.faults
```

on {system}, with hfmirror {version} and Python {python}: {cells} pulls, of which {right} were right.

- **One source**: the fault struck once. **Two sources**: it came upon the source that brought the byte first, and
  stayed with it for good; the other one was well.
- **Killed**: the pull was killed with SIGKILL when half of the bytes had come, and started again.
- **right**: the file's SHA-256, computed by other means, is the Hub's; nothing else is in the store; and no more bytes
  were sent than allowed. **no**: one of these does not hold.
- The number is how many KiB more were sent than the file has, the worst of the two engines (`requests` and `curl`)
  where both were tried.

Allowed over the size: 2 %, a part (1 MiB) for each time the fault struck, and a part for each connection at a kill.
Two rows need more by their nature. Wrong bytes come again, and nothing tells which of them were wrong: with one source
the whole file is fetched once more; with two, what one of them brought is fetched from the other until the file is
right, in whole parts; and if the pull was killed in between, nobody knows who had brought what, which may cost the file
three times over. When the branch has moved by the time a killed pull is started again, what came of the old content
is not wanted any more; it lies there until `hfmirror gc`.

| Fault | Place | {titles} |
|---|---|{dashes}|
"""


def page(outcomes: Sequence[Outcome]) -> str:
    """The whole page."""
    words = {
        "size": SIZE,
        "connections": CONNECTIONS,
        "date": datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat(),
        "system": f"{platform.system()} {platform.machine()}",
        "version": __version__,
        "python": platform.python_version(),
        "cells": len(outcomes),
        "right": sum(outcome.right for outcome in outcomes),
        "titles": " | ".join(TITLES[column] for column in COLUMNS),
        "dashes": "|".join(["---"] * len(COLUMNS)),
    }
    return HEAD.format(**words) + "".join(
        f"| {trouble.name} | {place} | {' | '.join(_cell(outcomes, trouble.name, place, *c) for c in COLUMNS)} |\n"
        for trouble in TROUBLES
        for place in PLACES
    )


def _cell(outcomes: Sequence[Outcome], name: str, place: str, sources: int, killed: bool) -> str:
    """The verdict, and the worst count of bytes over the size."""
    wanted = (name, place, sources, killed)
    here = [o for o in outcomes if (o.cell.trouble.name, o.cell.place, o.cell.sources, o.cell.killed) == wanted]
    if not here:
        return "not run"
    verdict = "right" if all(outcome.right for outcome in here) else "**no**"
    return f"{verdict}, +{max(max(o.over, 0) for o in here) / 1024:,.0f}"


def rows(text: str) -> list[list[str]]:
    """The table of such a page: the words of each row, without the head."""
    lines = [line for line in text.splitlines() if line.startswith("| ")][1:]
    return [[word.strip() for word in line.strip("|").split("|")] for line in lines]
