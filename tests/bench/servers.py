"""Starting a server as a child, and being sure that it ends."""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.bench.settings import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_START_S = 10.0  # a server that does not listen by then never will
_STOP_S = 5.0  # it gets, before it is killed
_PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>


class ServerFailed(Exception):
    """A server did not start."""


@contextmanager
def serving(
    argv: Sequence[str], address: tuple[str, int], log: Path, env: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Run a server that listens at an address, and give its id; ask it to end, by that id, when the block is left."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            argv,
            env=env,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            preexec_fn=end_with_parent,
        )
    try:
        _await(process, address, log)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
    return port


def end_with_parent() -> None:
    """In the child: when a bench is killed, its servers are told to end too (Linux)."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _await(process: subprocess.Popen[bytes], address: tuple[str, int], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(address) == 0:
                return
        time.sleep(0.02)
    raise ServerFailed(f"the server did not start: {log.read_text(errors='replace')[-600:].strip()}")
