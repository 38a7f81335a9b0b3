"""When each object was last proven: by `verify`, or else when it came.

One text file, `proven`, that grows by a line for each object while a check runs, so that a check that
was broken off goes on where it stopped. It is derivable in the sense that losing it costs only
reading again; so it is written without a sync, and what cannot be read of it is as good as absent.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import IO, TYPE_CHECKING

from hfmirror.errors import BadManifest, StoreError
from hfmirror.model import Algorithm, hex_length
from hfmirror.store import files

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator
    from pathlib import Path

    from hfmirror.model import Digest
    from hfmirror.store.drafts import Drafts

HEAD = "hfmirror-proven 1"
RESUMED_S = 30 * 86_400.0  # a check that was broken off longer ago than that begins anew
_WHOLE = {len(algorithm.value) + 1 + hex_length(algorithm) for algorithm in Algorithm}  # letters of a digest


@dataclass(slots=True)
class Record:
    """What the file says. Times are whole seconds since 1970."""

    proven: dict[str, int] = field(default_factory=dict)  # by digest, as text
    begun: dict[str, int] = field(default_factory=dict)  # checks that have not ended, by what they are about

    def when(self, digest: Digest, came: float) -> float:
        """When an object that `came` then was last proven: at the latest when it came."""
        return self.proven.get(str(digest), came)


class Proofs:
    """The file `proven` of one store."""

    def __init__(self, path: Path, drafts: Drafts) -> None:
        self._path, self._drafts = path, drafts

    def read(self) -> Record:
        """All it says; nothing where it cannot be read."""
        record = Record()
        with suppress(BadManifest, StoreError):
            lines = (files.read_text(self._path) or "").split("\n")
            for line in lines[1:-1] if lines[0] == HEAD else ():  # the last one may be torn
                _take(record, line)
        return record

    @contextmanager
    def noting(self, about: str, begun: int | None) -> Iterator[Callable[[Digest], object]]:
        """Note each object that is proven, now. `begun`: when a check `about` that began; it ends with the block."""
        with self._opened() as out:

            def note(line: str) -> None:
                with suppress(OSError):  # on a full disk; what is proven is so anyway
                    out.write(f"{line}\n".encode())

            note(HEAD if out.tell() == 0 else "")  # an empty line ends one that was torn
            if begun is not None:
                note(f"begin {begun} {about}")
            yield lambda digest: note(f"{int(time.time())} {digest}")
            if begun is not None:
                note(f"end {about}")

    def _opened(self) -> IO[bytes]:
        """The file, to append to; where it cannot be written, one that is forgotten."""
        try:
            return self._path.open("ab", 0)  # each line as it comes, for a kill may follow
        except OSError:
            return BytesIO()

    def tidy(self, held: Container[str]) -> None:
        """Write it anew, one line for each object that is still here."""
        record = self.read()
        lines = [HEAD, *(f"begin {when} {about}" for about, when in record.begun.items())]
        lines += [f"{when} {digest}" for digest, when in record.proven.items() if digest in held]
        self._drafts.publish_text(self._path, "\n".join([*lines, ""]), durable=False)


def _take(record: Record, line: str) -> None:
    first, _, rest = line.partition(" ")
    if first == "begin":
        when, _, about = rest.partition(" ")
        record.begun[about] = int(when) if when.isdecimal() else 0
    elif first == "end":
        record.begun.pop(rest, None)
    elif first.isdecimal() and len(rest) in _WHOLE:  # else it was torn
        record.proven[rest] = int(first)
