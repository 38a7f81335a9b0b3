"""Folders and odd little repos, put on the simulated Hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.simulator import HubSimulator

ODD_NAMES = ("a b.txt", "c++.txt", "é/ü.txt", "100%.txt", "q&a=1.txt", "[1](2)'!*.txt", "天气/真 不错.txt")


def publish(hub: HubSimulator, repo: str, folder: Path) -> str:
    """A folder as the only commit of a repo. Which files are large ones is the simulator's rule, as on the Hub."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return hub.add(repo, {path.relative_to(folder).as_posix(): path for path in paths})


def odd_files(salt: str) -> dict[str, bytes]:
    """Files that clients have stumbled over: nested, empty, odd names, one large (LFS), one shared content."""
    files = {name: f"{salt} {name}\n".encode() for name in ODD_NAMES}
    files |= {"config.json": b'{"model_type": "bert"}\n', "empty.txt": b"", "deep/er/and/deeper.txt": salt.encode()}
    files |= {"weights.safetensors": f"weights of {salt} ".encode() * 5000, "copy/weights.bin": b"shared by all " * 999}
    return files
