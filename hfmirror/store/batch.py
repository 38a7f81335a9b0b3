"""Many small objects on their way in: proven in memory, made durable and named together.

A file at a time costs two syncs each; a group shares them. A group that a kill left behind is
taken in by the next run: its files are named by the digest they claim, and are proven again.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from hfmirror.errors import DigestMismatch
from hfmirror.model import Digest
from hfmirror.store import files
from hfmirror.store.layout import label, unlabel

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.model import Entry
    from hfmirror.store.layout import Layout

GROUP_FILES = 256  # sealed together: two syncs for the lot
GROUP_BYTES = 32 * 2**20


class DiskBatch:
    """The store's `Batch`, in a folder that this writer owns."""

    def __init__(self, layout: Layout, folder: Path) -> None:
        self._layout, self._folder = layout, folder
        self._lock = threading.Lock()
        self._waiting: dict[Digest, int] = {}  # digest to bytes
        files.ensure_folder(folder)

    def add(self, entry: Entry, data: bytes) -> None:
        """Prove one whole object and take it in. Raises DigestMismatch, DiskFull."""
        actual = Digest.of(entry.digest.algorithm, data)
        if actual != entry.digest:
            raise DigestMismatch(entry.path, entry.digest, actual)
        self._write(f"{self._folder}/{label(entry.digest)}", data)
        with self._lock:
            self._waiting[entry.digest] = len(data)
            full = len(self._waiting) >= GROUP_FILES or sum(self._waiting.values()) >= GROUP_BYTES
            group = self._take() if full else []
        self._seal(group)

    @staticmethod
    def _write(draft: str, data: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with files.translated(draft, len(data)):
            try:
                fd = os.open(draft, flags, 0o444)
            except FileExistsError:
                return  # the same content under another path, proven a moment ago
            try:
                files.write_at(fd, data, 0)
            except BaseException:
                os.unlink(draft)
                raise
            finally:
                os.close(fd)

    def close(self) -> None:
        """Seal what is left."""
        with self._lock:
            group = self._take()
        self._seal(group)
        files.remove_folder(self._folder)

    def _take(self) -> list[Digest]:
        group, self._waiting = list(self._waiting), {}
        return group

    def _seal(self, group: list[Digest]) -> None:
        if not group:
            return
        drafts = [(f"{self._folder}/{label(digest)}", self._layout.object(digest)) for digest in group]
        folders = {target.rpartition("/")[0] for _, target in drafts}
        with files.translated(self._folder):
            files.sync_many([draft for draft, _ in drafts], [])
            for folder in folders:
                os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - strings, hot
            for draft, target in drafts:
                files.replace(draft, target)
            files.sync_many([], {*folders, *(folder.rpartition("/")[0] for folder in folders)})


def take_in(layout: Layout, folder: Path) -> None:
    """Give the proven files of a dead writer's batch their names, and drop the rest."""
    batch = DiskBatch(layout, folder)
    for path in folder.iterdir():
        digest = unlabel(path.name)
        if digest is not None and Digest.of(digest.algorithm, path.read_bytes()) == digest:
            batch._waiting[digest] = path.stat().st_size  # noqa: SLF001 - same module
    batch.close()
