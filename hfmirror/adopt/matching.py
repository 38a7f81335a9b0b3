"""Files to what is wanted: by size, then by digest, each read at most once, whatever they are called."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hfmirror.adopt.archives import Broken, members
from hfmirror.adopt.filling import declared_size, worth
from hfmirror.adopt.found import Half, Trouble
from hfmirror.adopt.halves import owner, plain_name
from hfmirror.adopt.report import Began, Mark, Reading, Report, Took
from hfmirror.errors import DigestMismatch, StoreLocked
from hfmirror.store.adopting import COPY, Linking, Offered, Unfit, opened
from hfmirror.transfer.manner import WHOLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hfmirror.adopt.archives import Member
    from hfmirror.adopt.found import Find
    from hfmirror.adopt.report import Reader
    from hfmirror.adopt.taking import Taker
    from hfmirror.adopt.wants import Wants
    from hfmirror.model import Digest, Entry

SAFETENSORS = ".safetensors"


@dataclass(frozen=True, slots=True)
class Way:
    """What may be done to the user's files: nothing, unless it was said."""

    move: bool = False  # they leave where they were
    link: bool = False  # they become read-only, and the store's own

    @property
    def linking(self) -> Linking:
        """When an object may be the very file that was found."""
        return Linking.ALWAYS if self.move or self.link else Linking.NEVER


class Matching:
    """One import: what was found against what is wanted."""

    def __init__(self, find: Find, wants: Wants, taker: Taker, way: Way, reading: Reader) -> None:
        self._find, self._wants, self._taker, self._way, self._reading = find, wants, taker, way, reading
        self._kept: set[int] = set()  # targets whose pins are written, by identity
        self.others: dict[str, tuple[Digest, ...]] = {}  # files that were read and not wanted: what they are
        self.report = Report(troubles=list(find.troubles), looked_at=find.count)

    def run(self) -> Report:
        """Take in all that fits. Raises DiskFull before the first byte, StoreError."""
        self._taker.room_for([*self._costly()])
        for size in self._wants.sizes():
            if size:
                self._offer_files(size)
        for place in self._find.archives:
            if any(self._wants.sizes()):
                self._offer_archive(place)
        for half in sorted([*self._find.halves, *self._cut_short()], key=lambda half: -half.size):
            self._offer_half(half)
        for digest, entry in list(self._wants.left(0).items()):
            if any(map(self._wants.begun, self._wants.wanting(digest))):  # nothing to look for
                self._accept(digest, 0)
                self._taker.empty(entry)
                self._wants.found(digest, 0)
        return self.report

    # -- whole files --------------------------------------------------------------------------

    def _costly(self) -> Iterator[Entry]:
        """What may have to be copied: a disk that is too full should say so first."""
        for size in self._wants.sizes():
            places = self._find.files.get(size, ()) if size > WHOLE else ()
            for entry, place in zip(self._wants.left(size).values(), places, strict=False):
                if self._taker.copies(place, self._linking(place)):
                    yield entry

    def _offer_files(self, size: int) -> None:
        """Offer all files of a size, first those that are called like something wanted, until nothing is."""
        names = self._wants.names(size)
        places = self._find.files.get(size, ())
        for place in sorted(places, key=lambda place: (_name(place) not in names, place)):
            if not self._wants.left(size):
                return
            self._reading(Reading(place, size))
            try:
                with opened(place, size) as offered:
                    self._offer(offered, place, self._linking(place))
            except Unfit as error:
                self._trouble(place, str(error))

    def _linking(self, place: str) -> Linking:
        if os.path.islink(place):  # noqa: PTH114 - strings, many
            return Linking.NEVER  # what it leads to was not named
        if place in self._find.shared:
            return Linking.READ_ONLY  # several repos of a client's cache share it, whatever we may do to one
        if place in self._find.cached and self._way.linking is Linking.NEVER:
            return Linking.READ_ONLY  # a client's cache replaces its blobs and never writes into them
        return self._way.linking

    def _offer(self, offered: Offered, place: str, linking: Linking) -> None:
        size = offered.size
        taken = self._taker.take(offered, self._wants.algorithms(size), lambda d: self._accept(d, size), linking)
        if taken.kept is None:
            self.others[place] = taken.digests
            return
        mark = None if offered.facts is None else Mark.of(offered.facts)
        self.report.took.append(Took(self._wants.left(size)[taken.kept], place, taken.how, mark))
        self._wants.found(taken.kept, size)

    def _accept(self, digest: Digest, size: int) -> Entry | None:
        """What is lacking under this digest; whoever wants it is pinned from now on."""
        entry = self._wants.left(size).get(digest)
        for target in self._wants.wanting(digest) if entry else ():
            if id(target) not in self._kept:
                self._kept.add(id(target))
                self._taker.keep(target)
        return entry

    def _trouble(self, place: str, why: str, *, damaged: bool = False) -> None:
        self.report.troubles.append(Trouble(place, why, damaged))

    # -- members of archives ------------------------------------------------------------------

    def _offer_archive(self, place: str) -> None:
        if any(took.place == place for took in self.report.took):
            return  # it was wanted itself
        try:
            for member in members(place):
                if member.size and self._wants.left(member.size):
                    self._offer_member(f"{place}: {member.name}", member)
        except Broken as error:
            self._trouble(place, f"this archive cannot be read further: {error}")

    def _offer_member(self, place: str, member: Member) -> None:
        self._reading(Reading(place, member.size))
        try:
            with member.stream() as stream:
                self._offer(Offered(stream, member.size), place, Linking.NEVER)
        except (Unfit, Broken) as error:
            self._trouble(place, str(error))

    # -- half-finished files ------------------------------------------------------------------

    def _cut_short(self) -> Iterator[Half]:
        """Files under their final names that are shorter than they say themselves: stopped downloads."""
        lacking = {_name(entry.path): entry.size for entry in self._wants.lacking() if entry.path.endswith(SAFETENSORS)}
        known = {half.place for half in self._find.halves}
        for size, places in self._find.files.items():
            for place in places:
                name = plain_name(_name(place))
                if size and size < lacking.get(name, 0) and place not in known:
                    try:
                        whole = declared_size(place)
                    except Unfit:
                        continue
                    if whole is not None and whole > size:
                        yield Half(place, size, name, whole=whole)

    def _offer_half(self, half: Half) -> None:
        lacking = [entry for entry in self._wants.lacking() if entry.size > WHOLE]
        if any(took.place == half.place for took in self.report.took):
            return  # it was whole, and merely not renamed
        try:
            entry = owner(half, self._own_word(half), lacking)
            good = 0 if entry is None else worth(entry, half)
            if entry is None or not good or self._accept(entry.digest, entry.size) is None:
                return
            self._reading(Reading(half.place, half.size))
            came, whole = self._taker.fill(entry, half)
        except Unfit as error:
            self._trouble(half.place, str(error))
        except StoreLocked as error:
            self._trouble(half.place, f"another hfmirror is fetching {error.where} just now")
        except DigestMismatch as error:
            self._trouble(half.place, f"its bytes are not those of {error.path}; none was kept", damaged=True)
        else:
            self._began(half, entry, came or good, whole=whole)  # an earlier import may have had it all

    @staticmethod
    def _own_word(half: Half) -> int | None:
        """How large the finished file is, if its own first bytes say so."""
        if half.digest or half.start or half.spans is not None or not half.name.endswith(SAFETENSORS):
            return None
        return declared_size(half.place)

    def _began(self, half: Half, entry: Entry, kept: int, *, whole: bool) -> None:
        if whole:
            self.report.took.append(Took(entry, half.place, COPY))
            self._wants.found(entry.digest, entry.size)
        else:
            self.report.began.append(Began(entry, half.place, kept))


def _name(place: str) -> str:
    return place.replace(os.sep, "/").rpartition("/")[2]
