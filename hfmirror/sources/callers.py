"""One endpoint, as several callers see it: each by a token of its own."""

from __future__ import annotations

import threading
from collections import OrderedDict
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hfmirror.sources.hub import HubSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfmirror.sources.http import Http

MOST = 256  # callers remembered, with what was learnt for each about signed addresses


class Callers:
    """Sources of one endpoint that differ only in the token they send. Thread-safe."""

    def __init__(self, http: Http, endpoint: str, own: Callable[[], str | None]) -> None:
        self._http, self._endpoint = http, endpoint
        self._own = HubSource(http, endpoint, own if self.takes_tokens else _nobody)
        self._others: OrderedDict[str, HubSource] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def takes_tokens(self) -> bool:
        """Whether a token sent there is safe on the way: over TLS, or not beyond this machine."""
        parts = urlsplit(self._endpoint)
        return parts.scheme == "https" or is_loopback(parts.hostname or "")

    def seen_by(self, token: str | None) -> HubSource:
        """The endpoint as the bearer of a token sees it; without one, as this installation does."""
        if token is None:
            return self._own
        with self._lock:
            source = self._others.pop(token, None) or HubSource(self._http, self._endpoint, lambda: token)
            self._others[token] = source
            if len(self._others) > MOST:
                self._others.popitem(last=False)
        return source


def _nobody() -> str | None:
    return None


def is_loopback(host: str) -> bool:
    """Whether what is sent to this host stays on this machine."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
