"""A store and its view, kept sound and explainable: all of it works with the cable out."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from hfmirror.care import gc, mend, sets, verify, why
from hfmirror.errors import BadManifest, NotHere, StoreError, StoreLocked
from hfmirror.model import Digest, Pin
from hfmirror.transfer.plan import plan_pull
from hfmirror.view.hfcache import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hfmirror.care.verify import Finding
    from hfmirror.model import CommitId, Manifest, RepoId, Selection
    from hfmirror.store.disk import DiskStore
    from hfmirror.transfer.plan import Plan
    from hfmirror.view.hfcache import HubCache

DAY_S = 86_400.0


class Keeper:
    """Looks after what is here."""

    def __init__(self, store: DiskStore, view: HubCache) -> None:
        self.store, self.view = store, view

    def status(self) -> sets.Status:
        """Wanted and held, of the whole store."""
        return sets.status(self.store)

    # -- sound --------------------------------------------------------------------------------

    def verify(self, repos: Sequence[RepoId] = ()) -> Iterator[Finding]:
        """Hash again everything here, or what is wanted of these repos; set aside what is damaged."""
        pins = [pin for repo in repos for pin in self.store.pins_of(repo)]
        digests = sets.wanted(self.store, pins) if repos else self.store.objects()
        for finding in verify.verify(self.store, digests):
            if not finding.sound and finding.actual:  # what could not be read may be sound
                self._withdraw(finding.digest)
            elif finding.sound and finding.parts and self.store.part_digests(finding.digest) is None:
                with suppress(StoreError):  # it came without them, from a folder or a cache; all was read anyway
                    self.store.parts.keep(finding.digest, finding.parts)
            yield finding

    def _withdraw(self, digest: Digest) -> None:
        """Take a damaged object out of the view, whose links share its bytes, and out of the store."""
        for pin in self.store.pins():
            for entry in sets.selected(self.store, pin):
                if entry.digest == digest:
                    self.view.drop(pin.repo, pin.commit, entry)
        self.store.set_aside(digest)

    def plan_repair(self, repos: Sequence[RepoId] = ()) -> mend.Repair:
        """What was set aside and is wanted."""
        return mend.plan_repair(self.store, self.store.damaged(), repos)

    def damage(self, digest: Digest) -> Finding:
        """Where an object that was set aside is wrong."""
        return verify.look(digest, self.store.layout.set_aside(digest), self.store.part_digests(digest))

    def show_again(self, pin: Pin, manifest: Manifest) -> None:
        """Put what is here of a pin into the view."""
        leads = self.store.refs_of(pin.repo).get(pin.revision) == pin.commit  # it may have moved on
        shown = pin if leads else replace(pin, revision=pin.commit)
        held = [entry for entry in sets.selected(self.store, pin) if self.store.has(entry.digest)]
        self.view.show(shown, manifest, held)

    # -- wanted -------------------------------------------------------------------------------

    def pin(self, repo: RepoId, revision: str, selection: Selection) -> Plan:
        """Want what a revision was when last asked; nothing is fetched. Raises NotHere, NothingMatches."""
        head = self.store.resolve(repo, revision)
        manifest = self.store.manifest(repo, head.commit, selection)
        plan = plan_pull(Pin(repo, head.commit, revision, selection), head, manifest, self.store)
        self.store.keep(plan.pin, manifest)
        return plan

    def unpin(self, repo: RepoId, commits: Iterable[CommitId]) -> None:
        """Want these commits no more. All stays as it is until gc comes."""
        for commit in commits:
            self.store.unwish(repo, commit)

    def commits(self, repo: RepoId, revision: str | None) -> list[CommitId]:
        """The commits of a repo that were asked for, or the one a revision names. Raises NotHere."""
        if revision is not None:
            return [self.store.commit(repo, revision)]
        commits = {pin.commit for pin in self.store.pins_of(repo)}
        commits |= {commit for other, commit in self.store.let_go() if other == repo}
        if not commits:
            raise NotHere(repo)
        return sorted(commits)

    def remove(self, repo: RepoId, commits: Iterable[CommitId]) -> None:
        """Forget commits: their view and their names. The bytes are gc's."""
        for commit in commits:
            self.view.hide(repo, commit)
            self.store.unkeep(repo, commit)

    def sweep(self, grace_s: float = gc.GRACE_S, unused_days: float | None = None, *, dry: bool) -> gc.Sweep:
        """Remove what no pin wants. Raises StoreLocked when locks keep nobody out here."""
        self.store.prepare()
        if not self.store.locks_exclude():
            raise StoreLocked(str(self.store.root), "locks keep nobody out on this disk, so removing is not safe")
        now = time.time()
        before = -1.0 if unused_days is None else now - unused_days * DAY_S
        idle = tuple(pin for pin in self.store.pins() if pin.demand and self.store.used(pin.repo, pin.commit) < before)
        if not dry:
            for pin in idle:
                self.store.undemand(pin.repo, pin.commit, before)
        let_go = tuple(self.store.let_go())
        if not dry:
            for repo, commit in let_go:
                self.view.hide(repo, commit)
                self.store.unkeep(repo, commit, wanted_too=False)
        with self.store.locked():
            status = sets.status(self.store, idle if dry else ())
            sweep = gc.plan_sweep(status, self.store, now, grace_s)
            if not dry:
                for digest in sweep.doomed:
                    self.store.discard(digest)
                self.store.sweep_incoming(self.status().wanted)
                self.store.sweep_parts()
        return replace(sweep, idle=idle, let_go=let_go)

    # -- explained ----------------------------------------------------------------------------

    def why(self, word: str) -> list[why.Reason]:
        """Who wants what a digest, a file on the disk, or a path in a repo stands for. Raises NotHere."""
        reasons = list(why.why(self.store, self.store, self._meant(word)))
        if not reasons:
            raise NotHere(word)
        return reasons

    def _meant(self, word: str) -> set[Digest]:
        digest = digest_of(word) or digest_of(os.path.basename(os.path.realpath(word)))  # noqa: PTH119 - text
        with suppress(BadManifest):
            digest = Digest.parse(word)
        return {digest} if digest is not None else why.under_path(self.store, word)
