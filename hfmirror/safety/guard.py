"""Who looks at pickles when files have come in, and what follows from it.

Nothing here is asked while bytes arrive: a file is looked at once it is proven, before or after it is
shown. What was found is kept with the object.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from hfmirror.errors import StoreError, UnsafePickle
from hfmirror.moments import utc
from hfmirror.safety import names
from hfmirror.settings import PICKLES
from hfmirror.store import files
from hfmirror.store.scans import DANGEROUS, UNREADABLE, Scan

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from hfmirror.model import Digest, Entry, RepoId
    from hfmirror.store.disk import DiskStore

WARN, REFUSE, OFF = PICKLES

REFUSED = "all else is there; HFMIRROR_PICKLES=warn would show such files all the same"

Suspect = tuple["Entry", Scan]


class Guard:
    """Looks at what one store holds, under one policy."""

    def __init__(self, store: DiskStore, policy: str = WARN) -> None:
        """Touches nothing."""
        self._store, self.policy = store, policy
        self.news: list[Suspect] = []  # what `look_again` has found

    def look(self, entry: Entry) -> Scan | None:
        """What loading a held file as a pickle would do; None for what holds none, or is not here."""
        path = self._store.path(entry.digest) if entry.size else None
        if path is None or not (names.named(entry.path) or _begun(path)):
            return None
        known = self._store.scans.of(entry.digest)
        if known is not None and not _outdated(known):
            return known
        return self._looked(entry, path)

    def known(self, entry: Entry) -> Scan | None:
        """What was found in a file when it was looked at; reads nothing else."""
        return None if self.policy == OFF or not entry.size else self._store.scans.of(entry.digest)

    def unsafe(self) -> dict[Digest, Scan]:
        """Everything that was found not to be safe."""
        return {} if self.policy == OFF else {digest: scan for digest, scan in self._store.scans.all() if not scan.safe}

    def look_again(self, entry: Entry) -> bool:
        """Look at a file if nobody has, or only an earlier scanner; whether that brought news that is not good."""
        before = self._store.scans.of(entry.digest)
        after = None if self.policy == OFF else self.look(entry)
        if after is None or after.safe or (before is not None and before.verdict == after.verdict):
            return False
        self.news.append((entry, after))
        return True

    def _looked(self, entry: Entry, path: Path) -> Scan | None:
        try:
            scan = look_at(path, entry.path)
        except ImportError:
            return Scan(UNREADABLE, why="picklescan is not installed here; install it with: pip install picklescan")
        except OSError as error:
            return Scan(UNREADABLE, why=error.strerror or str(error))
        if scan is not None:
            with suppress(StoreError):  # on a full disk it is looked at again
                self._store.scans.keep(entry.digest, scan)
        return scan

    def suspects(self, entries: Iterable[Entry]) -> tuple[Suspect, ...]:
        """Those of these files that are not safe, the worst first; none when nobody wants to know."""
        if self.policy == OFF:
            return ()
        looked = ((entry, self.look(entry)) for entry in entries)
        found = [(entry, scan) for entry, scan in looked if scan is not None and not scan.safe]
        return tuple(sorted(found, key=lambda row: (-row[1].badness(), row[0].path)))

    @property
    def refusing(self) -> bool:
        """Whether what is not safe is given to nobody."""
        return self.policy == REFUSE

    def expects(self, entry: Entry, head: bytes = b"") -> bool:
        """Whether a file that begins so, or of which only the name is known, is one to look at."""
        return self.policy != OFF and entry.size > 0 and (names.named(entry.path) or names.begun(head[: names.HEAD]))

    def bars(self, entry: Entry) -> bool:
        """Whether a held file must neither be shown nor handed out."""
        return self.refusing and barred(self.look(entry))

    def refusal(self, repo: object, entry: Entry) -> UnsafePickle | None:
        """What is said to somebody who asks for a file that is handed out to nobody."""
        scan = self.look(entry) if self.refusing else None
        return UnsafePickle(repo, entry.path, told(scan)) if scan is not None and barred(scan) else None

    def refuse(self, repo: RepoId, suspects: Iterable[Suspect]) -> None:
        """Say no where some of these are barred. Raises UnsafePickle."""
        rows = [row for row in suspects if self.refusing and barred(row[1])]
        if rows:
            entry, scan = rows[0]
            kept = "it is" if len(rows) == 1 else f"it and {len(rows) - 1} more are"
            raise UnsafePickle(repo, entry.path, told(scan), f"{kept} kept out of the view; {REFUSED}")

    def sentence(self, entry: Entry) -> str:
        """What a person should know of one file; empty when it is safe."""
        scan = None if self.policy == OFF else self.look(entry)
        return "" if scan is None or scan.safe else f"{entry.path} ({entry.digest}) {told(scan)}"


def barred(scan: Scan | None) -> bool:
    """Whether the policy to refuse is about this: what is dangerous, and what could not be looked through."""
    return scan is not None and scan.verdict in (DANGEROUS, UNREADABLE)


def told(scan: Scan) -> str:
    """What loading it would do, as the end of a sentence that begins with the file."""
    if scan.verdict == UNREADABLE:
        return f"cannot be looked through: {scan.why}"
    shown = scan.dangerous or scan.imports
    names_ = ", ".join(map(str, shown[:2])) + (" and more" if len(shown) > 2 else "")
    if scan.dangerous:
        return f"would run {names_} when it is loaded"
    return f"wants {names_} when it is loaded, which may be harmless"


def sentence(repo: RepoId, revision: str, suspects: Sequence[Suspect]) -> str:
    """What a person should know: the worst of these files, what it does, and what to do about it."""
    entry, scan = suspects[0]
    more = f" ({len(suspects) - 1} more: hfmirror info {repo})" if len(suspects) > 1 else ""
    whole = str(repo) if revision == "main" else f"{repo}@{revision}"
    warning = "do not load it; " if scan.dangerous else ""
    return (
        f"{entry.path} of {repo} {told(scan)}{more}; {warning}"
        f"checkpoints that are only weights become safetensors, which run nothing, with: hfmirror convert {whole}"
    )


def look_at(path: Path, name: str) -> Scan | None:
    """Look at one file; None where no pickle is in it. Raises OSError, ImportError."""
    from hfmirror.safety.looking import look  # noqa: PLC0415 - it needs the scanner

    with open(files.open_quietly(path), "rb") as stream:  # noqa: PTH123 - a descriptor
        seen = look(stream, name, os.fstat(stream.fileno()).st_size)
    if seen.pickles or seen.why or (names.named(name) and not name.lower().endswith(names.ARRAYS)):
        return replace(seen.scan(), when=utc(time.time()))
    return None


def _begun(path: Path) -> bool:
    """Whether a file begins like something that holds a pickle: one small read."""
    try:
        fd = files.open_quietly(path)
    except OSError:
        return False
    try:
        return names.begun(os.read(fd, names.HEAD))
    finally:
        os.close(fd)


def _outdated(scan: Scan) -> bool:
    """Whether a later scanner is here than the one that looked."""
    try:
        from hfmirror.safety.looking import scanner  # noqa: PLC0415 - for those who have pickles

        return _numbers(scan.scanner) < _numbers(scanner())
    except ImportError:
        return False


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]
