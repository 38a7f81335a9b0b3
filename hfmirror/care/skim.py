"""A look at the whole store that costs little: listings and pins as they are written, digests as text.

A store of a thousand repos has a million rows. An `Entry` for each of them takes eight seconds and
half a gigabyte; here a row stays what the JSON reader made of it, and only what differs is a `Digest`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol

from hfmirror import codec
from hfmirror.errors import BadManifest, UsageError
from hfmirror.model import Algorithm, CommitId, Digest, Entry, Manifest, Reach, RepoId, entry_path
from hfmirror.store import files

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator
    from pathlib import Path

    from hfmirror.model import Pin, Selection
    from hfmirror.store.layout import Layout

Row = dict[str, Any]  # `path`, `size` and `digest`, as in the file
_PATH, _SIZE, _DIGEST = itemgetter("path"), itemgetter("size"), itemgetter("digest")
_ANY = Digest(Algorithm.SHA256, "")


class Kept(Protocol):
    """The part of a store on a disk that this needs."""

    @property
    def layout(self) -> Layout: ...


@dataclass(frozen=True, slots=True)
class Skimmed:
    """A commit's listing, its rows unread."""

    origin: str
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Pinned:
    """A commit that somebody wants, or wanted until lately."""

    repo: RepoId
    commit: CommitId
    pins: tuple[Pin, ...]  # none: it was unpinned
    used: str  # when it was last pulled or used by clients, as written; may be empty

    @property
    def asked(self) -> bool:
        """Whether a person asked for it, and not only clients of `serve`."""
        return any(not pin.demand for pin in self.pins)


def pinned(store: Kept) -> Iterator[Pinned]:
    """Every commit of which there is a file of pins, by repo. Raises BadManifest."""
    for name in _names(store.layout.pins):
        with suppress(UsageError):
            repo = RepoId.of_folder(name)
            folder = store.layout.pins / repo.folder
            for file in _names(folder):
                if file.endswith(".json"):
                    yield from _pinned(repo, folder / file)


def _pinned(repo: RepoId, path: Path) -> Iterator[Pinned]:
    text = files.read_text(path)
    if text is not None:
        document = codec.load(text, str(path))
        pins = tuple(codec.pins_of(document, str(path)))
        yield Pinned(repo, CommitId(path.stem), pins, str(document.get("used", "")))


def listing(store: Kept, repo: RepoId, commit: CommitId, selection: Selection | None) -> Skimmed | None:
    """What `DiskStore.manifest` finds; None when it would find nothing. Raises BadManifest."""
    for path in store.layout.listings(repo, commit):
        text = files.read_text(path)
        if text is None:
            continue
        document = codec.load(text, str(path))
        if (document.get("repo"), document.get("commit")) != (codec.repo_text(repo), commit):
            raise BadManifest(str(path), f"is not that of {repo}@{commit}")
        if selection is None or _reach(document, path).includes(selection.reach()):
            return Skimmed(str(document.get("origin")), _rows(document, path))
    return None


def _rows(document: codec.Document, path: Path) -> list[Row]:
    """The rows, each of which has what a row must have."""
    try:
        rows: list[Row] = document["entries"]
        "".join(map(_PATH, rows)), sum(map(_SIZE, rows)), set(map(_DIGEST, rows))  # none of them lacks, or is no such
    except (KeyError, TypeError) as error:
        raise BadManifest(str(path), f"lacks or garbles {error}") from None
    return rows


def _reach(document: codec.Document, path: Path) -> Reach:
    reach = document.get("reach")
    try:
        return Reach() if reach is None else Reach(tuple(reach["folders"]), tuple(reach["paths"]))
    except (KeyError, TypeError) as error:
        raise BadManifest(str(path), f"lacks or garbles {error}") from None


def selected(store: Kept, pin: Pin, held: Container[str]) -> Skimmed | None:
    """What a pin selects; None while its listing is not here. Raises BadManifest."""
    found = listing(store, pin.repo, pin.commit, None if pin.demand else pin.selection)
    if found is None:
        return None
    if pin.demand:
        return Skimmed(found.origin, [row for row in found.rows if row["digest"] in held])
    return Skimmed(found.origin, _taken(pin, found.rows))


def _taken(pin: Pin, rows: list[Row]) -> list[Row]:
    """By the patterns, of which most pins have none."""
    if not (pin.selection.include or pin.selection.exclude):
        return rows
    by_path = {entry_path(row["path"]): row for row in rows}
    entries = tuple(Entry(path, 0, _ANY) for path in by_path)  # a selection goes by paths alone
    return [by_path[entry.path] for entry in pin.selection.of(Manifest(pin.repo, pin.commit, entries))]


def together(store: Kept, pins: Iterable[Pin], held: Container[str]) -> Skimmed | None:
    """What pins of one commit select together; None while the listing of one is not here. Raises BadManifest."""
    whole: Skimmed | None = None
    for pin in pins:
        found = selected(store, pin, held)
        if found is None:
            return None
        whole = found if whole is None else Skimmed(whole.origin, _joined(whole.rows, found.rows))
    return whole


def _joined(rows: list[Row], more: list[Row]) -> list[Row]:
    return list({row["path"]: row for row in (*rows, *more)}.values())


def sizes_of(rows: Iterable[Row]) -> dict[str, int]:
    """Digest to bytes."""
    return {row["digest"]: row["size"] for row in rows}


# -- objects ----------------------------------------------------------------------------------


def held(store: Kept) -> Iterator[str]:
    """The digest of every object here, as text."""
    return (f"{algorithm}:{name}" for algorithm, _, names in _shelves(store.layout) for name in names)


def sizes(store: Kept) -> dict[str, int]:
    """The same, with what each takes: bytes. An object that goes meanwhile is left out."""
    found: dict[str, int] = {}
    for algorithm, folder, _ in _shelves(store.layout):
        with os.scandir(folder) as shelf:
            for each in shelf:
                with suppress(OSError):
                    found[f"{algorithm}:{each.name}"] = each.stat(follow_symlinks=False).st_size
    return found


def _shelves(layout: Layout) -> Iterator[tuple[str, str, list[str]]]:
    for algorithm in Algorithm:
        top = layout.objects / algorithm.value
        for prefix in _names(top):
            if len(prefix) == 2:
                yield algorithm.value, f"{top}/{prefix}", _names(top / prefix)


def _names(folder: Path) -> list[str]:
    """Names in a folder, sorted; none where there is no folder."""
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - names only, many
    except (FileNotFoundError, NotADirectoryError):
        return []
