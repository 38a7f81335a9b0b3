"""Every byte engine there is, by one suite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hfmirror.sources.http import Http
from hfmirror.sources.hub import HubSource
from hfmirror.transfer.threads import ThreadEngine
from tests.contracts.engine import STALL_S, EngineContract

if TYPE_CHECKING:
    from hfmirror.ports import Engine


class TestThreads(EngineContract):
    def engine(self, endpoint: str, token: str | None = None) -> Engine:
        return ThreadEngine(HubSource(Http(STALL_S), endpoint, lambda: token))


class TestCurl(EngineContract):
    def engine(self, endpoint: str, token: str | None = None) -> Engine:
        curl = pytest.importorskip("hfmirror.sources.curl", reason="pycurl is an extra", exc_type=ImportError)
        engine: Engine = curl.CurlHubSource(Http(STALL_S), endpoint, lambda: token)
        return engine
