"""The digests of an object's parts, kept beside the objects: they say *where* a damaged one is wrong.

Derivable from any sound copy, so they are written without a sync and believed only as far as they
go: what cannot be read is as good as absent, and what they call sound is proven again by the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfmirror.errors import BadManifest, StoreError
from hfmirror.model import PART, Algorithm, PartDigests
from hfmirror.store import files
from hfmirror.store.layout import unlabel

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from hfmirror.model import Digest
    from hfmirror.store.drafts import Drafts
    from hfmirror.store.layout import Layout

HEAD = f"hfmirror-parts 1 xxh3-64 {PART}"  # the form, the checksum, and the bytes of a part


class PartShelf:
    """The folder `parts/` of one store."""

    def __init__(self, layout: Layout, drafts: Drafts) -> None:
        self._layout, self._drafts = layout, drafts

    def of(self, digest: Digest) -> PartDigests | None:
        """What is known of an object's parts; None when nothing is that can be read."""
        try:
            text = files.read_text(self._layout.part_digests(digest))
        except (BadManifest, StoreError):
            return None
        return None if text is None else parsed(text)

    def keep(self, digest: Digest, parts: PartDigests) -> None:
        """Remember them, once the object has its name. Raises StoreError."""
        self._drafts.publish_text(self._layout.part_digests(digest), text_of(parts), durable=False)

    def forget(self, digest: Digest) -> None:
        """Remove them; nothing there is fine."""
        files.remove(self._layout.part_digests(digest))

    def sweep(self, known: Container[Digest]) -> None:
        """Remove those of objects that are not `known`: a kill may have left them behind."""
        for digest in list(self._all()):
            if digest not in known:
                self.forget(digest)

    def _all(self) -> Iterator[Digest]:
        for algorithm in Algorithm:
            for path in (self._layout.parts / algorithm.value).glob("??/*"):
                digest = unlabel(f"{algorithm.value}-{path.name}")
                if digest is not None:
                    yield digest


def text_of(parts: PartDigests) -> str:
    """The file: a head line with the object's size, then a line for each part."""
    return "\n".join([f"{HEAD} {parts.size}", *parts.sums, ""])


def parsed(text: str) -> PartDigests | None:
    """The inverse of `text_of`; None for what is torn, garbled, or of another form."""
    head, *sums = text.split("\n")
    form, _, size = head.rpartition(" ")
    if form != HEAD or not (size.isascii() and size.isdigit()) or sums[-1:] != [""]:
        return None
    parts = PartDigests(int(size), tuple(sums[:-1]))
    return parts if parts.whole else None
