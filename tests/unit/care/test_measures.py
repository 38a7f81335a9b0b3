"""Amounts as people write them, and as they read them."""

from __future__ import annotations

import pytest

from hfmirror.cli import measures
from hfmirror.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30d", 2_592_000), ("30", 2_592_000), ("12h", 43_200), (" 1.5 H ", 5400), ("90m", 5400), ("7s", 7), ("0s", 0)],
)
def test_a_time(text: str, seconds: float) -> None:
    assert measures.seconds(text, "--older-than") == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1d", "1w", "1d2h", "1" * 30])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="--older-than"):
        measures.seconds(text, "--older-than")


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), (" 0.1 % ", 0.001), ("100%", 1.0)])
def test_a_share(text: str, share: float) -> None:
    assert measures.share(text, "--sample") == pytest.approx(share)


@pytest.mark.parametrize("text", ["5", "", "%", "0%", "101%", "-5%", "half"])
def test_what_is_no_share(text: str) -> None:
    with pytest.raises(UsageError, match="--sample"):
        measures.share(text, "--sample")


@pytest.mark.parametrize(
    ("ago", "words"), [(5, "now"), (-5, "now"), (60, "1 min ago"), (7200, "2 h ago"), (86_400 * 40, "40 d ago")]
)
def test_how_long_ago(ago: float, words: str) -> None:
    assert measures.since(1e9 - ago, 1e9) == words


def test_what_nobody_knows() -> None:
    assert (measures.since(None, 1e9), measures.utc(None)) == ("-", None)
    assert measures.utc(1e9) == "2001-09-09T01:46:40Z"
