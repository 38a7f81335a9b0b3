"""A disk that travels: slow, often FAT, without links or modes, and perhaps pulled out just now."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hfmirror.errors import BundleFull, DiskGone, FileTooLarge, StoreError
from hfmirror.model import PART
from hfmirror.store import files

if TYPE_CHECKING:
    from collections.abc import Iterator

FAT32_MOST = 2**32 - 1  # bytes a file can have there
SPLIT = 2**32 - PART  # bytes; the largest part that is whole mebibytes and that FAT32 takes
CLUSTER = 4096  # bytes a file is rounded up to, where the disk does not say
_GONE = {errno.EIO, errno.ENODEV, errno.ENXIO, errno.ENOTCONN}


@dataclass(frozen=True, slots=True)
class Stick:
    """The disk that holds `folder`, as it was when first looked at."""

    folder: Path
    device: int  # by which it is seen that another disk, or none, is mounted there now

    @classmethod
    def at(cls, folder: Path) -> Stick:
        """The disk a folder is on, or will be."""
        return cls(folder, nearest(folder).stat().st_dev)

    def there(self) -> bool:
        """Whether it has not been taken out."""
        try:
            return nearest(self.folder).stat().st_dev == self.device
        except OSError:
            return False

    @contextmanager
    def reached(self, size: int = 0) -> Iterator[None]:
        """Say what the disk's trouble is. Raises DiskGone, BundleFull, FileTooLarge, StoreError."""
        try:
            yield
        except OSError as error:
            raise self._trouble(error, size) from error
        except StoreError as error:
            if isinstance(error.__cause__, OSError):
                raise self._trouble(error.__cause__, size) from error
            raise

    def _trouble(self, error: OSError, size: int) -> StoreError:
        where = str(self.folder)
        if error.errno in _GONE or not self.there():
            return DiskGone(where)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return BundleFull(where, size, self.free() or 0)
        if error.errno == errno.EFBIG:
            return FileTooLarge(where, size)
        return StoreError(where, error.strerror or str(error))

    def free(self) -> int | None:
        """Bytes that may still be written; None where the disk does not say."""
        folder = nearest(self.folder)
        if hasattr(os, "statvfs"):
            facts = os.statvfs(folder)
            return facts.f_bavail * facts.f_frsize if facts.f_blocks else None
        return files.free_space(folder)

    def cluster(self) -> int:
        """Bytes that every file is rounded up to: up to 128 KiB on exFAT."""
        if not hasattr(os, "statvfs"):
            return CLUSTER
        return max(os.statvfs(nearest(self.folder)).f_frsize, CLUSTER)

    def largest_file(self) -> int | None:
        """Bytes a file may have at most, where that is worth knowing; None: as many as there is room for."""
        name = filesystem(nearest(self.folder)).lower()
        return FAT32_MOST if "fat" in name and "exfat" not in name else None


def nearest(folder: Path) -> Path:
    """The folder, or the first one above it that exists."""
    while not folder.exists() and folder.parent != folder:
        folder = folder.parent
    return folder


def filesystem(folder: Path) -> str:
    """What the system calls the filesystem of a folder; empty where it does not say."""
    if sys.platform == "win32":
        return _windows_filesystem(folder)
    if sys.platform == "darwin":
        return "fat" if os.pathconf(folder, "PC_FILESIZEBITS") == 33 else ""  # bits of a size; HFS+ and APFS have 64
    return _linux_filesystem(os.stat(folder).st_dev, files.read_text(Path("/proc/self/mountinfo")) or "")


def _linux_filesystem(device: int, mounts: str) -> str:
    """From proc_pid_mountinfo(5): `36 35 98:0 /dir /mount options - type source options`."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[2:3] == [wanted]:
            return after.partition(" ")[0]
    return ""


def _windows_filesystem(folder: Path) -> str:
    import ctypes  # noqa: PLC0415 - Windows only

    name = ctypes.create_unicode_buffer(64)
    windll = ctypes.windll  # type: ignore[attr-defined,unused-ignore]
    windll.kernel32.GetVolumeInformationW(folder.resolve().anchor, None, 0, None, None, None, name, len(name))
    return name.value
