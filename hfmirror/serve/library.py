"""Answers with files: held ones from the store, others while they come in."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hfmirror import codec
from hfmirror.errors import DigestMismatch, MirrorError, NotHere, Unavailable
from hfmirror.model import Algorithm, Digest
from hfmirror.serve.contents import Held, Live, begun
from hfmirror.serve.door import Missing
from hfmirror.serve.files import Shown, file_reply, wanted

if TYPE_CHECKING:
    from pathlib import Path

    from hfmirror.model import Entry, Manifest
    from hfmirror.serve.door import Admitted, Door
    from hfmirror.serve.files import Wanted
    from hfmirror.serve.grammar.questions import FilePlace, Raw
    from hfmirror.serve.names import Names
    from hfmirror.serve.prefetch import Prefetch
    from hfmirror.serve.replies import Content, Reply, Request
    from hfmirror.serve.wary import Wary
    from hfmirror.transfer.flights import Fill, Flights

FIRST_BYTE_S = 8.0  # until a client is told that the file cannot be had; the official one waits ten for a byte


class Objects(Protocol):
    """The part of a store that files need."""

    def path(self, digest: Digest) -> Path | None: ...


@dataclass(frozen=True, slots=True)
class Lent:
    """A content, and what is to be said about it."""

    content: Content | bytes
    note: str
    proven: bool = True


class Library:
    """Finds the file an address names, and its bytes."""

    def __init__(
        self,
        door: Door,
        names: Names,
        objects: Objects,
        flights: Flights,
        prefetch: Prefetch,
        wary: Wary,
        *,
        strict: bool = False,
    ) -> None:  # fmt: skip
        """With `strict` no byte is given out before the whole file is proven."""
        self._door, self._names, self._objects, self._flights = door, names, objects, flights
        self._prefetch, self._wary, self._strict = prefetch, wary, strict
        self._unproven: dict[Digest, set[str]] = {}  # who was given bytes of what is not proven yet

    async def resolve(self, route: FilePlace, request: Request, token: str | None) -> Reply:
        """The bytes of a file. Raises MirrorError."""
        admitted, path = await self._door.enter(route, token)
        entry = await self._entry(admitted, path)
        await self._wary.check(admitted.repo, entry)
        shown = _shown(admitted, entry, entry.digest, entry.size)
        want = wanted(request, shown)
        if request.method == "HEAD" or want.status in (304, 416):
            return file_reply(request, shown, want, b"", self._note(admitted, entry))
        lent = await self._lend(admitted, entry, want, request.client)
        manifest = self._names.listed(admitted.repo, admitted.commit)
        if manifest is not None:
            self._prefetch.asked(request.client, manifest, lambda: self._names.seen_by(admitted.credential))
        if not lent.proven:
            shown = _shown(admitted, entry, entry.digest, entry.size, proven=False)
        return file_reply(request, shown, want, lent.content, lent.note)

    async def raw(self, route: Raw, request: Request, token: str | None) -> Reply:
        """What git holds of a file: of a large one, its pointer. Raises MirrorError."""
        admitted, path = await self._door.enter(route, token)
        entry = await self._entry(admitted, path)
        if entry.digest.algorithm is Algorithm.GIT_SHA1:
            return await self.resolve(route, request, token)
        pointer = codec.pointer(entry)
        shown = _shown(admitted, entry, Digest.of(Algorithm.GIT_SHA1, pointer), len(pointer))
        return file_reply(request, shown, wanted(request, shown), pointer, "known")

    async def _entry(self, admitted: Admitted, path: str) -> Entry:
        manifest: Manifest = await self._door.listing(admitted, (path,))
        entry = manifest.get(path)
        if entry is None:
            raise Missing(admitted.repo, path, admitted)
        self._names.touch(admitted.repo, admitted.revision, manifest)
        return entry

    def _note(self, admitted: Admitted, entry: Entry) -> str:
        """Where the bytes would come from. Raises NotHere when they cannot."""
        if entry.size == 0 or self._objects.path(entry.digest) is not None:
            return "held"
        if self._flights.get(entry.digest) is None and not self._names.reachable:
            raise NotHere(f"{entry.path} of {admitted.repo}")
        return "live"

    async def _lend(self, admitted: Admitted, entry: Entry, want: Wanted, client: str) -> Lent:
        note = self._note(admitted, entry)
        if entry.size == 0:
            return Lent(b"", note)
        path = self._objects.path(entry.digest)
        if path is not None:
            return Lent(Held(str(path)), note)
        if self._wary.waits_for(entry):
            return await self._looked_at(admitted, entry)
        start = want.spans[0].start
        joined = self._flights.get(entry.digest)
        if joined is not None and await self._begins(joined, start):
            return self._live(joined, want, client)
        fill = await self._take_off(admitted, entry)  # also when one that was under way has just failed
        if not await self._begins(fill, start):
            raise fill.error or fill.trouble or Unavailable("upstream", f"no byte within {FIRST_BYTE_S:g} s")
        return self._live(fill, want, client)

    async def _looked_at(self, admitted: Admitted, entry: Entry) -> Lent:
        """A file that nobody is given a byte of before it is here whole, and was looked at."""
        fill = self._flights.get(entry.digest) or await self._take_off(admitted, entry)
        path = await self._wary.whole(fill, FIRST_BYTE_S)
        await self._wary.check(admitted.repo, entry)
        return Lent(Held(str(path)), "live")

    async def _begins(self, fill: Fill, start: int) -> bool:
        """Wait for something to send; False when nothing comes in time, or nothing ever will."""
        try:
            await asyncio.wait_for(begun(fill, start), FIRST_BYTE_S)
        except asyncio.TimeoutError:
            self._names.doubt(fill.trouble or Unavailable("upstream", f"no byte within {FIRST_BYTE_S:g} s"))
            return False
        except MirrorError:
            return False
        return True

    async def _take_off(self, admitted: Admitted, entry: Entry) -> Fill:
        supplier = self._names.seen_by(admitted.credential)
        manifest = await self._door.listing(admitted, (entry.path,))
        return self._flights.join(supplier, manifest, entry)

    def _live(self, fill: Fill, want: Wanted, client: str) -> Lent:
        if fill.data is not None:
            return Lent(fill.data, "live")
        proven = fill.proven or want.collects or self._strict
        if not proven:
            self._unproven.setdefault(fill.entry.digest, set()).add(client)
        held = fill.round > 0 or (self._strict and want.status == 206)  # what came wrong once is not trusted again
        return Lent(Live(fill, tail_held=want.collects, all_held=held), "live", proven or held)

    def ended(self, fill: Fill) -> str:
        """A fill is over: a sentence naming who was given bytes of it that turned out wrong, or nothing."""
        clients = self._unproven.pop(fill.entry.digest, set())
        if clients and (fill.round or isinstance(fill.error, DigestMismatch)):
            readers = ", ".join(sorted(clients))
            return f"bytes of {fill.entry.path} ({fill.entry.digest}) that were given to {readers} were wrong"
        return ""


def _shown(admitted: Admitted, entry: Entry, digest: Digest, size: int, *, proven: bool = True) -> Shown:
    aged = admitted.headers[1:]
    extra = aged if proven else (*aged, ("X-Hfmirror-Proven", "no"))
    return Shown(entry.path, size, digest, admitted.commit, admitted.revision, admitted.known.public, extra)
