"""The pages of the documentation, and what is in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parents[2]
DOCS = PROJECT / "docs"
EXAMPLES = PROJECT / "examples"
README = PROJECT / "README.md"
REFERENCE = DOCS / "reference"

_FENCE = re.compile(r"```(\w*)")
_MARKER = re.compile(r"<!-- command: (\w+) -->")
_MADE = re.compile(r"(<!-- made: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^(#+) +(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: something to type, a program, or what comes of the block before."""

    language: str
    text: str
    line: int  # of its fence, from 1
    marker: str = ""  # "test" under `<!-- command: test -->`

    @property
    def first(self) -> str:
        """Its first line, by which the list of what is not run knows it."""
        return self.text.partition("\n")[0]


def pages() -> list[Path]:
    """README.md and everything under docs/."""
    return [README, *sorted(DOCS.rglob("*.md"))]


def name(page: Path) -> str:
    """The page's path as people write it."""
    return page.relative_to(PROJECT).as_posix()


def read(page: Path) -> str:
    """Its text."""
    return page.read_text(encoding="utf-8")


def blocks(page: Path) -> list[Block]:
    """Its fenced blocks, in order."""
    found: list[Block] = []
    inside: list[str] | None = None
    language, begun, marker = "", 0, ""
    for number, line in enumerate(read(page).splitlines(), 1):
        fence = _FENCE.fullmatch(line)
        if inside is not None and line == "```":
            found.append(Block(language, "\n".join(inside), begun, marker))
            inside, marker = None, ""
        elif inside is not None:
            inside.append(line)
        elif fence is not None:
            inside, language, begun = [], fence.group(1), number
        elif line.strip():
            told = _MARKER.fullmatch(line.strip())
            marker = told.group(1) if told else ""
    return found


def plain(page: Path) -> str:
    """Its text without fenced blocks."""
    return re.sub(r"^```.*?^```$", "", read(page), flags=re.DOTALL | re.MULTILINE)


def links(page: Path) -> Iterator[str]:
    """Where its links lead."""
    return (match.group(1) for match in _LINK.finditer(plain(page)))


def codes(text: str) -> set[str]:
    """Everything set as code in a line."""
    return set(_CODE.findall(text))


def anchors(page: Path) -> set[str]:
    """The names of its headings, as links to them are written."""
    titles = (match.group(2) for match in _HEADING.finditer(plain(page)))
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def sections(page: Path) -> dict[str, str]:
    """The text below each heading, down to the next heading of any level."""
    text = read(page)
    heads = [*_HEADING.finditer(text)]
    ends = [after.start() for _, after in pairwise(heads)] + [len(text)]
    return {head.group(2).strip(): text[head.end() : end] for head, end in zip(heads, ends, strict=True)}


def with_made(text: str, made: dict[str, str]) -> str:
    """The page with its generated parts made anew."""
    return _MADE.sub(lambda part: part.group(1) + made[part.group(2)] + part.group(3), text)


def made_parts(text: str) -> set[str]:
    """The generated parts a page has."""
    return {match.group(2) for match in _MADE.finditer(text)}
