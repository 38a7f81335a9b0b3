"""What the suites talk about: one small repo, and entries made on the spot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfmirror.model import PART, Algorithm, CommitId, Digest, Entry, Head, Kind, Manifest, Pin, RepoId, Selection, Span
from tests.simulator import HubSimulator, Made

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hfmirror.ports import Supplier
    from tests.simulator.content import Given

TINY = RepoId(Kind.MODEL, "acme/tiny")
COMMIT = CommitId("c" * 40)
WEIGHTS = Made(3 * PART + 1234, seed=7)
CONFIG = b'{"model_type": "bert"}'
FILES: dict[str, Given] = {
    "config.json": CONFIG,
    "empty.txt": b"",
    "sub/deep/notes one.txt": b"notes",
    "sub/copy.json": CONFIG,
    "model.safetensors": WEIGHTS,
}


def publish(hub: HubSimulator) -> CommitId:
    """The repo on a hub: `FILES` under main and v1."""
    return hub.add(TINY, FILES, tags=("v1",), refs=("refs/pr/1",))


def data_of(given: Given) -> bytes:
    """What a file of `FILES` holds."""
    assert isinstance(given, bytes | Made)
    return given.data() if isinstance(given, Made) else given


def entry(data: bytes, path: str = "f.bin", algorithm: Algorithm = Algorithm.SHA256) -> Entry:
    """The entry of a file with these bytes."""
    return Entry(path, len(data), Digest.of(algorithm, data))


def manifest(entries: Iterable[Entry], repo: RepoId = TINY, commit: CommitId = COMMIT) -> Manifest:
    """A commit with these entries."""
    return Manifest.of(repo, commit, entries)


def pin_of(listing: Manifest, revision: str = "main", selection: Selection | None = None) -> Pin:
    """The wish for a commit."""
    return Pin(listing.repo, listing.commit, revision, selection or Selection())


def head_of(listing: Manifest) -> Head:
    """What a hub said of it."""
    return Head(listing.commit, {"id": listing.repo.name, "sha": listing.commit}, "a hub")


def read(supplier: Supplier, listing: Manifest, wanted: Entry, span: Span | None = None) -> bytes:
    """The bytes of a span as a patient caller gets them: asked again for the rest, cut where enough."""
    span = span or Span(0, wanted.size)
    got = b""
    while len(got) < span.size:
        with supplier.open(listing, wanted, Span(span.start + len(got), span.stop)) as stream:
            more = b"".join(map(bytes, stream))
        assert more, "a supplier that neither brings bytes nor complains would be asked for ever"
        got += more
    return got[: span.size]


def parts(size: int) -> Sequence[Span]:
    """The parts of a file."""
    return [Span(start, min(start + PART, size)) for start in range(0, size, PART)]
