"""`mirror.toml`: the list of repos to keep current. Pure; what exists here is already right.

A key that is not known is refused: a misspelled `keep` or `include` must not be passed over in silence.
"""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from hfmirror.errors import UsageError
from hfmirror.model import RepoId, Selection
from hfmirror.timetable import Timetable
from hfmirror.transfer.manner import Manner
from hfmirror.transfer.patience import PATIENCE_S
from hfmirror.words import parse as parse_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

EVERY_S = 6 * 3600.0  # seconds; young enough for a lab, and four questions a day for each repo
LEAST_S = 1.0  # seconds between two rounds: below that it would ask without end
CONNECTIONS = 128  # as many as `--connections` takes

TOP = ("repo", "every", "patience", "connections", "limit_rate", "sources")
OF_A_REPO = ("name", "revision", "revisions", "include", "exclude", "keep")
# What people will look for, and what to say.
NOT_YET = {
    **dict.fromkeys(
        ("limit", "limits", "limit-rate", "max_rate", "rate", "bandwidth"),
        ("a rate is written otherwise", 'write it above the first [[repo]], like limit_rate = "2M"'),
    ),
    **dict.fromkeys(
        ("timetable", "schedule", "hours", "window", "between", "at", "cron"),
        (
            "a list has no hours but those of its rate",
            'let cron or a timer run `hfmirror sync`; for the rate write limit_rate = "08:00 2M, 19:00 off"',
        ),
    ),
    **dict.fromkeys(
        ("endpoint", "upstream", "from", "source"),
        (
            "a list cannot say whom to ask for names",
            'take it out: HF_ENDPOINT names the Hub or the mirror to ask, sources = ["…"] others that have the bytes',
        ),
    ),
}
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}  # seconds
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")


@dataclass(frozen=True, slots=True)
class Wish:
    """One revision of one repo that is to be kept current."""

    repo: RepoId
    revision: str
    selection: Selection
    keep: int | None  # the last so many commits; None: all that ever came

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}"


@dataclass(frozen=True, slots=True)
class SyncList:
    """Everything a `mirror.toml` asks for."""

    wishes: tuple[Wish, ...]
    every_s: float
    manner: Manner
    sources: tuple[str, ...] = ()  # where the bytes may come from, too
    limit: Timetable | None = None  # how much may come a second, and when


def parse(text: str, where: str) -> SyncList:
    """The list in this text. Raises UsageError, which names the place in the file called `where`."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where} is no TOML: {error}", "see docs/how-to/keep-a-list.md for one that is") from None
    _know(document, TOP, where)
    tables = document.get("repo", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{where}: `repo` must be a list of tables", "begin each repo with a line [[repo]]")
    if not tables:
        raise UsageError(f"{where} names no repo", 'add two lines: [[repo]] and name = "owner/name"')
    wishes = tuple(wish for at, table in enumerate(tables, 1) for wish in _wishes(table, f"{where}, repo {at}"))
    _refuse_twins(wishes, where)
    every = _seconds(document, "every", EVERY_S, where)
    if every < LEAST_S:
        raise UsageError(f"{where}: `every` must be at least {LEAST_S:g} s", 'write it like every = "6h"')
    connections = _count(document, "connections", where)
    if connections is not None and connections > CONNECTIONS:
        raise UsageError(f"{where}: `connections` must be at most {CONNECTIONS}", "leave it out to take what fits")
    manner = Manner(connections, _seconds(document, "patience", PATIENCE_S, where))
    return SyncList(wishes, every, manner, _texts(document, "sources", where), _limit(document, where))


def _wishes(table: Mapping[str, Any], where: str) -> Iterator[Wish]:
    _know(table, OF_A_REPO, where)
    name = table.get("name")
    if not isinstance(name, str):
        raise UsageError(f"{where} has no name", 'write it like name = "owner/name"')
    if "revision" in table and "revisions" in table:
        raise UsageError(f"{where} ({name}) has both `revision` and `revisions`", "keep one of the two")
    selection = Selection(_texts(table, "include", where), _texts(table, "exclude", where))
    keep = _count(table, "keep", where)
    if "revisions" in table and not table["revisions"]:
        raise UsageError(f"{where} ({name}): `revisions` is empty", "leave it out for main")
    for revision in _texts(table, "revision", where) or _texts(table, "revisions", where) or (None,):
        repo, named = parse_name(name, revision)
        yield Wish(repo, named, selection, keep)


def _refuse_twins(wishes: Iterable[Wish], where: str) -> None:
    """Two tables for one thing could contradict each other."""
    seen: set[tuple[RepoId, str]] = set()
    for wish in wishes:
        if (wish.repo, wish.revision) in seen:
            raise UsageError(f"{where} names {wish} twice", "make one [[repo]] of the two, with both their patterns")
        seen.add((wish.repo, wish.revision))


def _know(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key in NOT_YET:
            why, advice = NOT_YET[key]
            raise UsageError(f"{where} has a key {key!r}: {why}", advice)
        if key not in known:
            near = get_close_matches(key, known, 1)
            place = "put it above the first [[repo]]" if key in TOP else "put it below a [[repo]]"
            advice = place if key in (*TOP, *OF_A_REPO) else f"did you mean {near[0]}? " if near else ""
            raise UsageError(f"{where} has an unknown key {key!r}", advice or f"known are {', '.join(known)}")


def _texts(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    """A text or a list of texts."""
    value = table.get(key, [])
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        raise UsageError(f"{where}: `{key}` must be a text or a list of texts", f'write it like {key} = ["…"]')
    return tuple(texts)


def _limit(table: Mapping[str, Any], where: str) -> Timetable | None:
    """How much may come a second, and when; None when the list does not say."""
    text = table.get("limit_rate")
    if text is not None and not isinstance(text, str):
        raise UsageError(f"{where}: `limit_rate` must be a text", 'write it like limit_rate = "2M"')
    return None if text is None else Timetable.parse(text, f"{where}: `limit_rate`")


def _count(table: Mapping[str, Any], key: str, where: str) -> int | None:
    """A whole number from 1 on; None when there is none."""
    value = table.get(key)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise UsageError(f"{where}: `{key}` must be a whole number from 1 on", f"write it like {key} = 2")
    return value


def _seconds(table: Mapping[str, Any], key: str, usual: float, where: str) -> float:
    """A time: a number of seconds, or a text with a unit."""
    value = table.get(key, usual)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise UsageError(f"{where}: `{key}` is no time", f'write it like {key} = "90s", "30m", "6h" or "1d"')
    return float(match.group(1)) * _UNITS[match.group(2)]
