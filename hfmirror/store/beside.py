"""What is kept beside the objects: one small file for each, that may be lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfmirror.errors import BadManifest, StoreError
from hfmirror.model import Algorithm
from hfmirror.store import files
from hfmirror.store.layout import unlabel

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator
    from pathlib import Path

    from hfmirror.model import Digest
    from hfmirror.store.drafts import Drafts


class Beside:
    """A folder of a store, with a file `<algorithm>/<2>/<hex>` and an ending for each object it knows something of."""

    def __init__(self, folder: Path, place: Callable[[Digest], Path], drafts: Drafts) -> None:
        self._folder, self._place, self._drafts = folder, place, drafts

    def _read(self, digest: Digest) -> str | None:
        """What is written about an object; None when nothing is that can be read."""
        try:
            return files.read_text(self._place(digest))
        except (BadManifest, StoreError):
            return None

    def _write(self, digest: Digest, text: str) -> None:
        """Without a sync: it may be lost. Raises StoreError."""
        self._drafts.publish_text(self._place(digest), text, durable=False)

    def forget(self, digest: Digest) -> None:
        """Remove it; nothing there is fine."""
        files.remove(self._place(digest))

    def sweep(self, known: Container[Digest]) -> None:
        """Remove those of objects that are not `known`: a kill may have left them behind."""
        for digest in list(self._digests()):
            if digest not in known:
                self.forget(digest)

    def _digests(self) -> Iterator[Digest]:
        """The objects of which something is kept, in order."""
        for algorithm in Algorithm:
            for path in sorted((self._folder / algorithm.value).glob("??/*")):
                digest = unlabel(f"{algorithm.value}-{path.name.partition('.')[0]}")
                if digest is not None:
                    yield digest
