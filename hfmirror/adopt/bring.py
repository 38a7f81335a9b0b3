"""The whole of an import, in order: look, learn what is meant, take in what fits, publish, report."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from hfmirror.adopt import own, targets
from hfmirror.adopt.found import Find, Trouble
from hfmirror.adopt.laying import laying
from hfmirror.adopt.matching import Matching, Way
from hfmirror.adopt.misfits import misfits
from hfmirror.adopt.report import Mark, Reading, Report, Shelf
from hfmirror.adopt.taking import taking
from hfmirror.adopt.targets import Target
from hfmirror.adopt.walk import look
from hfmirror.adopt.wants import Wants
from hfmirror.errors import StoreError, UsageError
from hfmirror.model import LOCAL, Head, Pin, Selection, is_commit, unholdable
from hfmirror.store.adopting import digests_of
from hfmirror.transfer.plan import refuse_clashes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hfmirror.adopt.found import Claim
    from hfmirror.adopt.own import Prove
    from hfmirror.adopt.report import Reader
    from hfmirror.adopt.targets import Names
    from hfmirror.model import Algorithm, Digest, RepoId
    from hfmirror.store.adopting import Laid, Offered
    from hfmirror.store.disk import DiskStore

Meant = list[tuple[Target, "Claim | None"]]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the words of the command ask for."""

    paths: tuple[str, ...]
    repo: RepoId | None = None
    revision: str | None = None
    selection: Selection = field(default_factory=Selection)
    own: bool = False  # make a repo of the user's own
    public: bool = False  # anybody may read it; only of a repo of the user's own
    way: Way = field(default_factory=Way)
    dry: bool = False


class Bringing:
    """One import into one store."""

    def __init__(self, wish: Wish, names: Names, store: DiskStore, reading: Reader) -> None:
        self._wish, self._names, self._store, self._reading = wish, names, store, reading

    def run(self) -> Report:
        """Take in what fits. Raises UsageError, what a `Catalog` raises, DiskFull, StoreError."""
        root = os.path.realpath(self._store.root)
        for path in self._wish.paths:
            if f"{os.path.realpath(path)}{os.sep}".startswith(f"{root}{os.sep}"):
                raise UsageError(f"{path} is a part of the store itself")
        if self._wish.own:
            return self._own()
        find = look(self._wish.paths, root)
        meant, troubles = self._meant(find)
        report = self._match(find, meant)
        report.troubles += troubles
        if self._wish.repo is None and not find.claims:
            report.shelves = [shelf for shelf in report.shelves if self._concerned(shelf, report)]
        return report

    def _concerned(self, shelf: Shelf, report: Report) -> bool:
        """Whether this import changed anything for a commit that was waited for, or finds it unnamed."""
        came = {took.entry.digest for took in report.took} | {began.entry.digest for began in report.began}
        if any(entry.digest in came for entry in shelf.target.entries):
            return True
        repo = shelf.target.manifest.repo
        return not shelf.lacking and bool(shelf.target.heard.keys() - self._store.refs_of(repo).keys())

    def _match(self, find: Find, meant: Meant, laid: Mapping[str, Laid] = MappingProxyType({})) -> Report:
        wanted = [target for target, _ in meant]
        if not self._wish.dry and (self._wish.repo is not None or find.claims):  # else they are pinned
            self._secure(wanted)
        wants = Wants(wanted, self._store.has)
        with taking(self._store, laid, dry=self._wish.dry) as taker:
            matching = Matching(find, wants, taker, self._wish.way, self._reading)
            report = matching.run()
        lacking = {entry.digest: entry for entry in wants.lacking()}
        report.troubles += misfits(find, meant, lacking, matching.others)
        report.troubles += _unheld(wanted)
        report.shelves += (self._shelf(target, set(lacking)) for target in wanted)
        if self._wish.way.move and not self._wish.dry:
            _remove_taken(report, find)
        return report

    def _secure(self, wanted: list[Target]) -> None:
        """Pin what is here already by way of another repo, before it is counted upon. Raises UnsafePath."""
        for target in wanted:
            if self._store.case_blind():
                refuse_clashes(target.entries)
            if any(self._store.has(entry.digest) for entry in target.entries):
                for pin in target.pins:
                    self._store.keep(pin, target.manifest)

    @staticmethod
    def _shelf(target: Target, lacking: set[object]) -> Shelf:
        held = tuple(entry for entry in target.entries if entry.digest not in lacking)
        return Shelf(target, held, tuple(entry for entry in target.entries if entry.digest in lacking))

    # -- what is meant ------------------------------------------------------------------------

    def _meant(self, find: Find) -> tuple[Meant, list[Trouble]]:
        wish = self._wish
        if wish.repo is not None:
            targets.refuse_local(wish.repo, self._store)
            target = targets.named(wish.repo, wish.revision, wish.selection, self._names, find.claims)
            claims = [claim for claim in find.claims if claim.commit == target.manifest.commit]
            return [(target, next(iter(claims), None))], []
        if not find.claims:
            return [(target, None) for target in targets.pinned(self._store)], []
        return self._claimed(find)

    def _claimed(self, find: Find) -> tuple[Meant, list[Trouble]]:
        meant: Meant = []
        troubles: list[Trouble] = []
        unfinished = {half.digest for half in find.halves if half.digest}
        for told in find.claims:
            files = tuple(file for file in told.files if self._wish.selection.takes(file.path))
            claim = replace(told, files=files)
            target, trouble = targets.claimed(claim, unfinished, self._names, self._store)
            if target is not None:
                meant.append((target, claim))
            if trouble is not None:
                troubles.append(trouble)
        return meant, troubles

    # -- a repo of the user's own -------------------------------------------------------------

    def _own(self) -> Report:
        wish = self._wish
        if wish.repo is None or is_commit(wish.revision or ""):
            raise UsageError("a repo of your own needs a name", "for instance: --local --repo me/my-model")
        targets.refuse_foreign(wish.repo, self._store, self._names)
        files, troubles = own.files_of(wish.paths)
        files = {path: place for path, place in files.items() if wish.selection.takes(path)}
        if wish.dry:
            return self._own_of(wish.repo, files, troubles, self._looked_through, {})
        with laying(self._store, wish.repo, files.values(), wish.way.linking, self._reading) as made:
            return self._own_of(wish.repo, files, troubles, made.prove, made.laid)

    def _looked_through(self, place: str, offered: Offered, algorithm: Algorithm) -> Digest:
        self._reading(Reading(place, offered.size))
        return digests_of(offered, (algorithm,))[0]

    def _own_of(
        self, repo: RepoId, files: dict[str, str], troubles: list[Trouble], prove: Prove, laid: dict[str, Laid]
    ) -> Report:
        wish = self._wish
        manifest = own.manifest_of(repo, files, prove)
        head = Head(manifest.commit, {}, LOCAL, wish.public)
        find = Find(troubles=troubles)
        for entry in manifest.entries:
            find.add(files[entry.path], entry.size)
        target = Target(manifest, Selection(), (wish.revision or "main",), head)
        report = self._match(find, [(target, None)], laid)
        lacking = report.shelves[0].lacking
        if lacking and not wish.dry:
            raise StoreError(files[lacking[0].path], "it changed while it was read; run the command again")
        return report


def publish(store: DiskStore, shelf: Shelf) -> tuple[Pin, ...]:
    """Let the names lead to a commit of which something is here; the pins by which the view is to show it."""
    target, commit = shelf.target, shelf.target.manifest.commit
    unnamed = Pin(target.manifest.repo, commit, commit, target.selection)
    shown = [pin for pin in target.pins if pin.revision in target.revisions] or [unnamed]
    if target.head is not None and target.head.authority != store.name:
        for pin in shown:
            store.publish(pin, target.head)
    heard = (pin for pin in target.pins if pin.revision in target.heard)
    return (*shown, *(pin for pin in heard if store.hear(pin, target.heard[pin.revision])))


def _unheld(wanted: list[Target]) -> Iterator[Trouble]:
    for target in wanted:
        for entry in target.selection.of(target.manifest):
            if unholdable(entry.path):
                yield Trouble(f"{target}: {entry.path}", unholdable(entry.path))


def _remove_taken(report: Report, find: Find) -> None:
    """Take the user's files away from where they were: they are in the store now, proven and durable."""
    for took in report.took:
        if took.mark is None or took.place in find.shared or os.path.islink(took.place):  # noqa: PTH114 - a string
            continue
        try:
            if Mark.of(os.stat(took.place)) != took.mark:
                continue
            for place in (*find.links.get(took.place, ()), took.place):
                os.unlink(place)
                report.removed.append(place)
        except OSError as error:
            report.troubles.append(Trouble(took.place, f"it is in the store, but stays here: {error.strerror}"))
