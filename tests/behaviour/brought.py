"""What people bring: folders made by hand, and by the real tools where they are here."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.behaviour.lab import Done, Lab


def traces(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Everything about a user's files that must not change: kind, mode, time, inode, bytes, where links lead."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in sorted(folder.rglob("*")):
        facts = path.lstat()
        content: Any = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(folder))] = (facts.st_mode, facts.st_mtime_ns, facts.st_ino, content)
    return found


def put(folder: Path, files: Mapping[str, bytes]) -> Path:
    """A folder with these files."""
    for name, data in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return folder


def repo_files(lab: Lab, repo: str = "acme/tiny") -> dict[str, bytes]:
    """All files of a repo, as the Hub has them."""
    return {path: lab.hub.content(repo, path) for path in lab.expected(repo)}


def client(lab: Lab, program: str, **settings: str) -> str:
    """Run a program with the official client in it, against the lab's Hub. What it prints."""
    fields = lab.environment({"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", **settings})
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=fields,
        cwd=lab.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def client_cache(lab: Lab, repo: str = "acme/tiny", **words: object) -> Path:
    """A cache that the official client made."""
    cache = lab.folder / "client cache"
    told = "".join(f", {name}={value!r}" for name, value in words.items())
    client(lab, f"from huggingface_hub import snapshot_download as s; s({repo!r}, cache_dir={str(cache)!r}{told})")
    return cache


def brought(lab: Lab, *words: str, code: int = 0, settings: dict[str, str] | None = None) -> dict[str, Any]:
    """What `import --json` says."""
    done: Done = lab.run("import", *words, "--json", code=code, settings=settings)
    (document,) = done.lines
    assert isinstance(document, dict)
    return document


NOWHERE = {"HF_ENDPOINT": "http://127.0.0.1:9"}  # nobody listens there: as good as no network
