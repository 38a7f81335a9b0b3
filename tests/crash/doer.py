"""The other end of the driver: processes that live as long as they are told to."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulator import Served

REPOSITORY = Path(__file__).parents[2]
FAR = 10**9  # more calls than any deed makes
Deed = tuple[str, str]  # verb and repo


@dataclass(frozen=True)
class Outcome:
    """How a deed ended."""

    status: int
    calls: int  # to the doors to the disk; 0 when it did not live to tell


class Doer:
    """Does deeds, each in a process of its own, all against one hub."""

    def __init__(self, process: subprocess.Popen[str], endpoint: str) -> None:
        self._process, self._endpoint = process, endpoint

    def begin(self, root: Path, *deeds: Deed, die_at: int = FAR, broken_locks: bool = False) -> int:
        """Start; the process' number. Ask `end` how it went."""
        order = {"root": str(root), "endpoint": self._endpoint, "deeds": deeds, "die_at": die_at}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order | {"broken_locks": broken_locks}) + "\n")
        self._process.stdin.flush()
        return int(self._line())

    def end(self) -> Outcome:
        """Wait for what was begun."""
        return Outcome(**json.loads(self._line()))

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def do(self, root: Path, *deeds: Deed, die_at: int = FAR) -> Outcome:
        """Begin and end."""
        self.begin(root, *deeds, die_at=die_at)
        return self.end()


@contextmanager
def doing(site: Served) -> Iterator[Doer]:
    """A doer for the time of the `with`."""
    words = [sys.executable, "-m", "tests.crash.driver"]
    process = subprocess.Popen(words, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        yield Doer(process, site.endpoint)
        assert process.stdin is not None
        process.stdin.close()
