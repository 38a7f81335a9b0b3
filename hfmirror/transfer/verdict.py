"""What follows from wrong bytes: who is asked again, who is found out, and whether to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hfmirror.transfer import inquiry
from hfmirror.transfer.events import Refused
from hfmirror.transfer.orders import Download

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

    from hfmirror.errors import DigestMismatch
    from hfmirror.model import Digest, Entry
    from hfmirror.transfer.desk import Desk
    from hfmirror.transfer.orders import WholeOrder
    from hfmirror.transfer.reports import Reports

BEFORE = "an earlier run"  # how sentences call who left what was here already


class Verdict:
    """The judge of one desk. Everything is called under its lock."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._for_one: set[Digest] = set()  # contents of which nobody could tell who is wrong

    def is_for_one(self, entry: Entry) -> bool:
        """Whether one source alone is to bring a file, so that it can be told who is wrong."""
        return entry.digest in self._for_one

    def asks_again(self, download: Download, error: DigestMismatch) -> bool:
        """Have what the next suspect brought fetched again from others; False when that would tell nothing."""
        lanes = self._desk.lanes
        if len(lanes) < 2 or len(inquiry.contributors(download)) < 2:
            return False
        if download.inquiry is None:
            download.inquiry = inquiry.opened(download, error, lanes)
        for turn in download.inquiry.rounds(download):
            if any(self._trusted(lane, download.entry) for lane in lanes if lane is not turn.suspect):
                download.inquiry.under_way = turn
                inquiry.begin(download, turn)
                return True
        return False

    @staticmethod
    def _trusted(lane: Reports, entry: Entry) -> bool:
        return lane.serves(entry) and not lane.banned

    def acquitted(self, download: Download) -> None:
        """A download has turned out right; if some of it came twice for that, the first to bring it were wrong."""
        if download.inquiry is not None and download.inquiry.under_way is not None:
            suspect = download.inquiry.under_way.suspect
            liars = [lane for lane in self._desk.lanes if lane is suspect]
            self._name(download.entry, download.inquiry.error, liars)

    def condemned(self, entry: Entry, error: DigestMismatch, what: Download | WholeOrder) -> bool:
        """All of a file was thrown away; whether it is tried again."""
        who: Collection[Any] = inquiry.contributors(what) if isinstance(what, Download) else what.bringers
        lanes = [lane for lane in self._desk.lanes if lane in who]
        if len(self._desk.lanes) == 1 or len(who) == 1 or entry.digest in self._for_one:
            self._name(entry, error, lanes)
        else:
            self._for_one.add(entry.digest)
            error.source = " and ".join(lane.source for lane in lanes)
            self._desk.tell(Refused(error, again=True))
        return any(lane.serves(entry) for lane in self._desk.lanes)

    def _name(self, entry: Entry, error: DigestMismatch, lanes: Collection[Reports]) -> None:
        """Say who was wrong, and remember it."""
        trusted = {lane for lane in lanes if not lane.banned}
        for lane in lanes:
            lane.found_out(entry, error)
        known = lanes or (self._desk.lanes if len(self._desk.lanes) == 1 else ())
        error.source = " and ".join(lane.source for lane in known) or BEFORE
        banned = tuple(lane.source for lane in lanes if lane.banned and lane in trusted)
        again = any(lane.serves(entry) for lane in self._desk.lanes)
        self._desk.tell(Refused(error, again=again, banned=banned))
