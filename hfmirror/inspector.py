"""A keeper that also looks at what files would do when they are loaded: pickles can run code."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from hfmirror.care import why
from hfmirror.errors import BadManifest
from hfmirror.keeper import NO_LIMITS, Keeper
from hfmirror.model import Digest, Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hfmirror.care.limits import Limits
    from hfmirror.care.verify import Finding
    from hfmirror.model import CommitId, Pin, RepoId
    from hfmirror.safety.checkpoints import Checkpoint, Conversion
    from hfmirror.safety.convert import Converted, Wish
    from hfmirror.safety.guard import Guard, Suspect
    from hfmirror.store.disk import DiskStore
    from hfmirror.store.scans import Scan
    from hfmirror.transfer.events import Watcher
    from hfmirror.view.hfcache import HubCache


class Inspector(Keeper):
    """Looks at pickles under one policy, and makes safetensors of them."""

    def __init__(self, store: DiskStore, view: HubCache, policy: str, limits: Limits = NO_LIMITS) -> None:
        super().__init__(store, view, limits)
        self._policy = policy

    @cached_property
    def guard(self) -> Guard:
        """Who looks at pickles."""
        from hfmirror.safety.guard import Guard  # noqa: PLC0415 - scripts that only ask for a path need none

        return Guard(self.store, self._policy)

    def _bars(self, entry: Entry) -> bool:
        return self._policy == "refuse" and self.guard.bars(entry)

    def _conclude(self, finding: Finding, note: Callable[[Digest], object]) -> None:
        """As a keeper does; and look at a sound file for pickles, if nobody has, or only an earlier scanner."""
        super()._conclude(finding, note)
        if finding.sound and self._policy != "off":
            digest = finding.digest
            entry = self._named_like_pickles.get(digest) or Entry(str(digest), finding.size, digest)
            if self.guard.look_again(entry) and self.guard.bars(entry):
                for claim in why.claims(self.store, [digest])[digest]:
                    self.view.drop(claim.pin.repo, claim.pin.commit, replace(entry, path=claim.path))

    @cached_property
    def _named_like_pickles(self) -> dict[Digest, Entry]:
        """The files that loaders take for pickles, for those who know them by digest only."""
        from hfmirror.care import skim  # noqa: PLC0415 - for those who check all
        from hfmirror.safety.names import named  # noqa: PLC0415 - as above

        found = {}
        for each in skim.pinned(self.store):
            with suppress(BadManifest):  # that is told elsewhere
                listed = skim.listing(self.store, each.repo, each.commit, None)
                for row in listed.rows if listed is not None else ():
                    if named(row["path"]):
                        digest = Digest.parse(row["digest"])
                        found[digest] = Entry(row["path"], row["size"], digest)
        return found

    def plan_conversion(self, wish: Wish) -> Conversion:
        """What a conversion to safetensors would do. Raises NotHere, UsageError, UnsafePickle."""
        from hfmirror.safety.convert import Converter  # noqa: PLC0415 - for those who convert

        return Converter(wish, self.store, self.guard).plan()

    def convert(self, wish: Wish, plan: Conversion, told: Callable[[Checkpoint], None]) -> Converted:
        """Make a commit of one's own with safetensors for checkpoints. Raises what `Converter.run` does."""
        from hfmirror.safety.convert import Converter  # noqa: PLC0415 - as above

        converted = Converter(wish, self.store, self.guard).run(plan, told)
        self.view.show(converted.pin, converted.manifest, converted.manifest.entries)
        return converted

    def look_through(self, pin: Pin, entries: Iterable[Entry], watch: Watcher) -> tuple[Suspect, ...]:
        """Look at those of these files that hold pickles; say which would run code when they are loaded."""
        from hfmirror.safety.guard import sentence  # noqa: PLC0415 - with those who have something to look at
        from hfmirror.transfer.events import Suspected  # noqa: PLC0415 - as above

        suspects = self.guard.suspects(entries)
        if suspects:
            watch(Suspected(pin.repo, suspects, sentence(pin.repo, pin.revision, suspects)))
        return suspects

    def scans(self, entries: Iterable[Entry]) -> dict[str, Scan]:
        """What was found in those of these files that hold pickles, by path."""
        found = ((entry.path, self.guard.known(entry)) for entry in entries)
        return {path: scan for path, scan in found if scan is not None}

    def verdicts(self) -> dict[tuple[RepoId, CommitId], str]:
        """The worst that was found in a commit, of each that has pickles which are not safe."""
        from hfmirror.care import skim  # noqa: PLC0415 - for those who list what is here

        unsafe = {str(digest): scan for digest, scan in self.guard.unsafe().items()}
        found = {}
        for each in skim.pinned(self.store) if unsafe else ():
            rows = skim.listing(self.store, each.repo, each.commit, None)
            scans = [unsafe[row["digest"]] for row in rows.rows if row["digest"] in unsafe] if rows else []
            if scans:
                found[each.repo, each.commit] = max(scans, key=lambda scan: scan.badness()).verdict
        return found
