"""Every source there is, by one suite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hfmirror.mirror import Mirror
from hfmirror.model import Selection
from hfmirror.settings import Settings
from hfmirror.sources.http import Http
from hfmirror.sources.hub import HubSource
from hfmirror.transfer.events import silent
from hfmirror.transfer.manner import Manner
from tests.contracts.scene import TINY, publish
from tests.contracts.source import SourceContract
from tests.simulator import HubSimulator, Served, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hfmirror.ports import Source


@pytest.fixture
def hub() -> HubSimulator:
    """A hub with the repo."""
    hub = HubSimulator()
    publish(hub)
    return hub


class TestHubInMemory(SourceContract):
    @pytest.fixture
    def source(self, hub: HubSimulator) -> Source:
        return hub


class TestHubOverASocket(SourceContract):
    @pytest.fixture(params=["cdn", "no cdn"])
    def source(self, hub: HubSimulator, request: pytest.FixtureRequest) -> Iterator[Source]:
        http = Http(20.0)
        with served(hub, cdn=request.param == "cdn") as site:
            yield HubSource(http, site.endpoint, lambda: None)
        http.close()


class TestHubInPages(TestHubOverASocket):
    @pytest.fixture
    def hub(self) -> HubSimulator:
        hub = HubSimulator(page_size=2)
        publish(hub)
        return hub

    def test_the_listing_is_whole_sorted_and_right(self, source: Source) -> None:
        super().test_the_listing_is_whole_sorted_and_right(source)


class TestStoreAfterAPull(SourceContract):
    @pytest.fixture
    def source(self, site: Served, tmp_path: Path) -> Source:
        mirror = Mirror(Settings(tmp_path, site.endpoint, "requests"))
        mirror.pull(TINY, "main", Selection(), Manner(), silent)
        site.hub.remove(TINY)
        return mirror.store
