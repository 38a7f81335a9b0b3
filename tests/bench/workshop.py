"""The folders and servers of one case, which all go when it ends, however it ends."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import TracebackType

T = TypeVar("T")

_PREFIX = "hfmirror-bench-"  # then the owner's process id, so that a dead owner's leavings are known


class NoRoom(Exception):
    """A case needs more space than there is."""


class Workshop:
    """Hands out private folders, and takes everything down again in reverse order."""

    def __init__(self, work: Path, disk: Path) -> None:
        self._work, self._disk = work, disk
        self._stack = ExitStack()

    def __enter__(self) -> Workshop:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def enter(self, resource: AbstractContextManager[T]) -> T:
        """Keep a server or the like until the case ends."""
        return self._stack.enter_context(resource)

    def folder(self, *, needs: int = 0, on_disk: bool = False) -> Path:
        """A new empty folder where `needs` bytes fit. Raises NoRoom."""
        parent = self._disk if on_disk else self._work
        sweep(parent)
        free = shutil.disk_usage(parent).free
        if needs > free:
            raise NoRoom(f"needs {needs >> 20} MiB in {parent}, which has {free >> 20} MiB free")
        made = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent)
        path = parent / made
        self._stack.callback(shutil.rmtree, path, ignore_errors=True)
        return path


def sweep(parent: Path) -> None:
    """Remove what a bench that was killed left in `parent`."""
    for left in parent.glob(f"{_PREFIX}*"):
        owner = re.match(rf"{_PREFIX}(\d+)-", left.name)
        if owner and not _alive(int(owner[1])):
            shutil.rmtree(left, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def empty(folder: Path) -> None:
    """Remove all that is in `folder`, and keep the folder."""
    for child in folder.iterdir():
        if child.is_dir() and not child.is_symlink():
            shutil.rmtree(child)
        else:
            child.unlink()


def held_bytes(folder: Path) -> int:
    """Bytes in the files under `folder`, each inode once, links not followed."""
    seen: dict[tuple[int, int], int] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            facts = os.lstat(os.path.join(parent, name))
            seen[facts.st_dev, facts.st_ino] = facts.st_size
    return sum(seen.values())
