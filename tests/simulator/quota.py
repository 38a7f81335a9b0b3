"""How many requests the Hub answers: by bucket, so many in a window that begins with its first request.

    hub.quotas["resolvers"] = Quota(20, window_s=3.0)

Without a word nobody comes near the limit: the headers tell the real Hub's numbers, and nothing is counted.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT = {"api": 500, "resolvers": 3000, "pages": 100}  # requests of a window of 300 s, without a token
WINDOW_S = 300.0


@dataclass
class Quota:
    """What one bucket holds, and what is left of it. `refused` says how often it was empty."""

    requests: int
    window_s: float = WINDOW_S
    refused: int = 0
    _left: int = 0
    _ends: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def draw(self, now: float) -> tuple[bool, int, int]:
        """Whether this request is answered, the requests left, and the seconds until they are all there again."""
        with self._lock:
            if now >= self._ends:
                self._left, self._ends = self.requests, now + self.window_s
            granted = self._left > 0
            self._left -= granted
            self.refused += not granted
            return granted, self._left, math.ceil(self._ends - now)


@dataclass
class Quotas:
    """Every bucket that is counted, by name."""

    clock: Callable[[], float]
    _quotas: dict[str, Quota] = field(default_factory=dict)

    def __setitem__(self, bucket: str, quota: Quota) -> None:
        self._quotas[bucket] = quota

    def __getitem__(self, bucket: str) -> Quota:
        return self._quotas[bucket]

    def draw(self, bucket: str) -> tuple[bool, dict[str, str]]:
        """Whether a request is answered, and the headers that say what is left."""
        quota = self._quotas.get(bucket)
        if quota is None:
            return True, told(bucket, DEFAULT[bucket] - 1, WINDOW_S, DEFAULT[bucket], WINDOW_S)
        granted, left, reset_s = quota.draw(self.clock())
        return granted, told(bucket, left, reset_s, quota.requests, quota.window_s)


def told(bucket: str, left: int, reset_s: float, requests: int, window_s: float) -> dict[str, str]:
    """The headers of one answer."""
    return {
        "RateLimit": f'"{bucket}";r={left};t={reset_s:g}',
        "RateLimit-Policy": f'"fixed window";"{bucket}";q={requests};w={window_s:g}',
    }
