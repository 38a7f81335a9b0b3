"""What a scanner found in objects that hold pickles, kept beside the objects.

A digest names one content for ever, so what was found in it stays true; only a newer scanner may
know more. Derivable, so written without a sync, and what cannot be read is as good as absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfmirror import codec
from hfmirror.errors import BadManifest, StoreTooNew
from hfmirror.store.beside import Beside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfmirror.model import Digest
    from hfmirror.store.drafts import Drafts
    from hfmirror.store.layout import Layout

SAFE, SUSPICIOUS, UNREADABLE, DANGEROUS = VERDICTS = (
    "safe",
    "suspicious",
    "unreadable",
    "dangerous",
)  # least bad first


@dataclass(frozen=True, slots=True, order=True)
class Import:
    """One name that a pickle wants from Python when it is loaded; `safety` is the Hub's word for it."""

    module: str
    name: str
    safety: str  # "suspicious" or "dangerous": the innocuous ones are not kept

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True)
class Scan:
    """What loading one object as a pickle would do, as far as a scanner can tell."""

    verdict: str  # one of VERDICTS
    imports: tuple[Import, ...] = ()
    why: str = ""  # of an unreadable one
    scanner: str = ""  # its name and version
    when: str = ""

    @property
    def dangerous(self) -> tuple[Import, ...]:
        """What it would run that no checkpoint has a need for."""
        return tuple(each for each in self.imports if each.safety == DANGEROUS)

    def badness(self) -> int:
        """For putting the worst first."""
        return VERDICTS.index(self.verdict)

    @property
    def safe(self) -> bool:
        """Whether nothing speaks against loading it."""
        return self.verdict == SAFE


class ScanShelf(Beside):
    """The folder `scans/` of one store."""

    def __init__(self, layout: Layout, drafts: Drafts) -> None:
        super().__init__(layout.scans, layout.scan, drafts)

    def of(self, digest: Digest) -> Scan | None:
        """What was found in an object; None when it was not looked at, or nothing is there that can be read."""
        text = self._read(digest)
        try:
            return None if text is None else parsed(text, str(self._place(digest)))
        except BadManifest:
            return None

    def keep(self, digest: Digest, scan: Scan) -> None:
        """Remember what was found. Raises StoreError."""
        self._write(digest, text_of(digest, scan))

    def all(self) -> Iterator[tuple[Digest, Scan]]:
        """Everything that was found."""
        for digest in self._digests():
            scan = self.of(digest)
            if scan is not None:
                yield digest, scan


def text_of(digest: Digest, scan: Scan) -> str:
    """The file `scans/<algorithm>/<2>/<hex>.json`."""
    rows = [{"module": each.module, "name": each.name, "safety": each.safety} for each in scan.imports]
    document: codec.Document = {
        "format": codec.FORMAT,
        "digest": str(digest),
        "scanner": scan.scanner,
        "verdict": scan.verdict,
        "imports": rows,
        "when": scan.when,
    }
    return codec.dump(document | ({"why": scan.why} if scan.why else {}))


def parsed(text: str, where: str) -> Scan | None:
    """The inverse of `text_of`; None for what a later version wrote. Raises BadManifest."""
    try:
        document = codec.load(text, where)
        rows = tuple(Import(str(row["module"]), str(row["name"]), str(row["safety"])) for row in document["imports"])
        verdict = document["verdict"]
    except StoreTooNew:
        return None
    except (KeyError, TypeError) as error:
        raise BadManifest(where, f"lacks or garbles {error}") from None
    if verdict not in VERDICTS:
        return None
    why, scanner, when = (str(document.get(name, "")) for name in ("why", "scanner", "when"))
    return Scan(verdict, rows, why, scanner, when)
