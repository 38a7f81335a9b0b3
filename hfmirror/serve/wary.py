"""Files that would run code when they are loaded: told to whoever asks, and under one policy given to nobody."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

from hfmirror.errors import MirrorError, TooBusy, UnsafePickle
from hfmirror.serve import forms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Executor
    from pathlib import Path

    from hfmirror.model import Entry, RepoId
    from hfmirror.serve.forms import Row
    from hfmirror.store.scans import Scan
    from hfmirror.transfer.flights import Fill

LOOK_S = 0.05  # between two looks whether a file has come
SEALING_S = 3.0  # until a small file that has come is named: they are gathered


class Guard(Protocol):
    """Who looks at pickles."""

    @property
    def refusing(self) -> bool: ...
    def expects(self, entry: Entry, head: bytes = b"") -> bool: ...
    def known(self, entry: Entry) -> Scan | None: ...
    def look(self, entry: Entry) -> Scan | None: ...
    def refusal(self, repo: object, entry: Entry) -> UnsafePickle | None: ...
    def sentence(self, entry: Entry) -> str: ...


class Wary:
    """What serving has to do with pickles."""

    def __init__(self, guard: Guard, path: Callable[[Entry], Path | None], work: Executor) -> None:
        """`path` finds a held file. Looking at one is done by `work`."""
        self._guard, self._path, self._work = guard, path, work

    def waits_for(self, entry: Entry) -> bool:
        """Whether a file has to be here whole, and be looked at, before anybody is given a byte of it."""
        return self._guard.refusing and self._guard.expects(entry)

    async def check(self, repo: RepoId, entry: Entry) -> None:
        """Raises UnsafePickle for a held file that is given to nobody."""
        if self._guard.refusing and entry.size and self._path(entry) is not None:
            loop = asyncio.get_running_loop()
            refusal = await loop.run_in_executor(self._work, self._guard.refusal, repo, entry)
            if refusal is not None:
                raise refusal

    async def whole(self, fill: Fill, within_s: float) -> Path:
        """Where a file is that is on its way, once it is here. Raises TooBusy when it takes longer."""
        until = time.monotonic() + within_s
        while True:
            path = self._path(fill.entry)
            if path is not None:
                return path
            if fill.error is not None:
                raise fill.error
            if time.monotonic() > until:
                raise TooBusy("this mirror", f"{fill.entry.path} is looked at before it is given out, and still comes")
            await asyncio.sleep(LOOK_S)

    def arrived(self, fill: Fill) -> str:
        """Look at a file that has just come, in the thread that brought it: a sentence if it is not safe."""
        if fill.error is not None or not self._guard.expects(fill.entry, fill.data or b""):
            return ""
        until = time.monotonic() + SEALING_S
        while self._path(fill.entry) is None and time.monotonic() < until:
            time.sleep(LOOK_S)
        try:
            return self._guard.sentence(fill.entry)
        except MirrorError as error:
            return str(error)

    # -- what is told -------------------------------------------------------------------------

    def file_status(self, entry: Entry) -> Row | None:
        """The Hub's word about a file."""
        return forms.file_status(self._guard.known(entry))

    def repo_status(self, entries: Iterable[Entry]) -> Row:
        """The Hub's word about a commit."""
        found: list[tuple[str, Scan]] = []
        done = True
        for entry in entries:
            scan = self._guard.known(entry)
            if scan is not None:
                found.append((entry.path, scan))
            done = done and (scan is not None or not self._guard.expects(entry))
        return forms.repo_status(found, done=done)
