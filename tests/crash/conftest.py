"""One hub with two repos for all deaths, and a process that dies on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hfmirror.model import PART, Kind, RepoId
from tests.crash.doer import doing
from tests.simulator import HubSimulator, Made, Served, served

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.crash.doer import Doer
    from tests.simulator.content import Given

TINY, OTHER = RepoId(Kind.MODEL, "acme/tiny"), RepoId(Kind.MODEL, "acme/other")
WEIGHTS = Made(3 * PART + 4321, seed=3)
FILES: dict[str, Given] = {
    "config.json": b'{"model_type": "bert"}',
    "copy/of/config.json": b'{"model_type": "bert"}',
    "empty.txt": b"",
    "model.safetensors": WEIGHTS,
    "sub/deep/vocab.txt": b"[PAD]\n",
    "tiny.bin": b"a large file by its ending",
}


@pytest.fixture(scope="session")
def crash_hub() -> HubSimulator:
    """A hub with a model, and another one that shares a file with it."""
    hub = HubSimulator()
    hub.add(TINY, FILES)
    hub.add(OTHER, {"config.json": b'{"model_type": "bert"}', "tiny.bin": b"a large file by its ending", "own": b"1"})
    return hub


@pytest.fixture(scope="session")
def crash_site(crash_hub: HubSimulator) -> Iterator[Served]:
    """The same behind sockets."""
    with served(crash_hub) as site:
        yield site


@pytest.fixture(scope="session")
def doer(crash_site: Served) -> Iterator[Doer]:
    """Somebody who pulls from it."""
    with doing(crash_site) as doer:
        yield doer
