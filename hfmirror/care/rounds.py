"""Proving a store in the background of a server: bit by bit, at a gentle rate, while nobody wants anything."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol

from hfmirror.care.check import Manner
from hfmirror.care.throttle import Throttle
from hfmirror.errors import MirrorError
from hfmirror.timetable import Timetable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from types import TracebackType

    from hfmirror.care.check import Check
    from hfmirror.care.verify import Finding
    from hfmirror.model import RepoId

RATE = Timetable((0,), (50 * 2**20,))  # bytes a second: a third of what a plain hard disk gives
QUIET_S = 5.0  # nobody has wanted anything for so long
AGAIN_S = 3600.0  # between two looks what is due


class Prover(Protocol):
    """The part of a keeper that rounds need."""

    def plan_check(self, repos: Sequence[RepoId], manner: Manner) -> Check: ...
    def check(self, check: Check, pace: Throttle) -> Generator[Finding, None, None]: ...


class Rounds:
    """A thread that reads again what was not proven for so long; runs while the block does."""

    def __init__(self, prover: Prover, every_s: float, quiet: Callable[[], bool], tell: Callable[[str], None]) -> None:
        """`quiet` says whether nobody wants anything just now; `tell` hears of damage. Both in the thread."""
        self._prover, self._every_s, self._quiet, self._tell = prover, every_s, quiet, tell
        self._busy_at = time.monotonic()
        self._ending = threading.Event()
        self._pace = Throttle(RATE, self._idle)
        self._thread = threading.Thread(target=self._run, name="hfmirror-rounds", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._pace.stop()
        self._thread.join()

    def _idle(self) -> bool:
        """Whether it has been quiet for a while."""
        if not self._quiet():
            self._busy_at = time.monotonic()
        return time.monotonic() - self._busy_at >= QUIET_S

    def _run(self) -> None:
        while not self._ending.wait(QUIET_S):
            if self._idle():
                self._once()
                self._ending.wait(min(AGAIN_S, self._every_s))

    def _once(self) -> None:
        try:
            check = self._prover.plan_check((), Manner(older_than_s=self._every_s))
            for finding in self._prover.check(check, self._pace):
                if not finding.sound:
                    self._tell(_sentence(finding))
        except MirrorError as error:
            self._tell(f"could not look for damage: {error}")
        except Exception as fault:  # noqa: BLE001 - the server goes on, and tries again later
            self._tell(f"could not look for damage: {type(fault).__name__}: {fault}")


def _sentence(finding: Finding) -> str:
    if not finding.actual:
        return f"unreadable: {finding.digest}: {finding.complaint}; left where it is"
    return f"damaged: {finding.digest}; set aside, and fetched again when somebody wants it"
