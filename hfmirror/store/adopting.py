"""A file that lies elsewhere becomes an object: as cheaply as the disk allows, and without harm to the file.

The bytes are laid into a draft of our own, proven there, and only then named. A reflink shares
blocks and nothing else, so it is always tried first. A hard link shares the file itself, so it is
made only where that was allowed. See docs/adr/0012.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import IO, TYPE_CHECKING

from hfmirror.model import PART, Digest, new_hasher
from hfmirror.store import files
from hfmirror.store.partial import Prover

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from hfmirror.model import Algorithm
    from hfmirror.store.drafts import Drafts
    from hfmirror.store.layout import Layout

REFLINK, HARD_LINK, COPY = "reflink", "hard link", "copy"
_READ_ONLY = 0o444
_BINARY = getattr(os, "O_BINARY", 0)
_PATIENT = getattr(os, "O_NONBLOCK", 0)  # a pipe without a writer must not hold us up


class Linking(Enum):
    """When an object may be the very file that lies elsewhere, under a second name."""

    NEVER = "never"
    READ_ONLY = "read-only"  # when nobody may write to it as it is
    ALWAYS = "always"  # and it becomes read-only by that


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of bytes that were offered."""

    digests: tuple[Digest, ...]  # what they are, by each algorithm asked for
    kept: Digest | None = None  # the name under which the store has them now
    how: str = ""  # REFLINK, HARD_LINK or COPY; empty when they were not taken


class Unfit(Exception):
    """What was offered cannot be read, or is not what it was. The text says why."""


@dataclass(frozen=True, slots=True)
class Offered:
    """Bytes that may be taken: a stream that is read once, and the file behind it if it is just one."""

    stream: IO[bytes]
    size: int
    path: str = ""
    facts: os.stat_result | None = None


@dataclass(frozen=True, slots=True)
class Laid:
    """Bytes in a draft of our own, proven and durable, that have no name yet."""

    draft: str
    digest: Digest
    how: str  # REFLINK, HARD_LINK or COPY
    facts: os.stat_result | None  # of the file when it was read


class Adopter:
    """Takes bytes into one store."""

    def __init__(self, layout: Layout, drafts: Drafts) -> None:
        self._layout, self._drafts = layout, drafts
        self._reflinks: dict[int, bool] = {}  # by device: whether its blocks can be shared with the store's disk

    def take(
        self,
        offered: Offered,
        algorithms: Collection[Algorithm],
        wanted: Callable[[Digest], bool],
        linking: Linking = Linking.NEVER,
    ) -> Taken:
        """Take bytes in if `wanted` says so of their proven digest.

        `wanted` may do what must be done before an object gets its name. Raises Unfit when the bytes
        cannot be read or change meanwhile, DiskFull, StoreError, and what `wanted` raises.
        """
        with self._drafts.draft() as draft, files.translated(self._drafts.folder, offered.size):
            fd, how = self._lay(offered, draft, linking)
            try:
                digests = _proven(fd, offered, algorithms, filling=how == COPY)
                kept = next((digest for digest in digests if wanted(digest)), None)
                if kept is None:
                    return Taken(digests)
                files.sync(fd)
            finally:
                os.close(fd)
            self._name(offered, draft, how, kept)
        return Taken(digests, kept, how)

    @contextmanager
    def laid(self, offered: Offered, algorithm: Algorithm, linking: Linking = Linking.NEVER) -> Iterator[Laid]:
        """The bytes in a draft, proven, while the block runs: for those who cannot say yet whether they want them.

        Raises Unfit, DiskFull, StoreError.
        """
        with self._drafts.draft() as draft:
            with files.translated(self._drafts.folder, offered.size):
                fd, how = self._lay(offered, draft, linking)
                try:
                    (digest,) = _proven(fd, offered, (algorithm,), filling=how == COPY)
                    files.sync(fd)
                finally:
                    os.close(fd)
            yield Laid(draft, digest, how, offered.facts)

    def name(self, offered: Offered, laid: Laid) -> bool:
        """Give what was laid its name, if it is what is offered now. Raises Unfit, StoreError."""
        if offered.facts is None or laid.facts is None or not _is_as_it_was(offered.facts, laid.facts):
            return False
        with files.translated(self._drafts.folder):
            self._name(offered, laid.draft, laid.how, laid.digest)
        return True

    def _name(self, offered: Offered, draft: str, how: str, digest: Digest) -> None:
        if how == HARD_LINK and _changed(offered):
            raise Unfit("it changed while it was read")
        files.publish_object(draft, self._layout.object(digest))

    def copies(self, path: str, linking: Linking) -> bool:
        """Whether taking this file in needs room for all its bytes."""
        try:
            with opened(path) as offered:
                return not (self._shares_blocks(offered) or self._may_link(offered, linking))
        except Unfit:
            return False  # it will not be taken

    # -- in steps -----------------------------------------------------------------------------

    def _lay(self, offered: Offered, draft: str, linking: Linking) -> tuple[int, str]:
        """Make the draft: the bytes themselves, or an empty file they are still to be copied into."""
        if self._shares_blocks(offered):
            fd = _new(draft)
            if files.reflink(offered.stream.fileno(), fd):
                return fd, REFLINK
            os.close(fd)
            files.remove(draft)
        if self._may_link(offered, linking) and files.hard_link(offered.path, draft):
            fd = os.open(draft, os.O_RDONLY | _BINARY)
            if offered.facts is not None and os.path.samestat(os.fstat(fd), offered.facts):
                return fd, HARD_LINK
            os.close(fd)  # another file has taken its name since
            files.remove(draft)
        fd = _new(draft)
        files.preallocate(fd, offered.size)
        return fd, COPY

    def _shares_blocks(self, offered: Offered) -> bool:
        """Whether the source's disk shares blocks with ours: tried once for each disk, with the source itself."""
        if offered.facts is None:
            return False
        device = offered.facts.st_dev
        if device not in self._reflinks:
            with self._drafts.draft() as draft:
                fd = _new(draft)
                try:
                    self._reflinks[device] = files.reflink(offered.stream.fileno(), fd)
                finally:
                    os.close(fd)
        return self._reflinks[device]

    def _may_link(self, offered: Offered, linking: Linking) -> bool:
        facts = offered.facts
        if facts is None or linking is Linking.NEVER or not _is_ours(facts):
            return False
        files.ensure_folder(self._drafts.folder)
        if facts.st_dev != os.stat(self._drafts.folder).st_dev:
            return False
        if stat.S_IMODE(facts.st_mode) == _READ_ONLY:
            return True
        return linking is Linking.ALWAYS and facts.st_nlink == 1  # other names of it would become read-only, too


def _new(draft: str) -> int:
    return os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)


def _is_ours(facts: os.stat_result) -> bool:
    """Whether no other user owns the file: an owner may always make it writable again."""
    return hasattr(os, "geteuid") and facts.st_uid == os.geteuid()


@contextmanager
def opened(path: str, size: int | None = None) -> Iterator[Offered]:
    """A plain file, followed through links; of this size if one is given. Raises Unfit."""
    place = os.path.realpath(path)
    try:
        if not stat.S_ISREG(os.stat(place).st_mode):  # asked before it is opened: some devices act upon that
            raise Unfit("it is no plain file")
        fd = os.open(place, os.O_RDONLY | _BINARY | _PATIENT)
    except OSError as error:
        raise Unfit(error.strerror or str(error)) from error
    with os.fdopen(fd, "rb", buffering=0) as stream:
        facts = os.fstat(fd)
        if size is not None and facts.st_size != size:
            raise Unfit("it changed while it was looked at")
        yield Offered(stream, facts.st_size, place, facts)


def _proven(fd: int, offered: Offered, algorithms: Collection[Algorithm], *, filling: bool) -> tuple[Digest, ...]:
    """The digests of what the descriptor holds, which is filled from the source first if need be. Raises Unfit."""
    provers = [Prover(fd, new_hasher(algorithm, offered.size), offered.size) for algorithm in algorithms]
    try:
        for done in _copied(offered, fd) if filling else [offered.size]:
            for prover in provers:
                prover.advance(done)
        try:
            hexes = [prover.result() for prover in provers]
        except OSError as error:
            raise Unfit(error.strerror or str(error)) from error
    finally:
        for prover in provers:
            prover.stop()
    return tuple(Digest(algorithm, hexed) for algorithm, hexed in zip(algorithms, hexes, strict=True))


def _copied(offered: Offered, target: int) -> Iterator[int]:
    """Copy the source; how many bytes have come so far, again and again. Raises Unfit."""
    done = 0
    while done < offered.size:
        data = read_from(offered.stream, min(PART, offered.size - done))
        files.write_at(target, data, done)
        done += len(data)
        yield done


def digests_of(offered: Offered, algorithms: Collection[Algorithm]) -> tuple[Digest, ...]:
    """What the bytes are, by each algorithm; only read. Raises Unfit."""
    hashers = [new_hasher(algorithm, offered.size) for algorithm in algorithms]
    left = offered.size
    while left:
        data = read_from(offered.stream, min(PART, left))
        left -= len(data)
        for hasher in hashers:
            hasher.update(data)
    return tuple(Digest(algorithm, hasher.hexdigest()) for algorithm, hasher in zip(algorithms, hashers, strict=True))


def read_whole(offered: Offered) -> bytes:
    """All of a small file. Raises Unfit."""
    data = b""
    while len(data) < offered.size:
        data += read_from(offered.stream, offered.size - len(data))
    return data


def read_from(stream: IO[bytes], size: int) -> bytes:
    """The next bytes of somebody's stream, at least one. Raises Unfit with what is wrong with it."""
    try:
        data = stream.read(size)
    except Exception as error:  # archives have many ways to be broken, each library its own
        raise Unfit(getattr(error, "strerror", None) or str(error) or type(error).__name__) from error
    if not data:
        raise Unfit("it is shorter than it was said to be")
    return data


def _changed(offered: Offered) -> bool:
    """Whether the file was written to since it was opened."""
    return offered.facts is None or not _is_as_it_was(os.fstat(offered.stream.fileno()), offered.facts)


def _is_as_it_was(now: os.stat_result, before: os.stat_result) -> bool:
    """Whether this is the same file, with the bytes it had."""
    same = os.path.samestat(now, before)
    return same and (now.st_size, now.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
