"""How long to wait before trying again, and when to stop trying."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from hfmirror.errors import MirrorError, OutOfPatience, RateLimited
from hfmirror.transfer.events import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from hfmirror.transfer.events import Watcher

FIRST_S, MOST_S = 0.5, 30.0  # the pause after the first failure in a row, and the longest one
LIMITED_S = 5.0  # the least pause after a 429 that does not say how long
PATIENCE_S = 900.0  # without a single new byte
T = TypeVar("T")


@dataclass(slots=True)
class Patience:
    """Counts failures in a row; every new byte starts the count anew."""

    limit_s: float = PATIENCE_S
    clock: Callable[[], float] = time.monotonic
    failures: int = 0
    _since: float = field(init=False)

    def __post_init__(self) -> None:
        self._since = self.clock()

    def encourage(self) -> None:
        """Something good happened."""
        self.failures = 0
        self._since = self.clock()

    def renew(self, when: float) -> None:
        """Somebody else brought something then: the time starts anew, the failures in a row stay."""
        self._since = max(self._since, when)

    def pause_after(self, error: MirrorError, kept: int = 0, wanted: int = 0) -> float:
        """Seconds to wait after this failure. Raises OutOfPatience instead when the limit is reached."""
        told = error.retry_after_s if isinstance(error, RateLimited) else None
        self.failures += told is None  # to be asked to wait is none
        left = self.limit_s - (self.clock() - self._since)
        if left <= 0:
            source = str(getattr(error, "source", "the source"))
            reason = str(getattr(error, "reason", error))
            raise OutOfPatience(source, reason, self.limit_s, kept, wanted) from error
        pause = min(MOST_S, FIRST_S * 2.0 ** min(self.failures - 1, 16)) * random.uniform(0.75, 1.0)  # noqa: S311 - jitter
        if isinstance(error, RateLimited):
            pause = max(pause, LIMITED_S) if told is None else max(told, FIRST_S)
        return min(pause, left)


def patiently(
    ask: Callable[[], T], patience: Patience, watch: Watcher, sleep: Callable[[float], None] = time.sleep
) -> T:
    """The answer of `ask`, asked again while its failures may pass. Raises what may not pass, OutOfPatience."""
    while True:
        try:
            return ask()
        except MirrorError as error:
            if not error.retryable:
                raise
            pause = patience.pause_after(error)
            watch(Waiting(error, pause))
            sleep(pause)
