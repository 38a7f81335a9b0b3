"""One Hub and two servers for all tests of the read side: one with the Hub in reach, one that never dials."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.behaviour.serve.lab import Lab, Serving, serve
from tests.behaviour.serve.world import PULLED, World, populate
from tests.simulator import HubSimulator, served

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The Hub with everything, and a store that was filled from it by `hfmirror pull`."""
    hub = HubSimulator()
    first, commit = populate(hub)
    with served(hub) as site:
        lab = Lab(hub, site.endpoint, tmp_path_factory.mktemp("world"))
        lab.run("pull", *PULLED, f"acme/tiny@{first}")
        yield World(hub, lab, first, commit)


@pytest.fixture(scope="session")
def warm(world: World) -> Iterator[Serving]:
    """A server that has everything and may ask the Hub."""
    with serve(world.lab) as serving:
        yield serving


@pytest.fixture(scope="session")
def shut(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server over a copy of the same store that may ask nobody."""
    lab = Lab(world.hub, world.lab.endpoint, tmp_path_factory.mktemp("shut"))
    shutil.copytree(world.lab.root, lab.root, symlinks=True)
    with serve(lab, "--offline") as serving:
        yield serving


@pytest.fixture(scope="session", params=["online", "offline"])
def either(request: pytest.FixtureRequest) -> Serving:
    """Both of them: what is held is answered alike."""
    serving: Serving = request.getfixturevalue("warm" if request.param == "online" else "shut")
    return serving


@pytest.fixture
def hub() -> HubSimulator:
    """A Hub of this test's own, empty."""
    return HubSimulator()
