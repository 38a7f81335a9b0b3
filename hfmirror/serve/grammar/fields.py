"""What is written in a request by percent-encoding or as a form, decoded exactly once.

Text of a request is what the bytes on the wire are in Latin-1; what they mean is UTF-8.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus, unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

Fields = dict[str, list[str]]

MOST_FIELDS = 200  # of a query; no client sends a tenth of it, and what follows is as good as unknown
MOST_DIGITS = 9  # of a number in a query
LARGEST_PAGE = 1000  # rows, as the Hub's


def decoded(segment: str) -> str:
    """A segment of a path. `+` is itself; bytes that are no UTF-8 become halves of characters, lawful nowhere."""
    if "%" not in segment and segment.isascii():
        return segment
    # A character beyond Latin-1 came over no wire; its escape holds a backslash, which no path may.
    raw = segment.encode("latin-1", "backslashreplace")
    return unquote_to_bytes(raw).decode("utf-8", "surrogateescape")


def of_query(query: str) -> Fields:
    """The fields of a query, `+` being a space. Never raises; ignores what is too much."""
    text = query if query.isascii() else query.encode("latin-1", "replace").decode("utf-8", "replace")
    return _of_pairs(text.split("&", MOST_FIELDS)[:MOST_FIELDS])


def _of_pairs(pairs: list[str]) -> Fields:
    fields: Fields = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if name:
            fields.setdefault(unquote_plus(name), []).append(unquote_plus(value))
    return fields


def word(fields: Mapping[str, list[str]], name: str) -> str:
    """A single value: the last one given, or nothing."""
    return fields[name][-1] if name in fields else ""


def words(fields: Mapping[str, list[str]], *names: str) -> tuple[str, ...]:
    """All values of repeated fields, each once, without empty ones."""
    return tuple(dict.fromkeys(value for name in names for value in fields.get(name, ()) if value))


def flag(fields: Mapping[str, list[str]], name: str) -> bool:
    """A boolean: Python clients send `True` or `true`, depending on the age."""
    return word(fields, name).lower() in {"true", "1"}


def number(fields: Mapping[str, list[str]], name: str, least: int, most: int) -> int | None:
    """A number, moved into its bounds; None when there is none."""
    text = word(fields, name)
    if not (text.isascii() and text.isdigit()):
        return None
    return min(max(int(text), least), most) if len(text) <= MOST_DIGITS else most


def asked_paths(content_type: str, body: bytes) -> tuple[tuple[str, ...], bool]:
    """The paths a `paths-info` asks about, and whether it wants them expanded. Raises ValueError.

    Python clients send a form, JavaScript sends JSON (protocol section 4.3).
    """
    if "json" in content_type.lower() or body[:1] == b"{":
        return _of_json(body)
    fields = _of_pairs(body.decode("utf-8").split("&"))
    return words(fields, "paths", "paths[]"), flag(fields, "expand")


def _of_json(body: bytes) -> tuple[tuple[str, ...], bool]:
    try:
        document = json.loads(body)
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None
    paths = document.get("paths") if isinstance(document, dict) else None
    if isinstance(paths, str):
        paths = [paths]
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise ValueError("`paths` must be a list of paths")
    return tuple(dict.fromkeys(filter(None, paths))), document.get("expand") in (True, "true", "True")
