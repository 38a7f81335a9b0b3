"""Values as bytes and header text: JSON as clients want it, and names that no header can be forged with."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime
from typing import Any
from urllib.parse import quote

Row = dict[str, Any]  # an object of the Hub's JSON

LEVELS = 32  # of nesting that are passed on; the Hub's own descriptions have less than ten
LONGEST_MESSAGE = 500  # characters of a header's text

_XET = re.compile(r"(?:[xX]-)?[xX][eE][tT](?![a-z])")  # xetHash, xet_hash, X-Xet-Hash; not a word like `xeter`
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_ATTRIBUTE = "!#$&+-.^_`|~"  # what RFC 5987 lets stand besides letters and digits

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def dump(value: object) -> bytes:
    """Compact JSON in UTF-8: hfd greps for `"rfilename":"` in it (protocol section 11.3)."""
    return _encode(value).encode("utf-8", "backslashreplace")  # half a character becomes its JSON escape


def plain(value: Any, levels: int = LEVELS) -> Any:
    """A document of the Hub, without anything that makes a client use Xet, and what no JSON can hold.

    A client that sees a Xet hash asks for a token this mirror does not give (protocol section 9.1).
    """
    if isinstance(value, dict):
        if not levels:
            return {}
        return {str(k): plain(inner, levels - 1) for k, inner in value.items() if not _XET.match(str(k))}
    if isinstance(value, list | tuple):
        return [plain(inner, levels - 1) for inner in value] if levels else []
    return None if isinstance(value, float) and not math.isfinite(value) else value


def date_of(value: object) -> str | None:
    """A date as the official client can read it, ending in Z; None for anything else (protocol section 2.10)."""
    if not isinstance(value, str) or not value.isascii():
        return None
    text = value.removesuffix("+00:00").removesuffix("Z")
    whole, dot, fraction = text.partition(".")
    if len(text) == len(value) or (dot and not fraction.isdigit()):
        return None
    try:
        datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return None
    return f"{text}Z"


def printable_latin1(text: str) -> str:
    """Text for a header: one line, no control characters, `?` for what Latin-1 has not."""
    line = _UNPRINTABLE.sub(" ", text).strip()[:LONGEST_MESSAGE]
    return line.encode("latin-1", "replace").decode("latin-1")


def content_disposition(path: str) -> str:
    """The header that says what a file is called: shown inline, with its true name in UTF-8 (RFC 6266, RFC 5987)."""
    name = path.rpartition("/")[2]
    ascii_name = "".join([char if " " <= char <= "~" and char not in '"\\' else "_" for char in name])
    true_name = quote(name.encode("utf-8", "replace"), safe=_ATTRIBUTE)
    # The client looks for the quote and the semicolon at the end.
    return f"inline; filename*=UTF-8''{true_name}; filename=\"{ascii_name}\";"
