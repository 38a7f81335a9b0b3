"""A part of the matrix of faults, in which each of them is met; `python -m tests.faults` tries the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import read
from tests.faults.cells import ENGINES, PLACES, SOURCES, cells, some
from tests.faults.table import COLUMNS, PAGE, rows
from tests.faults.trial import tried
from tests.faults.troubles import BY_NAME, TROUBLES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.cells import Cell

CELLS = some()


@pytest.mark.parametrize("cell", CELLS, ids=map(str, CELLS))
def test_whatever_goes_wrong_the_file_comes_right_and_costs_a_part(cell: Cell, tmp_path: Path) -> None:
    outcome = tried(cell, tmp_path)
    assert outcome.wrong == ()


def test_a_part_of_the_matrix_meets_everything_that_the_whole_has() -> None:
    assert set(CELLS) <= set(cells())
    for of in ("trouble", "place", "sources", "killed", "engine"):
        assert {getattr(cell, of) for cell in CELLS} == {getattr(cell, of) for cell in cells()}, of


def test_the_matrix_is_complete() -> None:
    assert len(BY_NAME) == len(TROUBLES)
    tried_by_any = {(c.trouble, c.place, c.sources, c.killed) for c in cells()}
    assert len(tried_by_any) == len(TROUBLES) * len(PLACES) * len(SOURCES) * 2
    assert {c.engine for c in cells()} == set(ENGINES)


def test_the_table_has_a_row_for_each_fault_and_place_and_all_of_it_is_right() -> None:
    table = rows(read(PAGE))
    assert [tuple(row[:2]) for row in table] == [(trouble.name, place) for trouble in TROUBLES for place in PLACES]
    for row in table:
        assert len(row) == 2 + len(COLUMNS)
        assert [verdict.partition(",")[0] for verdict in row[2:]] == ["right"] * len(COLUMNS), row
