"""What is still lacking, by size and by digest, and who wants it. Pure but for asking what is here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hfmirror.adopt.targets import Target
    from hfmirror.model import Algorithm, Digest, Entry


class Wants:
    """Shrinks as things are found."""

    def __init__(self, targets: Iterable[Target], has: Callable[[Digest], bool]) -> None:
        self._wanting: dict[Digest, list[Target]] = {}
        self._left: dict[int, dict[Digest, Entry]] = {}
        for target in targets:
            for entry in target.entries:
                self._wanting.setdefault(entry.digest, []).append(target)
                if not has(entry.digest):
                    self._left.setdefault(entry.size, {})[entry.digest] = entry

    def sizes(self) -> list[int]:
        """The sizes of what is lacking, the largest first."""
        return sorted((size for size, wanted in self._left.items() if wanted), reverse=True)

    def left(self, size: int) -> Mapping[Digest, Entry]:
        """What of this size is lacking."""
        return self._left.get(size, {})

    def lacking(self) -> list[Entry]:
        """All that is lacking."""
        return [entry for wanted in self._left.values() for entry in wanted.values()]

    def algorithms(self, size: int) -> tuple[Algorithm, ...]:
        """By which algorithms a file of this size has to be hashed."""
        return tuple(sorted({digest.algorithm for digest in self.left(size)}))

    def names(self, size: int) -> set[str]:
        """What files of this size are called that are lacking: their own names, and their digests."""
        wanted = self.left(size)
        return {entry.path.rpartition("/")[2] for entry in wanted.values()} | {digest.hex for digest in wanted}

    def wanting(self, digest: Digest) -> list[Target]:
        """Who wants it."""
        return self._wanting.get(digest, [])

    def begun(self, target: Target) -> bool:
        """Whether something of it is here."""
        return any(entry.size and entry.digest not in self.left(entry.size) for entry in target.entries)

    def found(self, digest: Digest, size: int) -> None:
        """It is lacking no more."""
        del self._left[size][digest]
