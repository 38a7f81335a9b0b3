"""Lines with a delay, losses and limits, between two network namespaces (Linux, root)."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tests.bench.lines_carrier import SERVER, Line
from tests.bench.settings import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLONE_NEWNET = 0x40000000  # from <linux/sched.h>


class NoLine(Exception):
    """This machine lets us make no namespaces; the words say why."""


@dataclass(frozen=True, slots=True)
class Laid:
    """A line that is up: two places, and the address at which one of them serves."""

    client: str
    server: str
    address: str = SERVER

    @contextmanager
    def at_client(self) -> Iterator[None]:
        """What this thread opens or starts meanwhile is at the line's near end."""
        with _inside(self.client):
            yield

    @contextmanager
    def at_server(self) -> Iterator[None]:
        """What this thread opens or starts meanwhile is at the line's far end."""
        with _inside(self.server):
            yield


@contextmanager
def laid(line: Line) -> Iterator[Laid]:
    """Lay a line, for the time of the `with`. Raises NoLine."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise NoLine("network namespaces need Linux and root")
    argv = [sys.executable, "-m", "tests.bench.lines_carrier", json.dumps(asdict(line))]
    with subprocess.Popen(argv, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as carrier:
        assert carrier.stdin is not None
        assert carrier.stdout is not None
        try:
            said = json.loads(carrier.stdout.readline() or '{"error": "the carrier did not start"}')
            if "error" in said:
                raise NoLine(f"no line can be laid here: {said['error']}")
            ends = f"/proc/{carrier.pid}/fd"
            yield Laid(f"{ends}/{said['client']}", f"{ends}/{said['server']}")
        finally:
            carrier.stdin.close()


@contextmanager
def _inside(namespace: str) -> Iterator[None]:
    """Move this thread into a namespace, and back."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        there = os.open(namespace, os.O_RDONLY)
        try:
            _enter(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _enter(home)
    finally:
        os.close(home)


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "this process may not enter a network namespace")
