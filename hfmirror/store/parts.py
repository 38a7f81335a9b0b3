"""The digests of an object's parts, kept beside the objects: they say *where* a damaged one is wrong.

Derivable from any sound copy, so they are written without a sync and believed only as far as they
go: what cannot be read is as good as absent, and what they call sound is proven again by the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfmirror.model import PART, PartDigests
from hfmirror.store.beside import Beside

if TYPE_CHECKING:
    from hfmirror.model import Digest
    from hfmirror.store.drafts import Drafts
    from hfmirror.store.layout import Layout

HEAD = f"hfmirror-parts 1 xxh3-64 {PART}"  # the form, the checksum, and the bytes of a part


class PartShelf(Beside):
    """The folder `parts/` of one store."""

    def __init__(self, layout: Layout, drafts: Drafts) -> None:
        super().__init__(layout.parts, layout.part_digests, drafts)

    def of(self, digest: Digest) -> PartDigests | None:
        """What is known of an object's parts; None when nothing is that can be read."""
        text = self._read(digest)
        return None if text is None else parsed(text)

    def keep(self, digest: Digest, parts: PartDigests) -> None:
        """Remember them, once the object has its name. Raises StoreError."""
        self._write(digest, text_of(parts))


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
