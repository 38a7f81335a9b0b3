"""Words for amounts, as people write them after an option."""

from __future__ import annotations

import re

from hfmirror import moments
from hfmirror.errors import UsageError

_UNITS = {"": 86_400.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}  # seconds; a bare number is days


def seconds(text: str, name: str) -> float:
    """A time: `30d`, `12h`, `90m`; a bare number is days. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) ?([smhd]?)", text.strip().lower())
    if match is None:
        raise UsageError(f"{name}: {text!r} is no time", "write it like 30d, 12h or 90m")
    return float(match[1]) * _UNITS[match[2]]


def share(text: str, name: str) -> float:
    """A part of the whole: `5%`, `0.1 %`. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?) ?%", text.strip())
    if match is None or not 0 < float(match[1]) <= 100:
        raise UsageError(f"{name}: {text!r} is no share", "write it like 5%")
    return float(match[1]) / 100


def since(seconds_: float | None, now: float) -> str:
    """How long ago something was, in the largest unit that fits."""
    if seconds_ is None:
        return "-"
    ago = max(now - seconds_, 0.0)
    for unit, size in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if ago >= size:
            return f"{ago / size:.0f} {unit} ago"
    return "now"


def utc(when: float | None) -> str | None:
    """A time in JSON: seconds since 1970 as `2026-01-31T12:00:00Z`."""
    return None if when is None else moments.utc(when)
