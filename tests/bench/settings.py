"""What one run of the bench was asked to do."""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]  # where `python -m hfmirror` finds the package

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Settings:
    """The numbers and places of a run. A size or count of None means: what the issue's table says."""

    hfmirror: tuple[str, ...]
    hf: str | None
    aria2c: str | None
    work: Path  # for the loopback cases, best in memory
    disk: Path  # for the cases about a real disk
    pairs: int = 3
    size_mib: int | None = None
    files: int | None = None
    timeout_s: float = 900.0  # of one command
    allocation: str = "falloc"  # aria2c's --file-allocation
    seconds: float = 3.0  # of a load on a server
    hf_quiet: bool = False  # the official client without its progress bars, which cost it a quarter of its rate

    def bytes_or(self, default_mib: int) -> int:
        """The size of a large file in bytes."""
        return (self.size_mib or default_mib) * MIB

    def files_or(self, default: int) -> int:
        """The number of files of a repo of small ones."""
        return self.files or default


def default_hfmirror() -> str:
    """The command of the tree this bench lies in."""
    return f"{sys.executable} -m hfmirror"


def default_hf() -> str | None:
    """The official client: of this environment if it has one, else the first on the path."""
    beside = Path(sys.executable).with_name("hf")
    return str(beside) if beside.exists() else shutil.which("hf")


def default_work() -> Path:
    """A folder in memory where there is one: then the disk has no say in the loopback cases."""
    memory = Path("/dev/shm")  # each run makes a private folder in it
    return memory if memory.is_dir() else Path(tempfile.gettempdir())


def default_disk() -> Path:
    """A folder that outlives a reboot, so one that is not in memory."""
    lasting = Path("/var/tmp")  # each run makes a private folder in it
    return lasting if lasting.is_dir() else Path(tempfile.gettempdir())
