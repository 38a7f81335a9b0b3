"""Pull: copy what a pin selects from a source into a store."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from hfmirror.errors import BadManifest, NotHere, NothingMatches, Unavailable, UnsafePath
from hfmirror.model import CACHE, HUB, LOCAL, Head, Pin, is_commit
from hfmirror.transfer.events import Asking, Listed, Planned, Stale
from hfmirror.transfer.fetch import fetch
from hfmirror.transfer.patience import Patience, patiently
from hfmirror.transfer.plan import Plan, missing, plan_pull, refuse_clashes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hfmirror.model import Manifest, RepoId, Selection
    from hfmirror.ports import Source, Store, Supplier
    from hfmirror.transfer.events import Watcher
    from hfmirror.transfer.manner import Manner


class Pull:
    """One repo's way from a source into a store, in steps that can be looked at."""

    def __init__(
        self, source: Source, store: Store, manner: Manner, watch: Watcher, others: Sequence[Supplier] = ()
    ) -> None:
        """`source` is asked for names, and with the others for bytes."""
        self._source, self._store, self._manner, self._watch = source, store, manner, watch
        self._others = others

    def plan(self, repo: RepoId, revision: str, selection: Selection) -> Plan:
        """Decide what to fetch: one request for the name, one for the listing if it is not known.

        A commit whose listing is held is asked for nowhere. When the source cannot be asked, the last
        known name answers, if everything selected is held or others may bring it.
        """
        self._watch(Asking(repo, revision, self._source.name))
        held = self._held(repo, revision, selection)
        if held is not None and _settled(held, revision):
            return self._decided(held)
        try:
            head = self._source.resolve(repo, revision)
        except Unavailable as error:
            if held is not None and (self._others or not held.lacking):
                self._watch(Stale(repo, revision, error))
                return self._decided(held)
            head = self._patiently_resolved(repo, revision, error)
        manifest = self._manifest(repo, head, selection)
        pin = Pin(repo, head.commit, revision, selection)
        return self._decided(plan_pull(pin, head, manifest, self._store))

    def _decided(self, plan: Plan) -> Plan:
        self._watch(Listed(plan.manifest))
        self._watch(Planned(plan))
        return plan

    def _patiently_resolved(self, repo: RepoId, revision: str, error: Unavailable) -> Head:
        first: list[Unavailable] = [error]

        def resolve() -> Head:
            if first:
                raise first.pop()
            return self._source.resolve(repo, revision)

        return patiently(resolve, Patience(self._manner.patience_s), self._watch)

    def _held(self, repo: RepoId, revision: str, selection: Selection) -> Plan | None:
        """The plan as the store alone would make it."""
        try:
            head = self._store.resolve(repo, revision)
            manifest = self._store.manifest(repo, head.commit, selection)
            return plan_pull(Pin(repo, head.commit, revision, selection), head, manifest, self._store)
        except (NotHere, BadManifest, NothingMatches, UnsafePath):
            return None  # what was true when last asked settles nothing but what is held

    def _manifest(self, repo: RepoId, head: Head, selection: Selection) -> Manifest:
        with suppress(NotHere, BadManifest):
            known = self._store.manifest(repo, head.commit, selection)
            if known.origin != CACHE:
                return known
        patience = Patience(self._manner.patience_s)
        return patiently(lambda: self._source.manifest(repo, head.commit, selection), patience, self._watch)

    def carry_out(self, plan: Plan) -> None:
        """Pin, fetch, publish. Raises what `fetch` raises, UnsafePath, and DiskFull before the first byte."""
        if self._store.case_blind():
            refuse_clashes(plan.selected)
        self._store.keep(plan.pin, plan.manifest)
        plan = replace(plan, lacking=missing(plan.selected, self._store))  # gc may have run until the pin stood
        if plan.lacking:
            self._store.room_for(plan.lacking)
            fetch((self._source, *self._others), self._store, plan, self._manner, self._watch)
        if plan.head.authority != self._store.name:  # what the store itself said is no news to it
            self._store.publish(plan.pin, plan.head)


def _settled(plan: Plan, revision: str) -> bool:
    """Whether nobody need be asked: a commit never moves, and what was made here nobody else knows."""
    origin = plan.manifest.origin
    return origin == LOCAL or (origin == HUB and is_commit(revision))
