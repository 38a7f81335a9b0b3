"""What was set aside as damaged and is wanted: whose it is, and how much of it has to come again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfmirror.care.sets import listing
from hfmirror.model import LOCAL

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Mapping

    from hfmirror.care.verify import Finding
    from hfmirror.model import Digest, Entry, Manifest, Pin, RepoId
    from hfmirror.ports import Store


@dataclass(frozen=True, slots=True)
class Mending:
    """What one pin misses."""

    pin: Pin
    manifest: Manifest
    entries: tuple[Entry, ...]

    @property
    def local(self) -> bool:
        """Whether the Hub has never heard of this repo."""
        return self.manifest.origin == LOCAL

    def advice(self, about: Mapping[str, object]) -> str:
        """How to get back what the Hub never had; `about` is the description of the commit."""
        repo, original = self.pin.repo, about.get("convertedFrom")
        if original is None:
            return f"the Hub does not have {repo}: import its files again"
        command = f"hfmirror convert {repo}@{original} --revision {self.pin.revision}"
        return f"the Hub does not have it: make it again with: {command}"


@dataclass(frozen=True, slots=True)
class Repair:
    """A decision: what to mend; printable before it is carried out."""

    mendings: tuple[Mending, ...]  # those of the user's own repos last: another repo may bring the bytes
    unwanted: tuple[Digest, ...]  # set aside, and no pin wants it

    @property
    def entries(self) -> dict[Digest, Entry]:
        """The damaged objects that are wanted, each under one of its paths."""
        return {entry.digest: entry for mending in self.mendings for entry in mending.entries}


def plan_repair(store: Store, damaged: Collection[Digest], repos: Collection[RepoId] = ()) -> Repair:
    """Decide what to mend of these, for these repos or for all."""
    mendings = []
    for pin in store.pins():
        if not repos or pin.repo in repos:
            manifest = listing(store, pin)
            entries = () if manifest is None else tuple(_missed(pin, manifest, damaged))
            if manifest is not None and entries:
                mendings.append(Mending(pin, manifest, entries))
    wanted = {entry.digest for mending in mendings for entry in mending.entries}
    unwanted = () if repos else tuple(digest for digest in damaged if digest not in wanted)
    return Repair(tuple(sorted(mendings, key=lambda mending: mending.local)), unwanted)


def _missed(pin: Pin, manifest: Manifest, damaged: Container[Digest]) -> Iterable[Entry]:
    """A demand wants what was here until it was set aside."""
    selected = manifest.entries if pin.demand else pin.selection.of(manifest)
    return (entry for entry in selected if entry.digest in damaged)


def to_fetch(finding: Finding, entry: Entry) -> int:
    """Bytes that have to come again."""
    return entry.size if finding.wrong is None else sum(span.size for span in finding.wrong)
