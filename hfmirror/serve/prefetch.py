"""Fetching the rest of a commit ahead of a client that is about to ask for all of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from hfmirror.errors import MirrorError, TooBusy
from hfmirror.serve.contents import begun

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from hfmirror.model import CommitId, Digest, Entry, Kind, Manifest, RepoId
    from hfmirror.ports import Supplier
    from hfmirror.transfer.flights import Flights

AT_ONCE = 4  # files brought in ahead of their client; what clients ask for comes beside them
MOST = 1000  # listings remembered
BUSY_S = 1.0  # how long to wait when there are too many fills


class Objects(Protocol):
    """The part of a store that is needed here."""

    def path(self, digest: Digest) -> Path | None: ...


class Prefetch:
    """Watches for the snapshot's pattern: a client lists a whole commit, and then asks for a file of it."""

    def __init__(self, kinds: Collection[Kind], objects: Objects, flights: Flights) -> None:
        """Only repos of these kinds are fetched ahead."""
        self._kinds, self._objects, self._flights = kinds, objects, flights
        self._listed: set[tuple[str, RepoId, CommitId]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def listed(self, client: str, manifest: Manifest) -> None:
        """A client has listed a whole commit."""
        if manifest.repo.kind in self._kinds:
            if len(self._listed) >= MOST:
                self._listed.clear()
            self._listed.add((client, manifest.repo, manifest.commit))

    def asked(self, client: str, manifest: Manifest, supplier: Callable[[], Supplier]) -> None:
        """A client asks for the bytes of a file: if it has listed the commit, all others are fetched, once."""
        key = (client, manifest.repo, manifest.commit)
        if key in self._listed and manifest.reach.everything:
            self._listed.discard(key)
            task = asyncio.ensure_future(self._fetch(manifest, supplier))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _fetch(self, manifest: Manifest, supplier: Callable[[], Supplier]) -> None:
        lacking = iter([entry for entry in manifest.entries if entry.size and self._objects.path(entry.digest) is None])

        async def work() -> None:
            for entry in lacking:
                await self._one(manifest, entry, supplier)

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))

    async def _one(self, manifest: Manifest, entry: Entry, supplier: Callable[[], Supplier]) -> None:
        while self._objects.path(entry.digest) is None:
            try:
                fill = self._flights.join(supplier(), manifest, entry)
                await begun(fill, entry.size)
            except TooBusy:
                await asyncio.sleep(BUSY_S)
            except MirrorError:
                return  # the client will hear of it when it asks
            else:
                return
