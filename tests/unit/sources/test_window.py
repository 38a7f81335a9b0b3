"""How much the system takes in ahead of whoever reads slowly on purpose."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest

from hfmirror.sources.http import Http
from tests.contracts.scene import TINY, publish
from tests.simulator import HubSimulator, served

WINDOW = 20_000  # bytes; Linux doubles it for its own needs, and so says a double


@pytest.mark.parametrize(("window", "narrow"), [(WINDOW, True), (None, False)])
def test_the_systems_buffer_is_narrow_while_a_rate_is_limited(window: int | None, narrow: bool) -> None:
    hub = HubSimulator()
    publish(hub)
    with served(hub) as site, closing(Http(5.0, lambda: window)) as http:
        url = f"{site.endpoint}/api/models/{TINY}"
        with http.get(url, {}) as answer:
            sock = answer._raw.connection.sock  # type: ignore[union-attr]
            assert sock is not None
            assert (sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) <= 2 * WINDOW) is narrow
            assert answer.whole()
