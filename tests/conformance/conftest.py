"""Fixtures of the conformance tests, and the count of what ran."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, NoReturn

import pytest

from tests import material
from tests.conformance import clients, scenes
from tests.conformance import shelf as shelves
from tests.conformance.machine import Machine, run, said
from tests.conformance.scenes import states
from tests.simulator import HubSimulator, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conformance.clients import Client
    from tests.conformance.scenes import Scene
    from tests.conformance.shelf import Made, Shelf
    from tests.simulator import Served

CHINESE = "techthiyanes/chinese_sentiment"
_HERE = "tests/conformance/"
_QUICK = (f"{_HERE}test_rules.py", f"{_HERE}test_table.py")  # no client runs in these
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


@pytest.fixture(scope="session")
def made(client: Callable[[str], Client]) -> Made:
    """Folders of models and tables."""
    try:
        return shelves.made(client)
    except (material.MaterialMissing, clients.ClientMissing) as missing:
        unavailable(str(missing))


@pytest.fixture(scope="session")
def shelf(made: Made) -> Shelf:
    """One Hub with something of everything."""
    return shelves.fill(HubSimulator(), made)


@pytest.fixture(scope="session")
def site(shelf: Shelf) -> Iterator[Served]:
    """It, over real sockets, with its CDN."""
    with served(shelf.hub) as at:
        yield at


@pytest.fixture(scope="session")
def stocked(site: Served, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine that has pulled all of it."""
    machine = Machine(tmp_path_factory.mktemp("stocked"), site.endpoint)
    machine.hfmirror("pull", "--quiet", *shelves.wanted())
    return machine


@pytest.fixture(params=states())
def scene(
    request: pytest.FixtureRequest, shelf: Shelf, site: Served, stocked: Machine, tmp_path: Path
) -> Iterator[Scene]:
    """A mirror in each of its states."""
    request.node.user_properties.append(("state", request.param))  # for the table
    with scenes.scene(request.param, shelf, site, stocked, tmp_path) as made:
        yield made


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
    if (
        report.nodeid.startswith(_HERE)
        and not report.nodeid.startswith(_QUICK)
        and (report.when == "call" or report.outcome == "skipped")
    ):
        _outcomes["skipped" if report.skipped else "run"] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it."""
    if _outcomes:
        counts = f"conformance: {_outcomes['run']} run, {_outcomes['skipped']} skipped"
        terminalreporter.write_line(counts, bold=True)
