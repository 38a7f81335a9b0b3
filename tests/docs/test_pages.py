"""Pages hang together: links lead somewhere, tests that are named exist, nobody's machine is described."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import DOCS, EXAMPLES, PROJECT, README, anchors, links, name, pages, plain, read

if TYPE_CHECKING:
    from pathlib import Path

PAGES = pages()
WRITTEN = [*PAGES, *sorted(EXAMPLES.glob("*"))]
_MACHINE = re.compile(r"(?<![\w.~:$/<>}-])/(?:home|root|work|tmp|Users|mnt|opt|var)/|\b[A-Z]:\\")
_TEST = re.compile(r"`(test_\w+)`")


@pytest.mark.parametrize("page", PAGES, ids=map(name, PAGES))
def test_links_lead_to_a_page_and_a_heading(page: Path) -> None:
    for link in links(page):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(PROJECT), link
        if anchor:
            assert anchor in anchors(target), link


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = {README}, [README]
    while waiting:
        page = waiting.pop()
        for link in links(page):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target not in reached and target.exists():
                reached.add(target)
                waiting.append(target)
    assert set(PAGES) - reached == set()


def names_of_tests() -> set[str]:
    """The names of all test functions of the project."""
    return {
        node.name
        for path in (PROJECT / "tests").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_test_that_a_page_names_exists() -> None:
    known = names_of_tests()
    lost = {(name(page), test) for page in PAGES for test in _TEST.findall(plain(page)) if test not in known}
    assert lost == set()


def test_what_the_readme_says_it_survives_is_tested() -> None:
    rows = [line for line in read(README).splitlines() if line.startswith("| ") and "`test_" in line]
    assert len(rows) >= 8
    table = read(README).partition("## What it survives")[2].partition("\n## ")[0]
    body = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert [line for line in body if not _TEST.search(line)] == []


def test_the_numbers_of_the_sentence_are_those_of_the_tests() -> None:
    from tests.material import SENTENCE_IDS

    for page in (README, DOCS / "tutorial.md"):
        assert str(SENTENCE_IDS) in read(page), name(page)


@pytest.mark.parametrize("path", WRITTEN, ids=map(name, WRITTEN))
def test_no_path_of_anybodys_machine_is_written_down(path: Path) -> None:
    if path.is_file():
        found = [line for line in read(path).splitlines() if _MACHINE.search(line)]
        assert found == []


def test_every_decision_is_in_the_index() -> None:
    index = read(DOCS / "adr" / "index.md")
    records = sorted((DOCS / "adr").glob("[0-9]*.md"))
    assert [record.name[:4] for record in records] == [f"{n:04}" for n in range(1, len(records) + 1)]
    for record in records:
        assert f"]({record.name})" in index
        parts = [line for line in read(record).splitlines() if line.startswith("## ")]
        assert parts == ["## Context", "## Decision", "## Consequences"], record.name
        assert len(read(record).splitlines()) <= 60, f"{record.name} is longer than a page"
