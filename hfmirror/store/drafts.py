"""Where things are made before they get their names.

A thing under its final name is whole: it is made here and renamed there, on the same disk. What a
kill leaves here is recognised by its dead owner and swept away by the next run, so that no half
thing ever lies among the whole ones.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from hfmirror.errors import DiskFull, LinkImpossible
from hfmirror.store import files, locks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hfmirror.store.files import StrPath

_PREFIX = "draft~"


class Drafts:
    """A folder for unfinished things, and the ways of finishing them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def sweep(self) -> None:
        """Remove what dead processes left."""
        for path in self.folder.glob(f"{_PREFIX}*"):
            owner = path.name[len(_PREFIX) :].partition("~")[0]
            if locks.is_dead(owner, path):
                files.remove(path)

    @contextlib.contextmanager
    def _draft(self) -> Iterator[str]:
        """A name for a new draft; if it is still there at the end, it is removed."""
        draft = f"{self.folder}/{_PREFIX}{locks.process_owner()}~{locks.mark()}"
        try:
            yield draft
        finally:
            with contextlib.suppress(OSError):
                os.unlink(draft)

    def publish_text(self, path: Path, text: str, *, durable: bool = True, mode: int = 0o666) -> None:
        """Give `path` this content: wholly or not at all, and (if durable) still there after a power cut."""
        files.ensure_folder(self.folder)
        files.ensure_folder(path.parent)
        with self._draft() as draft, files.translated(path, len(text)):
            with open(
                draft, "x", encoding="utf-8", newline="\n", opener=lambda name, flags: os.open(name, flags, mode)
            ) as out:
                out.write(text)
                out.flush()
                if durable:
                    files.sync(out.fileno())
            files.replace(draft, path)
            if durable:
                files.sync_folder(path.parent)

    def link(self, source: StrPath, target: StrPath) -> str:
        """Make `target` the same bytes as `source`, as cheaply as the disk allows; over what is there.

        Returns how: "hard link", "reflink" or "copy". Raises LinkImpossible, DiskFull.
        """
        try:
            with self._draft() as draft:
                how = "hard link"
                if not files.hard_link(source, draft):
                    how = files.clone(source, draft)
                    os.chmod(draft, 0o444)
                files.replace(draft, target)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                size = os.stat(source).st_size
                raise DiskFull(os.fspath(target), size, files.free_space(self.folder)) from error
            raise LinkImpossible(os.fspath(target), error.strerror or str(error)) from error
        return how

    def symlink(self, target: str, path: StrPath) -> bool:
        """A symbolic link over whatever is at `path`; False where the system or the user may not."""
        try:
            return files.symlink(target, path)
        except FileExistsError:
            if files.leads_to(path, target):
                return True
        with self._draft() as draft:
            if not files.symlink(target, draft):
                return False
            files.replace(draft, path)
        return True

    def copy(self, source: StrPath, target: Path) -> str:
        """Make `target` a writable file of its own with the bytes of `source`: "reflink" or "copy"."""
        files.ensure_folder(self.folder)
        with self._draft() as draft, files.translated(target, os.stat(source).st_size):
            how = files.clone(source, draft)
            os.chmod(draft, 0o644)
            files.replace(draft, target)
        return how

    def makes_hard_links(self) -> bool:
        """Whether this disk makes hard links: tried, with files of our own."""
        files.ensure_folder(self.folder)
        with self._draft() as first, self._draft() as second, files.translated(first):
            with open(first, "x"):  # noqa: PTH123 - a string
                pass
            return files.hard_link(first, second)

    def case_blind(self) -> bool:
        """Whether this disk takes `a` and `A` for one name: tried, with a file of our own."""
        files.ensure_folder(self.folder)
        with self._draft() as draft, files.translated(draft):
            with open(draft, "x"):  # noqa: PTH123 - a string
                pass
            return (self.folder / os.path.basename(draft).swapcase()).exists()  # noqa: PTH119 - a string

    @contextlib.contextmanager
    def draft(self) -> Iterator[str]:
        """A name for a new draft, for whoever fills and renames it; if it is still there at the end, it is removed."""
        files.ensure_folder(self.folder)
        with self._draft() as draft:
            yield draft
