"""A bundle, or another hfmirror's store, as a supplier of bytes: without taking it in, and without its names."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hfmirror.bundle import layout
from hfmirror.bundle.reading import Bundle
from hfmirror.errors import DamagedBundle, MirrorError, NotHere, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from hfmirror.model import Entry, Manifest, Span
    from hfmirror.ports import Chunk


def is_one(folder: Path) -> bool:
    """Whether a folder says that it is a store, or one that travels."""
    return os.path.isfile(folder / layout.FORMAT)  # noqa: PTH113 - it never raises


class BundleSource:
    """The objects in one bundle or store. No signature is asked for: the digests of what is wanted are known."""

    def __init__(self, folder: Path) -> None:
        """Looks which disk the folder is on. Raises OSError."""
        self._bundle = Bundle(folder)

    @property
    def name(self) -> str:
        """How sentences call it."""
        return f"the bundle in {self._bundle.folder}"

    def holds(self, manifest: Manifest, entry: Entry) -> bool:  # noqa: ARG002 - the port's
        """Whether it has the object, of the right size."""
        try:
            return bool(self._bundle.pieces(entry))
        except MirrorError:
            return False

    @contextmanager
    def open(self, manifest: Manifest, entry: Entry, span: Span) -> Iterator[Iterable[Chunk]]:  # noqa: ARG002 - as above
        """The bytes of an object, as the port says. Raises NotHere, Unreachable."""
        with self._told(entry):
            pieces = self._bundle.pieces(entry)
        if not pieces:
            raise NotHere(entry.path)
        yield self._chunks(entry, span, pieces)

    def _chunks(self, entry: Entry, span: Span, pieces: tuple[layout.Piece, ...]) -> Iterator[Chunk]:
        at = span.start
        with self._told(entry):
            for piece in pieces:
                if piece.start <= at < piece.stop:
                    for chunk in self._bundle.chunks(piece, at - piece.start):
                        yield memoryview(chunk)[: span.stop - at]
                        at += len(chunk)
                        if at >= span.stop:
                            return

    @contextmanager
    def _told(self, entry: Entry) -> Iterator[None]:
        """What is damaged is as good as not there; a disk may be put back."""
        try:
            yield
        except DamagedBundle as error:
            raise NotHere(f"{entry.path} ({error})") from error
        except (MirrorError, OSError) as error:
            raise Unreachable(self.name, str(error)) from error
