"""`hfmirror serve` as a real process, for the time of a `with`."""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.conformance.machine import Machine

READY_S = 60.0  # until its first line; a busy machine starts slowly
GRACE_S = 60.0  # from SIGTERM to its end


@dataclass(frozen=True)
class Serving:
    """A server that runs."""

    endpoint: str
    log: Path  # what it says on stderr


@contextmanager
def serving(machine: Machine, *words: str, more: Mapping[str, str] | None = None) -> Iterator[Serving]:
    """Serve the machine's root on a free port; at the end it is asked to stop, and must do so by itself."""
    log = machine.home / "serve.log"
    command = [sys.executable, "-m", "hfmirror", "serve", "--port", "0", "--json", *words]
    with log.open("wb") as errors:
        server = subprocess.Popen(
            command,
            env=machine.environment(more),
            cwd=machine.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    try:
        yield Serving(_address(server, log), log)
        assert server.poll() is None, f"it ended by itself: {_said(log)}"
        server.terminate()
        assert server.wait(GRACE_S) == 0, _said(log)
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
        assert server.stdout is not None
        server.stdout.close()


def _address(server: subprocess.Popen[bytes], log: Path) -> str:
    """Where it serves, as its first line says."""
    assert server.stdout is not None
    with selectors.DefaultSelector() as ready:
        ready.register(server.stdout, selectors.EVENT_READ)
        assert ready.select(READY_S), f"it says nothing: {_said(log)}"
    line = server.stdout.readline()
    assert line, f"it did not start: {_said(log)}"
    said = json.loads(line)
    assert said["event"] == "serving", said
    address: str = said["addresses"][0]
    return address


def _said(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-6000:]
