"""The whole matrix: python -m tests.faults. Writes docs/reference/faults.md; exit code 1 when a cell does not hold."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.cells import Cell, cells
from tests.faults.table import PAGE, page
from tests.faults.trial import tried

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.faults.trial import Outcome

AT_ONCE = 4  # trials; they wait more than they work


def main(words: Sequence[str] | None = None) -> int:
    """Try each cell, say what came of it, write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help=f"trials at the same time; default: {AT_ONCE}")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cells with this in their name; write no page")
    options = parser.parse_args(words)
    chosen = [cell for cell in cells() if options.only in str(cell)]
    begun = time.monotonic()
    with ThreadPoolExecutor(options.at_once) as pool:
        outcomes = [_told(outcome) for outcome in pool.map(_tried, chosen)]
    wrong = [outcome for outcome in outcomes if not outcome.right]
    print(f"{len(outcomes)} cells in {time.monotonic() - begun:.0f} s, {len(wrong)} of them wrong")
    if outcomes and not options.only:
        PAGE.write_text(page(outcomes), encoding="utf-8")
        print(f"wrote {PAGE.relative_to(PAGE.parents[2])}")
    return 1 if wrong or not outcomes else 0


def _tried(cell: Cell) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="hfmirror-faults-") as folder:
        return tried(cell, Path(folder))


def _told(outcome: Outcome) -> Outcome:
    verdict = "right" if outcome.right else "WRONG"
    print(
        f"{verdict}  {outcome.over:>8} bytes over, {outcome.allowed:>8} allowed, {outcome.strikes:>3} x {outcome.cell}"
    )
    for problem in outcome.wrong:
        print(f"       {problem}", flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
