"""Loads on a server: how many clients of which kind, started together, and what came of them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from tests.bench.servers import end_with_parent
from tests.bench.settings import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_SET_OFF_S = 0.05  # from the last one's being ready to the common beginning


class LoadFailed(Exception):
    """A client of a load did not get what it asked for."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one process of clients does."""

    kind: str  # flood, ask, ping, fetch, crawl
    host: str
    port: int
    targets: tuple[str, ...]
    authority: str = ""  # the certificate to trust: then over TLS
    method: str = "GET"
    clients: int = 1
    seconds: float = 3.0
    size: int = 0  # bytes of the file
    span: int = 0  # bytes of each range; 0: whole files
    ending: bool = False  # a new connection for each answer, as it may not say its length
    rate: float = 0.0  # bytes a second
    pause_s: float = 0.0  # between two questions
    delay_s: float = 0.0  # after the common beginning

    def shared(self, processes: int) -> list[Work]:
        """The same work, by several processes."""
        count = min(processes, self.clients)
        shares = [self.clients // count + (number < self.clients % count) for number in range(count)]
        return [replace(self, clients=share) for share in shares]


class Loading:
    """Works that are ready to begin."""

    def __init__(self, works: Sequence[Work], stack: ExitStack) -> None:
        self._makers = [(work, stack.enter_context(_maker())) for work in works]
        for work, maker in self._makers:
            _tell(maker, json.dumps(asdict(work)))
        for _, maker in self._makers:
            _line(maker)

    def begin(self) -> None:
        """Let all begin at the same moment."""
        begins = time.monotonic() + _SET_OFF_S
        for _, maker in self._makers:
            _tell(maker, str(begins))

    def results(self) -> list[dict[str, Any]]:
        """What each says at its end; a client that crawls is stopped when the others are done. Raises LoadFailed."""
        found = [json.loads(_line(maker)) for work, maker in self._makers if work.kind != "crawl"]
        if any(0.0 in result.get("lasts", ()) for result in found):
            raise LoadFailed("a client did not get the whole of its file")
        return found


@contextmanager
def _maker() -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "tests.bench.load_maker"]
    with subprocess.Popen(
        argv, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=end_with_parent
    ) as maker:
        try:
            yield maker
        finally:
            maker.kill()


def _tell(maker: subprocess.Popen[str], line: str) -> None:
    assert maker.stdin is not None
    maker.stdin.write(f"{line}\n")
    maker.stdin.flush()


def _line(maker: subprocess.Popen[str]) -> str:
    assert maker.stdout is not None
    line = maker.stdout.readline()
    if not line:
        raise LoadFailed(f"a maker of load ended with exit {maker.wait()}")
    return line


def made(works: Sequence[Work], meanwhile: Callable[[], None] = lambda: None) -> list[dict[str, Any]]:
    """Have works done side by side; `meanwhile` is called once they have begun. Raises LoadFailed."""
    with ExitStack() as stack:
        loading = Loading(works, stack)
        loading.begin()
        meanwhile()
        return loading.results()
