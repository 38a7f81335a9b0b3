"""All of a store but its objects, on the way to another place: names, what was set aside, and the view.

Which rooms there are is asked of the disk: what later versions keep beside the objects goes along.
"""

from __future__ import annotations

import filecmp
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hfmirror.errors import StoreError
from hfmirror.store import files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from hfmirror.store.disk import DiskStore
    from hfmirror.store.layout import Layout


class Rooms:
    """What lies beside the objects of one store, to be laid into another."""

    def __init__(self, old: Layout, new: DiskStore) -> None:
        self._old, self._new = old, new

    def copy_names(self) -> None:
        """Make every room the same there; what an earlier run brought and is gone since, goes there too."""
        old, new = self._old, self._new.layout
        stay = {old.objects, old.incoming, old.locks, old.hub, old.format, old.moving, old.moved}
        fixed = {new.root / path.name for path in stay}
        rooms = {path.name for path in old.root.iterdir() if path not in stay}
        rooms |= {path.name for path in new.root.iterdir() if path not in fixed}
        for name in sorted(rooms):
            source, target = old.root / name, new.root / name
            known = {path.relative_to(source) for path in _files(source) if path.is_file()}
            for path in list(_files(target)):
                if path.relative_to(target) not in known:
                    files.remove(path)
            for path in sorted(known):
                with suppress(*[StoreError] * (source == old.quarantine)):  # what is damaged may well be unreadable
                    self._copy(source / path, target / path)

    def copy_strangers(self, bad: Collection[str]) -> None:
        """Take along what clients themselves have put into the view. `bad`: blobs that are not to be trusted.

        What the store shows there has several names on the disk; what a client writes has one.
        """
        old, new = self._old.hub, self._new.layout.hub
        links = []
        for path in _files(old):
            target = new / path.relative_to(old)
            if os.path.lexists(target):
                continue
            if path.is_symlink():
                links.append((path, target))
            elif path.is_file() and path.stat().st_nlink == 1 and path.name not in bad:
                self._copy(path, target)
        for path, target in links:
            leads = os.readlink(path)
            if (target.parent / leads).exists():
                files.ensure_folder(target.parent)
                self._new.drafts.symlink(leads, target)

    def _copy(self, source: Path, target: Path) -> None:
        """One file, wholly or not at all, with its mode; durable. Raises StoreError, DiskFull."""
        with files.translated(source):
            facts = source.stat()
            if target.exists() and filecmp.cmp(source, target, shallow=False):
                return
        files.ensure_folder(target.parent)
        with self._new.drafts.draft() as draft, files.translated(target, facts.st_size):
            files.clone(source, draft)
            os.chmod(draft, facts.st_mode & 0o777)
            os.utime(draft, ns=(facts.st_atime_ns, facts.st_mtime_ns))
            files.sync_many([draft], [])
            files.replace(draft, target)
            files.sync_folder(target.parent)


def _files(top: Path) -> Iterator[Path]:
    """Everything below a folder that is no folder, or the file itself."""
    if top.is_file():
        yield top
    for folder, inner, names in os.walk(top):
        yield from (Path(folder, name) for name in (*names, *inner) if not _is_plain_folder(Path(folder, name)))


def _is_plain_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def emptied(root: Path, keep: Collection[Path]) -> None:
    """Remove all that is below a folder but for some files. Raises StoreError; what is locked may stay."""
    for folder, inner, names in os.walk(root, topdown=False):
        for name in (*names, *inner):
            path = Path(folder, name)
            if path not in keep and not _is_plain_folder(path):
                files.remove(path)
        if Path(folder) != root:
            with suppress(OSError):
                os.rmdir(folder)
