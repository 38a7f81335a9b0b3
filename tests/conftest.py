"""Fixtures of all tests: a hub, a mirror of it, and a machine of which nothing real is seen."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from hfmirror.mirror import Mirror
from hfmirror.settings import Settings
from tests import material
from tests.simulator import HubSimulator, Served, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PREFIXES = ("HF_", "HFMIRROR_", "HUGGING", "TRANSFORMERS_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_LINES = "faults/test_lines.py"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

# No deadline: a busy machine is no bug. Temporary folders may serve many examples: each example makes its own inside.
settings.register_profile(
    "hfmirror", deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("hfmirror")


class Dialled(Exception):
    """Something tried to reach the world."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many of the tests on real lines ran: they are skipped where a machine forbids namespaces."""
    counts = {
        outcome: sum(_LINES in str(getattr(report, "nodeid", "")) for report in terminalreporter.stats.get(outcome, ()))
        for outcome in ("passed", "failed", "skipped")
    }
    if any(counts.values()):
        ran = counts["passed"] + counts["failed"]
        terminalreporter.write_line(f"real lines: {ran} ran, {counts['skipped']} skipped")


@pytest.fixture(scope="session")
def no_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with nothing in it."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def alone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, no_home: Path) -> None:
    """No settings of whoever runs the tests, no home, no dial beyond the loopback."""
    if request.node.get_closest_marker("conformance"):
        return  # these build environments with pip, and shut real clients off by themselves
    monkeypatch.setenv("HFMIRROR_TEST_MATERIAL", str(material.home()))
    for name in list(os.environ):
        ours = name.startswith(_PREFIXES) and name != "HFMIRROR_TEST_MATERIAL"
        if ours or name.lower() in _PROXIES or name.startswith("XDG_"):
            monkeypatch.delenv(name)
    for name in ("HOME", "USERPROFILE", "HF_HOME"):
        monkeypatch.setenv(name, str(no_home))
    monkeypatch.setattr(socket.socket, "connect", _near(socket.socket.connect))
    monkeypatch.setattr(socket.socket, "connect_ex", _near(socket.socket.connect_ex))


def _near(dial: Callable[..., Any]) -> Callable[..., Any]:
    def near(sock: socket.socket, address: Any) -> Any:
        if sock.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in _LOOPBACK:
            raise Dialled(f"a test dialled {address!r}")
        return dial(sock, address)

    return near


@pytest.fixture
def hub() -> HubSimulator:
    """A hub with no repo yet."""
    return HubSimulator()


@pytest.fixture
def site(hub: HubSimulator) -> Iterator[Served]:
    """The hub behind sockets, with its CDN."""
    with served(hub) as site:
        yield site


@pytest.fixture
def mirror(site: Served, tmp_path: Path) -> Mirror:
    """A mirror of the hub, empty."""
    return Mirror(Settings(tmp_path / "mirror", site.endpoint, "requests"))
