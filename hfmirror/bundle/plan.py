"""Deciding what goes into a bundle, before a byte is copied."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hfmirror import codec
from hfmirror.bundle import layout
from hfmirror.bundle.disk import SPLIT, Stick
from hfmirror.bundle.inventory import objects_of
from hfmirror.bundle.since import mark
from hfmirror.errors import BundleFull, NotHere, NothingMatches, UsageError, human
from hfmirror.model import Pin, Selection, case_clash
from hfmirror.store import files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from hfmirror.model import CommitId, Entry, Manifest, RepoId
    from hfmirror.store.disk import DiskStore

EXAMPLES = 5  # file names shown when a pattern matches nothing
SHELVES = 2 * 256  # clusters of the folders that objects are spread over, by two hex digits
NAMES = 64  # clusters for listings, pins and the like


@dataclass(frozen=True, slots=True)
class Wish:
    """A repo that is to travel. Without a selection: what its pins select."""

    repo: RepoId
    revision: str
    selection: Selection = field(default_factory=Selection)


@dataclass(frozen=True, slots=True)
class Names:
    """One commit as it travels: its names, and the files of it that are meant."""

    pins: tuple[Pin, ...]
    manifest: Manifest
    entries: tuple[Entry, ...]

    @property
    def repo(self) -> RepoId:
        """Whose commit it is."""
        return self.manifest.repo

    @property
    def commit(self) -> CommitId:
        """Which one."""
        return self.manifest.commit


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything an export is about to do; printable, testable, refusable."""

    stick: Stick
    names: tuple[Names, ...]
    to_copy: tuple[Entry, ...]  # one per content, smallest first, so that names and settings are there early
    there: tuple[Entry, ...]  # in the bundle already
    elsewhere: tuple[Entry, ...]  # known to the other side
    most: int | None  # bytes in one file

    @property
    def folder(self) -> Path:
        """The bundle."""
        return self.stick.folder

    @property
    def size(self) -> int:
        """Bytes to be copied."""
        return sum(entry.size for entry in self.to_copy)

    @property
    def split(self) -> tuple[Entry, ...]:
        """Those that do not fit one file."""
        return tuple(entry for entry in self.to_copy if self.most is not None and entry.size > self.most)


def plan_export(
    store: DiskStore, folder: Path, wishes: Sequence[Wish], known: Collection[str] = (), most: int | None = None
) -> Plan:
    """What an export of `wishes` into `folder` has to copy, when the other side has what `known` marks.

    `most` is how many bytes a file may have; by itself it is what the disk can hold. Raises UsageError,
    NotHere for what is wanted and lacking here, NothingMatches, BundleFull.
    """
    check_target(folder, store)
    stick = Stick.at(folder)
    names = tuple(_names(store, wish) for wish in wishes)
    entries = {entry.digest: _told(each.repo, entry) for each in names for entry in each.entries}
    _refuse_lacking(store, names)
    _refuse_clashes(folder, names)
    held = objects_of(folder)
    there = [entry for entry in entries.values() if held.get(entry.digest, -1) in (entry.size, None)]
    elsewhere = [entry for entry in entries.values() if entry.digest not in held and mark(entry.digest) in known]
    settled = {entry.digest for entry in (*there, *elsewhere)}
    to_copy = sorted((e for e in entries.values() if e.digest not in settled), key=lambda e: (e.size, e.path))
    plan = Plan(stick, names, tuple(to_copy), tuple(there), tuple(elsewhere), _most(stick, most))
    _refuse_crumbs(plan)
    return plan


def check_target(folder: Path, store: DiskStore) -> None:
    """See that `folder` is a bundle, or can become one. Raises UsageError, StoreTooNew, BadManifest."""
    place, root = folder.absolute(), store.root.absolute()
    if place == root or root in place.parents:
        raise UsageError(f"{folder} lies inside the store itself", "name a folder elsewhere, on the disk that travels")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder", "name a folder on the disk that travels")
    if not folder.is_dir() or not _settled(folder):
        return
    about = files.read_text(folder / layout.ABOUT_BUNDLE)
    if about is not None and codec.load(about, str(folder / layout.ABOUT_BUNDLE)).get("kind") == layout.KIND:
        return
    own = folder / "hfmirror"
    if files.read_text(folder / layout.FORMAT) is not None:
        raise UsageError(f"{folder} is a store in use, and no bundle", f"name a folder of its own, like {own}")
    raise UsageError(f"{folder} holds other files", f"name a folder of its own, like {own}")


def _settled(folder: Path) -> bool:
    """Whether there is anything in a folder but what systems put on every disk, and an export just begun."""
    usual = {"incoming", "System Volume Information", "lost+found", "$RECYCLE.BIN", "desktop.ini"}
    return any(not path.name.startswith(".") and path.name not in usual for path in folder.iterdir())


def is_bundle(path: Path) -> bool:
    """Whether a folder is a bundle, whole or unfinished; not whether it is sound. Touches nothing."""
    return path.is_dir() and (path / layout.FORMAT).is_file() and (path / layout.ABOUT_BUNDLE).is_file()


def _names(store: DiskStore, wish: Wish) -> Names:
    commit = store.commit(wish.repo, wish.revision)
    pins = [pin for pin in store.pins_of(wish.repo) if pin.commit == commit]
    asked = [pin for pin in pins if pin.revision == wish.revision] or pins
    name = wish.revision if wish.revision in store.refs_of(wish.repo) else commit
    if wish.selection != Selection():
        asked = [Pin(wish.repo, commit, name, wish.selection)]
    if not asked:
        raise NotHere(f"{wish.repo}@{wish.revision}")
    manifest = store.manifest(wish.repo, commit)
    chosen = sorted({entry for pin in asked for entry in _selected(store, pin)})
    if not chosen and manifest.entries:
        examples = tuple(entry.path for entry in manifest.entries[:EXAMPLES])
        raise NothingMatches(wish.repo, str(wish.selection), examples)
    return Names(tuple(replace(pin, revision=name) for pin in asked), manifest, tuple(chosen))


def _selected(store: DiskStore, pin: Pin) -> Iterator[Entry]:
    if pin.demand:  # it wants what happens to be here
        return (entry for entry in store.manifest(pin.repo, pin.commit).entries if store.has(entry.digest))
    return pin.selection.of(store.manifest(pin.repo, pin.commit, pin.selection))


def _told(repo: RepoId, entry: Entry) -> Entry:
    """The entry under a path that says whose it is, for sentences."""
    return replace(entry, path=f"{repo}/{entry.path}")


def _refuse_lacking(store: DiskStore, names: Iterable[Names]) -> None:
    for each in names:
        lacking = [entry for entry in each.entries if not store.has(entry.digest)]
        if lacking:
            size = human(sum(entry.size for entry in lacking))
            told = f"one of {len(lacking)} files ({size}) that are wanted and lacking,"
            raise NotHere(f"{lacking[0].path} of {each.repo}, {told}")


def _refuse_clashes(folder: Path, names: Iterable[Names]) -> None:
    """FAT takes `Main` and `main` for one name, and one would overwrite the other. Raises UsageError."""
    new = [layout.BundleLayout(folder).ref(each.repo, pin.revision) for each in names for pin in each.pins]
    clash = case_clash(path.relative_to(folder).as_posix() for path in (*folder.glob("refs/*/*.json"), *new))
    if clash is not None:
        raise UsageError(f"a stick takes {clash[1]} for {clash[0]}", "put one of them into another bundle")


def _most(stick: Stick, asked: int | None) -> int | None:
    largest = stick.largest_file()
    if asked is None:
        return None if largest is None else SPLIT
    return asked if largest is None else min(asked, SPLIT)


def _refuse_crumbs(plan: Plan) -> None:
    if plan.most is None:
        return
    if plan.most < layout.LEAST_PART:
        least = human(layout.LEAST_PART)
        raise UsageError(f"parts of {human(plan.most)} are too small", f"--split-size takes {least} and more")
    for entry in plan.split:
        if entry.size > plan.most * layout.MOST_PARTS:
            raise UsageError(f"{entry.path} would fall into more than {layout.MOST_PARTS} parts", "use larger ones")


def needed(plan: Plan) -> int:
    """Bytes the disk must have free, each file rounded up to its clusters."""
    cluster = plan.stick.cluster()
    begun = _begun(plan.folder / "incoming")
    clusters = sum(-(-entry.size // cluster) for entry in plan.to_copy)
    return max(cluster * (clusters + min(SHELVES, 2 * len(plan.to_copy)) + NAMES) - begun, 0)


def _begun(incoming: Path) -> int:
    """Bytes of drafts that an earlier run left, whose room is given already."""
    return sum(path.stat().st_size for path in incoming.glob("*-*.*")) if incoming.is_dir() else 0


def refuse_if_full(plan: Plan) -> None:
    """See whether everything will fit. Raises BundleFull before anything is written."""
    free = plan.stick.free()
    if plan.to_copy and free is not None and needed(plan) > free:
        raise BundleFull(str(plan.folder), needed(plan), free)
