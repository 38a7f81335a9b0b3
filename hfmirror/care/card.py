"""What the model card says of a repo's licence, and whether its authors ask readers to accept terms.

The Hub's own description holds both. Without one, the card itself does: the front matter of README.md
(a few lines between two `---`, in YAML of which only plain keys, texts and lists are read here).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CARD = "README.md"
LONGEST = 64 * 2**10  # bytes of a card that are looked at: front matter stands first
_FIELDS = ("cardData", "gated", "tags")


@dataclass(frozen=True, slots=True)
class Card:
    """What is to be known before one uses a repo."""

    licence: str = ""  # as its authors name it; empty when they name none
    gated: bool = False


def of_description(about: Mapping[str, Any]) -> Card:
    """From the Hub's own description of a commit."""
    told = about.get("cardData")
    fields = told if isinstance(told, dict) else {}
    tags = about.get("tags")
    tagged = [tag.removeprefix("license:") for tag in tags or [] if isinstance(tag, str) and tag.startswith("license:")]
    return Card(_licence(fields) or " ".join(tagged), bool(about.get("gated")))


def of_text(text: str) -> Card:
    """The same from the written form, of which a hundredth is read: it may list ten thousand files.

    The store writes each field of a document on a line of its own, and a text in JSON has no line break.
    """
    fields: dict[str, Any] = {}
    for name in _FIELDS:
        _, mark, value = text.partition(f'\n"{name}": ')
        if mark:
            try:
                fields[name] = json.JSONDecoder().raw_decode(value)[0]
            except ValueError:
                return Card()
    return of_description(fields)


def of_readme(path: Path) -> Card:
    """From the card itself; nothing is known where it cannot be read."""
    try:
        with path.open("rb") as card:
            text = card.read(LONGEST).decode("utf-8", "replace")
    except OSError:
        return Card()
    fields = front_matter(text)
    gated = any(name.startswith("extra_gated_") for name in fields)
    return Card(_licence({name: values for name, values in fields.items() if values}), gated)


def front_matter(text: str) -> dict[str, list[str]]:
    """The plain keys of a card's front matter, each with its text or its list of texts."""
    lines = text.removeprefix("\ufeff").splitlines()
    if not lines or lines[0].rstrip() != "---":
        return {}
    fields: dict[str, list[str]] = {}
    values: list[str] = []
    for line in lines[1:]:
        if line.rstrip() in {"---", "..."}:
            return fields
        if line.lstrip().startswith("- "):
            values.append(_plain(line.lstrip()[2:]))
        elif line[:1].strip() not in {"", "#"}:
            name, _, value = line.partition(":")
            values = fields[name.strip()] = _values(value)
    return {}  # it never ended: no front matter


def _values(text: str) -> list[str]:
    plain = _plain(text)
    if plain.startswith("[") and plain.endswith("]"):
        return [_plain(value) for value in plain[1:-1].split(",") if value.strip()]
    return [plain] if plain else []


def _plain(text: str) -> str:
    """A text without its quotes, or without the remark behind it."""
    text = text.strip()
    for quote in "\"'":
        if text[:1] == quote and text.find(quote, 1) > 0:
            return text[1 : text.find(quote, 1)]
    return "" if text.startswith("#") else text.partition(" #")[0].strip()


def _licence(fields: Mapping[str, Any]) -> str:
    named, called = _words(fields.get("license")), _words(fields.get("license_name"))
    return f"{named} ({called})" if named == "other" and called else named


def _words(value: object) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value or "")
    return "".join(char if char.isprintable() else "?" for char in text)  # for a terminal: strangers have written it
