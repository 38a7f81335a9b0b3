"""One round over a list: ask all names first, then say what would be done, then do it.

Two kinds: `Following` goes after the branches and writes the record; `Exact` brings the commits that a
record names, and writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from hfmirror.care import sets
from hfmirror.errors import MirrorError, UsageError
from hfmirror.syncing import decide
from hfmirror.syncing.decide import Track
from hfmirror.syncing.lock import Lock
from hfmirror.syncing.record import identity, standings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfmirror.mirror import Mirror
    from hfmirror.model import CommitId, RepoId
    from hfmirror.syncing.decide import Commit
    from hfmirror.syncing.parse import SyncList, Wish
    from hfmirror.syncing.record import Record
    from hfmirror.transfer.events import Watcher
    from hfmirror.transfer.plan import Plan
    from hfmirror.transfer.pull import Pull


@dataclass(frozen=True, slots=True)
class Job:
    """One commit that is to be here."""

    wish: Wish
    plan: Plan


@dataclass(frozen=True, slots=True)
class Failure:
    """A wish that could not be met this time."""

    wish: Wish
    error: MirrorError


@dataclass(frozen=True, slots=True)
class Agenda:
    """What a round is about to do; printable before it is done."""

    jobs: tuple[Job, ...]
    failures: tuple[Failure, ...]
    lets_go: tuple[Commit, ...] = ()
    freed: int = 0  # bytes that only the commits let go want, for gc to free

    @property
    def to_fetch(self) -> int:
        """Bytes that are not here, what several commits share counted once."""
        return sum({entry.digest: entry.size for job in self.jobs for entry in job.plan.lacking}.values())


class Round(Protocol):
    """What the command needs of a round."""

    def ask(self, hear: Watcher) -> Agenda:
        """Ask the Hub about every wish, and decide. Touches nothing. Raises UsageError."""
        ...

    def carry_out(self, job: Job, watch: Watcher) -> None:
        """Bring one commit here. Raises what a pull raises."""
        ...

    def finish(self) -> tuple[Commit, ...]:
        """Let go of what need not stay; which commits those were."""
        ...


@dataclass
class Following:
    """A round that goes after the branches."""

    mirror: Mirror
    wanted: SyncList
    record: Record
    _lock: Lock = field(default_factory=Lock)
    _targets: dict[tuple[RepoId, str], CommitId] = field(default_factory=dict)

    def ask(self, hear: Watcher) -> Agenda:
        """One question a repo, and one for a listing that is not known yet."""
        store, wishes = self.mirror.store, self.wanted.wishes
        standing = standings(store, (wish.repo for wish in wishes))
        self._lock = decide.current((self.record.read() or Lock()).of_store(identity(store)), wishes, standing)
        jobs, failures = [], []
        with self.mirror.pulling(self.wanted.manner, hear) as pull:
            for wish in wishes:
                try:
                    plan = pull.plan(wish.repo, wish.revision, wish.selection)
                except MirrorError as error:
                    failures.append(Failure(wish, error))
                else:
                    jobs.append(Job(wish, plan))
                    self._targets[wish.repo, wish.revision] = plan.pin.commit
        lets_go = decide.let_go(self._tracks(done=True), self._lock.made, standing)
        return Agenda(tuple(jobs), tuple(failures), lets_go, self._freed(lets_go, jobs))

    def _tracks(self, *, done: bool) -> Iterator[Track]:
        """The wishes as they stand now, or will when all that was planned is done."""
        for wish in self.wanted.wishes:
            name = wish.repo, wish.revision
            commits, target = self._lock.commits.get(name, ()), self._targets.get(name)
            if done and target is not None:
                commits = decide.followed(commits, target)
            yield Track(wish, commits, target)

    def _freed(self, lets_go: tuple[Commit, ...], jobs: list[Job]) -> int:
        if not lets_go:
            return 0
        store, gone = self.mirror.store, set(lets_go)
        pins = list(store.pins())
        lost = sets.wanted(store, (pin for pin in pins if (pin.repo, pin.commit) in gone))
        stays = sets.wanted(store, (pin for pin in pins if (pin.repo, pin.commit) not in gone)).keys()
        coming = {entry.digest for job in jobs for entry in job.plan.selected}
        return sum(size for digest, size in lost.items() if digest not in stays | coming and store.has(digest))

    def carry_out(self, job: Job, watch: Watcher) -> None:
        """Written down before it is begun: a pin found after a kill must be known for one of ours."""
        store, plan = self.mirror.store, job.plan
        pin = plan.pin
        before = standings(store, [pin.repo]).get((pin.repo, pin.commit))
        if plan.lacking or before is None or pin not in before.pins:
            store.prepare()
            self._lock = self._lock.of_store(identity(store))
            self._note(replace(self._lock, made=decide.claimed(self._lock.made, pin, before)))
        try:
            _bring(self.mirror, self.wanted, plan, watch)
        finally:
            after = standings(store, [pin.repo]).get((pin.repo, pin.commit))
            self._lock = replace(self._lock, made=decide.settled(self._lock.made, pin, after))
            self.record.write(self._lock)
        name = job.wish.repo, job.wish.revision
        commits = decide.followed(self._lock.commits.get(name, ()), pin.commit)
        self._note(replace(self._lock, commits={**self._lock.commits, name: commits}))

    def finish(self) -> tuple[Commit, ...]:
        """By what has come and not by what was planned: a commit that failed to come replaces none."""
        standing = standings(self.mirror.store, (wish.repo for wish in self.wanted.wishes))
        lets_go = decide.let_go(self._tracks(done=False), self._lock.made, standing)
        for repo, commit in lets_go:
            self.mirror.remove(repo, [commit])
        self._note(decide.without(self._lock, lets_go))
        return lets_go

    def _note(self, lock: Lock) -> None:
        self._lock = lock
        self.record.write(lock)


@dataclass
class Exact:
    """A round that brings what a record names, so that two stores hold the same bytes."""

    mirror: Mirror
    wanted: SyncList
    record: Record

    def ask(self, hear: Watcher) -> Agenda:
        """No question at all for a commit that is here."""
        lock = self._lock()
        jobs, failures = [], []
        with self.mirror.pulling(self.wanted.manner, hear) as pull:
            for wish in self.wanted.wishes:
                try:
                    jobs += [Job(wish, plan) for plan in self._plans(pull, wish, lock)]
                except MirrorError as error:
                    failures.append(Failure(wish, error))
        return Agenda(tuple(jobs), tuple(failures))

    def _lock(self) -> Lock:
        lock = self.record.read()
        advice = "run `hfmirror sync` once without --locked, where the list is kept current, and take its record"
        if lock is None:
            raise UsageError(f"there is no {self.record.path}", advice)
        missing = [str(wish) for wish in self.wanted.wishes if not lock.commits.get((wish.repo, wish.revision))]
        if missing:
            raise UsageError(f"{self.record.path} names no commit of {', '.join(missing)}", advice)
        return lock

    def _plans(self, pull: Pull, wish: Wish, lock: Lock) -> Iterator[Plan]:
        """The commits of a wish, the oldest first; the last one goes by the revision's name."""
        newest, *older = lock.commits[wish.repo, wish.revision][: wish.keep or 1]
        for commit in reversed(older):
            yield pull.plan(wish.repo, commit, wish.selection)
        yield self._named(pull.plan(wish.repo, newest, wish.selection), wish.revision)

    def _named(self, plan: Plan, revision: str) -> Plan:
        """As if the revision had been asked for, by the word of the record."""
        store, pin, head = self.mirror.store, plan.pin, plan.head
        public = store.public(pin.repo) if head.authority == store.name else head.public
        known = store.refs_of(pin.repo).get(revision) == pin.commit
        said_by = store.name if known else self.record.path.name
        return replace(plan, pin=replace(pin, revision=revision), head=replace(head, authority=said_by, public=public))

    def carry_out(self, job: Job, watch: Watcher) -> None:
        """As a pull does."""
        _bring(self.mirror, self.wanted, job.plan, watch)

    def finish(self) -> tuple[Commit, ...]:
        """The record is not this store's to write, so nothing is known to be free to go."""
        return ()


def _bring(mirror: Mirror, wanted: SyncList, plan: Plan, watch: Watcher) -> None:
    """Carry out a plan; where all of it is here and asked for already, only say again where the revision stands."""
    if not plan.lacking and plan.pin in mirror.store.pins_of(plan.pin.repo):
        if plan.head.authority != mirror.store.name:  # what the store itself said is no news to it
            mirror.store.publish(plan.pin, plan.head)
    else:
        with mirror.pulling(wanted.manner, watch) as pull:
            pull.carry_out(plan)
    mirror.show(plan, watch)
