"""Moments as they are written, in the store and in JSON: UTC, to the second, like `2026-01-31T12:00:00Z`."""

from __future__ import annotations

import time

_FORM = "%Y-%m-%dT%H:%M:%SZ"


def utc(when: float) -> str:
    """A moment, given in seconds since 1970."""
    return time.strftime(_FORM, time.gmtime(when))


def since_1970(text: str) -> float:
    """The inverse of `utc`: seconds. Raises ValueError for what is no moment."""
    from datetime import datetime  # noqa: PLC0415 - for those who read moments

    return datetime.strptime(f"{text}+0000", f"{_FORM}%z").timestamp()
