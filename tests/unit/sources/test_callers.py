"""One endpoint, many callers."""

from __future__ import annotations

import pytest

from hfmirror.sources.callers import MOST, Callers
from hfmirror.sources.http import Http


@pytest.mark.parametrize(
    ("endpoint", "safe"),
    [
        ("https://hub.example", True),
        ("http://127.0.0.1:8090", True),
        ("http://[::1]:8090/hf", True),
        ("http://localhost:1", True),
        ("http://hub.example", False),
        ("http://10.0.0.7:8090", False),
        ("http://127.0.0.1.example", False),
    ],
)
def test_a_token_goes_over_tls_or_stays_on_this_machine(endpoint: str, safe: bool) -> None:
    callers = Callers(Http(), endpoint, lambda: "hf_own")
    assert callers.takes_tokens is safe
    assert bool(callers.seen_by(None)._credentials(endpoint)) is safe


def test_each_caller_has_a_source_of_his_own_and_few_are_remembered() -> None:
    callers = Callers(Http(), "https://hub.example", lambda: None)
    first = callers.seen_by("hf_a")
    assert callers.seen_by("hf_a") is first
    assert callers.seen_by("hf_b") is not first
    assert callers.seen_by(None) is callers.seen_by(None)
    for number in range(MOST):
        callers.seen_by(f"hf_{number}")
    assert callers.seen_by("hf_a") is not first
