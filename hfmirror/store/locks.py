"""Locks are courtesy, not correctness.

A lock avoids fetching twice and keeps gc out of a pull's way. On filesystems whose locks exclude
nobody, ownership of a folder in `incoming/` decides, and all it costs is bandwidth.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from hfmirror.errors import StoreLocked
from hfmirror.store import files

if TYPE_CHECKING:
    from collections.abc import Iterator

SILENCE_S = 600.0  # a writer on another machine that wrote nothing for so long is taken for dead
STORE_LOCK_S = 60.0  # keep, publish and rm hold the store's lock for milliseconds; gc for longer
_BYTES, _TRIES = (
    2**20,
    8,
)  # of a lock file that is shared on Windows: two of a hundred sharers rarely meet, and try again
_living: set[str] = set()  # the owners this process has made and not yet let go


def mark() -> str:
    """Eight letters that nobody else comes upon."""
    return os.urandom(4).hex()


def new_owner() -> str:
    """A name for one writer: which machine, which process, which of its writers."""
    owner = f"{_this_host()}.{os.getpid()}.{_started(os.getpid())}.{mark()}"
    _living.add(owner)
    return owner


@cache
def _owner_of(_pid: int) -> str:
    return new_owner()


def process_owner() -> str:
    """The name under which this process as a whole owns things."""
    return _owner_of(os.getpid())  # a fork is another process


def let_go(owner: str) -> None:
    """This writer is done."""
    _living.discard(owner)


def is_dead(owner: str, folder: Path) -> bool:
    """Whether the writer named `owner` is gone: surely so, or silent in `folder` for ten minutes."""
    if is_surely_dead(owner):
        return True
    return not _is_of_this_machine(owner) and owner not in _living and _silent_s(folder) > SILENCE_S


def is_surely_dead(owner: str) -> bool:
    """Whether the writer named `owner` was a process of this machine, and runs no more."""
    if owner in _living or not _is_of_this_machine(owner):
        return False
    pid, started, _ = owner.partition(".")[2].split(".")
    return int(pid) == os.getpid() or not _runs(int(pid)) or _started(int(pid)) != started


def _is_of_this_machine(owner: str) -> bool:
    host, _, rest = owner.partition(".")
    fields = rest.split(".")
    return host == _this_host() and len(fields) == 3 and fields[0].isascii() and fields[0].isdigit()


def _this_host() -> str:
    """This machine, and on Linux the room of process numbers in it: containers have rooms of their own."""
    try:
        room = f"-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        room = ""
    return _host_name() + room


def _host_name() -> str:
    import socket  # noqa: PLC0415 - 4 ms, and only writers need it

    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:40] or "host"


def _silent_s(folder: Path) -> float:
    newest = 0.0
    for path in (folder, *folder.glob("*")):
        with contextlib.suppress(OSError):
            newest = max(newest, path.stat().st_mtime)
    return time.time() - newest


def _runs(pid: int) -> bool:
    if os.name == "nt":
        import ctypes  # noqa: PLC0415 - Windows only

        handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, pid)  # type: ignore[attr-defined,unused-ignore]  # noqa: FBT003
        if handle:
            ctypes.windll.kernel32.CloseHandle(handle)  # type: ignore[attr-defined,unused-ignore]
        return bool(handle)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _started(pid: int) -> str:
    """When a process that lives began, in the system's own ticks; tells it from one that reuses its number."""
    if not sys.platform.startswith("linux"):
        return "0"
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "0"
    fields = stat.rpartition(")")[2].split()  # proc_pid_stat(5), from the third field on
    return "dead" if fields[0] in "ZX" else fields[19]  # a zombie, which nobody has buried yet, works no more


@contextmanager
def held(path: Path, timeout_s: float = STORE_LOCK_S) -> Iterator[None]:
    """Hold a lock, waiting for it. Raises StoreLocked. On a disk that knows no locks it is not held."""
    from filelock import FileLock, Timeout  # noqa: PLC0415 - 26 ms, and only writers need it

    files.ensure_folder(path.parent)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=timeout_s)
    except Timeout:
        raise StoreLocked(str(path), "another hfmirror is working here") from None
    except OSError:
        pass  # courtesy is impossible here; who must be sure asks `exclude_here`
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.release()


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Work beside others here, and keep out who must be alone. Raises StoreLocked while somebody is."""
    with _open(path) as fd:
        if not _lock(fd, alone=False):
            raise StoreLocked(str(path.parent.parent), "the store is being moved to another place")
        yield


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Be the only one at work here, and keep others out. Raises StoreLocked while anybody is at work."""
    with _open(path) as fd:
        if not _lock(fd, alone=True):
            raise StoreLocked(str(path.parent.parent), "a pull, an import or `hfmirror serve` is at work here")
        yield


@contextmanager
def _open(path: Path) -> Iterator[int]:
    files.ensure_folder(path.parent)
    with files.translated(path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    try:
        yield fd
    finally:
        os.close(fd)  # the lock goes with it, as it would if the process were killed


def _lock(fd: int, *, alone: bool) -> bool:
    """Take a lock that lasts until `fd` is closed; False while it is not to be had. True where there are no locks."""
    if os.name == "nt":
        return _lock_bytes(fd, alone=alone)
    import fcntl  # noqa: PLC0415 - not on Windows

    try:
        fcntl.flock(fd, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # as `held` does
    return True


def _lock_bytes(fd: int, *, alone: bool) -> bool:
    """On Windows, where a lock has one holder: whoever shares locks one byte, and who is alone locks all."""
    import msvcrt  # noqa: PLC0415 - Windows only
    from secrets import randbelow  # noqa: PLC0415 - as above

    for _ in range(1 if alone else _TRIES):
        os.lseek(fd, 0 if alone else randbelow(_BYTES), os.SEEK_SET)
        with contextlib.suppress(OSError):
            msvcrt.locking(fd, msvcrt.LK_NBLCK, _BYTES if alone else 1)  # type: ignore[attr-defined,unused-ignore]
            return True
    return False


class Claim:
    """A lock one either gets at once or not at all."""

    def __init__(self, path: Path) -> None:
        from filelock import FileLock, Timeout  # noqa: PLC0415 - as above

        files.ensure_folder(path.parent)
        self._path = path
        self._lock = FileLock(path)
        try:
            self._lock.acquire(timeout=0)
            self.got = True
        except Timeout:
            self.got = False
        except OSError:
            self.got = True  # no locks here: courtesy is impossible, ownership still decides

    def release(self) -> None:
        """Let go; harmless when it was never got. The file goes too: who opened it meanwhile loses a courtesy."""
        with contextlib.suppress(OSError):
            if self.got:
                self._path.unlink(missing_ok=True)
            self._lock.release()


def exclude_here(folder: Path) -> bool:
    """Whether locks keep a second holder out on this filesystem: two claims on one file, tried."""
    probe = folder / f".probe-{mark()}.lock"
    first, second = Claim(probe), Claim(probe)
    try:
        return first.got and not second.got
    finally:
        second.release()
        first.release()
