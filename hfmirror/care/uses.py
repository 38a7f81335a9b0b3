"""When a commit was last used, as far as that can be known.

A pull and a client of `serve` are noted with the pin. A program that loads through the view is seen by
nobody; but it reads the largest file, and most disks note when a file was read. Linux does so at most
once a day (`relatime`, mount(8)) and some disks never do: so it is a hint, and can only make younger.
"""

from __future__ import annotations

import os

from hfmirror.moments import since_1970

SETTLED_S = 3600.0  # whoever brought a file may have read it himself; what is read so soon is no use of it


def noted(used: str) -> float | None:
    """The time of a pin in seconds since 1970; None for what is none."""
    try:
        return since_1970(used)
    except ValueError:
        return None


def read_at(path: str, now: float) -> float | None:
    """When the disk says that an object was last read; None where it does not note that."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    settled = max(facts.st_mtime, facts.st_ctime) + SETTLED_S
    return facts.st_atime if settled < facts.st_atime <= now else None


def last(used: str, largest: str | None, now: float) -> float | None:
    """The later of both."""
    known = [when for when in (noted(used), read_at(largest, now) if largest else None) if when is not None]
    return max(known, default=None)
