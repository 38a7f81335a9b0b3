"""Moments as text, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hfmirror.moments import since_1970, utc

YEAR_9999 = 253_370_764_800


def test_a_moment_is_written_in_utc_to_the_second() -> None:
    assert utc(1e9 + 0.9) == "2001-09-09T01:46:40Z"


@given(some.integers(0, YEAR_9999))
def test_what_was_written_is_read(when: int) -> None:
    assert since_1970(utc(when)) == when


@pytest.mark.parametrize("text", ["", "None", "2026-01-31", "2026-13-01T00:00:00Z", "2026-01-31T12:00:00+01:00"])
def test_what_is_no_moment_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not match|must be in"):
        since_1970(text)
