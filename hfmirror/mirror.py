"""The one place that knows every concrete class, and wires them together."""

from __future__ import annotations

from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from hfmirror.care import sets
from hfmirror.care.limits import Limits
from hfmirror.errors import BadManifest, DamagedObject, MirrorError
from hfmirror.inspector import Inspector
from hfmirror.login import token_of_the_hub
from hfmirror.model import Digest, Entry, Head, is_commit
from hfmirror.store.disk import DiskStore
from hfmirror.transfer.plan import Plan, missing
from hfmirror.view import local, places
from hfmirror.view.hfcache import HubCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from hfmirror.adopt.bring import Wish as Adoption
    from hfmirror.adopt.report import Reader, Report
    from hfmirror.bundle import Exported, SecretKey, Taken, Trust, Wish
    from hfmirror.bundle import Plan as Parcel
    from hfmirror.care.mend import Mending, Repair
    from hfmirror.doctor.findings import Finding as Ill
    from hfmirror.model import RepoId, Selection
    from hfmirror.queueing import Queue
    from hfmirror.serving import Listener, Service, Serving
    from hfmirror.settings import Settings
    from hfmirror.sources.http import Http
    from hfmirror.sources.hub import HubSource
    from hfmirror.store.moving import Moved
    from hfmirror.transfer.budget import Budget
    from hfmirror.transfer.events import Watcher
    from hfmirror.transfer.manner import Manner
    from hfmirror.transfer.pull import Pull
    from hfmirror.view.relink import Relinked


class Mirror(Inspector):
    """A store, its view, and the Hub it is filled from."""

    @classmethod
    def open(cls, settings: Settings) -> Mirror:
        """The mirror these settings name; touches nothing. Raises StoreTooNew, StoreError for another's folder."""
        mirror = cls(settings)
        mirror.store.check()
        return mirror

    def __init__(self, settings: Settings) -> None:
        """Touches nothing: folders are made, and the Hub asked, by what needs them."""
        self.settings = settings
        store = DiskStore(settings.root)
        limits = Limits(settings.quota, settings.min_free)
        super().__init__(store, HubCache(store.layout.hub, store, store.drafts, self._bars), settings.pickles, limits)

    # -- pulling ------------------------------------------------------------------------------

    def plan(self, repo: RepoId, revision: str, selection: Selection, manner: Manner, watch: Watcher) -> Plan:
        """What a pull would fetch. Raises what a `Catalog` raises, and NothingMatches, UnsafePath."""
        with self._pulling(manner, watch) as pull:
            return pull.plan(repo, revision, selection)

    def pull(self, repo: RepoId, revision: str, selection: Selection, manner: Manner, watch: Watcher) -> Plan:
        """Make it so that everything selected is here, proven, and in the view."""
        with self._pulling(manner, watch) as pull:
            plan = pull.plan(repo, revision, selection)
            pull.carry_out(plan)
        self.show(plan, watch)
        return plan

    def pulling(self, manner: Manner, watch: Watcher) -> AbstractContextManager[Pull]:
        """A pull in steps, for those who plan many before they carry out one."""
        return self._pulling(manner, watch)

    def show(self, plan: Plan, watch: Watcher) -> None:
        """Put into the view what a plan selects, all of which is here. Raises UnsafePickle for what is refused."""
        from hfmirror.transfer.events import Linked  # noqa: PLC0415 - with the rest of the fetching side

        ways = self.view.show(plan.pin, plan.manifest, plan.selected)
        watch(Linked(len(plan.selected), ways))
        self.guard.refuse(plan.pin.repo, self.look_through(plan.pin, plan.selected, watch))

    @contextmanager
    def _pulling(self, manner: Manner, watch: Watcher) -> Iterator[Pull]:
        """A pull from the Hub; its connections are closed at the end."""
        from hfmirror import suppliers  # noqa: PLC0415 - only who fetches loads the fetching side
        from hfmirror.sources.http import Http  # noqa: PLC0415 - as above
        from hfmirror.transfer.pull import Pull  # noqa: PLC0415 - as above

        window = None if self.budget is None else self.budget.window
        with closing(Http(self.settings.stall_s, window)) as http:
            others = tuple(suppliers.others(http, self.settings, token_of_the_hub()))
            yield Pull(self._hub(http), self.store, replace(manner, budget=self.budget), watch, others)

    @cached_property
    def budget(self) -> Budget | None:
        """What may come over the line, as the settings say; shared with all processes of the store."""
        if self.settings.limit is None or not self.settings.limit.limits:
            return None
        from hfmirror.store.line import SharedLine  # noqa: PLC0415 - for those who limit
        from hfmirror.transfer.budget import Budget  # noqa: PLC0415 - as above

        return Budget(self.settings.limit, SharedLine(self.store.layout))

    def _hub(self, http: Http) -> HubSource:
        from hfmirror import suppliers  # noqa: PLC0415 - as above

        return suppliers.hub(http, self.settings, self.settings.endpoint, token_of_the_hub())

    def put(self, plan: Plan, folder: Path) -> Path:
        """Give the user files of their own: the plan's, in `folder`, under their own names."""
        return local.put(folder, plan.pin, plan.selected, self.store)

    # -- bringing one's own -------------------------------------------------------------------

    def bring(self, wish: Adoption, watch: Watcher, reading: Reader, *, offline: bool = False) -> Report:
        """Take in what fits of the user's own files, and show it. Raises what `Bringing.run` does."""
        from hfmirror.adopt.bring import Bringing, publish  # noqa: PLC0415 - for those who bring something
        from hfmirror.adopt.targets import Names  # noqa: PLC0415 - as above
        from hfmirror.sources.http import Http  # noqa: PLC0415 - as with a pull

        with closing(Http(self.settings.stall_s)) as http:
            names = Names(None if offline else self._hub(http), self.store, watch)
            report = Bringing(wish, names, self.store, reading).run()
        for shelf in () if wish.dry else report.shelves:
            if shelf.held:
                first, *others = publish(self.store, shelf)
                self.view.show(first, shelf.target.manifest, shelf.held)
                for pin in others:
                    self.view.point(pin.repo, pin.revision, pin.commit)
                self.look_through(first, shelf.held, watch)
        return report

    def wait_for(self, plan: Plan) -> None:
        """Record that what was planned ought to be here, so that an import knows it when it comes."""
        self.store.keep(plan.pin, plan.manifest)

    def by_hand(self, plan: Plan) -> list[tuple[Entry, str]]:
        """What a plan lacks, and the address where anybody with a browser finds it."""
        from hfmirror.sources.addresses import Addresses  # noqa: PLC0415 - as above

        addresses = Addresses(self.settings.endpoint)
        return [
            (entry, f"{addresses.asking(plan.manifest, entry)}?download=true") for entry in plan.lacking if entry.size
        ]

    # -- serving ------------------------------------------------------------------------------

    def serve(self, serving: Serving, listener: Listener) -> None:
        """Serve what is here as the Hub would, and fetch what is missing, until a signal ends it."""
        from hfmirror.serving import Service  # noqa: PLC0415 - only who serves loads the serving side

        try:
            serving = replace(serving, budget=self.budget)
            service = Service(self.store, self.settings, token_of_the_hub(), serving, listener)
            with self._proving(service, serving.verify_every_s, listener):
                service.run()
        finally:
            self._show_demanded()

    def _proving(self, service: Service, every_s: float | None, listener: Listener) -> AbstractContextManager[None]:
        """While the block runs, what is here is proven again, each object once in so long."""
        if every_s is None:
            return nullcontext()
        from hfmirror.care.rounds import Rounds  # noqa: PLC0415 - for those who want it

        return Rounds(self, every_s, lambda: service.quiet, listener.trouble)

    @contextmanager
    def beside(self, trouble: Callable[[str], None]) -> Iterator[str]:
        """A private server of this mirror on the loopback, while the block runs; gives its address."""
        from hfmirror.serving import Quiet, Service, Serving, beside  # noqa: PLC0415 - as above

        listener = Quiet(trouble)
        try:
            with beside(
                Service(self.store, self.settings, token_of_the_hub(), Serving(budget=self.budget), listener), listener
            ) as address:
                yield address
        finally:
            self._show_demanded()

    def _show_demanded(self) -> None:
        """Put into the view what clients have asked for through a server, so that it loads offline here as well."""
        for pin in self.store.pins():
            manifest = sets.listing(self.store, pin) if pin.demand else None
            if manifest is not None:
                with self.store.batch() as batch:
                    for entry in manifest.entries:
                        if entry.size == 0 and not self.store.has(entry.digest):  # clients ask for no empty file
                            batch.add(entry, b"")
                self.show_again(pin, manifest)
                for name, commit in self.store.refs_of(pin.repo).items():  # clients go on by commit, and people by name
                    if commit == pin.commit and not is_commit(name):
                        self.view.point(pin.repo, name, commit)

    def relink(self, cache: Path) -> Relinked:
        """Make the copies in a client's own cache links to what is here."""
        from hfmirror.view.relink import relink  # noqa: PLC0415 - for those who need it

        return relink(cache, self.store, self.store.drafts)

    def queue(self) -> Queue:
        """The pulls that wait for their turn."""
        from hfmirror.queueing import Queue  # noqa: PLC0415 - for those who let a pull wait

        return Queue(self.store)

    # -- what is here -------------------------------------------------------------------------

    def path(self, repo: RepoId, revision: str = "main", file: str | None = None) -> Path:
        """Where a commit, or one file of it, lies in the view. Raises NotHere, EntryNotFound."""
        return places.find(self.store, repo, revision, file)

    # -- care: what needs the Hub; the rest is the keeper's -----------------------------------

    def repair(self, repair: Repair, manner: Manner, watch: Watcher) -> list[MirrorError]:
        """Fetch the damaged parts of what is wanted, show it again, and forget what was set aside.

        Returns what went wrong; the rest is done.
        """
        self.store.prepare()
        failures: list[MirrorError] = []
        open_: set[Digest] = set()
        for mending in repair.mendings:
            try:
                self._mend(mending, manner, watch)
            except MirrorError as error:
                failures.append(error)
                open_ |= {entry.digest for entry in mending.entries}
        for digest in repair.entries:
            if digest not in open_ and self.store.has(digest):
                self.store.forget_damaged(digest)
        return failures

    def _mend(self, mending: Mending, manner: Manner, watch: Watcher) -> None:
        lacking = missing(mending.entries, self.store)
        if lacking and mending.local:
            advice = mending.advice(self.store.about(mending.pin.repo, mending.pin.commit))
            raise DamagedObject(len(lacking), len(mending.entries), advice)
        if lacking:
            head = Head(mending.pin.commit, authority=self.store.name)  # nobody is asked what the name stands for
            with self._pulling(manner, watch) as pull:
                pull.carry_out(Plan(mending.pin, head, mending.manifest, mending.entries, lacking))
        self.show_again(mending.pin, mending.manifest)

    def examine(
        self, environment: Mapping[str, str], rated: tuple[RepoId, str] | None = None, *, quick: bool = False
    ) -> Iterator[Ill]:
        """What is wrong with the disk, the settings and (unless `quick`) the network, check by check."""
        from hfmirror.doctor.examine import Asker, examine_machine, examine_network  # noqa: PLC0415 - for the ill
        from hfmirror.doctor.network import STEP_S  # noqa: PLC0415 - as above
        from hfmirror.sources.http import Http  # noqa: PLC0415 - as with a pull

        yield from examine_machine(self.settings, environment, self.store.check)
        if quick:
            return
        with closing(Http(min(self.settings.stall_s, STEP_S))) as http:
            yield from examine_network(Asker(self.settings, http, token_of_the_hub(), environment, rated))

    # -- elsewhere ----------------------------------------------------------------------------

    def move(self, target: Path, watch: Watcher, *, losing: bool = False, dry: bool = False) -> Moved:
        """Bring the whole store to another folder, or say how. Raises what `Move.carry_out` does."""
        from hfmirror.store.moving import Move  # noqa: PLC0415 - for those who move
        from hfmirror.transfer.events import Arrived  # noqa: PLC0415 - as above

        move, name = Move(self.store.root, target), self.store.name
        if dry:
            return move.plan()
        return move.carry_out(self._show_all, lambda entry, size: watch(Arrived(entry, size, name)), losing=losing)

    def _show_all(self, store: DiskStore) -> None:
        """Lay out the whole view of a store in another place."""
        there = Mirror(replace(self.settings, root=store.root))
        for pin in store.pins():
            with suppress(BadManifest):  # a listing that cannot be read shows nothing here either
                manifest = sets.listing(store, pin)
                if manifest is not None:
                    there.show_again(pin, manifest)

    # -- carrying -----------------------------------------------------------------------------

    def plan_export(
        self, folder: Path, wishes: Sequence[Wish], since: Iterable[Path] = (), most: int | None = None
    ) -> Parcel:
        """What a bundle in `folder` has to get. Raises what `bundle.plan_export` and `bundle.known` do."""
        from hfmirror import bundle  # noqa: PLC0415 - for those who carry

        known = frozenset(mark for path in since for mark in bundle.known(path))
        return bundle.plan_export(self.store, folder, wishes, known, most)

    def export(self, parcel: Parcel, signer: SecretKey | None, watch: Watcher) -> Exported:
        """Make the bundle hold what was planned. Raises what `bundle.carry_out` does."""
        from hfmirror import bundle  # noqa: PLC0415 - as above

        return bundle.carry_out(parcel, self.store, signer, watch)

    def take_in(self, folder: Path, trust: Trust, watch: Watcher) -> Taken:
        """Bring a bundle in, and show what is whole now. Raises what `bundle.take_in` does."""
        from hfmirror import bundle  # noqa: PLC0415 - as above

        taken = bundle.take_in(folder, self.store, trust, watch)
        for brought in taken.names:
            names = self.store.refs_of(brought.manifest.repo)
            for pin in brought.pins:
                leads = names.get(pin.revision) == pin.commit  # it may have been asked for here more lately
                shown = pin if leads else replace(pin, revision=pin.commit)
                selected = tuple(sets.selected(self.store, pin))
                self.view.show(shown, brought.manifest, selected)
                self.look_through(shown, selected, watch)
        return taken

    def state(self) -> bytes:
        """What is here, for `plan_export` on another machine: few bytes, no names."""
        from hfmirror import bundle  # noqa: PLC0415 - as above

        return bundle.state_bytes(self.store.objects())
