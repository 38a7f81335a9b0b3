"""Tables for people: rich on a terminal, aligned plain text elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from hfmirror.cli.exits import OBEYED

if TYPE_CHECKING:
    from collections.abc import Sequence


def show(heads: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> None:
    """Print rows under heads; the columns numbered in `right` are aligned to the right."""
    rows = [tuple(cell.translate(OBEYED).replace("\n", " ") for cell in row) for row in rows]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        for number, head in enumerate(heads):
            table.add_column(head, justify="right" if number in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*row)
        Console().print(table, markup=False)
        return
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for line in (heads, *rows):
        cells = [
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())  # noqa: T201 - the command's answer
