"""The page of clients is about the clients that are tested."""

from __future__ import annotations

from tests.conformance.clients import DATASETS, HUBS, NODE, RECIPES, TRANSFORMERS
from tests.conformance.scenes import STATES
from tests.conformance.table import PAGE, Seen, page


def rows() -> dict[str, list[str]]:
    """The states of each client, as the page tells them."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| "))
    return {first: rest for first, *rest in cells if first != "Client"}


def test_every_pinned_client_is_on_the_page() -> None:
    pinned = {RECIPES[name].client for name in (*HUBS, *TRANSFORMERS, *DATASETS, "diffusers")}
    pinned |= {f"{package} {version}" for package, version in NODE.items()} | {"hf 2.4.0"}
    assert pinned <= rows().keys(), "run: python -m tests.conformance.table"


def test_the_page_says_how_each_client_fared() -> None:
    for client, cells in rows().items():
        assert len(cells) == len(STATES) + 1, client
        assert set(cells[: len(STATES)]) <= {"yes", "**no**", "not run"}, client


def test_a_failure_is_told_and_a_test_that_did_not_run_is_no_success() -> None:
    seen = Seen()
    seen.outcomes["curl 1", "warm"] += ["passed", "failed"]
    seen.outcomes["curl 1", "cold"] += ["passed", "passed"]
    seen.outcomes["curl 1", "offline"] += ["skipped"]
    assert "| curl 1 | **no** | yes | not run |" in page(seen)
