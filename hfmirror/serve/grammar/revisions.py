"""What a revision may be called, and where one ends in an address.

Revisions come as one encoded segment (`refs%2Fpr%2F1`) from most clients and with literal slashes
(`refs/pr/1`, `feature/x`) from some, so an address can be read in more than one way.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hfmirror.codec import file_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LONGEST = 240  # characters of a revision as a file name: most systems take 255, and an ending is put to it
READINGS = 8  # slashes more than a branch has are no second reading, but a deep path

# The rules of git-check-ref-format, and halves of characters, which stand for bytes that were no text.
_UNLAWFUL = re.compile(
    "[\x00-\x20\x7f~^:?*\\[\\\\\ud800-\udfff]|\\.\\.|@\\{|//|(?:\\A|/)\\.|\\.lock(?:/|\\Z)|\\A/|/\\Z"
)


def lawful(revision: str) -> bool:
    """Whether a branch, tag or commit can be called so at all."""
    return bool(revision) and not _UNLAWFUL.search(revision) and len(file_name(revision)) <= LONGEST


def named(revision: str) -> str:
    """The name people use: `x` for `refs/heads/x` and `refs/tags/x`, `main` for `HEAD`."""
    if revision == "HEAD":
        return "main"
    if revision.startswith("refs/"):
        return revision.removeprefix("refs/heads/").removeprefix("refs/tags/")
    return revision


def first_reading(steps: Sequence[str]) -> tuple[str, str]:
    """Revision and path, when the revision is one segment, or three for `refs/<what>/<name>`."""
    width = _width(steps)
    return named("/".join(steps[:width])), "/".join(steps[width:])


def other_readings(steps: Sequence[str], least: int) -> Iterator[tuple[str, str]]:
    """The same for revisions with more slashes, fewest first; at least `least` segments are the path's."""
    width = _width(steps)
    for wider in range(width + 1, min(len(steps) - least, width + READINGS) + 1):
        revision = named("/".join(steps[:wider]))
        if lawful(revision):
            yield revision, "/".join(steps[wider:])


def _width(steps: Sequence[str]) -> int:
    return 3 if len(steps) > 2 and steps[0] == "refs" else 1
