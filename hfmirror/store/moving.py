"""A store goes to another place: by one rename where the disk allows it, else by a copy that is proven.

The copy goes object by object, each proven on arrival, then the names, then the view; `format.json`
comes last, and only then is anything removed where the store was. Whatever stops it, the same command
goes on: `moving.json` at the new place and, once all is there, `moved.json` at the old one say how far
it came. At no moment are there two places that can be used.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hfmirror import codec
from hfmirror.errors import DigestMismatch, StoreError, StoreLocked, UsageError
from hfmirror.model import PART, Digest, Entry
from hfmirror.store import files, locks, signposts
from hfmirror.store.disk import DiskStore
from hfmirror.store.layout import label
from hfmirror.store.rooms import Rooms, emptied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RENAMED, COPIED, ENDED = "rename", "copy", "end of an earlier move"
SMALL = PART  # bytes; up to here objects are read whole and made durable together


@dataclass(slots=True)
class Moved:
    """What a move did, or would do."""

    root: Path  # where the store is now
    how: str  # RENAMED, COPIED or ENDED
    objects: int = 0  # copied
    size: int = 0  # bytes of them
    damaged: list[Digest] = field(default_factory=list)  # set aside at the new place
    lost: list[Digest] = field(default_factory=list)  # could not be read
    done: bool = True  # whether the store is at the new place; not while objects are lost, unless they may be


class Move:
    """One store, and the folder it is to be in."""

    def __init__(self, root: Path, target: Path) -> None:
        """Touches nothing. Links on the way to either are followed."""
        self.old, self.new = DiskStore(Path(os.path.realpath(root))), DiskStore(Path(os.path.realpath(target)))

    def plan(self) -> Moved:
        """How it would be done, and how much is to be copied. Raises UsageError, StoreError."""
        if self._left():
            return Moved(self.new.root, ENDED)
        self._refuse()
        if _device(self.old.root) == _device(self.new.root):
            return Moved(self.new.root, RENAMED)
        entries = [entry for entry in self._entries() if not self.new.has(entry.digest)]
        return Moved(self.new.root, COPIED, len(entries), sum(entry.size for entry in entries))

    def carry_out(
        self, show: Callable[[DiskStore], None], watch: Callable[[Entry, int], None], *, losing: bool = False
    ) -> Moved:
        """Move it. `show` lays out the view of the store at its new place; `losing`: leave behind what cannot be read.

        Raises UsageError, StoreLocked while anybody is at work in the store, DiskFull, StoreError.
        """
        moved = self.plan()
        if moved.how == RENAMED and not self._rename():
            moved.how = COPIED
        if moved.how == COPIED:
            moved = self._copy(show, watch, losing=losing)
        if moved.done:
            self._leave()
        return moved

    # -- what may be --------------------------------------------------------------------------

    def _left(self) -> bool:
        """Whether all is at the new place already, and only what is left at the old one has to go."""
        gone, coming = signposts.read(self.old.layout.moved), signposts.read(self.new.layout.moving)
        if gone is not None:
            identity = _identity(self.new) if coming is None else coming.identity
            return (gone.home, gone.identity) == (str(self.new.root), identity)
        renamed = self.new.layout.format.exists() and not self.old.layout.format.exists()
        return renamed and coming is not None and coming.home == str(self.old.root)

    def _refuse(self) -> None:
        old, new = self.old.root, self.new.root
        if old == new or old in new.parents or new in old.parents:
            raise UsageError(f"{new} and {old} are not apart", "name a folder that is neither inside the other")
        if not self.old.check():
            raise UsageError(f"there is no store in {old}", "name the one to be moved: --root, or HFMIRROR_HOME")
        if new.exists() and not new.is_dir():
            raise UsageError(f"{new} is no folder")
        coming = signposts.read(self.new.layout.moving)
        if coming is not None and (coming.home, coming.identity) == (str(old), _identity(self.old)):
            return  # an earlier run has begun
        if self.new.layout.format.exists():
            raise UsageError(f"there is another store in {new}", "carry repos over: hfmirror export, and import there")
        if coming is not None:
            raise UsageError(f"the store in {coming.home} is on its way to {new}", "name another folder")
        if not _vacant(new):
            raise UsageError(f"{new} holds other files", f"name a folder of its own, like {new / 'hfmirror'}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self.old.locks_exclude():
            advice = "end all hfmirrors, copy the folder by other means, and run `hfmirror verify` there"
            raise StoreLocked(str(self.old.root), f"locks keep nobody out on this disk: {advice}")
        with self.old.batch():
            pass  # small files that a dead writer left proven get their names
        with locks.alone(self.old.layout.using), self.old.locked():
            yield

    # -- on one disk --------------------------------------------------------------------------

    def _rename(self) -> bool:
        """Move all of it at once; False where the system does not."""
        old, new = self.old, self.new
        files.ensure_folder(new.root.parent)
        with self._alone():
            signposts.put(old.layout.moving, old.drafts, old.root, _identity(old))
            if new.root.exists():
                files.remove(new.layout.moved)  # the store was here before
                files.remove_empty_folders(new.root)
            if os.name != "nt" and not files.take_over(old.root, new.root):
                return False
        if os.name == "nt" and not files.take_over(old.root, new.root):  # it renames no folder with an open file in it
            return False
        files.sync_folder(new.root.parent)
        return True

    # -- to another disk ----------------------------------------------------------------------

    def _copy(self, show: Callable[[DiskStore], None], watch: Callable[[Entry, int], None], *, losing: bool) -> Moved:
        moved = Moved(self.new.root, COPIED)
        with self._alone():
            files.remove(self.old.layout.moving)  # a rename was tried
            files.remove(self.new.layout.moved)  # the store was here before
            signposts.put(self.new.layout.moving, self.new.drafts, self.old.root, _identity(self.old))
            self.new.drafts.sweep()
            self._objects(moved, watch)
            moved.done = losing or not moved.lost
            if moved.done:
                self._beside(show, {digest.hex for digest in (*moved.damaged, *moved.lost)})
                signposts.put(self.old.layout.moved, self.old.drafts, self.new.root, _identity(self.old))
        return moved

    def _beside(self, show: Callable[[DiskStore], None], bad: set[str]) -> None:
        """Copy all that is no object. `bad`: blobs of the view that are not to be trusted."""
        rooms = Rooms(self.old.layout, self.new)
        rooms.copy_names()
        for digest, _, folder in self.old.intakes():  # half-finished downloads: their proven parts
            data = folder / "data"
            if data.exists() and not self.new.has(digest):
                with self.new.receive(Entry(label(digest), data.stat().st_size, digest)) as intake:
                    intake.copy_parts(folder)
        show(self.new)
        rooms.copy_strangers(bad)

    def _entries(self) -> Iterator[Entry]:
        for digest in self.old.objects():
            yield Entry(label(digest), os.stat(self.old.layout.object(digest)).st_size, digest)

    def _objects(self, moved: Moved, watch: Callable[[Entry, int], None]) -> None:
        lacking = [entry for entry in self._entries() if not self.new.has(entry.digest)]
        self.new.room_for(lacking)
        with self.new.batch() as batch:
            for entry in lacking:
                try:
                    if entry.size <= SMALL:
                        batch.add(entry, b"".join(self._read(entry, 0, entry.size)))
                        watch(entry, entry.size)
                    else:
                        self._large(entry, watch)
                except DigestMismatch:
                    self.old.set_aside(entry.digest)  # it travels with what else was set aside
                    moved.damaged.append(entry.digest)
                except _Unreadable:
                    moved.lost.append(entry.digest)
                else:
                    moved.objects, moved.size = moved.objects + 1, moved.size + entry.size

    def _large(self, entry: Entry, watch: Callable[[Entry, int], None]) -> None:
        with self.new.receive(entry) as intake:
            for span in intake.missing():
                at = span.start
                for chunk in self._read(entry, span.start, span.stop):
                    intake.write(at, chunk)
                    at += len(chunk)
                    watch(entry, len(chunk))
            intake.seal()

    def _read(self, entry: Entry, start: int, stop: int) -> Iterator[bytes]:
        try:
            with open(self.old.layout.object(entry.digest), "rb", 0) as stream:  # noqa: PTH123 - a string
                stream.seek(start)
                while start < stop:
                    chunk = stream.read(min(PART, stop - start))
                    if not chunk:
                        raise _Unreadable(entry.path)
                    start += len(chunk)
                    yield chunk
        except OSError as error:
            raise _Unreadable(entry.path) from error

    # -- the end ------------------------------------------------------------------------------

    def _leave(self) -> None:
        """Let the new place be the store, and remove what is left at the old one, but for a word on where it is."""
        old, new = self.old, self.new
        if signposts.read(old.layout.moved) is not None:
            text = files.read_text(old.layout.format)
            if text is not None:
                new.drafts.publish_text(new.layout.format, text)
            files.remove(old.layout.format)
            emptied(old.root, {old.layout.moved})
        elif _vacant(old.root):  # it was a rename
            signposts.put(old.layout.moved, new.drafts, new.root, _identity(new))
        new.prepare()  # sweeps away what earlier runs of this left unfinished there
        files.remove(new.layout.moving)
        files.sync_folder(new.root)


class _Unreadable(Exception):
    """The old place does not give an object's bytes."""


def _identity(store: DiskStore) -> str:
    where = str(store.layout.format)
    return str(codec.document_of(files.read_text(store.layout.format) or "", where).get("id"))


def _vacant(folder: Path) -> bool:
    """Whether a folder holds nothing but the signpost of a store that has left, or drafts of one."""
    try:
        left = {path.name for path in folder.iterdir()} - {"moved.json", "lost+found"} if folder.exists() else set()
        if left == {"incoming"}:
            left = {path.name for path in (folder / "incoming").iterdir() if not path.name.startswith("draft~")}
    except OSError as error:
        raise StoreError(str(folder), error.strerror or str(error)) from error
    return not left


def _device(folder: Path) -> int:
    """The disk that holds a folder, or will."""
    while not folder.exists() and folder.parent != folder:
        folder = folder.parent
    return folder.stat().st_dev
