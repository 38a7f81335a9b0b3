"""The Hub counts requests, and says with each answer how many are left: go slower before it says no.

Facts: `RateLimit: "resolvers";r=2999;t=172` and `RateLimit-Policy: "fixed window";"resolvers";q=3000;w=300`,
as the Hub's answers carried them in 2025 and 2026: in the bucket `resolvers` 2999 requests are left for
172 seconds, of 3000 in each window of 300. The buckets were `api`, `resolvers` and `pages`; whoever shares
an address shares them. Knows no clock: every report and every question says when it is, in seconds of any
clock that does not run backwards.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from hfmirror.errors import RateLimited

if TYPE_CHECKING:
    from hfmirror.sources.reply import Headers

LOW: Final = 0.1  # of a window's requests; when fewer are left, they are spread over the rest of the window
QUOTA: Final = 500  # requests in a window of which only the rest is told: the Hub's smallest that matters here
GAP_S: Final = 4.0  # seconds between two requests, at most: who asks through a mirror waits five for a name
SOON_S: Final = 1.0  # seconds until it is looked again, when all that is left may be under way already
DRIFT_S: Final = 5.0  # seconds; an end that moves by more is another window's
LONGEST_S: Final = 3600  # seconds; a window that is told to last longer is none to plan by
MARGIN_S: Final = 1.0  # seconds after the reset that was told, in whole seconds; the official client waits so, too
_LEFT: Final = re.compile(r'"([^"]{1,64})"\s*;\s*r=(\d{1,9})\s*;\s*t=(\d{1,9})')
_POLICY: Final = re.compile(r'"([^"]{1,64})"\s*;\s*q=(\d{1,9})')


@dataclass(slots=True)
class Window:
    """What is left of one bucket until it is filled again."""

    left: int = 0  # requests, by the lowest number told in this window
    ends: float = float("-inf")
    quota: int = QUOTA  # requests when it was full
    flying: int = 0  # requests claimed and not answered yet, which that number may not know of
    free: float = 0.0  # when the next request should go

    def heard(self, left: int, ends: float, now: float) -> None:
        """An answer told what is left; answers come in any order, and others draw from the bucket, too."""
        same = now < self.ends and abs(ends - self.ends) <= DRIFT_S
        self.left, self.ends = (min(self.left, left), self.ends) if same else (left, ends)

    def refused_s(self, now: float) -> float:
        """Seconds for which nothing should be sent; 0 when one request may be claimed, or nothing is known."""
        if now >= self.ends:
            return 0.0
        if self.left <= 0:
            return self.ends - now
        if self.left <= self.flying:
            return SOON_S
        queue_s = self.free - now
        return queue_s if queue_s > GAP_S else 0.0  # a thread that sleeps could be doing something else

    def claim(self, now: float) -> float:
        """Take a request that is left; the seconds to wait before it is sent."""
        left = self.left - self.flying
        self.flying += 1
        if now >= self.ends or left > self.quota * LOW:
            return 0.0
        goes = max(self.free, now)
        self.free = goes + min((self.ends - now) / left, GAP_S)
        return goes - now


class Quotas:
    """All windows known, by origin and bucket. Thread-safe."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str], Window] = {}  # by origin and bucket
        self._meant: dict[tuple[str, str], Window] = {}  # the same by origin and kind of address
        self._lock = threading.Lock()

    def claim(self, place: str, url: str, now: float) -> float:
        """Seconds to wait before a request to an origin is sent, a few at most; say with `heard` what became of it.

        Raises RateLimited, and nothing is claimed, when none is left for it, or many wait already.
        """
        with self._lock:
            window = self._meant.setdefault((place, _kind(url)), Window())
            refused_s = window.refused_s(now)
            if not refused_s:
                return window.claim(now)
        raise RateLimited(place, refused_s)

    def heard(self, place: str, url: str, headers: Headers, now: float) -> None:
        """The request is answered, with these headers; or it never will be, then there are none."""
        told = _LEFT.search(headers.get("ratelimit"))
        policy = _POLICY.search(headers.get("ratelimit-policy"))
        with self._lock:
            window = self._meant.setdefault((place, _kind(url)), Window())
            window.flying = max(window.flying - 1, 0)
            if told is None or int(told[3]) > LONGEST_S:
                return
            window = self._meant[place, _kind(url)] = self._windows.setdefault((place, told[1]), window)
            if policy is not None and policy[1] == told[1]:
                window.quota = int(policy[2])
            window.heard(int(told[2]), now + int(told[3]) + MARGIN_S, now)


def _kind(url: str) -> str:
    """What sort of address this is; those of one sort draw from one bucket."""
    path = urlsplit(url).path
    return next((kind for kind in ("/resolve/", "/api/") if kind in path), "")
