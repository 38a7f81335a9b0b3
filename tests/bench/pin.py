"""Keeping files in memory while they are served: some kernels drop idle page cache within seconds.

A process of its own holds them (`python -m tests.bench.pin FOLDER`) until its input ends, so that
the bench itself stays small: a child's peak memory counts what its parent held when it was born.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.settings import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PROT_READ, _MAP_SHARED = 1, 1  # from <sys/mman.h>, the same on Linux and macOS
_READ = 2**20  # bytes


@contextmanager
def pinned(folder: Path) -> Iterator[Callable[[], None]]:
    """Hold all files under `folder` in memory.

    Gives what to call before each run: nothing if they are held, else a reading of them all.
    """
    argv = [sys.executable, "-m", "tests.bench.pin", str(folder)]
    with subprocess.Popen(argv, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        held = holder.stdout.readline().strip() == b"held"
        try:
            yield (lambda: None) if held else (lambda: _read(folder))
        finally:
            holder.stdin.close()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _read(folder: Path) -> None:
    buffer = bytearray(_READ)
    for path in _files(folder):
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def _lock(path: Path) -> bool:
    """Map a file and lock the mapping; it lasts as long as this process."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    size = path.stat().st_size
    if size == 0:
        return True
    file = os.open(path, os.O_RDONLY)
    try:
        start = libc.mmap(None, size, _PROT_READ, _MAP_SHARED, file, 0)
    finally:
        os.close(file)
    return start != ctypes.c_void_p(-1).value and bool(libc.mlock(start, size) == 0)


def _main() -> None:
    held = all(_lock(path) for path in _files(Path(sys.argv[1])))
    sys.stdout.write("held\n" if held else "not held\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    _main()
