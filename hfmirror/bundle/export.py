"""Carrying out an export: names, objects, refs, and the sums last.

As in every store: pin before bytes, refs after them. Whatever kills it, running it again completes it.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.resources import files as resources
from typing import TYPE_CHECKING, Protocol

from hfmirror import codec
from hfmirror._version import __version__
from hfmirror.bundle import layout, readme
from hfmirror.bundle.carry import SMALL, Carrier
from hfmirror.bundle.inventory import files_of
from hfmirror.bundle.plan import refuse_if_full
from hfmirror.errors import BadManifest, DamagedBundle, DigestMismatch, NotHere
from hfmirror.store import files, locks
from hfmirror.transfer.events import Arrived, Sealed

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hfmirror.bundle.layout import Piece
    from hfmirror.bundle.plan import Names, Plan
    from hfmirror.model import Entry
    from hfmirror.store.disk import DiskStore
    from hfmirror.transfer.events import Watcher

FAST = (
    400e6  # bytes per second; no stick is so fast, and a faster disk would wait for the proof of one object at a time
)
LOCK_S = 1.0  # another export into the same bundle lasts longer than anybody would wait


class Signer(Protocol):
    """Whoever vouches for a bundle."""

    def sign(self, data: bytes, comment: str) -> str:
        """The text of a signature file for `data`."""
        ...


@dataclass(slots=True)
class Exported:
    """What an export did."""

    copied: int = 0  # objects
    size: int = 0  # bytes of them
    problems: list[DigestMismatch] = field(
        default_factory=list
    )  # objects of the store that are not what they should be


def carry_out(plan: Plan, store: DiskStore, signer: Signer | None, watch: Watcher) -> Exported:
    """Make the bundle hold what is planned. Raises BundleFull at once; DiskGone, FileTooLarge, StoreLocked, StoreError.

    What the store holds damaged is left out and told in `problems`.
    """
    refuse_if_full(plan)
    incoming = layout.BundleLayout(plan.folder).incoming
    with plan.stick.reached():
        files.ensure_folder(incoming)
    with locks.held(incoming / "export.lock", LOCK_S):
        done = _Export(plan, store, watch).run(signer)
    with plan.stick.reached():
        files.remove_folder(incoming)
        files.sync_folder(plan.folder)
    return done


class _Export:
    """One export under way."""

    def __init__(self, plan: Plan, store: DiskStore, watch: Watcher) -> None:
        self._plan, self._store, self._watch = plan, store, watch
        self._places = layout.BundleLayout(plan.folder)
        self._sums: dict[str, str] = {}
        self._carrier = Carrier(plan.stick, self._sums, self._copied)
        self._done = Exported()
        self._stopped = False
        self._parts: set[str] = set()  # names of parts that belong to an object

    def run(self, signer: Signer | None) -> Exported:
        self._retire_sums()
        self._mark()
        for names in self._plan.names:
            self._put_names(names)
        self._put_objects()
        damaged = {str(problem.wanted) for problem in self._done.problems}
        for names in self._plan.names:
            if not any(str(entry.digest) in damaged for entry in names.entries):
                self._put_refs(names)
        self._close(signer)
        return self._done

    def _copied(self, entry: Entry, size: int) -> None:
        if self._stopped:
            raise KeyboardInterrupt  # or what else has ended the other lane: nobody wants to wait for gigabytes
        self._watch(Arrived(entry, size, self._store.name))

    # -- names --------------------------------------------------------------------------------

    def _retire_sums(self) -> None:
        """While files change there are no sums; those of what stays are kept for the end."""
        with self._plan.stick.reached():
            if self._places.sums.exists():
                files.replace(self._places.sums, self._places.before)
            files.remove(self._places.signature)
            text = files.read_text(self._places.before)
        try:
            self._sums.update({} if text is None else layout.sums_of(text))
        except (DamagedBundle, BadManifest):
            self._sums.clear()  # they are made anew from the files

    def _mark(self) -> None:
        about = self._plan.folder / layout.ABOUT_BUNDLE
        if not about.exists():  # first of all: by this file the next run knows that the folder is ours to fill
            self._put(about, codec.dump({"format": codec.FORMAT, "kind": layout.KIND, "made_by": __version__}))
        if not self._places.format.exists():
            self._put(self._places.format, codec.store_text(str(uuid.uuid4())))

    def _put_names(self, names: Names) -> None:
        repo, commit = names.repo, names.commit
        mine, theirs = self._store.layout, self._places
        listing = next(path for path in mine.listings(repo, commit) if path.exists())
        self._copy(listing, theirs.manifest(repo, commit).parent)
        self._copy(mine.description(repo, commit), theirs.description(repo, commit).parent)
        self._put(theirs.standing(repo), codec.standing_text(repo, public=self._store.public(repo)))
        path = theirs.pin(repo, commit)
        text = files.read_text(path)
        old = document = None if text is None else codec.load(text, str(path))
        for pin in names.pins:
            if old is None or pin not in codec.pins_of(old, str(path)):
                document = codec.with_pin(document, pin, "")
        if document is not None:
            self._put(path, codec.dump({**document, "used": ""}))

    def _put_refs(self, names: Names) -> None:
        for pin in names.pins:
            self._copy(self._store.layout.ref(pin.repo, pin.revision), self._places.ref(pin.repo, pin.revision).parent)

    def _copy(self, source: Path, folder: Path) -> None:
        text = files.read_text(source)
        if text is not None:
            self._put(folder / source.name, text)

    def _put(self, path: Path, text: str) -> None:
        name, data = path.relative_to(self._plan.folder).as_posix(), text.encode()
        if self._sums.get(name) != hashlib.sha256(data).hexdigest() or not path.exists():
            self._carrier.put(name, data)

    # -- objects ------------------------------------------------------------------------------

    def _put_objects(self) -> None:
        small = [entry for entry in self._plan.to_copy if entry.size <= SMALL]
        self._carrier.carry_small(((entry, self._source(entry)) for entry in small), self._done.problems.append)
        large = self._plan.to_copy[len(small) :]
        began = time.monotonic()
        for entry in large[:1]:
            self._try_large(entry)
        fast = bool(large) and large[0].size / (time.monotonic() - began) > FAST
        with ThreadPoolExecutor(2 if fast else 1, "hfmirror-export") as lanes:
            rest = [lanes.submit(self._try_large, entry) for entry in large[1:]]
            try:
                for each in rest:
                    each.result()
            except BaseException:
                self._stopped = True
                lanes.shutdown(wait=False, cancel_futures=True)
                raise
        damaged = {problem.path for problem in self._done.problems}
        sound = [entry for entry in self._plan.to_copy if entry.path not in damaged]
        self._done.copied, self._done.size = len(sound), sum(entry.size for entry in sound)

    def _try_large(self, entry: Entry) -> None:
        try:
            self._put_large(entry)
        except DigestMismatch as error:
            self._done.problems.append(error)
        except BaseException:
            self._stopped = True  # the other lane need not go on
            raise

    def _source(self, entry: Entry) -> Path:
        path = self._store.path(entry.digest)
        if path is None:
            raise NotHere(entry.path)
        return path

    def _put_large(self, entry: Entry) -> None:
        pieces = layout.pieces(entry.digest, entry.size, self._plan.most)
        if len(pieces) > 1:
            self._recall(entry, pieces)
        sums = self._carrier.carry(entry, self._source(entry), pieces)
        if len(pieces) > 1:
            text = layout.parts_text(entry.digest, list(zip(pieces, sums, strict=True)))
            self._carrier.put(layout.parts_name(entry.digest), text.encode())
        self._watch(Sealed(entry))

    def _recall(self, entry: Entry, pieces: Iterable[Piece]) -> None:
        """Parts that were named before the list of them was written are drafts again: nobody may rely on them."""
        with self._plan.stick.reached():
            for number, piece in enumerate(pieces):
                named, draft = self._plan.folder / piece.name, self._carrier.draft(entry, number)
                if named.exists() and not draft.exists():
                    files.replace(named, draft)

    # -- the end ------------------------------------------------------------------------------

    def _close(self, signer: Signer | None) -> None:
        script = resources("hfmirror.bundle").joinpath(layout.SCRIPT).read_text(encoding="utf-8")
        self._put(self._plan.folder / layout.SCRIPT, script)
        self._put(self._plan.folder / layout.README, readme.text(self._plan.folder))
        with self._plan.stick.reached():
            self._settle_parts()
            text = layout.sums_text({name: self._sum(name) for name, _ in files_of(self._plan.folder)})
        self._carrier.put(layout.SUMS, text.encode())
        if signer is not None:
            self._carrier.put(layout.SIGNATURE, signer.sign(text.encode(), f"file:{layout.SUMS}").encode())

    def _settle_parts(self) -> None:
        """Drop parts in no list: of an export with another size of parts, or of one that found damage."""
        for name in [name for name, _ in files_of(self._plan.folder) if name.startswith("parts/")]:
            found = layout.digest_of(name)
            if found is not None and found[1]:
                text = files.read_text(self._plan.folder / name) or ""
                for piece, hexed in layout.parts_of(text, found[0]):
                    self._parts.add(piece.name)
                    self._sums.setdefault(piece.name, hexed)
        for path in (self._plan.folder / "parts").glob("*/??/*.part*"):
            if path.relative_to(self._plan.folder).as_posix() not in self._parts:
                files.remove(path)

    def _sum(self, name: str) -> str:
        found = layout.digest_of(name)
        if name in self._sums:
            return self._sums[name]
        if found is not None and name.startswith("objects/sha256/"):
            return found[0].hex
        return hashlib.sha256((self._plan.folder / name).read_bytes()).hexdigest()
