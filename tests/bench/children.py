"""Commands, run one at a time with a clock, a time limit and the kernel's account of what they used."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.settings import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import IO

_GLANCE_S = 0.02  # between two looks at a command's memory
_TAIL = 600  # letters of a failed command's output worth showing


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of a command took. The numbers cover its own children too."""

    wall_s: float
    cpu_s: float
    peak_bytes: int  # resident: the largest process, or all together where that was watched
    code: int
    said: str  # the end of what it printed
    settle_s: float = 0.0  # until the disk had it all, afterwards

    @property
    def failure(self) -> str:
        """Why it does not count; empty when it does."""
        return "" if self.code == 0 else f"exit {self.code}: {self.said.strip() or 'it said nothing'}"


class Child:
    """A command on its way, in a process group of its own."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], output: IO[bytes]) -> None:
        self.started = time.perf_counter()
        self._process = subprocess.Popen(
            argv,
            env=env,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._output = output
        self._lock = threading.Lock()
        self._reaped = False

    def kill(self) -> None:
        """SIGKILL to the whole group, unless it is over."""
        with self._lock, suppress(ProcessLookupError):
            if not self._reaped:
                os.killpg(self.pid, signal.SIGKILL)

    def running(self) -> bool:
        """Whether it has not ended; does not take its account away."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def finish(self, peak: int = 0) -> Run:
        """Wait for the end. Called once."""
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        wall_s = time.perf_counter() - self.started
        with self._lock:
            _, status, used = os.wait4(self.pid, 0)
            self._reaped = True
        self._process.returncode = os.waitstatus_to_exitcode(status)  # Popen must not wait again
        self._output.seek(0)
        said = self._output.read().decode(errors="replace")[-_TAIL:]
        most = max(peak, _own_peak(used.ru_maxrss))
        return Run(wall_s, used.ru_utime + used.ru_stime, most, self._process.returncode, said)


@contextmanager
def child(argv: Sequence[str], env: Mapping[str, str]) -> Iterator[Child]:
    """Start a command; its group is dead when the block is left."""
    with tempfile.TemporaryFile() as output:
        started = Child(argv, env, output)
        try:
            yield started
        finally:
            started.kill()
            if not started._reaped:
                started.finish()


def run(argv: Sequence[str], env: Mapping[str, str], timeout_s: float, *, together: bool = False) -> Run:
    """Run a command to its end. `together`: watch the memory of it and its children as one sum."""
    with child(argv, env) as started:
        alarm = threading.Timer(timeout_s, started.kill)
        alarm.start()
        try:
            made = started.finish(peak=_watch(started) if together else 0)
        finally:
            alarm.cancel()
    late = made.code == -signal.SIGKILL and made.wall_s >= timeout_s
    return replace(made, said=f"{made.said} (stopped after {timeout_s:g} s)") if late else made


def _own_peak(maxrss: int) -> int:
    """In bytes. Before it became the command, the child was us: a peak no higher than ours may be just that."""
    inherited = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return maxrss * 1024 if maxrss > inherited else 0  # Linux counts in KiB


def _watch(started: Child) -> int:
    peak = 0
    while started.running():
        peak = max(peak, sum(map(resident, family(started.pid))))
        time.sleep(_GLANCE_S)
    return peak


def family(pid: int) -> Iterator[int]:
    """A process, its children, and theirs."""
    yield pid
    with suppress(OSError):  # it may end while we look
        for listing in Path(f"/proc/{pid}/task").glob("*/children"):
            for born in listing.read_text().split():
                yield from family(int(born))


def resident(pid: int) -> int:
    """Bytes of memory a process has just now; none when it is over."""
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def plain_environment(**extra: str) -> dict[str, str]:
    """This process's environment without proxies, tokens and settings of any of the parties."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith(("HF_", "HFMIRROR_", "HUGGING"))
    }
    return kept | extra
