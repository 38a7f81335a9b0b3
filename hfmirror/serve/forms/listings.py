"""Lists of repos, searched and sorted as the Hub does (protocol section 4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hfmirror.serve.forms.trees import page
from hfmirror.serve.grammar.fields import LARGEST_PAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hfmirror.serve.forms.text import Row
    from hfmirror.serve.grammar.questions import Listing

_COUNTS: Final = frozenset({"downloads", "likes", "trendingScore"})


def listing(repos: Iterable[Row], asked: Listing) -> tuple[Sequence[Row], str | None]:
    """The rows (as `about.listed` makes them) that are asked for, and the cursor of the next page.

    Raises ValueError for a cursor that is none.
    """
    found = sorted((row for row in repos if _wanted(row, asked)), key=lambda row: str(row["id"]).casefold())
    if asked.sort:
        found.sort(key=lambda row: _rank(row, asked.sort), reverse=asked.descending)
    return page(found, asked.limit or LARGEST_PAGE, asked.cursor)


def _wanted(row: Row, asked: Listing) -> bool:
    name = str(row["id"]).casefold()
    if asked.author and name.partition("/")[0] != asked.author.casefold():
        return False
    if not all(text.casefold() in name for text in asked.search):
        return False
    marks = {str(mark).casefold() for mark in (*row["tags"], row.get("pipeline_tag"), row.get("library_name")) if mark}
    return all(text.casefold() in marks for text in asked.filters)


def _rank(row: Row, field: str) -> tuple[float, str]:
    """Counts by number, dates by text; what has none comes last."""
    value = row.get(field)
    if field in _COUNTS:
        return float(value) if isinstance(value, int | float) else 0.0, ""
    return 0.0, str(value or "")
