"""A bundle that somebody brought: nothing in it is believed before it was looked at.

Only files under the names a bundle has are opened, and never through a link. Names are taken at the
word of whoever imports; that they agree with each other is seen to here. Bytes are proven on the way in.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from hfmirror import codec, words
from hfmirror.bundle import layout, sign
from hfmirror.bundle.disk import Stick
from hfmirror.errors import BadManifest, BadSignature, DamagedBundle, DiskGone, MirrorError, UsageError
from hfmirror.model import CACHE, HUB, LOCAL, PART, RepoId
from hfmirror.store.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hfmirror.model import Digest, Entry, Manifest, Pin

MOST_PATTERNS = 1000  # of one pin; nobody types more
LONGEST = 1000  # characters of a pattern; no path is longer


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose signature is asked for. With keys, a bundle that none of them signed is refused."""

    keys: tuple[sign.PublicKey, ...] = ()
    required: bool = False  # refuse an unsigned bundle, keys or no keys


ANYBODY = Trust()


@dataclass(frozen=True, slots=True)
class Brought:
    """One commit as the bundle tells it."""

    pins: tuple[Pin, ...]
    manifest: Manifest
    about: codec.Document
    public: bool
    refs: dict[str, codec.Document] = field(default_factory=dict)  # by revision: the ref files


class Bundle:
    """A folder that is taken for a bundle, or for a store of which one takes copies."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.stick = folder, Stick.at(folder)
        self._layout = Layout(folder)
        self._looked_at: set[Path] = set()  # folders that are no links

    # -- files --------------------------------------------------------------------------------

    def open(self, name: str) -> int:
        """A descriptor of one regular file, reached through no link.

        Raises FileNotFoundError, DamagedBundle, DiskGone.
        """
        path = self.folder / name
        for folder in list(path.parents)[: name.count("/")]:
            self._refuse_link(folder, name)
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            fd = os.open(path, flags)
        except OSError as error:
            raise self._trouble(name, error) from error
        if not stat.S_ISREG(os.fstat(fd).st_mode) or path.is_symlink():
            os.close(fd)
            raise DamagedBundle(name, "is no plain file")
        return fd

    def _trouble(self, name: str, error: OSError) -> Exception:
        """What it means that a file cannot be read."""
        if not self.stick.there():
            return DiskGone(str(self.folder))
        if isinstance(error, FileNotFoundError):
            return error
        link = error.errno == errno.ELOOP  # what O_NOFOLLOW says
        return DamagedBundle(name, "is a link" if link else f"cannot be read: {error.strerror}")

    def _refuse_link(self, folder: Path, name: str) -> None:
        if folder not in self._looked_at:
            if folder.is_symlink():
                raise DamagedBundle(name, f"lies behind a link, {folder.name}")
            self._looked_at.add(folder)

    def read(self, name: str) -> bytes | None:
        """A small file as it is; None when there is none. Raises DamagedBundle."""
        try:
            fd = self.open(name)
        except FileNotFoundError:
            return None
        with os.fdopen(fd, "rb") as stream:
            data = stream.read(layout.MOST_TEXT + 1)
        if len(data) > layout.MOST_TEXT:
            raise DamagedBundle(name, "is larger than any file of names")
        return data

    @cached_property
    def _signed(self) -> bytes | None:
        """SHA256SUMS as it was read the one time: what was signed is what is believed."""
        return self.read(layout.SUMS)

    @cached_property
    def sums(self) -> dict[str, str] | None:
        """What SHA256SUMS says; None when there is none: a store, or an export that did not finish."""
        data = self._signed
        try:
            return None if data is None else layout.sums_of(data.decode("utf-8"))
        except UnicodeDecodeError:
            raise DamagedBundle(layout.SUMS, "is not UTF-8") from None

    def text(self, name: str) -> str | None:
        """A file of names that is as it was when the bundle was made. Raises DamagedBundle."""
        data = self.read(name)
        if data is None:
            if name in (self.sums or ()):
                raise DamagedBundle(name, "is missing")
            return None
        if self.sums is not None and self.sums.get(name) != hashlib.sha256(data).hexdigest():
            raise DamagedBundle(name, "has changed" if name in self.sums else f"is not named in {layout.SUMS}")
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            raise DamagedBundle(name, "is not UTF-8") from None

    # -- what it is ---------------------------------------------------------------------------

    def check(self, trust: Trust) -> str:
        """See that it is a bundle, and signed as it should be; a word on its signature.

        Raises UsageError for another folder, StoreTooNew, BadSignature, DamagedBundle.
        """
        text = self.text(layout.FORMAT)
        if text is None:
            raise UsageError(f"{self.folder} is no bundle", "give the folder that holds READ-ME-FIRST.txt")
        codec.check_store(text, str(self.folder / layout.FORMAT))
        about = self.text(layout.ABOUT_BUNDLE)
        if about is not None:
            _loaded(about, layout.ABOUT_BUNDLE)
        return self._signature(trust)

    def _signature(self, trust: Trust) -> str:
        where = str(self.folder)
        data, signed = self.read(layout.SIGNATURE), self._signed
        if data is None or signed is None:
            if trust.required or trust.keys:
                raise BadSignature(where, "is not signed")
            return "is not signed: its names are taken at your word"
        text = data.decode("utf-8", "replace")
        if not trust.keys and not trust.required:
            return f"claims to be signed with the key {sign.signer(text) or '?'}, which nobody checked: see --trust"
        return f"is signed with the key {sign.check(where, signed, text, trust.keys)}"

    # -- names --------------------------------------------------------------------------------

    def names(self) -> Iterator[Brought | MirrorError]:
        """Every commit it tells of, or what is wrong with one."""
        for folder in _folders(self.folder / "pins"):
            for name in sorted(os.listdir(folder)):  # noqa: PTH208 - names only
                if name.endswith(".json") and not name.startswith("."):
                    try:
                        yield self._brought(f"pins/{folder.name}/{name}")
                    except MirrorError as error:
                        yield error
                    except RecursionError:
                        yield DamagedBundle(f"pins/{folder.name}/{name}", "leads to a file that is nested without end")

    def _brought(self, name: str) -> Brought:
        document = _loaded(self.text(name) or "", name)
        if not isinstance(document.get("repo"), str):
            raise DamagedBundle(name, "names no repo")
        pins = tuple(map(_lawful, codec.pins_of(document, name)))
        if not pins:
            raise DamagedBundle(name, "asks for nothing")
        repo, commit = pins[0].repo, pins[0].commit
        if self._name(self._layout.pin(repo, commit)) != name:
            raise DamagedBundle(name, f"is about {repo}@{commit}")
        about = self.text(self._name(self._layout.description(repo, commit)))
        standing = self._name(self._layout.standing(repo))
        public = self.text(standing)
        refs = {pin.revision: self._ref(pin) for pin in pins}
        return Brought(
            pins,
            self._manifest(pins),
            {} if about is None else codec.document_of(about, name),
            public is not None and codec.public_of(public, standing),
            {revision: ref for revision, ref in refs.items() if ref is not None},
        )

    def _manifest(self, pins: tuple[Pin, ...]) -> Manifest:
        repo, commit = pins[0].repo, pins[0].commit
        for path in self._layout.listings(repo, commit):
            name = self._name(path)
            text = self.text(name)
            if text is None:
                continue
            manifest = codec.manifest_of(text, name)
            if (manifest.repo, manifest.commit) != (repo, commit):
                raise DamagedBundle(name, f"is that of {manifest.repo}@{manifest.commit}")
            if manifest.origin not in (HUB, LOCAL, CACHE):
                raise DamagedBundle(name, f"comes from {manifest.origin!r}, which is unknown here")
            return manifest
        raise DamagedBundle(f"manifests/{repo.folder}", f"holds no listing of {commit}")

    def _ref(self, pin: Pin) -> codec.Document | None:
        name = self._name(self._layout.ref(pin.repo, pin.revision))
        text = self.text(name)
        if text is None:
            return None
        document = _loaded(text, name)
        return document if codec.ref_of(text, name) == pin.commit else None

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    # -- bytes --------------------------------------------------------------------------------

    def pieces(self, entry: Entry) -> tuple[layout.Piece, ...]:
        """The files that hold an object, of the right sizes; none when it is not here. Raises DamagedBundle."""
        digest = entry.digest
        listed = self.text(layout.parts_name(digest))
        whole = (layout.Piece(layout.object_name(digest), 0, entry.size),)
        pieces = whole if listed is None else tuple(piece for piece, _ in layout.parts_of(listed, digest))
        if pieces[-1].stop != entry.size:
            raise DamagedBundle(layout.parts_name(digest), f"has {pieces[-1].stop} bytes, and {entry.size} are right")
        for piece in pieces:
            found = self._size(piece.name)
            if found is None and pieces is whole and piece.name not in (self.sums or ()):
                return ()
            if found != piece.size:
                raise DamagedBundle(piece.name, _odd_size(found, piece.size))
        return pieces

    def _size(self, name: str) -> int | None:
        try:
            fd = self.open(name)
        except FileNotFoundError:
            return None
        try:
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def chunks(self, piece: layout.Piece, start: int = 0) -> Iterator[bytes]:
        """The bytes of one file from `start` on, never more than it should have. Raises DamagedBundle, DiskGone."""
        left = piece.size - start
        with os.fdopen(self.open(piece.name), "rb", 0) as stream:
            stream.seek(start)
            while left:
                try:
                    chunk = stream.read(min(PART, left))
                except OSError as error:
                    raise self._trouble(piece.name, error) from error
                if not chunk:
                    raise DamagedBundle(piece.name, "ends too early")
                left -= len(chunk)
                yield chunk

    def wrong_parts(self, digest: Digest) -> Iterator[str]:
        """The parts of an object that are not what the list of its parts says."""
        for piece, told in layout.parts_of(self.text(layout.parts_name(digest)) or "", digest):
            hasher = hashlib.sha256()
            for chunk in self.chunks(piece):
                hasher.update(chunk)
            if hasher.hexdigest() != told:
                yield piece.name

    def sum_of(self, digest: Digest) -> str:
        """The SHA-256 that SHA256SUMS gives an object in one file; empty when it gives none."""
        return (self.sums or {}).get(layout.object_name(digest), "")


def _odd_size(found: int | None, right: int) -> str:
    return "is missing" if found is None else f"has {found} bytes, and {right} are right"


def _folders(top: Path) -> list[Path]:
    if top.is_symlink() or not top.is_dir():
        return []
    return sorted(path for path in top.iterdir() if path.is_dir() and not path.is_symlink())


def _loaded(text: str, name: str) -> codec.Document:
    try:
        return codec.load(text, name)
    except BadManifest as error:
        raise DamagedBundle(name, error.why) from None


def _lawful(pin: Pin) -> Pin:
    """A pin whose names somebody could have typed. Raises DamagedBundle."""
    patterns: tuple[object, ...] = (*pin.selection.include, *pin.selection.exclude)
    where = f"a file of pins of {pin.repo}"
    try:
        RepoId.of(pin.repo.kind, pin.repo.name)
        words.parse_revision(pin.revision)
    except (UsageError, TypeError) as error:
        raise DamagedBundle(where, str(error)) from None
    if len(patterns) > MOST_PATTERNS or not all(isinstance(each, str) and len(each) < LONGEST for each in patterns):
        raise DamagedBundle(where, "has patterns that nobody typed")
    return pin
