"""A store and its view, kept sound and explainable: all of it works with the cable out."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from hfmirror.care import gc, mend, sets, skim, why
from hfmirror.care.limits import Limits
from hfmirror.errors import BadManifest, NotHere, QuotaFull, StoreError, StoreLocked
from hfmirror.model import Digest, Entry, Pin
from hfmirror.store import files
from hfmirror.transfer.plan import plan_pull
from hfmirror.view.hfcache import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from hfmirror.care.check import Check, Manner
    from hfmirror.care.held import Held
    from hfmirror.care.proofs import Proofs
    from hfmirror.care.room import Eviction, Gauge
    from hfmirror.care.shelf import Shelved
    from hfmirror.care.throttle import Throttle
    from hfmirror.care.verify import Finding
    from hfmirror.model import CommitId, Manifest, RepoId, Selection
    from hfmirror.store.disk import DiskStore
    from hfmirror.transfer.plan import Plan
    from hfmirror.view.hfcache import HubCache

DAY_S = 86_400.0
NO_LIMITS = Limits()


class Keeper:
    """Looks after what is here."""

    def __init__(self, store: DiskStore, view: HubCache, limits: Limits = NO_LIMITS) -> None:
        self.store, self.view, self.limits = store, view, limits
        self._making_room = threading.Lock()
        if limits:
            store.make_room = self.make_room

    @cached_property
    def proofs(self) -> Proofs:
        """When each object was last proven."""
        from hfmirror.care.proofs import Proofs  # noqa: PLC0415 - scripts that only ask for a path need none

        return Proofs(self.store.layout.proven, self.store.drafts)

    @cached_property
    def _gauge(self) -> Gauge:
        from hfmirror.care.room import Gauge  # noqa: PLC0415 - for those who have limits

        return Gauge(self.store)

    def status(self) -> sets.Status:
        """Wanted and held, of the whole store."""
        return sets.status(self.store)

    def tally(self) -> sets.Tally:
        """The same, for counting: a store may hold a million files. Raises BadManifest."""
        return sets.tally(self.store)

    def inventory(self) -> list[Shelved]:
        """Every commit that is wanted, and what it takes. Raises BadManifest."""
        from hfmirror.care.shelf import shelf  # noqa: PLC0415 - for those who list what is here

        return shelf(self.store)

    def held(self, repo: RepoId, revision: str = "main") -> Held:
        """One commit, as a revision names it, file by file. Raises NotHere."""
        from hfmirror.care.held import held  # noqa: PLC0415 - as above

        return held(self.store, repo, revision)

    # -- sound --------------------------------------------------------------------------------

    def plan_check(self, repos: Sequence[RepoId] = (), manner: Manner | None = None) -> Check:
        """Decide what to hash again: of everything here, or of what is wanted of these repos."""
        from hfmirror.care.check import Manner, plan_check  # noqa: PLC0415 - for those who check

        pins = [pin for repo in repos for pin in self.store.pins_of(repo)]
        digests = sets.wanted(self.store, pins) if repos else self.store.objects()
        about = " ".join(sorted(map(str, repos))) or "all"
        return plan_check(self.store, digests, about, self.proofs.read(), manner or Manner())

    def verify(self, repos: Sequence[RepoId] = (), manner: Manner | None = None) -> Iterator[Finding]:
        """Plan a check, and carry it out."""
        from hfmirror.care.throttle import Throttle  # noqa: PLC0415 - as above

        yield from self.check(self.plan_check(repos, manner), Throttle(manner.rate if manner else None))

    def check(self, check: Check, pace: Throttle) -> Generator[Finding, None, None]:
        """Hash again what was planned, set aside what is damaged, and note what is proven."""
        from hfmirror.care.verify import verify  # noqa: PLC0415 - as above

        if not check.looks and not check.skipped:
            return
        with self.proofs.noting(check.about, check.begun) as note:
            for finding in verify(self.store, check.looks, pace):
                self._conclude(finding, note)
                yield finding
        if check.begun is not None:
            with suppress(StoreError):  # a disk that cannot be written is fit for reading
                self.proofs.tidy(set(skim.held(self.store)))

    def _conclude(self, finding: Finding, note: Callable[[Digest], object]) -> None:
        if not finding.sound:
            if finding.actual:  # what could not be read may be sound
                self._withdraw(finding)
        elif finding.read is None:
            note(finding.digest)
            if finding.parts and self.store.part_digests(finding.digest) is None:
                with suppress(StoreError):  # it came without them, from a folder or a cache; all was read anyway
                    self.store.parts.keep(finding.digest, finding.parts)

    def _withdraw(self, finding: Finding) -> None:
        """Take a damaged object out of the view, whose links share its bytes, and out of the store, with a report."""
        from hfmirror.care import report  # noqa: PLC0415 - as above

        digest = finding.digest
        self.view.drop_everywhere([digest])
        claims = why.claims(self.store, [digest])[digest]
        for claim in claims:
            self.view.drop(claim.pin.repo, claim.pin.commit, Entry(claim.path, finding.size, digest))
        self.store.set_aside(digest)
        with suppress(StoreError):  # the words are for people; the damage is dealt with
            self.store.drafts.publish_text(
                self.store.layout.report(digest), report.written(finding, claims, time.time()), durable=False
            )

    def plan_repair(self, repos: Sequence[RepoId] = ()) -> mend.Repair:
        """What was set aside and is wanted."""
        return mend.plan_repair(self.store, self.store.damaged(), repos)

    def damage(self, digest: Digest) -> Finding:
        """Where an object that was set aside is wrong."""
        from hfmirror.care.verify import look  # noqa: PLC0415 - as above

        return look(digest, self.store.layout.set_aside(digest), self.store.part_digests(digest))

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

    def sweep(
        self,
        grace_s: float = gc.GRACE_S,
        unused_days: float | None = None,
        room: Limits = NO_LIMITS,
        needed: int = 0,
        *,
        dry: bool,
    ) -> gc.Sweep:
        """Remove what no pin wants; then, to hold the limits of `room`, what only clients asked for.

        `needed` bytes are about to come. Raises StoreLocked when locks keep nobody out here.
        """
        from hfmirror.care.room import Eviction  # noqa: PLC0415 - for those who have limits

        self.store.prepare()
        if not self.store.locks_exclude():
            raise StoreLocked(str(self.store.root), "locks keep nobody out on this disk, so removing is not safe")
        now = time.time()
        before = -1.0 if unused_days is None else now - unused_days * DAY_S
        idle = tuple(pin for pin in self.store.pins() if pin.demand and self.store.used(pin.repo, pin.commit) < before)
        eviction = self._plan_room(room, needed, idle, grace_s) if room else Eviction()
        let_go = tuple(self.store.let_go())
        if not dry:
            self._drop(idle, before, eviction)
        gone = (*idle, *(going.pin for going in eviction.goes)) if dry else ()
        with self.store.locked():
            tally = sets.tally(self.store, gone)
            sweep = gc.plan_sweep(tally, self.store, now, grace_s, eviction.digests)
            if not dry:
                self._carry_out(sweep, tally)
        return replace(sweep, idle=idle, let_go=let_go, evicted=eviction.goes, short=eviction.short)

    def _plan_room(self, room: Limits, needed: int, idle: tuple[Pin, ...], grace_s: float) -> Eviction:
        """What has to go beyond what gc removes anyway."""
        from hfmirror.care.room import plan_room  # noqa: PLC0415 - as above

        now = time.time()
        over = room.over(self._gauge.taken(), files.free_space(self.store.root), needed)
        if over > 0:
            over -= gc.plan_sweep(sets.tally(self.store, idle), self.store, now, grace_s).freed
        return plan_room(self.store, over, now, idle)

    def _drop(self, idle: tuple[Pin, ...], before: float, eviction: Eviction) -> None:
        """Forget these demands, unless one was used meanwhile, and what was unpinned."""
        for pin in idle:
            self.store.undemand(pin.repo, pin.commit, before)
        for going in eviction.goes:
            self.store.undemand(going.pin.repo, going.pin.commit, going.noted + 1)
        for repo, commit in tuple(self.store.let_go()):
            self.view.hide(repo, commit)
            self.store.unkeep(repo, commit, wanted_too=False)

    def _carry_out(self, sweep: gc.Sweep, tally: sets.Tally) -> None:
        self.view.drop_everywhere(sweep.doomed)  # else a commit of which less is wanted now would keep their room
        for digest in sweep.doomed:
            self.store.discard(digest)
        self.store.sweep_incoming(tally)
        self.store.sweep_parts()
        self._gauge.forget()

    def make_room(self, needed: int) -> None:
        """See that so much may come: let go, if need be, what only clients asked for. Raises QuotaFull."""
        limits = self.limits
        with self._making_room:
            if limits and limits.over(self._gauge.taken(), files.free_space(self.store.root), needed):
                plan = self.sweep(room=limits, needed=needed, dry=True)  # nothing goes when that does not help
                if plan.short:
                    raise QuotaFull(str(self.store.root), plan.short, limits.most, limits.least_free)
                self.sweep(room=limits, needed=needed, dry=False)
            self._gauge.add(needed)

    # -- explained ----------------------------------------------------------------------------

    def why(self, word: str) -> list[why.Reason]:
        """Who wants what a digest, a file on the disk, or a path in a repo stands for. Raises NotHere."""
        reasons = list(why.why(self.store, self.proofs.read(), self._meant(word)))
        if not reasons:
            raise NotHere(word)
        return reasons

    def _meant(self, word: str) -> set[Digest]:
        digest = digest_of(word) or digest_of(os.path.basename(os.path.realpath(word)))  # noqa: PTH119 - text
        with suppress(BadManifest):
            digest = Digest.parse(word)
        return {digest} if digest is not None else why.under_path(self.store, word)
