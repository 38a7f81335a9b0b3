"""Fixtures of the conformance tests, and the count of what ran."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, NoReturn

import pytest

from tests import material
from tests.conformance import clients
from tests.conformance.machine import Machine, run, said
from tests.simulator import HubSimulator, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conformance.clients import Client

CHINESE = "techthiyanes/chinese_sentiment"
_HERE = "tests/conformance/"
_outcomes: Counter[str] = Counter()


def unavailable(reason: str) -> NoReturn:
    """Skip with a reason; a failure where everything has to be there (`HFMIRROR_CONFORMANCE_REQUIRE`)."""
    if os.environ.get("HFMIRROR_CONFORMANCE_REQUIRE"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def pytest_configure(config: pytest.Config) -> None:
    """Known here too, so that this folder can be run alone."""
    config.addinivalue_line("markers", "conformance: real clients in their own environments; minutes, needs pip")


@pytest.fixture(scope="session")
def client() -> Callable[[str], Client]:
    """An environment by its name."""

    def build(name: str) -> Client:
        try:
            return clients.client(name)
        except clients.ClientMissing as missing:
            unavailable(f"the environment {name} cannot be built: {missing}")

    return build


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of the real MiniLM."""
    try:
        return material.minilm()
    except material.MaterialMissing as missing:
        unavailable(str(missing))


@pytest.fixture(scope="session")
def chinese(client: Callable[[str], Client], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the small Chinese sentiment model, made with the newest transformers."""
    try:
        vocab = material.chinese_vocab()
    except material.MaterialMissing as missing:
        unavailable(str(missing))
    folder = tmp_path_factory.mktemp("chinese") / "model"
    machine = Machine(folder.parent)
    python = client("transformers-5").python
    command = [str(python), str(material.__file__), "sentiment", str(folder), str(vocab)]
    done = run(command, machine.environment(), folder.parent)
    assert done.returncode == 0, said(done)
    return folder


@pytest.fixture
def hub() -> HubSimulator:
    """An empty hub."""
    return HubSimulator()


@pytest.fixture
def machine(hub: HubSimulator, tmp_path: Path) -> Iterator[Machine]:
    """A machine whose Hub is `hub`, over real sockets."""
    with served(hub) as at:
        yield Machine(tmp_path, at.endpoint)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count what ran and what was skipped."""
    if report.nodeid.startswith(_HERE) and (report.when == "call" or report.outcome == "skipped"):
        _outcomes["skipped" if report.skipped else "run"] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it."""
    if _outcomes:
        counts = f"conformance: {_outcomes['run']} run, {_outcomes['skipped']} skipped"
        terminalreporter.write_line(counts, bold=True)
