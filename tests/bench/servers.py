"""Starting a server as a child, and being sure that it ends."""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_START_S = 10.0  # a server that does not listen by then never will
_STOP_S = 5.0  # it gets, before it is killed
_PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>


class ServerFailed(Exception):
    """A server did not start."""


@contextmanager
def serving(argv: Sequence[str], port: int, log: Path) -> Iterator[None]:
    """Run a server that listens on a loopback port; ask it to end, by its id, when the block is left."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, preexec_fn=_end_with_parent
        )
    try:
        _await(process, port, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A loopback port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _end_with_parent() -> None:
    """In the child: when a bench is killed, its servers are told to end too (Linux)."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise ServerFailed(f"the server did not start: {log.read_text(errors='replace')[-600:].strip()}")
