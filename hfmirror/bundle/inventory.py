"""Which files of a folder are those of a bundle. Refuses links, and passes over what other systems leave there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hfmirror.bundle import layout
from hfmirror.errors import DamagedBundle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hfmirror.model import Digest

_TOP = (layout.FORMAT, layout.ABOUT_BUNDLE, layout.README, layout.SCRIPT)


def files_of(folder: Path) -> Iterator[tuple[str, int]]:
    """Every file that belongs in SHA256SUMS: its name relative to the bundle, and its bytes. Raises DamagedBundle."""
    for name in (*_TOP, *layout.NAMES, "access", "objects", "parts", "incoming"):
        if (folder / name).is_symlink():
            raise DamagedBundle(name, "is a link, and a bundle has none")
    for name in _TOP:
        path = folder / name
        if path.is_file():
            yield name, path.stat().st_size
    for room in layout.NAMES:
        yield from ((name, size) for name, size in _walk(folder, room) if name.endswith(".json"))
    for room in ("objects", "parts"):
        yield from ((name, size) for name, size in _walk(folder, room) if layout.digest_of(name) is not None)


def _walk(folder: Path, room: str) -> Iterator[tuple[str, int]]:
    try:
        found = sorted(os.scandir(folder / room), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in found:
        name = f"{room}/{entry.name}"
        if entry.name.startswith("."):
            continue  # .DS_Store, ._name: macOS leaves these on foreign disks
        if entry.is_symlink():
            raise DamagedBundle(name, "is a link, and a bundle has none")
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder, name)
        elif entry.is_file(follow_symlinks=False):
            yield name, entry.stat(follow_symlinks=False).st_size


def objects_of(folder: Path) -> dict[Digest, int | None]:
    """The objects a bundle has, and the bytes of each that lies in one file (None: it lies in parts)."""
    found: dict[Digest, int | None] = {}
    for name, size in files_of(folder):
        known = layout.digest_of(name)
        if known is not None and known[1]:
            found[known[0]] = None if name.startswith("parts/") else size
    return found
